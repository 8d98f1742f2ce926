package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/passage"
	"m2embed/host/search"
)

// mostHits bounds what a search returns.
const mostHits = 1000

// queued makes vectors of a model in the server's queue, for indexes.
type queued struct {
	server *Server
	of     *served
	space  string // that the vectors must be of
	task   string
}

func (q queued) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	u, err := q.server.loader.acquire(ctx, q.of)
	if err != nil {
		return nil, err
	}
	defer u.release()
	if space := u.Info().Space; space != q.space { // other files, since it was unloaded
		return nil, &core.Fault{Err: fmt.Errorf("the model %q is another than it was: its vectors are of the space %s, not %s", q.of.Name, space, q.space)}
	}
	results, err := q.server.run(ctx, u, core.Texts(texts...), core.Options{Task: q.task})
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(results))
	for i, r := range results {
		vectors[i] = r.Vector
	}
	return vectors, nil
}

// SearchOptions are those of an index whose vectors this server makes with its
// first model, in turn with its requests.
//
// # Errors
//
// Those of Load.
func (s *Server) SearchOptions(ctx context.Context) (search.Options, error) {
	u, err := s.loader.acquire(ctx, s.loader.models[0])
	if err != nil {
		return search.Options{}, plainly(err)
	}
	defer u.release()
	return s.searchOptions(u), nil
}

func (s *Server) searchOptions(u *use) search.Options {
	space := u.Info().Space
	o := search.Options{Embedder: queued{s, u.of, space, model.TaskDocument}, Queries: queued{s, u.of, space, model.TaskQuery}, Space: space}
	if t := u.Tokenizer(); t != nil {
		o.Tokens = func(text string) []int { return passage.Tokens(t, text) }
	}
	return o
}

// SetIndex says what POST /search searches in: an index that was opened with
// SearchOptions. It is called before the first request.
func (s *Server) SetIndex(ix search.Store) { s.index = ix }

// failed turns an error of the search into one that says whose it is.
func failed(err error) error {
	var known *apiError
	var input *core.InputError
	var fault *core.Fault
	switch {
	case err == nil, errors.As(err, &known), errors.As(err, &input), errors.As(err, &fault),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, search.ErrReadOnly):
		return &apiError{status: http.StatusForbidden, kind: "invalid_request_error", code: "read_only", message: "the index is open for reading only"}
	}
	return &core.Fault{Err: err}
}

// rerank orders texts by how well they answer a query.
func (s *Server) rerank(ctx context.Context, u *use, query string, texts []string) ([]search.Ranked, error) {
	switch {
	case strings.TrimSpace(query) == "":
		return nil, invalid("query", "query is missing or blank")
	case len(texts) == 0:
		return nil, coded(codeEmpty, "documents", "no texts to rank")
	case len(texts) > s.options.BatchLimit:
		return nil, coded(codeTooMany, "documents", "%d texts, want at most %d", len(texts), s.options.BatchLimit)
	case u.Tokenizer() == nil:
		return nil, errIDsOnly
	}
	ranked, err := search.Rerank(ctx, s.searchOptions(u), query, texts)
	return ranked, failed(err)
}

// rerankText is a document of POST /v1/rerank: a text or an object with one.
type rerankText text

func (t *rerankText) UnmarshalJSON(data []byte) error {
	var object struct {
		Text *text `json:"text"`
	}
	var err error
	switch data[0] {
	case '"':
		err = json.Unmarshal(data, &object.Text)
	case '{':
		err = json.Unmarshal(data, &object)
	}
	if err != nil || object.Text == nil {
		return invalid("documents", "a document is neither a text nor an object with the member text")
	}
	*t = rerankText(*object.Text)
	return nil
}

// whole is a whole number, which JSON may write as 2.0 or 2e0.
type whole int

func (n *whole) UnmarshalJSON(data []byte) error {
	i, ok := wholeNumber(string(data))
	if !ok {
		return invalid("", "%s, want a whole number", clip(string(data)))
	}
	*n = whole(i)
	return nil
}

