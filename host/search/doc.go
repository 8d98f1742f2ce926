// Package search finds texts by their words and by their meaning, from one
// SQLite file.
//
// A document is cut into passages ([m2embed/core/passage]); each passage lies in
// the file with its words, its vector of 8-bit integers and its place.
// [Index.Query] scans all vectors exactly, ranks words by BM25 and puts both
// together. One process may write while many read; what [Index.Add] has returned
// for is kept, whatever happens to the process afterwards.
//
//	ix, err := search.Open("notes.db", search.Options{Embedder: model, Space: "…"})
//	ix.Add(ctx, search.Document{ID: "a.md", Text: text})
//	answer, err := ix.Query(ctx, "how do I return a parcel", search.Query{})
package search

import "context"

// Embedder makes vectors, which need not be of unit length.
type Embedder interface {
	Embed(ctx context.Context, texts ...string) ([][]float32, error)
}
