package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// LocalHosts are the names by which a server on a loopback address is asked,
// for Options.Hosts.
var LocalHosts = []string{"localhost"}

// refuse says why a request is not even looked at, or nil. These are the checks
// that are the same for every route.
func (s *Server) refuse(r *http.Request) *apiError {
	if err := s.checkHost(r.Host); err != nil {
		return err
	}
	switch r.URL.Path {
	case "/healthz", "/health", "/readyz":
		return nil
	}
	return s.authorize(r)
}

// checkHost refuses names that are not the server's. A page elsewhere can let
// its own name point to 127.0.0.1 and then ask whatever listens there as if it
// were its own server (DNS rebinding); but the name it asks for is still its own.
func (s *Server) checkHost(host string) *apiError {
	if s.options.Hosts == nil {
		return nil
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if a, err := netip.ParseAddr(name); err == nil && a.IsLoopback() {
		return nil
	}
	if strings.HasSuffix(name, ".localhost") || slices.Contains(s.options.Hosts, name) {
		return nil
	}
	if host == "" { // HTTP/1.0
		return &apiError{status: http.StatusForbidden, kind: "invalid_request_error", code: "unknown_host", message: "the request has no Host header, which says what server it is for"}
	}
	return &apiError{status: http.StatusForbidden, kind: "invalid_request_error", code: "unknown_host", message: fmt.Sprintf("this server is not %q; if it is to answer by this name, start it with --host %s", clip(name), clip(name))}
}

// crossOrigin sets the headers by which a browser lets pages of the allowed
// origins ask, and answers it where it asks whether they may (CORS). It reports
// whether that was all.
func (s *Server) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if len(s.options.Origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	switch {
	case origin == "":
		return false
	case slices.Contains(s.options.Origins, "*"):
		origin = "*"
	case !slices.Contains(s.options.Origins, origin):
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", requestID+", Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" || s.checkHost(r.Host) != nil {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	// Clients send headers of their own; none has a meaning here that could harm.
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// authorize checks the token, if there is to be one: as a bearer token or, so
// that a browser can ask for it, as the password of basic authentication, which
// is enough to read.
func (s *Server) authorize(r *http.Request) *apiError {
	if s.options.Token == "" {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := strings.EqualFold(scheme, "Bearer")
	token = strings.TrimSpace(token)
	if !given && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		_, token, given = r.BasicAuth()
	}
	// Equal lengths, so that the time says nothing about the token's.
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.options.Token))
	if given && subtle.ConstantTimeCompare(have[:], want[:]) == 1 {
		return nil
	}
	return &apiError{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "a valid bearer token is needed: Authorization: Bearer TOKEN"}
}

// checkType demands that a body says it is JSON. Browsers send forms and plain
// text to any server without asking it first, but JSON only where CORS lets them.
func checkType(r *http.Request) *apiError {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return &apiError{status: http.StatusUnsupportedMediaType, kind: "invalid_request_error", code: "unsupported_media_type", message: "the request's Content-Encoding is " + clip(coding) + ", want a body that is not compressed"}
	}
	given := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(given)
	if err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return nil
	}
	what := "the request has no Content-Type"
	if given != "" {
		what = "the request's Content-Type is " + clip(given)
	}
	if kind == "application/x-www-form-urlencoded" {
		what += ", as curl -d sends it"
	}
	return &apiError{status: http.StatusUnsupportedMediaType, kind: "invalid_request_error", code: "unsupported_media_type", message: what + `, want application/json: with curl add -H 'Content-Type: application/json', or use --json in place of -d`}
}
