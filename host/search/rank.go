package search

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// The ranking. Whoever ranks elsewhere, as the page does, does this:
//
// Candidates are the best 400 passages by words, the best 400 by meaning (or four
// times as many as are wanted, if that is more) and those that hold something
// exactly. Each has three numbers:
//
//	words    its BM25 over that of the best candidate: that of SQLite's FTS5 (k1 1.2, b
//	         0.75) of Porter's stems over text, headings and parts of names, with weights 1,
//	         0.7 and 0.5; words of [stop] count only where a query has no others
//	meaning  (cosine - mean)/(best - mean), not below 0; the mean is of all
//	         passages' cosines, the best a candidate's
//	exact    1 if it holds all words of the query one behind the other. Else the
//	         sum over its identifiers and numbers (see [identifier]) of one part of
//	         the query's words that are not of [stop]. A name or phrase counts if no
//	         more than 20 passages, or one of a hundred, hold it, and where more
//	         than 4 do, by 4 over their number
//
// Its score is wordWeight·words + (1-wordWeight)·meaning + exactWeight·exact; by
// words alone words + exactWeight·exact, by meaning alone meaning. Both of the
// first are 1 for the best, and far apart where a query finds one passage clearly.
// A document has the largest of each number among its candidates; its best passage
// is the one of the largest score. Equal scores stand in the order of the index.
const (
	wordWeight = 0.4
	// exactWeight is for what meaning does not know.
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
func (c *candidates) score(words, meaning float64, exact float64) float64 {
	s := 0.0
	switch {
	case c.query.Mode == Words || !c.vectors:
		s = words
	case c.query.Mode == Meaning:
		return meaning
	default:
		s = wordWeight*words + (1-wordWeight)*meaning
	}
	return s + exactWeight*exact
}

// ranked is a document, or a passage, in the order of the answer.
type ranked struct {
	best           *candidate
	score          float64 // of the whole
	own            float64 // of the best passage
	words, meaning float64
	exact          float64
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
	case c.required != nil, c.names > 0 && r.exact >= c.names, r.exact == 1:
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
	documents, err := documentsBy(ctx, tx, "id")
	if err != nil {
		return a, err
	}
	defer documents.Close()
	passages, err := tx.PrepareContext(ctx, readPassage)
	if err != nil {
		return a, err
	}
	defer passages.Close()
	for _, r := range c.rank() {
		if len(a.Hits) == c.query.Top {
			break
		}
		h := Hit{Score: r.score, Cosine: r.best.cosine, BM25: r.best.bm25, Good: c.good(r)}
		if !h.Good && !c.query.All {
			continue
		}
		p, ok, err := passageReader{passages}.read(ctx, r.best.id)
		if err != nil {
			return a, err
		}
		if !ok {
			return a, errBlock
		}
		d, err := documents.read(ctx, r.best.document)
		if err != nil {
			return a, missing(err)
		}
		h.ID, h.Title = d.name, d.title
		h.Start, h.End, h.Line, h.Page, h.Heading, h.Text = p.start, p.start+len(p.text), p.line, p.page, p.heading, p.text
		if d.modified != 0 {
			h.Modified = time.Unix(d.modified, 0).UTC()
		}
		if err := json.Unmarshal([]byte(d.fields), &h.Fields); err != nil {
			return a, err
		}
		h.settle(c.terms, p.turns, p.oneLine)
		if h.Good {
			a.Good++
		}
		a.Hits = append(a.Hits, h)
	}
	return a, nil
}