// cohereRerank answers POST /v1/rerank and /v2/rerank, as Cohere's and Jina's.
func (s *Server) cohereRerank(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Model     string       `json:"model"`
		Query     string       `json:"query"`
		Documents []rerankText `json:"documents"`
		Top       *whole       `json:"top_n"`
		Return    *bool        `json:"return_documents"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if asked.Top != nil && *asked.Top < 1 {
		return invalid("top_n", "top_n is %d, want at least 1", *asked.Top)
	}
	if err := s.open(r.Context(), place, asked.Model, s.pick); err != nil {
		return err
	}
	texts := make([]string, len(asked.Documents))
	for i, t := range asked.Documents {
		texts[i] = string(t)
	}
	ranked, err := s.rerank(r.Context(), place.use, asked.Query, texts)
	if err != nil {
		return err
	}
	type document struct {
		Text string `json:"text"`
	}
	type result struct {
		Index    int       `json:"index"`
		Score    float64   `json:"relevance_score"`
		Document *document `json:"document,omitempty"`
	}
	results := []result{}
	for _, k := range ranked {
		if asked.Top != nil && len(results) == int(*asked.Top) {
			break
		}
		one := result{Index: k.Index, Score: k.Score}
		if asked.Return != nil && *asked.Return {
			one.Document = &document{strings.ToValidUTF8(texts[k.Index], "\uFFFD")}
		}
		results = append(results, one)
	}
	patience(w)
	writeJSON(w, http.StatusOK, struct {
		ID      string   `json:"id"`
		Model   string   `json:"model"`
		Results []result `json:"results"`
	}{r.Header.Get(requestID), place.use.of.Name, results})
	return nil
}

// teiRerank answers POST /rerank.
func (s *Server) teiRerank(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Query  string `json:"query"`
		Texts  []text `json:"texts"`
		Return *bool  `json:"return_text"`
		Model  aside  `json:"model"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	if err := s.open(r.Context(), place, string(asked.Model), s.pickAside); err != nil {
		return err
	}
	ranked, err := s.rerank(r.Context(), place.use, asked.Query, plain(asked.Texts))
	if err != nil {
		return err
	}
	type result struct {
		Index int     `json:"index"`
		Score float64 `json:"score"`
		Text  *text   `json:"text,omitempty"`
	}
	results := make([]result, len(ranked))
	for i, k := range ranked {
		results[i] = result{Index: k.Index, Score: k.Score}
		if asked.Return != nil && *asked.Return {
			results[i].Text = &asked.Texts[k.Index]
		}
	}
	patience(w)
	writeJSON(w, http.StatusOK, results)
	return nil
}

// errNoIndex is for servers that have none.
var errNoIndex = &apiError{status: http.StatusNotFound, kind: "invalid_request_error", code: "no_index", message: "this server has no index: start it with --index FILE"}

// hit is one of POST /search.
type hit struct {
	Rank     int               `json:"rank"`
	Score    float64           `json:"score"`
	Good     bool              `json:"good"`
	Cosine   float64           `json:"cosine"`
	BM25     float64           `json:"bm25"`
	ID       string            `json:"id"`
	Title    string            `json:"title"`
	Fields   map[string]string `json:"fields"`
	Modified *time.Time        `json:"modified"`
	Heading  string            `json:"heading"`
	Line     int               `json:"line"`
	Page     int               `json:"page"`
	Start    int               `json:"start"`
	End      int               `json:"end"`
	Text     string            `json:"text"`
	Marks    [][2]int          `json:"marks"`
}

// searchModes are the names of search.Mode.
var searchModes = map[string]search.Mode{"": search.Both, "both": search.Both, "words": search.Words, "meaning": search.Meaning}

