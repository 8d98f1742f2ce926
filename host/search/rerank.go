package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Ranked is a text of [Rerank].
type Ranked struct {
	Index  int     // among the texts
	Score  float64 // 0 to 1, beside the best text: no probability
	Cosine float64 // of its best passage; of equal scores the higher one is first
}

// Rerank orders texts by how well they answer a query, best first, by words and
// meaning as [Index.Query] does. Scores are comparable within one call only: its
// texts decide which words are rare and what cosine is usual.
func Rerank(ctx context.Context, o Options, query string, texts []string) ([]Ranked, error) {
	ix, err := Open("", o)
	if err != nil {
		return nil, err
	}
	defer ix.Close()
	documents := make([]Document, len(texts))
	for i, text := range texts {
		documents[i] = Document{ID: strconv.Itoa(i), Text: text}
	}
	if _, err := ix.add(ctx, documents); err != nil {
		return nil, fmt.Errorf("rerank: %w", err)
	}
	a, err := ix.query(ctx, query, Query{Top: max(1, len(texts)), All: true, Plain: true})
	if err != nil {
		return nil, fmt.Errorf("rerank: %w", err)
	}
	all, found := make([]Ranked, 0, len(texts)), make([]bool, len(texts))
	for _, h := range a.Hits {
		i, err := strconv.Atoi(h.ID)
		if err != nil {
			panic(err) // we named them
		}
		found[i] = true
		all = append(all, Ranked{i, min(max(h.Score, 0), 1), h.Cosine})
	}
	for i := range texts { // blank ones have no passage
		if !found[i] {
			all = append(all, Ranked{Index: i, Cosine: -1})
		}
	}
	slices.SortStableFunc(all, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Cosine, a.Cosine))
	})
	return all, nil
}
