package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m2embed/core/tokenizer"
)

// send makes a request with headers of the test's own.
func send(h http.Handler, method, url, body string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// TestContentType: a body that a page elsewhere could send without asking is
// refused, with a sentence for curl's users.
func TestContentType(t *testing.T) {
	s := serverOf(open(t), Options{})
	for kind, status := range map[string]int{
		"application/json": 200, "Application/JSON; charset=utf-8": 200, "application/vnd.api+json": 200,
		"application/x-www-form-urlencoded": 415, "text/plain;charset=UTF-8": 415, "": 415, "multipart/form-data; boundary=x": 415,
		"json": 415, "text/json": 415, ";": 415,
	} {
		w := send(s, "POST", "/v1/embeddings", `{"input":"x"}`, "Content-Type", kind)
		if w.Code != status {
			t.Errorf("%q: %d, want %d", kind, w.Code, status)
		}
		if status == 415 && !strings.Contains(w.Body.String(), "--json") {
			t.Errorf("%q: %s", kind, w.Body)
		}
	}
	if w := send(s, "GET", "/v1/models", ""); w.Code != 200 {
		t.Errorf("GET without a type: %d", w.Code)
	}
	for coding, status := range map[string]int{"": 200, "identity": 200, "Identity": 200, "gzip": 415, "br": 415} {
		if w := send(s, "POST", "/v1/embeddings", `{"input":"x"}`, "Content-Type", "application/json", "Content-Encoding", coding); w.Code != status || status == 415 && !strings.Contains(w.Body.String(), "not compressed") {
			t.Errorf("coding %q: %d %s, want %d", coding, w.Code, w.Body, status)
		}
	}
}

// TestHosts: only the server's own names are answered.
func TestHosts(t *testing.T) {
	s := serverOf(open(t), Options{Hosts: append([]string{"embed.example.org"}, LocalHosts...)})
	for host, status := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "LOCALHOST.:1": 200, "127.0.0.1:8080": 200, "127.9.9.9": 200, "[::1]:80": 200, "[::1]": 200,
		"app.localhost:3": 200, "embed.example.org": 200, "Embed.Example.Org:443": 200,
		"evil.example": 403, "evil.example:8080": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "192.168.0.1": 403, "": 403,
	} {
		r := httptest.NewRequest("GET", "/v1/models", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != status || host == "" && !strings.Contains(w.Body.String(), "no Host header") {
			t.Errorf("%q: %d %s, want %d", host, w.Code, w.Body, status)
		}
	}
	if w := send(serverOf(open(t), Options{}), "GET", "http://any.example/v1/models", ""); w.Code != 200 {
		t.Errorf("without a list of names: %d", w.Code)
	}
}

// TestToken: everything but health wants it.
func TestToken(t *testing.T) {
	s := serverOf(open(t), Options{Token: "secret"})
	for _, c := range []struct {
		method, path, authorization string
		status                      int
	}{
		{"GET", "/healthz", "", 200},
		{"GET", "/metrics", "", 401}, {"GET", "/openapi.yaml", "", 401}, {"GET", "/none", "", 401}, {"GET", "/v1/models", "", 401}, {"POST", "/v1/embeddings", "", 401},
		{"GET", "/v1/models", "Bearer wrong", 401}, {"GET", "/v1/models", "Bearer", 401}, {"GET", "/v1/models", "secret", 401}, {"GET", "/v1/models", "Bearer secrets", 401},
		{"GET", "/v1/models", "Bearer secret", 200}, {"GET", "/metrics", "bearer secret", 200}, {"GET", "/v1/models", "BEARER  secret", 200},
		{"GET", "/v1/models", "Basic dTpzZWNyZXQ=", 200}, {"GET", "/v1/models", "Basic dTp3cm9uZw==", 401},
		{"POST", "/v1/embeddings", "Basic dTpzZWNyZXQ=", 401}, // what a browser adds by itself must not be enough
		{"POST", "/v1/embeddings", "Bearer secret", 200},
	} {
		w := send(s, c.method, c.path, `{"input":"x"}`, "Authorization", c.authorization, "Content-Type", "application/json")
		if w.Code != c.status || (c.status == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.authorization, w.Code, c.status)
		}
	}
}

