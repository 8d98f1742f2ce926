package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"m2embed/core/passage"
)

// Options say what an index is opened with.
type Options struct {
	// Embedder makes the vectors. Without one the index is of words alone. Queries
	// makes those of queries, where they are made otherwise.
	Embedder, Queries Embedder
	// Space names the vector space, as core's Embedder.Space and host's Info.Space
	// do. An index of another is refused, as its vectors cannot be compared. Model
	// is the name that people know it by; messages have both.
	Space, Model string
	// Tokens are the bytes at which the tokens of a text begin; nil estimates
	// them. Passage says how texts are cut.
	Tokens  func(text string) []int
	Passage passage.Options
	// ReadOnly opens a file that must exist, and writes nothing.
	ReadOnly bool
}

// Index is an open index. It is safe for concurrent use.
type Index struct {
	path    string
	options Options
	db      *sql.DB
	space   string // of the file
	model   string
	writing sync.Mutex
	stems   stemmer // of the writer

	reading sync.RWMutex // of what is below
	rows    rows
	places  map[int64][]chunkPlace // by segments
	chunks  chunkCache
}

// Open opens the index in a file, or makes one; without a path it makes one in
// memory, for a few texts and one caller at a time.
//
// # Errors
//
// [ErrSpace], [ErrFormat], [ErrDamaged] and [ErrReadOnly] wrapped with what was found.
func Open(path string, o Options) (*Index, error) {
	db, err := openFile(path, o.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, explain(err))
	}
	ix := &Index{path: path, options: o, db: db, stems: stemmer{}}
	if err := ix.prepare(context.Background()); err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, errors.Join(err, db.Close()))
	}
	return ix, nil
}

// Close closes the file. No call may be under way.
func (ix *Index) Close() error {
	if !ix.options.ReadOnly && ix.path != "" {
		// What is left of these is done at the next closing.
		var free, pages int
		if err := ix.db.QueryRow("SELECT (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_count FROM pragma_page_count)").Scan(&free, &pages); err == nil && free > pages/16 {
			ix.db.Exec("PRAGMA incremental_vacuum")
		}
		ix.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return ix.db.Close()
}

// Info is what an index holds.
type Info struct {
	Documents, Passages int
	Bytes               int64  // of the file
	Space, Model        string // of the vectors; empty for words alone
}

// Info counts.
func (ix *Index) Info(ctx context.Context) (Info, error) {
	i := Info{Space: ix.space, Model: ix.model}
	err := ix.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM documents), (SELECT coalesce(sum(passages), 0) FROM documents),
		(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)`).Scan(&i.Documents, &i.Passages, &i.Bytes)
	return i, explain(err)
}

// Stamps returns the stamp of each document by its ID.
func (ix *Index) Stamps(ctx context.Context) (map[string]string, error) {
	rows, err := ix.db.QueryContext(ctx, "SELECT name, stamp FROM documents")
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	stamps := map[string]string{}
	for rows.Next() {
		var name, stamp string
		if err := rows.Scan(&name, &stamp); err != nil {
			return nil, explain(err)
		}
		stamps[name] = stamp
	}
	return stamps, explain(rows.Err())
}