// search answers POST /search.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Query    string            `json:"query"`
		Top      *whole            `json:"top"`
		Mode     string            `json:"mode"`
		Passages bool              `json:"passages"`
		All      bool              `json:"all"`
		Fields   map[string]string `json:"fields"`
		Glob     string            `json:"glob"`
		After    time.Time         `json:"after"`
		Before   time.Time         `json:"before"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	mode, known := searchModes[asked.Mode]
	top := 10
	if asked.Top != nil {
		top = int(*asked.Top)
	}
	switch {
	case s.index == nil:
		return errNoIndex
	case strings.TrimSpace(asked.Query) == "":
		return invalid("query", "query is missing or blank")
	case !known:
		return invalid("mode", "mode %q, want both, words or meaning", clip(asked.Mode))
	case top < 1 || top > mostHits:
		return invalid("top", "top is %d, want 1 to %d", top, mostHits)
	}
	a, err := s.index.Query(r.Context(), asked.Query, search.Query{
		Mode: mode, Top: top, Passages: asked.Passages, All: asked.All,
		Fields: asked.Fields, Glob: asked.Glob, After: asked.After, Before: asked.Before,
	})
	if err != nil {
		return failed(err)
	}
	hits := make([]hit, len(a.Hits))
	for i, h := range a.Hits {
		hits[i] = hit{
			i + 1, h.Score, h.Good, h.Cosine, h.BM25, h.ID, h.Title, h.Fields, nil,
			h.Heading, h.Line, h.Page, h.Start, h.End, h.Text, make([][2]int, len(h.Marks)),
		}
		if !h.Modified.IsZero() {
			hits[i].Modified = &h.Modified
		}
		for k, m := range h.Marks {
			hits[i].Marks[k] = [2]int{m.Start, m.End}
		}
	}
	patience(w)
	writeJSON(w, http.StatusOK, struct {
		Good int   `json:"good"`
		Hits []hit `json:"hits"`
	}{a.Good, hits})
	return nil
}

// addDocuments answers POST /documents.
func (s *Server) addDocuments(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Documents []struct {
			ID       string            `json:"id"`
			Text     *string           `json:"text"`
			Title    string            `json:"title"`
			Markdown bool              `json:"markdown"`
			Fields   map[string]string `json:"fields"`
			Modified time.Time         `json:"modified"`
		} `json:"documents"`
	}
	place, err := s.decode(w, r, &asked)
	if err != nil {
		return err
	}
	defer place.leave()
	switch {
	case s.index == nil:
		return errNoIndex
	case len(asked.Documents) == 0 || len(asked.Documents) > s.options.BatchLimit:
		return invalid("documents", "%d documents, want 1 to %d", len(asked.Documents), s.options.BatchLimit)
	}
	documents := make([]search.Document, len(asked.Documents))
	seen := map[string]bool{}
	for i, d := range asked.Documents {
		switch {
		case d.ID == "":
			return invalid("documents", "document %d has no id", i)
		case d.Text == nil:
			return invalid("documents", "document %d, %q, has no text", i, clip(d.ID))
		case seen[d.ID]:
			return invalid("documents", "document %d has the id of another, %q", i, clip(d.ID))
		}
		seen[d.ID] = true
		documents[i] = search.Document{ID: d.ID, Text: *d.Text, Title: d.Title, Fields: d.Fields, Modified: d.Modified}
		if d.Markdown {
			documents[i].Headings = passage.Markdown(*d.Text)
		}
	}
	added, err := s.index.Add(r.Context(), documents...)
	if err != nil {
		return failed(err)
	}
	writeJSON(w, http.StatusOK, struct {
		Documents int `json:"documents"`
		Unchanged int `json:"unchanged"`
		Passages  int `json:"passages"`
	}{added.Documents, added.Unchanged, added.Passages})
	return nil
}

// countDocuments answers GET /documents.
func (s *Server) countDocuments(w http.ResponseWriter, r *http.Request) error {
	if s.index == nil {
		return errNoIndex
	}
	info, err := s.index.Info(r.Context())
	if err != nil {
		return failed(err)
	}
	writeJSON(w, http.StatusOK, struct {
		Documents int    `json:"documents"`
		Passages  int    `json:"passages"`
		Bytes     int64  `json:"bytes"`
		Space     string `json:"space"`
	}{info.Documents, info.Passages, info.Bytes, info.Space})
	return nil
}

// removeDocument answers DELETE /documents/{id}.
func (s *Server) removeDocument(w http.ResponseWriter, r *http.Request) error {
	if s.index == nil {
		return errNoIndex
	}
	n, err := s.index.Remove(r.Context(), r.PathValue("id"))
	if err != nil {
		return failed(err)
	}
	if n == 0 {
		return &apiError{status: http.StatusNotFound, kind: "invalid_request_error", code: "no_document", message: fmt.Sprintf("no document %q in the index", clip(r.PathValue("id")))}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
