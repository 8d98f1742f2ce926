package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"m2embed/host/search"
)

// withIndex is a server with an index in a new file.
func withIndex(t *testing.T, readOnly bool) *Server {
	t.Helper()
	s := serverOf(open(t), Options{})
	path := filepath.Join(t.TempDir(), "notes.db")
	for _, o := range []bool{false, readOnly} {
		options, err := s.SearchOptions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		options.ReadOnly = o
		ix, err := search.Open(path, options)
		if err != nil {
			t.Fatal(err)
		}
		if o == readOnly {
			s.SetIndex(ix)
			t.Cleanup(func() { ix.Close() })
			break
		}
		ix.Close()
	}
	return s
}

// TestSearch: documents that are put in are found, replaced and taken out.
func TestSearch(t *testing.T) {
	s := withIndex(t, false)
	add := func(body string) (a struct{ Documents, Unchanged, Passages int }) {
		return answerOf[struct{ Documents, Unchanged, Passages int }](t, s, "POST", "/documents", body)
	}
	two := `{"documents":[
		{"id":"a/b.md","text":"# Parcels\n\nReturn a parcel within 30 days.\n\n# Ports\n\nPort 5222.","markdown":true,"title":"FAQ","fields":{"kind":"faq"},"modified":"2026-01-02T03:04:05Z"},
		{"id":"wine","text":"Port wine is checked at night."}]}`
	if a := add(two); a.Documents != 2 || a.Passages < 2 {
		t.Errorf("added %+v", a)
	}
	if a := add(two); a.Documents != 0 || a.Unchanged != 2 {
		t.Errorf("added again %+v", a)
	}
	type answer struct {
		Good int
		Hits []hit
	}
	find := func(body string) answer { return answerOf[answer](t, s, "POST", "/search", body) }
	got := find(`{"query":"5222"}`)
	if len(got.Hits) == 0 || got.Good == 0 {
		t.Fatalf("found %+v", got)
	}
	h := got.Hits[0]
	if h.ID != "a/b.md" || h.Rank != 1 || !h.Good || h.Title != "FAQ" || h.Fields["kind"] != "faq" || h.Modified == nil || h.Modified.Year() != 2026 ||
		len(h.Marks) != 1 || h.Text[h.Marks[0][0]:h.Marks[0][1]] != "5222" {
		t.Errorf("%+v", h)
	}
	for body, want := range map[string]string{
		`{"query":"port","mode":"words","top":1,"glob":"w*"}`:                               "wine",
		`{"query":"port","all":true,"fields":{"kind":"faq"}}`:                               "a/b.md",
		`{"query":"port","all":true,"after":"2026-01-01T00:00:00+01:00"}`:                   "a/b.md",
		`{"query":"\"port wine\""}`:                                                         "wine",
		`{"query":"parcel","mode":"words","passages":true,"before":"2027-01-01T00:00:00Z"}`: "a/b.md",
	} {
		for _, marks := range []string{`\"\"`, `-`, `*`, `\"\" \"`} { // of the query language alone
			find(`{"query":"` + marks + `"}`)
		}
		if got := find(body); len(got.Hits) != 1 || got.Hits[0].ID != want {
			t.Errorf("%s: %+v, want %s", body, got, want)
		}
	}
	if w := ask(s, "DELETE", "/documents/a/b.md", ""); w.Code != http.StatusNoContent {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if w := ask(s, "DELETE", "/documents/a/b.md", ""); w.Code != 404 {
		t.Errorf("delete again: %d %s", w.Code, w.Body)
	}
	count := answerOf[struct{ Documents int }](t, s, "GET", "/documents", "")
	if got := find(`{"query":"5222"}`); count.Documents != 1 || len(got.Hits) > 0 && got.Hits[0].ID != "wine" {
		t.Errorf("after the deletion: %+v of %+v", got, count)
	}
}

// TestRerank: all shapes of request, best first.
func TestRerank(t *testing.T) {
	s := serverOf(open(t), Options{BatchLimit: 3}, "rerank-v3.5")
	type answer struct {
		ID, Model string
		Results   []struct {
			Index    int
			Score    float64 `json:"relevance_score"`
			Document *struct{ Text string }
		}
	}
	for _, path := range []string{"/v1/rerank", "/v2/rerank"} {
		a := answerOf[answer](t, s, "POST", path, `{"model":"rerank-v3.5","query":"port 5222","documents":["wine","",{"text":"port 5222"}],"return_documents":true,"max_tokens_per_doc":7}`)
		if a.Model != "tiny" || a.ID == "" || len(a.Results) != 3 || a.Results[0].Index != 2 || a.Results[0].Document.Text != "port 5222" || a.Results[0].Score != 1 {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if a := answerOf[answer](t, s, "POST", "/v1/rerank", `{"query":"x","documents":["y","x"],"top_n":1}`); len(a.Results) != 1 || a.Results[0].Index != 1 || a.Results[0].Document != nil {
		t.Errorf("the best: %+v", a)
	}
	tei := answerOf[[]struct {
		Index int
		Text  string
	}](t, s, "POST", "/rerank", `{"query":"x","texts":["y","x"],"return_text":true,"raw_scores":false}`)
	if len(tei) != 2 || tei[0].Index != 1 || tei[0].Text != "x" {
		t.Errorf("TEI's: %+v", tei)
	}
}

// TestSearchErrors: what is wrong is said, in the API's shape.
func TestSearchErrors(t *testing.T) {
	s, without, closed := withIndex(t, false), serverOf(open(t), Options{BatchLimit: 2}), withIndex(t, true)
	many, _ := json.Marshal(map[string]any{"query": "x", "documents": strings.Fields(strings.Repeat("d ", 3))})
	for _, c := range []struct {
		s            *Server
		method, path string
		body         string
		status       int
		want         string
	}{
		{without, "POST", "/search", `{"query":"x"}`, 404, "--index"},
		{without, "POST", "/documents", `{"documents":[{"id":"a","text":""}]}`, 404, "--index"},
		{without, "GET", "/documents", ``, 404, "--index"},
		{without, "DELETE", "/documents/a", ``, 404, "--index"},
		{closed, "POST", "/documents", `{"documents":[{"id":"a","text":"t"}]}`, 403, "reading only"},
		{closed, "DELETE", "/documents/a", ``, 403, "reading only"},
		{s, "POST", "/search", `{"query":" "}`, 400, "blank"},
		{s, "POST", "/search", `{}`, 400, "blank"},
		{s, "POST", "/search", `{"query":7}`, 400, "query is a number, want a string"},
		{s, "POST", "/search", `{"query":"x","after":5}`, 400, "after is a number, want a time"},
		{s, "POST", "/search", `{"query":"x","fields":[]}`, 400, "fields is a list, want an object"},
		{s, "POST", "/documents", `{"documents":["a"]}`, 400, "want an object"},
		{s, "POST", "/documents", "{\"documents\":[{\"id\":\"\xff\",\"text\":\"t\"}]}", 400, "UTF-8"},
		{s, "POST", "/search", `{"query":"x","mode":"magic"}`, 400, "magic"},
		{s, "POST", "/search", `{"query":"x","top":0}`, 400, "1 to 1000"},
		{s, "POST", "/search", `{"query":"x","top":1001}`, 400, "1 to 1000"},
		{s, "POST", "/search", `{"query":"x","after":"yesterday"}`, 400, "yesterday"},
		{s, "POST", "/search", `{"query":"x"} {}`, 400, "more than one"},
		{s, "POST", "/documents", `{"documents":[]}`, 400, "1 to 2048"},
		{s, "POST", "/documents", `{"documents":[{"text":"t"}]}`, 400, "no id"},
		{s, "POST", "/documents", `{"documents":[{"id":"t"}]}`, 400, "no text"},
		{s, "POST", "/documents", `{"documents":[{"id":"t","text":"a"},{"id":"t","text":"b"}]}`, 400, "of another"},
		{s, "PUT", "/documents", ``, 405, "POST or GET"},
		{s, "DELETE", "/documents/none", ``, 404, "no document"},
		{without, "POST", "/v1/rerank", string(many), 400, "at most 2"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":[]}`, 400, "no texts"},
		{s, "POST", "/v1/rerank", `{"query":"","documents":["a"]}`, 400, "blank"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":[null]}`, 400, "neither"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":[{"title":"a"}]}`, 400, "neither"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":[{"text":{}}]}`, 400, "neither"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":["a"],"top_n":1.5}`, 400, "whole number"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":["a"],"top_n":0}`, 400, "at least 1"},
		{s, "POST", "/v1/rerank", `{"query":"x","documents":["a"],"model":"other"}`, 404, "not found"},
		{s, "POST", "/rerank", `{"query":"x","texts":"a"}`, 422, "texts"},
		{s, "POST", "/rerank", `{"query":"x","texts":[null]}`, 422, "null in place of a text"},
		{s, "POST", "/similarity", `{"inputs":{"source_sentence":"a","sentences":[null]}}`, 422, "null in place of a text"},
		{s, "POST", "/tokenize", `{"inputs":[null]}`, 422, "null in place of a text"},
		{s, "POST", "/decode", `{"ids":[[null]]}`, 422, "ids is not"},
		{s, "POST", "/decode", `{"ids":[null]}`, 422, "ids is not"},
	} {
		w := ask(c.s, c.method, c.path, c.body)
		var e struct{ Error json.RawMessage }
		if json.Unmarshal(w.Body.Bytes(), &e); w.Code != c.status || !strings.Contains(string(e.Error), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d, %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	s.Wait()
	if s.queue.admitted != 0 || s.queue.bytes != 0 {
		t.Error(fmt.Sprint(s.queue.admitted, " requests are left in the queue"))
	}
}
