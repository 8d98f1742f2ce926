package server

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/internal/hosttest"
	"m2embed/host/search"
)

// openPrompts is a model with prompts, and vectors that may be cut to 16.
func openPrompts(t *testing.T) *host.Model {
	t.Helper()
	config := strings.Replace(string(hosttest.ReadFile(t, tiny+"/config.prompts.json")), "{", `{"matryoshka_dimensions":[16],`, 1)
	path := filepath.Join(t.TempDir(), "config.json")
	hosttest.WriteFile(t, path, []byte(config))
	m, err := host.Open(tiny+"/model.safetensors", host.Options{Config: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestTask: every API's word for what texts are for takes the model's prompt.
func TestTask(t *testing.T) {
	m := openPrompts(t)
	s := serverOf(m, Options{})
	vector := func(o core.Options, text string) []float32 {
		t.Helper()
		found, err := m.EmbedInputs(t.Context(), core.Texts(text), o)
		if err != nil {
			t.Fatal(err)
		}
		return found[0].Vector
	}
	plain, asked, titled := vector(core.Options{}, "parcel"), vector(core.Options{}, "ask for: parcel"), vector(core.Options{}, "Title, unparcel")
	for member, want := range map[string][]float32{
		``: plain, `,"task":null`: plain, `,"task":""`: plain, `,"task":"document"`: plain, `,"input_type":"passage"`: plain, `,"input_type":"search_document"`: plain,
		`,"task":"query"`: asked, `,"input_type":"query"`: asked, `,"input_type":"search_query"`: asked, `,"task":"retrieval.query","input_type":"retrieval.query"`: asked,
		`,"task":"title of"`: titled, `,"task":"query","dimensions":16`: vector(core.Options{Dimensions: 16}, "ask for: parcel"),
	} {
		if got := embed(t, s, `{"input":"parcel"`+member+`}`).vector(t, 0); !slices.Equal(got, want) {
			t.Errorf("%s: another vector", member)
		}
	}
	long := strings.Repeat("parcel ", 900)
	left := vector(core.Options{}, "ask for: "+long)
	for _, c := range []struct {
		body string
		want []float32
	}{
		{`{"inputs":"parcel","prompt_name":"query"}`, asked},
		{`{"inputs":"parcel","dimensions":16}`, vector(core.Options{Dimensions: 16}, "parcel")},
		{`{"inputs":"` + long + `","prompt_name":"query"}`, left},
	} {
		if got := answerOf[[][]float32](t, s, "POST", "/embed", c.body); !slices.Equal(got[0], c.want) {
			t.Errorf("%.60s: another vector", c.body)
		}
	}
	// Cut at the left, the prompt goes first.
	cut := answerOf[[][]float32](t, s, "POST", "/embed", `{"inputs":"`+long+`","prompt_name":"query","truncation_direction":"left"}`)
	if want := answerOf[[][]float32](t, s, "POST", "/embed", `{"inputs":"`+long+`","truncation_direction":"left"}`); !slices.Equal(cut[0], want[0]) {
		t.Error("a text that is cut at its beginning keeps its prompt")
	}
	states := func(members string) int {
		return len(answerOf[[][][]float32](t, s, "POST", "/embed_all", `{"inputs":"parcel"`+members+`}`)[0])
	}
	if with, without := states(`,"prompt_name":"query"`), states(``); with <= without {
		t.Errorf("%d states with a prompt, %d without", with, without)
	}
	ollama := answerOf[struct{ Embeddings [][]float32 }](t, s, "POST", "/api/embed", `{"model":"`+m.Info().Name+`","input":"parcel","task":"query"}`)
	if !slices.Equal(ollama.Embeddings[0], asked) {
		t.Error("/api/embed: another vector")
	}
	for body, want := range map[string]string{
		`{"input":"x","task":"classification"}`:                           `task: task \"classification\", want one of \"query\", \"document\", \"title of\"`,
		`{"input":"x","input_type":"` + strings.Repeat("q", 1<<16) + `"}`: "want one of",
		`{"input":"x","task":"query","input_type":"document"}`:            `input_type is \"document\", but task \"query\"`,
		`{"input":"x","task":7}`:                                          "want a string",
		`{"input":"x","dimensions":17}`:                                   "matryoshka_dimensions [16]",
		`{"input":"x","dimensions":-1}`:                                   "matryoshka_dimensions [16]",
	} {
		if w := ask(s, "POST", "/v1/embeddings", body); w.Code != 400 || !strings.Contains(w.Body.String(), want) || w.Body.Len() > 500 {
			t.Errorf("%.60s: %d %.600s", body, w.Code, w.Body)
		}
	}
	details := answerOf[struct {
		Tasks     []string
		Shortened []int `json:"matryoshka_dimensions"`
	}](t, s, "GET", "/v1/models/"+m.Info().Name, "")
	if !slices.Equal(details.Tasks, []string{"query", "document", "title of"}) || !slices.Equal(details.Shortened, []int{16}) {
		t.Errorf("%+v", details)
	}
}

// TestSearchTask: a search has the queries' prompt, what it searches in has not.
func TestSearchTask(t *testing.T) {
	m := openPrompts(t)
	s := serverOf(m, Options{})
	options, err := s.SearchOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ix, err := search.Open("", options)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	s.SetIndex(ix)
	answerOf[struct{ Documents int }](t, s, "POST", "/documents", `{"documents":[{"id":"a","text":"a parcel"}]}`)
	vectors, err := m.Embed(t.Context(), "ask for: a parcel", "a parcel")
	if err != nil {
		t.Fatal(err)
	}
	want := core.Cosine(vectors[0], vectors[1])
	got := answerOf[struct{ Hits []hit }](t, s, "POST", "/search", `{"query":"a parcel","all":true}`)
	if len(got.Hits) != 1 || math.Abs(got.Hits[0].Cosine-want) > 0.02 || want > 0.97 {
		t.Errorf("%+v, want the cosine %v of the query with its prompt", got.Hits, want)
	}
}
