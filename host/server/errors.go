package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// apiError is an error in the shape of OpenAI's API.
type apiError struct {
	status  int
	kind    string // "type" in the response
	param   string // the member of the request that is to blame, or ""
	code    string
	message string
	retry   int // seconds after which to try again, or 0
}

// errFault is what a client is told of a panic.
var errFault = &apiError{status: http.StatusInternalServerError, kind: "server_error", message: "a fault in the server"}

func (e *apiError) Error() string { return e.message }

// invalid is the error for a request that cannot be answered.
func invalid(param, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: "invalid_request_error", param: param, message: fmt.Sprintf(format, args...)}
}

func (s *Server) noModel(asked string) *apiError {
	return &apiError{status: http.StatusNotFound, kind: "invalid_request_error", param: "model", code: "model_not_found", message: fmt.Sprintf("no model %q here, only %s", asked, quoted(s.loader.names()))}
}

// quoted lists names for a message.
func quoted(names []string) string {
	const most = 8
	var b strings.Builder
	for i, n := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	if len(names) > most {
		b.WriteString(" and others")
	}
	return b.String()
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, e *apiError) {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	retry(w, e)
	writeJSON(w, e.status, map[string]body{"error": {strings.ToValidUTF8(e.message, "\uFFFD"), e.kind, optional(e.param), optional(e.code)}})
}

// retry sets the headers that belong to a status.
func retry(w http.ResponseWriter, e *apiError) {
	switch e.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(max(e.retry, 1)))
	case http.StatusRequestTimeout:
		w.Header().Set("Connection", "close")
	case http.StatusUnauthorized:
		w.Header().Add("WWW-Authenticate", "Bearer")
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}

// noRoute answers what no route does.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, route := range Routes {
		method, path, _ := strings.Cut(route, " ")
		prefix, _, open := strings.Cut(path, "{")
		open = open && !strings.HasSuffix(path, "{$}")
		if path == r.URL.Path || open && strings.HasPrefix(r.URL.Path, prefix) || path == "/{$}" && r.URL.Path == "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeError(w, &apiError{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", code: "method_not_allowed", message: fmt.Sprintf("%s %s, want %s", clip(r.Method), clip(r.URL.Path), strings.Join(allowed, " or "))})
		return
	}
	writeError(w, &apiError{status: http.StatusNotFound, kind: "invalid_request_error", code: "not_found", message: "no such address: " + clip(r.URL.Path)})
}