// TestNames: aliases, and any name at all.
func TestNames(t *testing.T) {
	m := open(t)
	for _, c := range []struct {
		options Options
		aliases []string
		name    string
		status  int
	}{
		{Options{}, nil, "tiny", 200}, {Options{}, nil, "text-embedding-3-small", 404},
		{Options{}, []string{"text-embedding-3-small", "b"}, "text-embedding-3-small", 200},
		{Options{}, []string{"a", "b"}, "tiny", 200}, {Options{}, []string{"a", "b"}, "c", 404},
		{Options{AnyModel: true}, nil, "c", 200}, {Options{AnyModel: true}, nil, "", 404},
	} {
		s := serverOf(m, c.options, c.aliases...)
		w := ask(s, "POST", "/v1/embeddings", `{"input":"x","model":"`+c.name+`"}`)
		if w.Code != c.status || c.status == 200 && !strings.Contains(w.Body.String(), `"model":"tiny"`) {
			t.Errorf("%q with %+v: %d %s", c.name, c.options, w.Code, w.Body)
		}
		if c.name == "" {
			continue
		}
		if w := ask(s, "GET", "/v1/models/"+c.name, ""); w.Code != c.status {
			t.Errorf("GET %q with %+v: %d", c.name, c.options, w.Code)
		}
	}
	if list := ask(serverOf(m, Options{}, "a/b"), "GET", "/v1/models", "").Body.String(); !strings.Contains(list, `"id":"tiny"`) || !strings.Contains(list, `"id":"a/b"`) {
		t.Errorf("the list lacks a name: %s", list)
	}
}

// TestOwnIDs: ids of the model's own tokenizer are taken in every form in which
// it makes them; without a tokenizer only their range can be judged.
func TestOwnIDs(t *testing.T) {
	m := open(t)
	s := serverOf(m, Options{})
	embed(t, s, `{"input":[101,102]}`)
	embed(t, s, `{"input":[101,7,8],"max_length":3,"truncation":"drop-sep"}`)
	ids, _, err := m.Tokenizer().AppendIDs(nil, "a b c d e", tokenizer.Options{MaxLength: 4, Truncation: tokenizer.DropSeparator})
	if err != nil || len(ids) != 4 {
		t.Fatalf("%v, %v", ids, err)
	}
	bare := withoutTokenizer{m}
	embed(t, serverOf(bare, Options{}), `{"input":[7,8]}`)
	if w := ask(serverOf(bare, Options{}), "POST", "/v1/embeddings", `{"input":[7,1000]}`); w.Code != 400 || !strings.Contains(w.Body.String(), "vocabulary ends at 999") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// withoutTokenizer is a model that takes token ids only.
type withoutTokenizer struct{ Model }

func (withoutTokenizer) Tokenizer() *tokenizer.Tokenizer { return nil }

// TestCrossOrigin: browsers are told what pages elsewhere may do, and those that
// nobody named are told nothing.
func TestCrossOrigin(t *testing.T) {
	page := "https://app.example"
	named, any, none := serverOf(open(t), Options{Origins: []string{page}, Token: "x"}), serverOf(open(t), Options{Origins: []string{"*"}}), serverOf(open(t), Options{})
	for _, c := range []struct {
		s      *Server
		origin string
		want   string
	}{{named, page, page}, {named, "https://evil.example", ""}, {named, "null", ""}, {named, "", ""}, {any, page, "*"}, {none, page, ""}} {
		w := send(c.s, "OPTIONS", "/v1/embeddings", "", "Origin", c.origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-stainless-os")
		h := w.Header()
		if h.Get("Access-Control-Allow-Origin") != c.want || (w.Code == 204) != (c.want != "") ||
			c.want != "" && (h.Get("Access-Control-Allow-Headers") != "authorization,content-type,x-stainless-os" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST")) {
			t.Errorf("may %q ask: %d %v", c.origin, w.Code, h)
		}
		w = send(c.s, "POST", "/v1/embeddings", `{"input":"x"}`, "Origin", c.origin, "Content-Type", "application/json", "Authorization", "bEARER x")
		if h := w.Header(); w.Code != 200 || h.Get("Access-Control-Allow-Origin") != c.want || c.s != none && h.Get("Vary") != "Origin" {
			t.Errorf("%q asks: %d %v", c.origin, w.Code, h)
		}
	}
	if w := send(named, "POST", "/v1/embeddings", `{}`, "Origin", page, "Content-Type", "application/json"); w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != page {
		t.Errorf("a refusal that the page cannot read: %d %v", w.Code, w.Header())
	}
	bound := serverOf(open(t), Options{Origins: []string{"*"}, Hosts: LocalHosts})
	r := httptest.NewRequest("OPTIONS", "http://evil.example/v1/embeddings", nil)
	r.Header.Set("Origin", page)
	r.Header.Set("Access-Control-Request-Method", "POST")
	w := httptest.NewRecorder()
	if bound.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("another host's name: %d", w.Code)
	}
}

// TestProfile: profiles are there on request only, and want the token.
func TestProfile(t *testing.T) {
	with, without := serverOf(open(t), Options{Profile: true, Token: "x"}), serverOf(open(t), Options{})
	for _, c := range []struct {
		s      *Server
		token  string
		status int
	}{{with, "Bearer x", 200}, {with, "", 401}, {without, "", 404}} {
		if w := send(c.s, "GET", "/debug/pprof/cmdline", "", "Authorization", c.token); w.Code != c.status {
			t.Errorf("%d, want %d", w.Code, c.status)
		}
	}
}
