package search

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"
)

// The fusion. A passage's words count as its BM25 over the best one's, its
// meaning as its cosine's place between the mean of all passages' and the best;
// both are then 1 for the best, and far apart where a query finds one passage
// clearly. A document has the best of each of its passages.
const (
	wordWeight = 0.4
	// exactWeight is added for the share of the query's rare identifiers and
	// numbers that a passage holds: meaning does not know them.
	exactWeight = 0.5
	// goodDeviations above the mean is where a cosine begins to say something.
	goodDeviations = 3
	// goodWords is the share of the best BM25 below which words say little.
	goodWords = 0.5
)

// wordScore and meaningScore are a passage's, 0 to 1.
func (c *candidates) wordScore(p *candidate) float64 {
	if c.best <= 0 {
		return 0
	}
	return p.bm25 / c.best
}

func (c *candidates) meaningScore(p *candidate) float64 {
	if !c.vectors || c.top <= c.mean {
		return 0
	}
	return max(0, (p.cosine-c.mean)/(c.top-c.mean))
}

// score puts both together.
func (c *candidates) score(words, meaning float64, exact int) float64 {
	s := 0.0
	switch {
	case c.query.Mode == Words || !c.vectors:
		s = words
	case c.query.Mode == Meaning:
		return meaning
	default:
		s = wordWeight*words + (1-wordWeight)*meaning
	}
	if c.exacts > 0 {
		s += exactWeight * float64(exact) / float64(c.exacts)
	}
	return s
}

// ranked is a document, or a passage, in the order of the answer.
type ranked struct {
	best           *candidate
	score          float64 // of the whole
	own            float64 // of the best passage
	words, meaning float64
	exact          int
}

// rank orders the candidates.
func (c *candidates) rank() []ranked {
	groups := map[int64]*ranked{}
	for _, p := range c.passages {
		key := p.document
		if c.query.Passages {
			key = p.id
		}
		words, meaning := c.wordScore(p), c.meaningScore(p)
		own := c.score(words, meaning, p.exact)
		g := groups[key]
		if g == nil {
			g = &ranked{own: math.Inf(-1)}
			groups[key] = g
		}
		g.words, g.meaning, g.exact = max(g.words, words), max(g.meaning, meaning), max(g.exact, p.exact)
		if own > g.own || own == g.own && p.id < g.best.id {
			g.best, g.own = p, own
		}
	}
	all := make([]ranked, 0, len(groups))
	for _, g := range groups {
		g.score = c.score(g.words, g.meaning, g.exact)
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.best.id, b.best.id))
	})
	return all
}

// good reports whether a hit is above the relevance floor: it holds a quoted
// phrase or all rare identifiers, or enough of the query's words, or its meaning
// stands out among all passages.
func (c *candidates) good(r ranked) bool {
	switch {
	case c.required != nil, c.exacts > 0 && r.exact == c.exacts:
		return true
	case c.query.Mode != Meaning && r.words >= goodWords:
		return true
	case !c.vectors || c.query.Mode == Words:
		return false
	}
	return r.meaning > 0 && r.best.cosine >= c.mean+goodDeviations*c.spread
}

// answer reads the best passages.
func (c *candidates) answer(ctx context.Context, tx *sql.Tx) (Answer, error) {
	var a Answer
	read, err := tx.PrepareContext(ctx, `SELECT d.name, d.title, d.modified, d.fields, p.start, p.stop, p.line, p.page, p.heading, p.text
		FROM passages p JOIN documents d ON d.id=p.document WHERE p.id=?`)
	if err != nil {
		return a, err
	}
	defer read.Close()
	for _, r := range c.rank() {
		if len(a.Hits) == c.query.Top {
			break
		}
		h := Hit{Score: r.score, Cosine: r.best.cosine, BM25: r.best.bm25, Good: c.good(r)}
		if !h.Good && !c.query.All {
			continue
		}
		var modified int64
		var fields string
		err := read.QueryRowContext(ctx, r.best.id).Scan(&h.ID, &h.Title, &modified, &fields, &h.Start, &h.End, &h.Line, &h.Page, &h.Heading, &h.Text)
		if errors.Is(err, sql.ErrNoRows) { // came after this transaction had begun
			continue
		}
		if err != nil {
			return a, err
		}
		if modified != 0 {
			h.Modified = time.Unix(modified, 0).UTC()
		}
		if err := json.Unmarshal([]byte(fields), &h.Fields); err != nil {
			return a, err
		}
		h.Marks = marks(h.Text, c.terms)
		if h.Good {
			a.Good++
		}
		a.Hits = append(a.Hits, h)
	}
	return a, nil
}
