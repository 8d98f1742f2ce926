package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host"
)

// answerOf reads a response of one of the other APIs.
func answerOf[T any](t *testing.T, s *Server, method, path, body string) (v T) {
	t.Helper()
	w := ask(s, method, path, body)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s: %d %s", path, body, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s: %v", path, body, err)
	}
	return v
}

// TestTEI: Text Embeddings Inference's routes give the model's vectors.
func TestTEI(t *testing.T) {
	m := open(t)
	s := serverOf(m, Options{})
	vectors := func(o core.Options, in ...core.Input) (out [][]float32) {
		t.Helper()
		results, err := m.EmbedInputs(t.Context(), in, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			out = append(out, r.Vector)
		}
		return out
	}
	unit := core.Options{Normalize: core.Yes}
	long := strings.Repeat("a b c ", 400) + "end"
	ids, _, err := m.Tokenizer().AppendIDs(nil, long, tokenizer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	limit := m.Config().MaxLength()
	last := append([]int32{ids[0]}, ids[len(ids)-limit+1:]...)
	body := func(v string) string { return `{"inputs":` + v + `}` }
	for _, c := range []struct {
		path, body string
		want       [][]float32
	}{
		{"/embed", body(`"hello"`), vectors(unit, core.Texts("hello")...)},
		{"/", body(`["hello","there"]`), vectors(unit, core.Texts("hello", "there")...)},
		{"/embed", `{"inputs":[[101,7,102]],"other":{"x":[1]},"normalize":false,"truncate":null,"prompt_name":null}`, vectors(core.Options{Normalize: core.No}, core.Input{IDs: []int32{101, 7, 102}})},
		{"/embed", `{"inputs":"` + long + `","truncate":true}`, vectors(unit, core.Texts(long)...)},
		{"/embed", `{"inputs":["` + long + `","x"],"truncation_direction":"left"}`, vectors(unit, core.Input{IDs: last}, core.Input{Text: "x"})},
		{"/embed", `{"inputs":"x","dimensions":64,"truncation_direction":"Right"}`, vectors(unit, core.Texts("x")...)},
	} {
		got := answerOf[[][]float32](t, s, "POST", c.path, c.body)
		if !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%s %.60s: other vectors", c.path, c.body)
		}
	}
	ab := vectors(core.Options{}, core.Texts("a", "b", "a")...)
	cosines := answerOf[[]float64](t, s, "POST", "/similarity", `{"inputs":{"source_sentence":"a","sentences":["b","a"]},"parameters":{}}`)
	if len(cosines) != 2 || cosines[0] != core.Cosine(ab[0], ab[1]) || math.Abs(cosines[1]-1) > 1e-12 {
		t.Errorf("cosines %v", cosines)
	}
	atRoot := answerOf[[]float64](t, s, "POST", "/", `{"inputs":{"source_sentence":"a","sentences":["b","a"]}}`)
	if !slices.Equal(atRoot, cosines) {
		t.Errorf("cosines at the root %v, want %v", atRoot, cosines)
	}
	for _, bad := range []string{`{}`, `{"sentences":["a"]}`, `{"source_sentence":"a","sentences":[]}`, `{"source_sentence":1,"sentences":["a"]}`, `{"source_sentence":"a","sentences":[null]}`} {
		if w := ask(s, "POST", "/", body(bad)); w.Code != 422 || !strings.Contains(w.Body.String(), "source_sentence") {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
	states := answerOf[[][][]float32](t, s, "POST", "/embed_all", body(`["a b c","d"]`))
	if len(states) != 2 || len(states[0]) != 5 || len(states[1]) != 3 {
		t.Fatalf("%d texts, %d tokens of the first", len(states), len(states[0]))
	}
	in := core.Texts("a b c")
	in[0].Spans = []core.Span{{Start: 2, End: 3}} // b
	want, err := m.EmbedInputs(t.Context(), in, core.Options{})
	if err != nil || !slices.Equal(states[0][2], want[0].Spans[0].Vector) {
		t.Errorf("the state of a token is not its span's vector: %v", err)
	}
	type token struct {
		ID          int32
		Text        string
		Special     bool
		Start, Stop *int
	}
	tokens := answerOf[[][]token](t, s, "POST", "/tokenize", body(`"Hello, é"`))[0]
	var text []string
	var row []int32
	for _, k := range tokens {
		text, row = append(text, k.Text), append(row, k.ID)
		if k.Special != (k.Start == nil) || k.Special != (k.Stop == nil) {
			t.Errorf("token %+v", k)
		}
	}
	if text[0] != "[CLS]" || text[len(text)-1] != "[SEP]" || !strings.HasPrefix(strings.Join(text[1:], ""), "Hello,") {
		t.Errorf("tokens %q", text)
	}
	if bare := answerOf[[][]token](t, s, "POST", "/tokenize", `{"inputs":["Hello, é","a"],"add_special_tokens":false}`); len(bare) != 2 || len(bare[0]) != len(tokens)-2 {
		t.Errorf("without special tokens: %+v", bare)
	}
	list, _ := json.Marshal(row)
	if got := answerOf[[]string](t, s, "POST", "/decode", `{"ids":`+string(list)+`}`); len(got) != 1 || got[0] != m.Tokenizer().Decode(row, true) {
		t.Errorf("decoded %q", got)
	}
	if got := answerOf[[]string](t, s, "POST", "/decode", `{"ids":[[101],[102]],"skip_special_tokens":false}`); !slices.Equal(got, []string{"[CLS]", "[SEP]"}) {
		t.Errorf("decoded %q", got)
	}
	info := answerOf[map[string]any](t, s, "GET", "/info", "")
	if info["model_id"] != "tiny" || info["max_input_length"] != float64(limit) {
		t.Errorf("info %v", info)
	}
}

// TestOllama: the routes of Ollama that its clients need for embeddings.
func TestOllama(t *testing.T) {
	m := open(t)
	s := serverOf(m, Options{}, "nomic-embed-text")
	want, err := m.EmbedInputs(t.Context(), core.Texts("hello", "there"), core.Options{Normalize: core.Yes})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Model      string
		Embeddings [][]float32
		Count      int `json:"prompt_eval_count"`
	}
	got := answerOf[answer](t, s, "POST", "/api/embed", `{"model":"nomic-embed-text:latest","input":["hello","there"],"options":{"num_ctx":1},"keep_alive":"5m"}`)
	if got.Model != "tiny" || got.Count != want[0].Tokens+want[1].Tokens || !slices.Equal(got.Embeddings[0], want[0].Vector) || !slices.Equal(got.Embeddings[1], want[1].Vector) {
		t.Errorf("%+v", got)
	}
	raw, err := m.EmbedInputs(t.Context(), core.Texts("hello"), core.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if one := answerOf[struct{ Embedding []float32 }](t, s, "POST", "/api/embeddings", `{"model":"tiny","prompt":"hello"}`); !slices.Equal(one.Embedding, raw[0].Vector) {
		t.Error("another vector")
	}
	tags := answerOf[struct {
		Models []struct{ Name, Digest string }
	}](t, s, "GET", "/api/tags", "")
	if len(tags.Models) != 2 || tags.Models[1].Name != "nomic-embed-text" || len(tags.Models[0].Digest) != 64 {
		t.Errorf("%+v", tags)
	}
	show := answerOf[struct {
		Capabilities []string
		Info         map[string]any `json:"model_info"`
	}](t, s, "POST", "/api/show", `{"model":"tiny"}`)
	if !slices.Equal(show.Capabilities, []string{"embedding"}) || show.Info["m2-bert.embedding_length"] != 64.0 {
		t.Errorf("%+v", show)
	}
	if v := answerOf[map[string]string](t, s, "GET", "/api/version", ""); v["version"] == "" {
		t.Error("no version")
	}
}

// TestOtherErrors: each API's errors have its own shape.
func TestOtherErrors(t *testing.T) {
	s := serverOf(open(t), Options{BatchLimit: 3, BodyLimit: 1 << 16})
	long := strings.Repeat("a ", 600)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/embed", `{}`, 422, "inputs is missing"}, {"/embed", `[]`, 422, "want a JSON object"}, {"/embed", `{"inputs":3}`, 422, "inputs is a number"}, {"/embed", `{"inputs":[]}`, 400, "inputs is empty"}, {"/embed", `{"inputs":[null]}`, 422, "inputs holds null"},
		{"/embed", `{"inputs":"x","truncation_direction":"up"}`, 422, "Left or Right"}, {"/embed", `{"inputs":"x","prompt_name":"q"}`, 422, `prompt_name: task "q", want one of "query", "document"`},
		{"/embed", `{"inputs":"x","truncate":1}`, 422, "true or false"}, {"/embed", `{"inputs":"x","dimensions":7}`, 422, "7 dimensions: this model was not trained"},
		{"/embed", `{"inputs":"` + long + `","truncate":false}`, 413, "too many tokens"}, {"/embed", `{"inputs":["a","b","c","d"]}`, 413, "more than 3"},
		{"/embed", `{"inputs":[[7,8]]}`, 422, "check_embedding_ctx_length"}, {"/embed", `{"inputs":"` + strings.Repeat("x", 1<<17) + `"}`, 413, "larger than"},
		{"/rerank", `{"query":"a","texts":[]}`, 400, "no texts"}, {"/rerank", `{"query":"a","texts":["a","b","c","d"]}`, 413, "at most 3"},
		{"/embed_all", `{"inputs":"` + long + `","truncate":false}`, 413, "too many tokens"},
		{"/similarity", `{"inputs":{"sentences":["a"]}}`, 422, "source_sentence"}, {"/similarity", `{"inputs":"x"}`, 422, "inputs is a string, want an object"}, {"/similarity", `[]`, 422, "the request is a list, want a JSON object"}, {"/similarity", `null`, 422, "the request is null"},
		{"/similarity", `{"inputs":{"source_sentence":"a","sentences":"b"}}`, 422, "inputs.sentences is a string, want a list"}, {"/similarity", `{"inputs":1,"inputs":2}`, 422, ""}, {"/similarity", `{"inputs":{"source_sentence":"a","sentences":["a","b","c"]}}`, 413, "fewer than 3"},
		{"/tokenize", `{}`, 422, "missing"}, {"/tokenize", `{`, 422, "ends too early"}, {"/tokenize", ``, 422, "is empty"}, {"/tokenize", `{"inputs":"\ud800"}`, 422, "surrogate"}, {"/tokenize", "{\"inputs\":\"\xff\"}", 422, "UTF-8"},
		{"/tokenize", `{"inputs":"a","inputs":"b"}`, 422, "duplicate"}, {"/tokenize", `{"INPUTS":"a"}`, 422, "inputs is missing"}, {"/tokenize", `NaN`, 422, "not JSON"}, {"/tokenize", `{"inputs":"a","add_special_tokens":1}`, 422, "add_special_tokens is a number, want true or false"}, {"/tokenize", `{"inputs":"a"} 1`, 422, "more than one"}, {"/tokenize", `{"inputs":5}`, 422, ""},
		{"/decode", `{"ids":[99999]}`, 422, "vocabulary ends"}, {"/decode", `{"ids":"x"}`, 422, "list of token ids"}, {"/decode", `{}`, 422, "list of token ids"}, {"/decode", `{"ids":[[-1]]}`, 422, "is -1"},
		{"/api/embed", `{"model":"tiny"}`, 400, "missing"}, {"/api/embed", `{"model":"x","input":"a"}`, 404, `model "x" not found`}, {"/api/embed", `{"input":"` + long + `","truncate":false}`, 400, "too many tokens"},
		{"/api/embeddings", `{}`, 400, "prompt is missing"}, {"/api/embeddings", `{"prompt":["a","b"]}`, 400, "want one"}, {"/api/show", `{}`, 400, "model is missing"}, {"/api/show", `{"name":"x"}`, 404, `model "x" not found`}, {"/api/show", `{"name":5}`, 400, "want a string"},
	} {
		w := ask(s, "POST", c.path, c.body)
		var answer struct {
			Error string
			Kind  *string `json:"error_type"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s %.60s: %v", c.path, c.body, err)
			continue
		}
		kinds := map[int]string{400: "Empty", 413: "Validation", 422: "Tokenizer"}
		if answer.Kind != nil && *answer.Kind != kinds[w.Code] {
			t.Errorf("%s %.60s: %d is %s", c.path, c.body, w.Code, *answer.Kind)
		}
		if w.Code != c.status || !strings.Contains(answer.Error, c.want) || answer.Error == "" || strings.Contains(answer.Error, "server.") || strings.Contains(answer.Error, "struct") || (answer.Kind == nil) != strings.HasPrefix(c.path, "/api/") {
			t.Errorf("%s %.60s: %d %s, want %d: %s", c.path, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	if s.queue.admitted != 0 || s.queue.bytes != 0 {
		t.Errorf("%d requests of %d bytes are left", s.queue.admitted, s.queue.bytes)
	}
}

// TestShapes: what no handler answers has the shape of the route's API, too.
func TestShapes(t *testing.T) {
	model := &stepped{steps: func(string, func() error) error { return &core.Fault{Err: errors.New("broken")} }, config: unpadded}
	open, guarded := serverOf(model, Options{BodyLimit: 1 << 12}), serverOf(model, Options{Token: "x"})
	full := serverOf(model, Options{Concurrent: 1, Waiting: -1})
	if _, err := full.queue.admit(1); err != nil {
		t.Fatal(err)
	}
	gone := New([]Source{{Name: "m", Open: func() (Model, error) { return nil, fs.ErrNotExist }}}, Options{})
	large := `"` + strings.Repeat("x", 1<<13) + `"`
	for _, c := range []struct {
		s                  *Server
		method, path, body string
		kind               string // content type
		openAI, tei        string // status, and type and code, or error_type
	}{
		{guarded, "POST", "", `x`, "application/json", "401 invalid_request_error invalid_api_key", "401 Validation"},
		{open, "PUT", "", `x`, "application/json", "405 invalid_request_error method_not_supported", "405 Validation"},
		{open, "POST", "", `x`, "text/plain", "415 invalid_request_error unsupported_media_type", "415 Validation"},
		{open, "POST", "", large, "application/json", "413 invalid_request_error request_too_large", "413 Validation"},
		{open, "POST", "", `[`, "application/json", "400 invalid_request_error ", "422 Tokenizer"},
		{full, "POST", "", `"x"`, "application/json", "429 requests rate_limit_exceeded", "429 Overloaded"},
		{open, "POST", "", `"x"`, "application/json", "500 server_error ", "424 Backend"},
		{gone, "POST", "", `"x"`, "application/json", "503 server_error model_unavailable", "503 Unhealthy"},
		{open, "POST", "/none", `x`, "application/json", "404 invalid_request_error unknown_url", ""},
	} {
		for api, path := range map[string]string{"input": "/v1/embeddings", "inputs": "/embed", "prompt": "/api/embeddings"} {
			if c.path != "" {
				path = map[string]string{"input": "/v1", "inputs": "", "prompt": "/api"}[api] + c.path
			}
			body := c.body
			if body[0] == '"' {
				body = `{"` + api + `":` + body + `}`
			}
			w := send(c.s, c.method, path, body, "Content-Type", c.kind)
			var got string
			switch {
			case api == "prompt":
				var answer map[string]string
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer) != 1 || answer["error"] == "" || !strings.HasPrefix(c.openAI, fmt.Sprint(w.Code)) {
					t.Errorf("%s %s: %d %s: %v", c.method, path, w.Code, w.Body, err)
				}
				continue
			case api == "inputs" && c.path == "":
				var answer struct {
					Error string
					Kind  string `json:"error_type"`
				}
				json.Unmarshal(w.Body.Bytes(), &answer)
				if got = fmt.Sprint(w.Code, " ", answer.Kind); got != c.tei || answer.Error == "" {
					t.Errorf("%s %s: %s, want %s: %s", c.method, path, got, c.tei, w.Body)
				}
				continue
			}
			var answer struct {
				Error struct{ Message, Type, Code string }
			}
			json.Unmarshal(w.Body.Bytes(), &answer)
			if got = fmt.Sprint(w.Code, " ", answer.Error.Type, " ", answer.Error.Code); got != c.openAI || answer.Error.Message == "" {
				t.Errorf("%s %s: %s, want %s: %s", c.method, path, got, c.openAI, w.Body)
			}
		}
	}
}

// TestReady: a server that stops says so, but lives.
func TestReady(t *testing.T) {
	s := serverOf(open(t), Options{Token: "x"})
	for _, path := range []string{"/healthz", "/health", "/readyz"} {
		if w := ask(s, "GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	s.Drain()
	if w := ask(s, "GET", "/readyz", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("ready while it stops: %d", w.Code)
	}
	if w := ask(s, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("health while it stops: %d", w.Code)
	}
}

// padded is a model whose configuration has no padding, which means the most.
type padded struct{ *host.Model }

func (m padded) Config() model.Config {
	c := m.Model.Config()
	c.Padding = model.Padding{}
	return c
}

// TestStatesWithPads: pads get no states.
func TestStatesWithPads(t *testing.T) {
	s := serverOf(padded{open(t)}, Options{})
	if got := answerOf[[][][]float32](t, s, "POST", "/embed_all", `{"inputs":"a"}`); len(got[0]) != 3 {
		t.Errorf("%d states of 3 tokens", len(got[0]))
	}
}
