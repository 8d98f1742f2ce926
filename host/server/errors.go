package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// apiError is an error, in the words of OpenAI's API. Others say it with fewer.
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

// coded is invalid with a code.
func coded(code, param, format string, args ...any) *apiError {
	e := invalid(param, format, args...)
	e.code = code
	return e
}

func (s *Server) noModel(asked string) *apiError {
	return &apiError{status: http.StatusNotFound, kind: "invalid_request_error", param: "model", code: "model_not_found", message: fmt.Sprintf("model %q not found: here is %s", asked, quoted(s.loader.names()))}
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

// Codes that tell apart what TEI has other statuses for.
const (
	codeTooLong = "context_length_exceeded" // a text
	codeTooMany = "too_many_inputs"
	codeTooBig  = "request_too_large"
	codeEmpty   = "empty_input" // no text at all
)

// writeError answers with an error, in the shape of the API that the route is of.
func writeError(w http.ResponseWriter, r *http.Request, e *apiError) {
	retry(w, e)
	message := strings.ToValidUTF8(e.message, "\uFFFD")
	switch apiOf(r) {
	case ollama:
		writeJSON(w, e.status, map[string]string{"error": message})
	case tei:
		status, kind := e.tei()
		writeJSON(w, status, map[string]string{"error": message, "error_type": kind})
	default:
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
		writeJSON(w, e.status, map[string]body{"error": {message, e.kind, optional(e.param), optional(e.code)}})
	}
}

// api is one of those that the routes are after.
type api int

const (
	openAI api = iota // and Cohere, and our own
	tei
	ollama
)

func apiOf(r *http.Request) api {
	path := r.URL.Path
	switch path {
	case "/":
		if r.Method == http.MethodPost { // else it is the page's
			return tei
		}
	case "/embed", "/embed_all", "/similarity", "/tokenize", "/decode", "/rerank", "/info", "/health":
		return tei
	}
	if strings.HasPrefix(path, "/api/") {
		return ollama
	}
	return openAI
}

// tei is the status and the type that TEI has for an error: 413 also for texts that
// are too long or too many, 422 for others that cannot be read, 424 for faults.
func (e *apiError) tei() (status int, kind string) {
	switch status = e.status; {
	case status == http.StatusTooManyRequests:
		return status, "Overloaded"
	case e.code == codeTooLong || e.code == codeTooMany || status == http.StatusRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge, "Validation"
	case e.code == codeEmpty:
		return http.StatusBadRequest, "Empty"
	case status == http.StatusBadRequest:
		return http.StatusUnprocessableEntity, "Tokenizer"
	case status == http.StatusServiceUnavailable:
		return status, "Unhealthy"
	case status == http.StatusInternalServerError:
		return http.StatusFailedDependency, "Backend"
	case status > http.StatusInternalServerError:
		return status, "Backend"
	}
	return status, "Validation"
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
		writeError(w, r, &apiError{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", param: "method", code: "method_not_supported", message: fmt.Sprintf("%s %s, want %s", clip(r.Method), clip(r.URL.Path), strings.Join(allowed, " or "))})
		return
	}
	writeError(w, r, &apiError{status: http.StatusNotFound, kind: "invalid_request_error", code: "unknown_url", message: "no such address: " + clip(r.URL.Path)})
}
