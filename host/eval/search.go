package main

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/passage"
	"m2embed/host/search"
)

// retrievalSet is documents, queries and which of the documents answer them, as
// the files of a folder of *.json.gz hold them: three objects in an array.
type retrievalSet struct {
	name      string
	ids       []string
	documents map[string]string
	queries   map[string]string
	relevance map[string]map[string]float64
}

func readRetrievalSet(path string) (retrievalSet, error) {
	s := retrievalSet{name: strings.TrimSuffix(filepath.Base(path), ".json.gz")}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	parts := []any{&s.documents, &s.queries, &s.relevance}
	if err := json.NewDecoder(z).Decode(&parts); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	for id := range s.documents {
		s.ids = append(s.ids, id)
	}
	slices.Sort(s.ids)
	return s, nil
}

// quality is the mean over queries, in percent.
type quality struct{ ndcg, first, ten, hundred float64 }

func (q quality) String() string {
	return fmt.Sprintf("%5.1f | %5.1f | %5.1f | %5.1f", q.ndcg, q.first, q.ten, q.hundred)
}

// measure ranks for each query by the function given, best first, and compares
// with the judgements.
func (s retrievalSet) measure(rank func(query string) ([]string, error)) (quality, error) {
	var q quality
	for id, relevant := range s.relevance {
		query, ok := s.queries[id]
		if !ok {
			continue
		}
		found, err := rank(query)
		if err != nil {
			return q, err
		}
		var ideal []float64
		for _, grade := range relevant {
			ideal = append(ideal, grade)
		}
		slices.SortFunc(ideal, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
		best, gain := 0.0, 0.0
		for i, grade := range ideal[:min(10, len(ideal))] {
			best += grade / math.Log2(float64(i)+2)
		}
		hits := 0.0
		n := float64(len(relevant))
		for i, document := range found[:min(100, len(found))] {
			grade := relevant[document]
			if grade <= 0 {
				continue
			}
			hits++
			if i < 10 {
				gain += grade / math.Log2(float64(i)+2)
				q.ten += 1 / n
			}
			if i == 0 {
				q.first += 1 / n
			}
		}
		q.hundred += hits / n
		if best > 0 {
			q.ndcg += gain / best
		}
	}
	scale := 100 / float64(len(s.relevance))
	return quality{q.ndcg * scale, q.first * scale, q.ten * scale, q.hundred * scale}, nil
}

// Ways of searching a set.
const (
	byWords        = "words"
	bestPassage    = "meaning, best passage"
	fused          = "both"
	wholeDocuments = "meaning, whole documents"
	bestSpan       = "meaning, best span of one pass"
)

// indexEmbedder adapts the evaluation's embedder to the index.
type indexEmbedder struct {
	*evaluation
	task string
}

func (e indexEmbedder) Embed(_ context.Context, texts ...string) ([][]float32, error) {
	return e.embed(e.task, texts)
}

// searchSets measures every set of a folder through a real index. Indexes lie in
// a folder of their own, where they serve the next run, too; "" means one that is
// deleted afterwards. The scores go into development.json of the folder data.
func (e *evaluation) searchSets(folder, indexes, data string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json.gz"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no *.json.gz in %s", folder)
	}
	if indexes == "" {
		if indexes, err = os.MkdirTemp("", "m2embed-eval"); err != nil {
			return err
		}
		defer os.RemoveAll(indexes)
	}
	fmt.Println("| set | system | nDCG@10 | recall@1 | @10 | @100 |\n| --- | --- | --- | --- | --- | --- |")
	for _, path := range paths {
		s, err := readRetrievalSet(path)
		if err != nil {
			return err
		}
		scores, err := e.searchSet(s, indexes)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := keepDevelopment(data, e.info, s.name, scores); err != nil {
			return err
		}
	}
	return nil
}

