package search

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Mode says by what is searched.
type Mode uint8

// The modes.
const (
	Both    Mode = iota // by words and by meaning
	Words               // by words alone
	Meaning             // by meaning alone; phrases and exclusions hold all the same
)

// Query says how to search. The zero value is good.
type Query struct {
	Mode Mode
	// Top is the number of documents wanted, 10 if it is 0.
	Top int
	// Passages ranks passages instead of documents: a document may come twice.
	Passages bool
	// Fields must have these values; Glob is a pattern that the document's ID
	// must match, as SQLite's GLOB; After and Before bound its time.
	Fields        map[string]string
	Glob          string
	After, Before time.Time
	// All returns what is below the relevance floor, too.
	All bool
	// Plain takes quotes, minuses and stars for what they are in any text.
	Plain bool
}

// Answer is what was found.
type Answer struct {
	Hits []Hit
	Good int // hits that are above the relevance floor: the first ones
}

// Hit is a document, or a passage, that was found.
type Hit struct {
	ID, Title string
	Fields    map[string]string
	Modified  time.Time // zero if the document has none
	Score     float64   // by which hits are ranked, 0 to about 1; no probability
	Cosine    float64   // of the best passage's meaning; 0 without vectors
	BM25      float64   // of its words
	Good      bool      // above the relevance floor

	Start, End int // bytes of the document that are the passage
	// Line, Page and Heading are the place of the marked words, where rare ones of
	// them stand together; without any, that of the passage's beginning.
	Line    int    // of the file, from 1 on; 0 for a text without lines
	Page    int    // from 1 on; 0 for a document without pages
	Heading string // of the sections that it stands in, outermost first
	Text    string
	Marks   []Mark // words of the query in Text
}

// Mark is a range of bytes.
type Mark struct{ Start, End int }

// Query searches. The query is made of words; "quoted ones" must be there as they
// are, those with a minus in front must not; a star ends the beginning of a word.
// A query of 24 words or more is a text to look for the like of, whose quotes and
// minuses are its own.
func (ix *Index) Query(ctx context.Context, query string, q Query) (Answer, error) {
	a, err := ix.query(ctx, query, q)
	if err != nil {
		return Answer{}, fmt.Errorf("search in %s: %w", ix.path, explain(err))
	}
	return a, nil
}

// wanted are the terms of a query and the vector of what it means, nil where
// only words are asked for; it fills what q leaves out.
func (o *Options) wanted(ctx context.Context, query string, q *Query) ([]term, []float32, error) {
	text := meaning(query)
	if q.Plain {
		text = query
		query = strings.NewReplacer(`"`, " ", " -", " ", "* ", " ").Replace(" " + query + " ")
	}
	terms := parse(query)
	if q.Top <= 0 {
		q.Top = 10
	}
	var vector []float32
	if q.Mode != Words && o.Embedder != nil {
		if text == "" {
			return nil, nil, errors.New("the query is empty")
		}
		vectors, err := cmp.Or(o.Queries, o.Embedder).Embed(ctx, text)
		if err != nil {
			return nil, nil, err
		}
		if len(vectors) != 1 {
			return nil, nil, fmt.Errorf("the embedder made %d vectors of 1 text", len(vectors))
		}
		vector = vectors[0]
	}
	if q.Mode == Meaning && vector == nil {
		return nil, nil, errors.New("no model to search by meaning with")
	}
	return terms, vector, nil
}

func (ix *Index) query(ctx context.Context, query string, q Query) (Answer, error) {
	terms, vector, err := ix.options.wanted(ctx, query, &q)
	if err != nil {
		return Answer{}, err
	}
	v, release, err := ix.view(ctx, vector != nil)
	if err != nil {
		return Answer{}, err
	}
	defer v.close()
	found, err := v.candidates(terms, q, vector)
	release()
	if err != nil {
		return Answer{}, err
	}
	return found.answer(ctx, v.tx)
}

// candidates finds and scores passages.
func (v *view) candidates(terms []term, q Query, vector []float32) (*candidates, error) {
	c := newCandidates(terms, q)
	if err := c.filter(v.ctx, v.tx); err != nil {
		return nil, err
	}
	if err := c.words(v); err != nil {
		return nil, err
	}
	if vector == nil {
		return c, nil
	}
	cosines, err := v.ix.rows.vectors.cosines(vector)
	if err != nil {
		return nil, err
	}
	c.meaning(&v.ix.rows, cosines)
	return c, nil
}

// meaning is the text that is embedded: the query without its exclusions and
// marks.
func meaning(query string) string {
	if !demanding(query) {
		return query
	}
	var kept []string
	minus := false
	for i, part := range strings.Split(query, `"`) {
		if i%2 == 1 {
			if !minus {
				kept = append(kept, part)
			}
			continue
		}
		minus = strings.HasSuffix(part, "-")
		for _, w := range strings.Fields(part) {
			if len(w) > 1 && w[0] == '-' && w[1] != '-' || w == "-" {
				continue
			}
			kept = append(kept, strings.TrimSuffix(w, "*"))
		}
	}
	if text := strings.TrimSpace(strings.Join(kept, " ")); text != "" {
		return text
	}
	return strings.TrimSpace(query)
}

// filter finds the documents that may be found at all.
func (c *candidates) filter(ctx context.Context, tx *sql.Tx) error {
	var where []string
	var values []any
	for key, value := range c.query.Fields {
		where = append(where, "json_extract(fields, ?)=?")
		path, _ := json.Marshal(key)
		values = append(values, "$."+string(path), value)
	}
	if c.query.Glob != "" {
		where, values = append(where, "name GLOB ?"), append(values, c.query.Glob)
	}
	if !c.query.After.IsZero() {
		where, values = append(where, "modified>=?"), append(values, c.query.After.Unix())
	}
	if !c.query.Before.IsZero() {
		where, values = append(where, "modified<? AND modified!=0"), append(values, c.query.Before.Unix())
	}
	if len(where) == 0 {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT id FROM documents WHERE "+strings.Join(where, " AND "), values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	c.allowed = map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		c.allowed[id] = true
	}
	return rows.Err()
}
