package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m2embed/core"
	"m2embed/core/tokenizer"
	"m2embed/host"
	"m2embed/host/search"
)

// twoModels are the tiny model and the one that is built in, under short names.
func twoModels(opened *[2]atomic.Int32) []Source {
	source := func(i int, name, path string, aliases ...string) Source {
		return Source{name, aliases, func() (Model, error) {
			opened[i].Add(1)
			return host.Open(path, host.Options{})
		}}
	}
	return []Source{source(0, "tiny", tiny, "one"), source(1, "small", "", "text-embedding-3-small")}
}

// listed is a model of GET /v1/models.
type listed struct {
	ID         string
	Loaded     bool
	Dimensions *int
}

// TestModels: each API picks the model that a request names, the first one for
// those that name none, and lists all; a model is opened when it is asked for.
func TestModels(t *testing.T) {
	var opened [2]atomic.Int32
	s := New(twoModels(&opened), Options{})
	defer s.Close()
	small, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	vectors, counts := map[int][]float32{}, map[int]int{}
	for i, m := range []*host.Model{open(t), small} {
		r, err := m.EmbedInputs(t.Context(), core.Texts("hello"), core.Options{Normalize: core.Yes})
		if err != nil {
			t.Fatal(err)
		}
		ids, _, err := m.Tokenizer().AppendIDs(nil, "gloomily", tokenizer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		vectors[i], counts[i] = r[0].Vector, len(ids)
	}
	list := answerOf[struct{ Data []listed }](t, s, "GET", "/v1/models", "")
	if counts[0] == counts[1] {
		t.Fatal("both models have as many tokens")
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
		if m.Loaded || m.Dimensions != nil {
			t.Errorf("before the first request: %+v", m)
		}
	}
	if want := []string{"tiny", "one", "small", "text-embedding-3-small"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	for i, c := range []struct {
		name string
		want int
	}{{"null", 0}, {`"tiny"`, 0}, {`"one"`, 0}, {`"text-embedding-3-small"`, 1}, {`"small"`, 1}, {`"tiny"`, 0}} {
		own := [2]string{"tiny", "small"}[c.want]
		if got := embed(t, s, `{"input":"hello","normalize":true,"model":`+c.name+`}`); !slices.Equal(got.vector(t, 0), vectors[c.want]) || got.Model != own {
			t.Errorf("OpenAI's: model %s is answered by %s", c.name, got.Model)
		}
		if got := answerOf[[][]float32](t, s, "POST", "/embed", `{"model":`+c.name+`,"inputs":"hello"}`); !slices.Equal(got[0], vectors[c.want]) {
			t.Errorf("TEI's: model %s is another", c.name)
		}
		got := answerOf[struct {
			Model      string
			Embeddings [][]float32
		}](t, s, "POST", "/api/embed", `{"model":`+c.name+`,"input":"hello"}`)
		if !slices.Equal(got.Embeddings[0], vectors[c.want]) || got.Model != own {
			t.Errorf("Ollama's: model %s is answered by %s", c.name, got.Model)
		}
		if got := answerOf[struct{ Model string }](t, s, "POST", "/v1/rerank", `{"model":`+c.name+`,"query":"a","documents":["a"]}`); got.Model != own {
			t.Errorf("Cohere's: model %s is answered by %s", c.name, got.Model)
		}
		answerOf[[]float64](t, s, "POST", "/similarity", `{"model":`+c.name+`,"inputs":{"source_sentence":"a","sentences":["b"]}}`)
		answerOf[[]any](t, s, "POST", "/rerank", `{"model":`+c.name+`,"query":"a","texts":["a"]}`)
		if tokens := answerOf[[][]struct{ Text string }](t, s, "POST", "/tokenize", `{"model":`+c.name+`,"inputs":"gloomily"}`)[0]; len(tokens) != counts[c.want] {
			t.Errorf("model %s has %d tokens", c.name, len(tokens))
		}
		if i < 3 && opened[1].Load() != 0 {
			t.Error("a model is opened that nobody asked for")
		}
	}
	if opened[0].Load() != 1 || opened[1].Load() != 1 {
		t.Errorf("opened %d and %d times", opened[0].Load(), opened[1].Load())
	}
	for _, m := range answerOf[struct{ Data []listed }](t, s, "GET", "/v1/models", "").Data {
		if !m.Loaded || *m.Dimensions != map[bool]int{true: 64, false: 256}[m.ID == "tiny" || m.ID == "one"] {
			t.Errorf("%+v", m)
		}
	}
	tags := answerOf[struct {
		Models []struct{ Name, Digest string }
	}](t, s, "GET", "/api/tags", "").Models
	if len(tags) != 4 || tags[0].Digest != tags[1].Digest || tags[1].Digest == tags[2].Digest {
		t.Errorf("tags %+v", tags)
	}
	if info := answerOf[map[string]any](t, s, "GET", "/info", ""); info["model_id"] != "tiny" || len(info["models"].([]any)) != 4 {
		t.Errorf("info %v", info)
	}
	if show := answerOf[struct {
		Info map[string]any `json:"model_info"`
	}](t, s, "POST", "/api/show", `{"model":"small"}`); show.Info["m2-bert.embedding_length"] != 256.0 {
		t.Errorf("show %+v", show)
	}
	for path, body := range map[string]string{
		"/v1/embeddings": `{"model":"none","input":"a"}`, "/embed": `{"model":"none","inputs":"a"}`, "/api/embed": `{"model":"none","input":"a"}`,
		"/rerank": `{"model":"none","query":"a","texts":["a"]}`, "/v2/rerank": `{"model":"none","query":"a","documents":["a"]}`, "/api/show": `{"model":"none"}`,
		"/similarity": `{"model":"none","inputs":{"source_sentence":"a","sentences":["b"]}}`, "/tokenize": `{"model":"none","inputs":"a"}`, "/decode": `{"model":"none","ids":[1]}`,
	} {
		if w := ask(s, "POST", path, body); w.Code != 404 || !strings.Contains(w.Body.String(), `\"text-embedding-3-small\"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	// With one model, what TEI does not know is nothing, as there.
	if w := ask(serverOf(open(t), Options{}), "POST", "/embed", `{"model":"none","inputs":"a"}`); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := ask(s, "GET", "/metrics", "").Body.String(); !strings.Contains(text, "\nm2embed_models_loaded 2\n") {
		t.Error("the number of models is not counted")
	}
}

// watched is a model that fails the test if it is used after it was closed.
type watched struct {
	Model
	t      *testing.T
	steps  func(between func() error) error
	closed atomic.Bool
	calls  atomic.Int32
}

func (w *watched) EmbedInputs(ctx context.Context, in []core.Input, o core.Options) ([]core.Embedding, error) {
	w.calls.Add(1)
	defer w.calls.Add(-1)
	if w.closed.Load() {
		w.t.Error("a closed model is asked")
	}
	if w.steps != nil {
		if err := w.steps(func() error { return o.Progress(0, 1) }); err != nil {
			return nil, err
		}
	}
	out := make([]core.Embedding, len(in))
	for i := range out {
		out[i].Vector = []float32{float32(len(in[i].Text))}
	}
	return out, ctx.Err()
}

func (w *watched) Close() error {
	if w.closed.Swap(true) || w.calls.Load() > 0 {
		w.t.Error("a model is closed that works, or is closed")
	}
	return nil
}

// TestModelsConcurrent: models are opened and unloaded under load, and no request
// meets a closed one.
func TestModelsConcurrent(t *testing.T) {
	var sources []Source
	var opened atomic.Int32
	for i := range 3 {
		var busy sync.Mutex
		sources = append(sources, Source{Name: fmt.Sprint(i), Open: func() (Model, error) {
			opened.Add(1)
			if !busy.TryLock() {
				t.Error("a model is opened twice at a time")
				return nil, errors.New("twice")
			}
			defer busy.Unlock()
			return &watched{Model: &stepped{config: unpadded}, t: t}, nil
		}})
	}
	s := New(sources, Options{Unload: time.Millisecond})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 60 {
				text := strings.Repeat("x", g+1)
				got := embed(t, s, fmt.Sprintf(`{"model":"%d","input":%q}`, (g+i)%3, text))
				if v := got.vector(t, 0); len(v) != 1 || v[0] != float32(g+1) {
					t.Errorf("another's answer: %v", v)
				}
				if i%10 == 0 {
					time.Sleep(3 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	s.Close()
	if n := s.loader.loaded(); n != 0 || opened.Load() < 3 {
		t.Errorf("%d models are left of %d", n, opened.Load())
	}
}

// TestModelsClose: what is not asked for is unloaded after its time, and not
// while a request works with it; the next request opens it again.
func TestModelsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var models []*watched
		release := make(chan struct{})
		s := New([]Source{{Name: "m", Open: func() (Model, error) {
			time.Sleep(time.Second)
			m := &watched{Model: &stepped{config: unpadded}, t: t}
			models = append(models, m)
			return m, nil
		}}}, Options{Unload: time.Minute, Timeout: 24 * time.Hour})
		began := time.Now()
		embed(t, s, `{"input":"x"}`)
		if took := time.Since(began); took != time.Second {
			t.Errorf("the first request took %v", took)
		}
		models[0].steps = func(func() error) error { <-release; return nil }
		time.Sleep(59 * time.Second)
		go ask(s, "POST", "/v1/embeddings", `{"input":"x"}`)
		time.Sleep(time.Hour)
		if models[0].closed.Load() || s.loader.loaded() != 1 {
			t.Fatal("a model that works is unloaded")
		}
		close(release)
		time.Sleep(59 * time.Second)
		if models[0].closed.Load() {
			t.Error("a model is unloaded before its time")
		}
		time.Sleep(2 * time.Second)
		if !models[0].closed.Load() || s.loader.loaded() != 0 {
			t.Error("a model is not unloaded")
		}
		if o := answerOf[listed](t, s, "GET", "/v1/models/m", ""); o.Loaded || o.Dimensions == nil {
			t.Errorf("what is known of an unloaded model: %+v", o)
		}
		if w := ask(s, "GET", "/readyz", ""); w.Code != 200 {
			t.Errorf("not ready without a model that it can open: %d", w.Code)
		}
		embed(t, s, `{"input":"x"}`)
		if len(models) != 2 || models[1].closed.Load() {
			t.Errorf("%d models", len(models))
		}
		s.Close()
		if !models[1].closed.Load() {
			t.Error("a model is open after the server's end")
		}
		time.Sleep(time.Hour) // nor is it closed twice
	})
}

// TestModelsTrim: an idle model is told to give memory back, without being unloaded.
func TestModelsTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &trimmed{Model: &stepped{config: unpadded, steps: func(string, func() error) error { return nil }}}
		s := serverOf(m, Options{})
		for range 3 {
			embed(t, s, `{"input":"x"}`)
			time.Sleep(restAfter - time.Second)
		}
		if n := m.trims.Load(); n != 0 {
			t.Errorf("%d times while it works", n)
		}
		time.Sleep(time.Hour)
		if n := m.trims.Load(); n != 1 {
			t.Errorf("%d times, want once", n)
		}
	})
}

type trimmed struct {
	Model
	trims atomic.Int32
}

func (m *trimmed) Trim() { m.trims.Add(1) }

// TestModelsFail: a model that cannot be opened is said so in each API's words,
// without paths, which the log has; when it can be opened again, it is.
func TestModelsFail(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "secret", "model")
	fault := ""
	var log bytes.Buffer
	s := New([]Source{{Name: "tiny", Open: func() (Model, error) { return host.Open(tiny, host.Options{}) }}, {Name: "gone", Open: func() (Model, error) {
		if fault != "" {
			panic(fault)
		}
		return host.Open(folder, host.Options{})
	}}}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	for range 2 {
		for path, body := range map[string]string{
			"/v1/embeddings": `{"model":"gone","input":"a"}`, "/embed": `{"model":"gone","inputs":"a"}`, "/api/embed": `{"model":"gone","input":"a"}`, "/v1/rerank": `{"model":"gone","query":"a","documents":["a"]}`,
		} {
			w := ask(s, "POST", path, body)
			if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `the model \"gone\" cannot be opened: its files are not there`) || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		embed(t, s, `{"input":"x"}`)
	}
	if !strings.Contains(log.String(), "secret") {
		t.Errorf("the log does not say where: %s", &log)
	}
	fault = "broken"
	if w := ask(s, "POST", "/v1/embeddings", `{"model":"gone","input":"a"}`); w.Code != 503 || !strings.Contains(w.Body.String(), "log says why") || !strings.Contains(log.String(), "broken") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	fault = ""
	if err := os.CopyFS(folder, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	embed(t, s, `{"model":"gone","input":"x"}`)
	missing := New([]Source{{Name: "m", Open: func() (Model, error) { return host.Open(folder+"x", host.Options{}) }}}, Options{})
	if _, err := missing.Load(t.Context()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "secret") {
		t.Errorf("at the start: %v", err)
	}
	if w := ask(missing, "GET", "/info", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "error_type") {
		t.Errorf("info: %d %s", w.Code, w.Body)
	}
}

// TestModelsCancel: who leaves while a model is opened leaves at once, and those
// who stay get it.
func TestModelsCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &stepped{config: unpadded, steps: func(string, func() error) error { return nil }}
		s := New([]Source{{Name: "m", Open: func() (Model, error) { time.Sleep(time.Hour); return m, nil }}}, Options{Timeout: 2 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		left := make(chan time.Duration, 1)
		go func() {
			r := httptest.NewRequestWithContext(ctx, "POST", "/v1/embeddings", strings.NewReader(`{"input":"x"}`))
			r.Header.Set("Content-Type", "application/json")
			s.ServeHTTP(httptest.NewRecorder(), r)
			left <- time.Since(began)
		}()
		go func() { time.Sleep(time.Minute); cancel() }()
		embed(t, s, `{"input":"x"}`)
		if took := <-left; took != time.Minute || time.Since(began) != time.Hour {
			t.Errorf("left after %v, answered after %v", took, time.Since(began))
		}
		if s.queue.admitted != 0 || s.loader.models[0].users != 0 {
			t.Errorf("%d requests and %d uses are left", s.queue.admitted, s.loader.models[0].users)
		}
		s.Close()
		impatient := New([]Source{{Name: "m", Open: func() (Model, error) { time.Sleep(time.Hour); return m, nil }}}, Options{Timeout: time.Minute})
		if w := ask(impatient, "POST", "/v1/embeddings", `{"input":"x"}`); w.Code != 504 {
			t.Errorf("beyond the time for a request: %d", w.Code)
		}
		impatient.Close()
		if n := impatient.loader.loaded(); n != 0 {
			t.Errorf("%d models are left", n)
		}
	})
}

// TestOtherSpace: an index gets no vectors of a model that was exchanged while it
// was unloaded.
func TestOtherSpace(t *testing.T) {
	path := tiny
	s := New([]Source{{Name: "m", Open: func() (Model, error) { return host.Open(path, host.Options{}) }}}, Options{Unload: time.Nanosecond})
	defer s.Close()
	o, err := s.SearchOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ix, err := search.Open(filepath.Join(t.TempDir(), "notes.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	s.SetIndex(ix)
	path = "" // the built-in one
	for s.loader.loaded() > 0 {
		time.Sleep(time.Millisecond)
	}
	if w := ask(s, "POST", "/documents", `{"documents":[{"id":"a","text":"t"}]}`); w.Code != 500 || !strings.Contains(w.Body.String(), "is another than it was") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
