package server

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"m2embed/core"
	"m2embed/core/tokenizer"
	"m2embed/host"

	coremodel "m2embed/core/model"

	"github.com/andybalholm/brotli"
	"go.yaml.in/yaml/v4"
)

const tiny = "../../testdata/tiny"

func open(t testing.TB) *host.Model {
	t.Helper()
	m, err := host.Open(tiny, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// serverOf serves one model that is open already.
func serverOf(m Model, o Options, aliases ...string) *Server {
	return New([]Source{{Name: m.Info().Name, Aliases: aliases, Open: func() (Model, error) { return m, nil }}}, o)
}

// ask makes a request without a network.
func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(w, r)
	return w
}

type response struct {
	Object string
	Data   []struct {
		Object    string
		Index     int
		Tokens    int
		Length    int
		Truncated bool
		Embedding json.RawMessage
	}
	Model string
	Space string
	Usage map[string]int
}

func (r response) vector(t *testing.T, i int) []float32 {
	t.Helper()
	var v []float32
	var text string
	if err := json.Unmarshal(r.Data[i].Embedding, &v); err == nil {
		return v
	}
	if err := json.Unmarshal(r.Data[i].Embedding, &text); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(raw) >= 4; raw = raw[4:] {
		v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return v
}

func embed(t *testing.T, h http.Handler, body string) response {
	t.Helper()
	w := ask(h, "POST", "/v1/embeddings", body)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%.100s: %d %s", body, w.Code, w.Body)
	}
	var r response
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEmbeddings: every form of input and every option reaches the model.
func TestEmbeddings(t *testing.T) {
	m := open(t)
	s := serverOf(m, Options{})
	ids := func(text string) []int32 {
		ids, _, err := m.Tokenizer().AppendIDs(nil, text, tokenizer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	a, b := ids("hello there"), ids("world")
	list := func(v any) string { data, _ := json.Marshal(v); return string(data) }
	for _, c := range []struct {
		body   string
		inputs []core.Input
		set    func(o *core.Options)
	}{
		{`{"input":"hello there"}`, core.Texts("hello there"), nil},
		{`{"input":["hello there","world",""],"model":"tiny","user":{"any":1}}`, core.Texts("hello there", "world", ""), nil},
		{`{"input":` + list(a) + `,"encoding_format":"float","dimensions":64}`, core.Texts("hello there"), nil},
		{`{"input":` + list([][]int32{a, b}) + `,"encoding_format":"base64"}`, core.Texts("hello there", "world"), nil},
		{`{"padding":"none","input":"hello there"}`, core.Texts("hello there"), func(o *core.Options) { o.Padding.Mode = coremodel.PadNone }},
		{`{"padding":40,"pooling":"mean_hidden","normalize":true,"input":"x"}`, core.Texts("x"), func(o *core.Options) {
			o.Padding = coremodel.Padding{Mode: coremodel.PadToLength, Length: 40}
			o.Pooling, o.Normalize = coremodel.PoolMeanHidden, core.Yes
		}},
		{`{"input":"a b c d e f","max_length":5,"truncation":"drop-sep","pooling":"model","normalize":false}`, core.Texts("a b c d e f"), func(o *core.Options) {
			o.MaxLength, o.Truncation, o.Normalize = 5, tokenizer.DropSeparator, core.No
		}},
		{`{"input":"x","model":null,"encoding_format":null,"dimensions":null,"padding":null,"pooling":null,"truncation":null,"max_length":null,"normalize":null,"user":null}`, core.Texts("x"), nil},
		{"\n {\"input\" : \"\\ud83d\\ude00\\u0000\"}\n", core.Texts("😀\x00"), nil},
	} {
		var o core.Options
		if c.set != nil {
			c.set(&o)
		}
		want, err := m.EmbedInputs(context.Background(), c.inputs, o)
		if err != nil {
			t.Fatal(err)
		}
		got := embed(t, s, c.body)
		if got.Object != "list" || got.Model != "tiny" || len(got.Data) != len(want) {
			t.Errorf("%s: %+v", c.body, got)
			continue
		}
		tokens := 0
		for i, w := range want {
			tokens += w.Tokens
			g := got.Data[i]
			if g.Object != "embedding" || g.Index != i || g.Tokens != w.Tokens || g.Length != w.Length || g.Truncated != w.Truncated {
				t.Errorf("%s: %+v, want %+v", c.body, g, w)
			}
			if !slices.Equal(got.vector(t, i), w.Vector) {
				t.Errorf("%s: another vector", c.body)
			}
		}
		if got.Usage["prompt_tokens"] != tokens || got.Usage["total_tokens"] != tokens {
			t.Errorf("%s: usage %v, want %d", c.body, got.Usage, tokens)
		}
	}
}

// badRequests and what the error must say.
var badRequests = []struct {
	body, param, message string
	status               int
}{
	{``, "", "empty", 400},
	{`  `, "", "empty", 400},
	{`{`, "", "ends too early", 400},
	{`[]`, "", "a list, want a JSON object", 400},
	{`"x"`, "", "a string, want a JSON object", 400},
	{`null`, "", "null, want a JSON object", 400},
	{`{"input":"x"} {}`, "", "more than one", 400},
	{`{"input":"x"}}`, "", "more than one", 400},
	{`{"input":"x",}`, "", "not JSON", 400},
	{`{"input":"x","input":"y"}`, "", "duplicate", 400},
	{"{\"input\":\"\xff\"}", "", "UTF-8", 400},
	{`{"input":"\ud800"}`, "", "not JSON", 400},
	{`{}`, "input", "input is missing", 400},
	{`{"model":"tiny"}`, "input", "input is missing", 400},
	{`{"input":null}`, "input", "null, want a string or a list", 400},
	{`{"input":5}`, "input", "a number", 400},
	{`{"input":{"text":"x"}}`, "input", "an object", 400},
	{`{"input":[]}`, "input", "empty", 400},
	{`{"input":[[]]}`, "input", "no tokens", 400},
	{`{"input":[null]}`, "input", "holds null", 400},
	{`{"input":["x",1]}`, "input", "input 1 is a number", 400},
	{`{"input":[1,"x"]}`, "input", "token 1 is a string", 400},
	{`{"input":[[1],"x"]}`, "input", "input 1 is a string", 400},
	{`{"input":[[1],[[2]]]}`, "input", "input 1, token 0 is a list", 400},
	{`{"input":[1.5]}`, "input", "1.5", 400},
	{`{"input":[1e300]}`, "input", "1e300", 400},
	{`{"input":[99999999999]}`, "input", "99999999999", 400},
	{`{"input":[70000]}`, "input", "70000", 400},
	{`{"input":[-1]}`, "input", "-1", 400},
	{`{"input":[102,7,1000,103]}`, "input", "check_embedding_ctx_length=False", 400},
	{`{"input":[102,7,1000,103]}`, "input", "token 2 is 1000, but the vocabulary ends at 996", 400},
	{`{"input":[[101,7,102],[7,102]]}`, "input", "input 1 is token ids that begin with 7, not with [CLS], 101", 400},
	{`{"input":[101,7,8]}`, "input", "that end with 8, not with [SEP], 102", 400},
	{`{"input":[101,7,8],"truncation":"drop-sep"}`, "input", "not with [SEP]", 400},
	{`{"input":["x",`, "", "ends too early", 400},
	{`{"input":[1,`, "", "ends too early", 400},
	{`{"input"}`, "", "not JSON", 400},
	{`{"input":}`, "", "not JSON", 400},
	{`{"input":[}`, "", "not JSON", 400},
	{`{"input":[1}`, "", "not JSON", 400},
	{`{"input":["x"}`, "", "not JSON", 400},
	{`{"input":"x","model":"other"}`, "model", `model "other" not found`, 404},
	{`{"input":"x","model":""}`, "model", "not found", 404},
	{`{"input":"x","model":7}`, "model", "want a string", 400},
	{`{"input":"x","encoding_format":"hex"}`, "encoding_format", "float or base64", 400},
	{`{"input":"x","dimensions":32}`, "dimensions", "64", 400},
	{`{"input":"x","dimensions":-1}`, "dimensions", "64", 400},
	{`{"input":"x","dimensions":6.4}`, "dimensions", "whole number", 400},
	{`{"input":"x","padding":"most"}`, "padding", "none, longest", 400},
	{`{"input":"x","padding":-3}`, "padding", "none, longest", 400},
	{`{"input":"x","padding":513}`, "padding", "at most 512", 400},
	{`{"input":"x","padding":true}`, "padding", "a boolean", 400},
	{`{"input":"x","pooling":"max"}`, "pooling", "cls_hidden", 400},
	{`{"input":"x","truncation":"start"}`, "truncation", "drop-sep", 400},
	{`{"input":"x","max_length":1}`, "max_length", "at least 2", 400},
	{`{"input":"x","max_length":513}`, "max_length", "at most 512", 400},
	{`{"input":"a b c d","max_length":3,"truncation":"refuse"}`, "input", "input 0", 400},
	{`{"input":"x","normalize":"yes"}`, "normalize", "true or false", 400},
	{`{"input":"x","paddings":1}`, "paddings", "unknown member", 400},
	{`{"input":["a","b","c","d"]}`, "input", "more than 3", 400},
	{`{"input":[[1],[1],[1],[1]]}`, "input", "more than 3", 400},
	{`{"input":"` + strings.Repeat("x", 5000) + `"}`, "", "larger than 4096 bytes", 413},
	{`{"` + strings.Repeat("x", 5000) + `"}`, "", "larger than 4096 bytes", 413},
	{`{"user":` + strings.Repeat("[", 4000), "", "ends too early", 400},
}

func TestBadRequests(t *testing.T) {
	s := serverOf(open(t), Options{BatchLimit: 3, BodyLimit: 4096})
	for _, c := range badRequests {
		w := ask(s, "POST", "/v1/embeddings", c.body)
		var answer struct {
			Error struct {
				Message string
				Type    string
				Param   *string
				Code    *string
			}
		}
		d := json.NewDecoder(w.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&answer); err != nil {
			t.Errorf("%.60s: %v", c.body, err)
			continue
		}
		e := answer.Error
		param := ""
		if e.Param != nil {
			param = *e.Param
		}
		if w.Code != c.status || param != c.param || !strings.Contains(e.Message, c.message) || e.Type != "invalid_request_error" {
			t.Errorf("%.60s: %d, param %q: %s; want %d, %q: %s", c.body, w.Code, param, e.Message, c.status, c.param, c.message)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/embeddings", 405, "POST"}, {"DELETE", "/v1/models", 405, "GET"}, {"POST", "/metrics", 405, "GET"},
		{"GET", "/", 405, "POST"}, {"POST", "/v1/models/x", 405, "GET"}, {"PATCH", "/documents/a/b", 405, "DELETE"}, {"GET", "/v1/completions", 404, ""}, {"POST", "/v2", 404, ""}, {"GET", "/v1/models/other", 404, ""},
	} {
		w := ask(s, c.method, c.path, "")
		if w.Code != c.status || w.Header().Get("Allow") != c.allow || !strings.HasPrefix(w.Body.String(), `{"error":{`) {
			t.Errorf("%s %s: %d, allow %q: %s", c.method, c.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
	for _, path := range []string{"/v1/" + strings.Repeat("a", 1<<15), "/v1/models/" + strings.Repeat("a", 1<<15)} {
		for _, method := range []string{"GET", "PUT"} {
			if w := ask(s, method, path, ""); w.Code < 400 || w.Body.Len() > 512 {
				t.Errorf("%s of a long address: %d, %d bytes", method, w.Code, w.Body.Len())
			}
		}
	}
	// The server still answers.
	embed(t, s, `{"input":"x"}`)
}

// TestOpenAPI: the description has every route, and every member of a request.
func TestOpenAPI(t *testing.T) {
	s := serverOf(open(t), Options{})
	w := ask(s, "GET", "/openapi.yaml", "")
	var description struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	if err := yaml.Unmarshal(w.Body.Bytes(), &description); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range description.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	var routes []string
	for _, r := range Routes {
		routes = append(routes, strings.NewReplacer("...}", "}", "{$}", "").Replace(r))
	}
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described: %q\nserved: %q", described, routes)
	}
	members := description.Components.Schemas["EmbeddingsRequest"].Properties
	for name := range members {
		if body := ask(s, "POST", "/v1/embeddings", `{"`+name+`":{}}`).Body.String(); strings.Contains(body, "unknown member") {
			t.Errorf("%s is described, but not known", name)
		}
	}
	if len(members) != 12 {
		t.Errorf("%d members of a request are described, want 12", len(members))
	}
	described = slices.Sorted(slices.Values(description.Components.Schemas["Model"].Required))
	if got := slices.Sorted(maps.Keys(answerOf[map[string]any](t, s, "GET", "/v1/models/tiny", ""))); !slices.Equal(got, described) {
		t.Errorf("a model has %q, described are %q", got, described)
	}
	embed(t, s, `{"input":"x"}`)
	described = slices.Sorted(maps.Keys(description.Components.Schemas["Model"].Properties))
	if got := slices.Sorted(maps.Keys(answerOf[map[string]any](t, s, "GET", "/v1/models/tiny", ""))); !slices.Equal(got, described) {
		t.Errorf("a model that was opened has %q, described are %q", got, described)
	}
}

func TestMetrics(t *testing.T) {
	s := serverOf(open(t), Options{})
	embed(t, s, `{"input":["a","b"]}`)
	ask(s, "POST", "/v1/embeddings", `{`)
	ask(s, "GET", "/elsewhere/"+strings.Repeat("x", 50), "")
	text := ask(s, "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		"\nm2embed_texts_total 2\n", "\nm2embed_tokens_total 6\n", "\nm2embed_positions_total 1024\n", "\nm2embed_requests_working 0\n",
		`m2embed_request_seconds_count{route="POST /v1/embeddings",status="200"} 1`, `m2embed_request_seconds_count{route="POST /v1/embeddings",status="400"} 1`,
		`m2embed_request_seconds_count{route="other",status="404"} 1`, `m2embed_stage_seconds_count{stage="queue"} 1`, `m2embed_stage_seconds_count{stage="run"} 1`,
		"\nm2embed_batch_positions_sum 1024\n", "\nm2embed_batch_requests_sum 1\n", `m2embed_refused_total{reason="400"} 1`, "\nm2embed_queue_bytes 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, "# HELP m2embed_") && !strings.HasPrefix(l, "# TYPE m2embed_") && len(strings.Fields(l[strings.LastIndex(l, "}")+1:])) > 2 {
			t.Errorf("line %q", l)
		}
	}
}

// TestRequestID: a response bears its request's id, if that is fit for logs, or
// a new one.
func TestRequestID(t *testing.T) {
	s := serverOf(open(t), Options{Token: "x"})
	for given, kept := range map[string]bool{"abc-1.2:3_4": true, "": false, "a b": false, "a\"b": false, strings.Repeat("a", 65): false} {
		for _, path := range []string{"/healthz", "/v1/models"} {
			got := send(s, "GET", path, "", "X-Request-Id", given).Header().Get("X-Request-Id")
			if kept && got != given || !kept && (got == given || len(got) < 16) {
				t.Errorf("%s with %q: %q", path, given, got)
			}
		}
	}
}

func TestSite(t *testing.T) {
	s := serverOf(open(t), Options{Site: fstest.MapFS{
		"index.html": {Data: []byte("<p>page")}, "assets/m2embed.wasm": {Data: []byte("\x00asm")}, "assets/a.js": {Data: []byte("1")}, "sub/index.html": {Data: []byte("sub")},
	}})
	for path, want := range map[string][2]string{
		"/": {"text/html; charset=utf-8", "<p>page"}, "/assets/m2embed.wasm": {"application/wasm", "\x00asm"}, "/assets/a.js": {"text/javascript; charset=utf-8", "1"}, "/sub/": {"text/html; charset=utf-8", "sub"},
	} {
		w := ask(s, "GET", path, "")
		if w.Code != 200 || w.Header().Get("Content-Type") != want[0] || w.Body.String() != want[1] {
			t.Errorf("%s: %d, %s: %q", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	for _, path := range []string{"/assets/", "/none", "/v1/x"} {
		if w := ask(s, "GET", path, ""); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(s, "POST", "/sub/", ""); w.Code != 405 {
		t.Errorf("POST /sub/: %d", w.Code)
	}
	embed(t, s, `{"input":"x"}`)
}

// TestSiteNames: no name is more than one of no file.
func TestSiteNames(t *testing.T) {
	folder := t.TempDir()
	os.WriteFile(filepath.Join(folder, "a b.txt"), []byte("here"), 0o600)
	os.WriteFile(filepath.Join(folder, "_headers"), []byte("/*\n  X-A: 1\n"), 0o600)
	os.Symlink("/etc/hostname", filepath.Join(folder, "out"))
	os.Symlink("loop", filepath.Join(folder, "loop"))
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s := serverOf(open(t), Options{Site: root.FS()})
	for path, want := range map[string]int{
		"/a%20b.txt": 200, "/" + strings.Repeat("x", 300): 404, "/" + strings.Repeat("x/", 5000): 404, "/%00": 404, "/a%00b": 404, "/%5c..%5c": 404,
		"/out": 404, "/loop": 404, "/a%2fb": 404, "/%ff%fe": 404, "/_headers": 404, "/a%20b.txt/x": 404, "/con": 404, "/:": 404,
	} {
		if w := ask(s, "GET", path, ""); w.Code != want {
			t.Errorf("%.40s: %d, want %d", path, w.Code, want)
		}
	}
}

// regularOnly fails where something is opened that can be waited for.
type regularOnly struct {
	fstest.MapFS
	t *testing.T
}

func (f regularOnly) Open(name string) (fs.File, error) {
	if m := f.MapFS[name]; m != nil && m.Mode&fs.ModeNamedPipe != 0 {
		f.t.Errorf("the pipe %s is opened", name)
	}
	return f.MapFS.Open(name)
}

// TestSitePipes: what is no file is not opened, and no folder is listed for it.
func TestSitePipes(t *testing.T) {
	pipe := &fstest.MapFile{Mode: fs.ModeNamedPipe}
	s := serverOf(open(t), Options{Site: regularOnly{fstest.MapFS{
		"a/index.html": {Data: []byte("here")}, "pipe": pipe, "piped/index.html": pipe, "folder/index.html/secret": {}, headersFile: pipe,
	}, t}})
	for path, want := range map[string]int{"/a/": 200, "/a": 301, "/pipe": 404, "/piped/": 404, "/piped": 404, "/piped/index.html": 301, "/folder/": 404, "/folder/index.html/": 404} {
		if w := ask(s, "GET", path, ""); w.Code != want || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}

// TestSiteHeaders: the rules of _headers hold, and what compresses is compressed
// as the client likes it.
func TestSiteHeaders(t *testing.T) {
	text := strings.Repeat("<p>page ", 1000)
	files := fstest.MapFS{
		"index.html": {Data: []byte(text)}, "assets/a.js": {Data: []byte(text)}, "assets/model.safetensors": {Data: []byte("\x00" + text)}, "small.css": {Data: []byte("a{}")},
		"_headers": {Data: []byte("# rules\n/*\n  Content-Security-Policy: default-src 'self'\n  Cache-Control: no-cache\n\n/assets/*.js\n\tcache-control: immutable\n")},
	}
	s := serverOf(open(t), Options{Site: files})
	for _, c := range []struct{ path, accept, encoding, cache string }{
		{"/", "gzip, br", "br", "no-cache"}, {"/", "gzip", "gzip", "no-cache"}, {"/", "", "", "no-cache"}, {"/", "br;q=0, gzip;q=0", "", "no-cache"},
		{"/assets/a.js", "br", "br", "immutable"}, {"/assets/model.safetensors", "br", "", "no-cache"}, {"/small.css", "br", "", "no-cache"},
	} {
		w := send(s, "GET", c.path, "", "Accept-Encoding", c.accept)
		h := w.Header()
		if h.Get("Content-Encoding") != c.encoding || h.Get("Cache-Control") != c.cache || h.Get("Content-Security-Policy") != "default-src 'self'" {
			t.Errorf("%s for %q: %v", c.path, c.accept, h)
		}
		var body io.Reader = w.Body
		switch c.encoding {
		case "br":
			body = brotli.NewReader(body)
		case "gzip":
			body, _ = gzip.NewReader(body)
		}
		got, err := io.ReadAll(body)
		if want := string(files[cmp.Or(c.path[1:], "index.html")].Data); err != nil || string(got) != want {
			t.Errorf("%s for %q: %d bytes, error %v, want %d", c.path, c.accept, len(got), err, len(want))
		}
	}
	w := send(s, "GET", "/assets/a.js", "", "Accept-Encoding", "br", "Range", "bytes=2-5")
	if w.Code != 206 || w.Body.String() != text[2:6] || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("a range: %d %q", w.Code, w.Body)
	}
	if w := send(s, "HEAD", "/", "", "Accept-Encoding", "br"); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
	for rules, want := range map[string]string{"": "", "/a\n  X: y\n": "", "  X: y": "line 1", "/a\n  X y": "line 2", "/a\n\n x y: z": "line 3"} {
		err := ReadHeaders(fstest.MapFS{"_headers": {Data: []byte(rules)}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", rules, err, want)
		}
	}
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/*", "/a/b", true}, {"/a", "/a", true}, {"/a", "/ab", false}, {"/a/*", "/b/a/", false}, {"/*.js", "/x.js", true}, {"/*.js", "/x.jsx", false},
		{"/a*b*c", "/axbxc", true}, {"/a*b*c", "/axcxb", false}, {"/a*a", "/a", false},
	} {
		if got := (headerRule{pattern: c.pattern}).matches(c.path); got != c.want {
			t.Errorf("%s matches %s: %t", c.pattern, c.path, got)
		}
	}
}

// FuzzRequest: no body crashes the reader, and what it accepts has inputs.
func FuzzRequest(f *testing.F) {
	for _, c := range badRequests {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(`{"input":[[1,2],[3]],"padding":7,"pooling":"cls","truncation":"keep-sep","max_length":9,"normalize":true,"user":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := readRequest(bytes.NewReader(body), 5)
		if err != nil {
			var known *apiError
			if !errors.As(err, &known) || known.message == "" {
				t.Fatalf("an error without a response: %v", err)
			}
			return
		}
		if len(r.inputs) == 0 || len(r.inputs) > 5 || !json.Valid(body) {
			t.Fatalf("%d inputs of %q", len(r.inputs), body)
		}

	})
}

// FuzzValue: what is wrong with a small request is said in few of our own words.
func FuzzValue(f *testing.F) {
	for _, c := range badRequests {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(`{"query":"a","texts":["b"],"top":2e0,"special":null,"after":"2024-05-06T07:08:09Z","fields":{"a":"b"},"inputs":{"source_sentence":"a","sentences":["b"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var asked struct {
			Query   string            `json:"query"`
			Texts   oneOrMore[text]   `json:"texts"`
			Top     *whole            `json:"top"`
			Special *bool             `json:"special"`
			After   time.Time         `json:"after"`
			Fields  map[string]string `json:"fields"`
			Inputs  comparison        `json:"inputs"`
		}
		err := readValue(bytes.NewReader(body), &asked)
		var known *apiError
		switch {
		case err == nil && !json.Valid(body):
			t.Fatalf("%q is read", body)
		case err != nil && (!errors.As(err, &known) || known.message == "" || len(known.message) > 512 || strings.Contains(known.message, "server.")):
			t.Fatalf("%q: %v", body, err)
		}
	})
}