// searchSet returns nDCG@10 by the way of searching.
func (e *evaluation) searchSet(s retrievalSet, folder string) (map[string]float64, error) {
	ctx := context.Background()
	ix, err := search.Open(filepath.Join(folder, s.name+".db"), search.Options{
		Embedder: indexEmbedder{e, model.TaskDocument}, Queries: indexEmbedder{e, model.TaskQuery}, Space: cmp.Or(e.info.Space, e.info.Name), Model: e.info.Name,
		Tokens: func(text string) []int { return passage.Tokens(e.model.Tokenizer(), text) },
	})
	if err != nil {
		return nil, err
	}
	defer ix.Close()
	for ids := range slices.Chunk(s.ids, 64) {
		var documents []search.Document
		for _, id := range ids {
			documents = append(documents, search.Document{ID: id, Text: s.documents[id]})
		}
		if _, err := ix.Add(ctx, documents...); err != nil {
			return nil, err
		}
	}
	scores := map[string]float64{}
	show := func(name string, rank func(query string) ([]string, error)) error {
		q, err := s.measure(rank)
		if err == nil {
			fmt.Printf("| %s | %s | %v |\n", s.name, name, q)
			scores[name] = math.Round(100*q.ndcg) / 100
		}
		return err
	}
	words := newIndex(s.texts())
	if err := show("BM25 of whole documents, no stems", func(query string) ([]string, error) { return s.order(words.scores(query)), nil }); err != nil {
		return nil, err
	}
	for _, mode := range []struct {
		name string
		mode search.Mode
	}{{byWords, search.Words}, {bestPassage, search.Meaning}, {fused, search.Both}} {
		err := show(mode.name, func(query string) ([]string, error) {
			a, err := ix.Query(ctx, query, search.Query{Mode: mode.mode, Top: 100, All: true})
			ids := make([]string, len(a.Hits))
			for i, h := range a.Hits {
				ids[i] = h.ID
			}
			return ids, err
		})
		if err != nil {
			return nil, err
		}
	}
	if !e.wholeToo {
		return scores, nil
	}
	return scores, e.wholes(s, show)
}

func (s retrievalSet) texts() []string {
	texts := make([]string, len(s.ids))
	for i, id := range s.ids {
		texts[i] = s.documents[id]
	}
	return texts
}

// order sorts documents by their scores, best first.
func (s retrievalSet) order(scores []float64) []string {
	at := make([]int, len(scores))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	ids := make([]string, len(at))
	for i, k := range at {
		ids[i] = s.ids[k]
	}
	return ids
}

// wholes measures one vector a document, and the best of the vectors that its
// passages have out of the document's own forward pass.
func (e *evaluation) wholes(s retrievalSet, show func(string, func(string) ([]string, error)) error) error {
	whole, spans, err := e.embedSpans(s.texts())
	if err != nil {
		return err
	}
	by := func(score func(query []float32, document int) float64) func(string) ([]string, error) {
		return func(query string) ([]string, error) {
			v, err := e.embed(model.TaskQuery, []string{query})
			if err != nil {
				return nil, err
			}
			scores := make([]float64, len(s.ids))
			for i := range scores {
				scores[i] = score(v[0], i)
			}
			return s.order(scores), nil
		}
	}
	err = show(wholeDocuments, by(func(query []float32, i int) float64 { return dot(query, whole[i]) }))
	if err != nil {
		return err
	}
	return show(bestSpan, by(func(query []float32, i int) float64 { return bestDot(query, spans[i]) }))
}

// embedSpans returns one vector for each text, and those of its passages out of the
// same forward pass.
func (e *evaluation) embedSpans(texts []string) (whole [][]float32, spans [][][]float32, err error) {
	start := time.Now()
	for _, text := range texts {
		in := core.Input{Text: text}
		for _, p := range passage.Cut(text, passage.Tokens(e.model.Tokenizer(), text), passage.Options{}) {
			in.Spans = append(in.Spans, core.Span{Start: p.Start, End: p.End})
		}
		found, err := e.model.EmbedInputs(context.Background(), []core.Input{in}, core.Options{Task: model.TaskDocument, Normalize: core.Yes})
		if err != nil {
			return nil, nil, err
		}
		e.tokens += found[0].Length
		whole = append(whole, found[0].Vector)
		var vectors [][]float32
		for _, p := range found[0].Spans {
			if p.Vector != nil {
				vectors = append(vectors, p.Vector)
			}
		}
		spans = append(spans, vectors)
	}
	e.embedded += time.Since(start).Seconds()
	return whole, spans, nil
}

// bestDot is the largest product of a vector with others; -1 if there are none.
func bestDot(v []float32, others [][]float32) float64 {
	best := -1.0
	for _, o := range others {
		best = max(best, dot(v, o))
	}
	return best
}
