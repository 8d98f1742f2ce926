package search

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
)

// candidates are passages that may be an answer, with their scores.
type candidates struct {
	terms []term
	query Query

	condition string // on documents, in SQL
	values    []any
	allowed   map[int64]bool    // documents; nil: all
	required  map[int64]bool    // passages that hold all quoted phrases; nil: none are asked for
	excluded  map[int64]bool    // passages that hold what must not be there
	exact     map[int64]float64 // share of the query's words that a passage holds as rare names and numbers, or as one phrase
	names     float64           // share of the query's words that are rare names and numbers

	passages map[int64]*candidate
	best     float64 // BM25 of the best
	vectors  bool    // there are cosines
	mean     float64 // of all cosines
	spread   float64 // their standard deviation
	top      float64 // the largest
}

// candidate is one passage.
type candidate struct {
	id, document int64
	bm25, cosine float64
	exact        float64
}

const (
	wordCandidates    = 400
	meaningCandidates = 400
	// mostRequired is the most passages that are looked at for a quoted phrase.
	mostRequired = 20000
	// wordRows is how many passages are scored by BM25, or a few more: FTS5 takes
	// 3.5 µs for each. See narrow.
	wordRows = 2000
)

func newCandidates(terms []term, q Query) *candidates {
	return &candidates{terms: terms, query: q, passages: map[int64]*candidate{}}
}

// words finds the best passages by BM25, and which hold what must or must not be
// there.
func (c *candidates) words(ctx context.Context, tx *sql.Tx) error {
	if err := c.demands(ctx, tx); err != nil {
		return err
	}
	if err := c.holders(ctx, tx); err != nil {
		return err
	}
	e := expression(c.terms)
	if e == "" || c.query.Mode == Meaning {
		return nil
	}
	limit := max(wordCandidates, 4*c.query.Top)
	few := ""
	if c.required != nil {
		limit = mostRequired
	} else {
		var err error
		if few, err = narrow(ctx, tx, plain(c.terms), max(wordRows, 2*limit), limit); err != nil {
			return err
		}
	}
	// The plus keeps SQLite from asking FTS5 for one row at a time; BM25 is computed
	// behind all conditions.
	where, values := "words MATCH ?", []any{e}
	if few != "" {
		where, values = where+" AND +words.rowid IN (SELECT rowid FROM words WHERE words MATCH ?)", append(values, few)
	}
	if c.condition != "" {
		where += " AND p.document IN (SELECT id FROM documents WHERE " + c.condition + ")"
		values = append(values, c.values...)
	}
	statement := `SELECT words.rowid, p.document, bm25(words, 1.0, 0.7, 0.5) AS score FROM words JOIN passages p ON p.id=words.rowid
		WHERE ` + where + ` ORDER BY score LIMIT ?`
	if few == "" && c.condition == "" {
		statement = `SELECT w.id, p.document, w.score FROM (SELECT rowid AS id, rank AS score FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?) w
			JOIN passages p ON p.id=w.id`
	} else if c.condition == "" {
		statement = `SELECT w.id, p.document, w.score FROM (SELECT rowid AS id, bm25(words, 1.0, 0.7, 0.5) AS score FROM words
			WHERE ` + where + ` ORDER BY score LIMIT ?) w JOIN passages p ON p.id=w.id`
	}
	values = append(values, limit)
	rows, err := tx.QueryContext(ctx, statement, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, document int64
		var rank float64
		if err := rows.Scan(&id, &document, &rank); err != nil {
			return err
		}
		if p := c.passage(id, document); p != nil {
			p.bm25 = -rank
			c.best = max(c.best, p.bm25)
		}
	}
	return rows.Err()
}

// narrow says which passages are worth scoring where the words of a query are in
// more than most: those with one of its rarest words, which have most of the
// weight, as many of these words as most allows. Where even the rarest is in more,
// it is those with the two or more rarest, as long as enough have them. "" means
// all.
func narrow(ctx context.Context, tx *sql.Tx, words []string, most, enough int) (string, error) {
	type word struct {
		match string
		rows  int
	}
	count := func(match string) (n int, err error) {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM words WHERE words MATCH ?", match).Scan(&n)
		return n, err
	}
	var known []word
	all := 0
	for _, w := range words {
		n, err := count(w)
		if err != nil {
			return "", err
		}
		if n > 0 {
			known = append(known, word{w, n})
			all += n
		}
	}
	if all <= most || len(known) < 2 {
		return "", nil
	}
	slices.SortStableFunc(known, func(a, b word) int { return cmp.Compare(a.rows, b.rows) })
	e, rows := "("+known[0].match+")", known[0].rows
	for _, w := range known[1:] {
		next := e + " OR (" + w.match + ")"
		if rows > most {
			next = e + " AND (" + w.match + ")"
			n, err := count(next)
			if err != nil {
				return "", err
			}
			if n < enough {
				break
			}
			e, rows = next, n
			if rows <= most {
				break
			}
			continue
		}
		if rows+w.rows > most {
			break
		}
		e, rows = next, rows+w.rows
	}
	return e, nil
}

// passage is the candidate of an id, nil if it may not be found.
func (c *candidates) passage(id, document int64) *candidate {
	if c.allowed != nil && !c.allowed[document] || c.required != nil && !c.required[id] || c.excluded[id] {
		return nil
	}
	p := c.passages[id]
	if p == nil {
		p = &candidate{id: id, document: document, exact: c.exact[id]}
		c.passages[id] = p
	}
	return p
}

// demands fills required, excluded and exact.
func (c *candidates) demands(ctx context.Context, tx *sql.Tx) error {
	var must, not, rare []string
	words := 0.0
	c.exact = map[int64]float64{}
	var total int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM passages").Scan(&total); err != nil {
		return err
	}
	for _, t := range c.terms {
		if !t.excluded && !t.stopped() {
			words++
		}
		switch {
		case t.excluded:
			not = append(not, t.match())
		case t.quoted:
			must = append(must, t.match())
		case t.exact:
			rare = append(rare, quote(t.pieces))
		}
	}
	whole := phrase(c.terms)
	if whole != "" {
		rare = append(rare, whole)
	}
	var err error
	for _, e := range rare {
		if c.query.Mode == Meaning {
			break
		}
		few := max(20, total/100)
		ids, err := matching(ctx, tx, e, few+1)
		if err != nil {
			return err
		}
		if len(ids) == 0 || len(ids) > few {
			continue
		}
		share := 1.0
		if e != whole {
			share /= max(words, 1)
			c.names += share
		}
		share *= min(1, 4/float64(len(ids)))
		for id := range ids {
			c.exact[id] = min(1, c.exact[id]+share)
		}
	}
	if len(not) > 0 {
		if c.excluded, err = matching(ctx, tx, strings.Join(not, " OR "), -1); err != nil {
			return err
		}
	}
	if len(must) > 0 {
		if c.required, err = matching(ctx, tx, strings.Join(must, " AND "), mostRequired); err != nil {
			return err
		}
		return c.verify(ctx, tx)
	}
	return nil
}

// holders makes candidates of what holds an identifier or a phrase, whether or not
// BM25 and the meaning would.
func (c *candidates) holders(ctx context.Context, tx *sql.Tx) error {
	if len(c.exact) == 0 {
		return nil
	}
	read, err := tx.PrepareContext(ctx, "SELECT document FROM passages WHERE id=?")
	if err != nil {
		return err
	}
	defer read.Close()
	for id := range c.exact {
		var document int64
		if err := read.QueryRowContext(ctx, id).Scan(&document); err != nil {
			return err
		}
		c.passage(id, document)
	}
	return nil
}

// matching returns the passages that an expression finds, at most limit; -1: all.
func matching(ctx context.Context, tx *sql.Tx, expression string, limit int) (map[int64]bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", expression, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids[id] = true
	}
	return ids, rows.Err()
}

// verify leaves of the required passages those that hold every quoted phrase with
// the very words, not with others of the same stem.
func (c *candidates) verify(ctx context.Context, tx *sql.Tx) error {
	read, err := tx.PrepareContext(ctx, "SELECT p.text, p.heading, d.title FROM passages p JOIN documents d ON d.id=p.document WHERE p.id=?")
	if err != nil {
		return err
	}
	defer read.Close()
	for id := range c.required {
		var text, heading, title string
		if err := read.QueryRowContext(ctx, id).Scan(&text, &heading, &title); err != nil {
			return err
		}
		words := folded(text + "\n" + title + "\n" + heading)
		for _, t := range c.terms {
			if t.quoted && !t.excluded && !holds(words, folded(strings.Join(t.pieces, " "))) {
				delete(c.required, id)
				break
			}
		}
	}
	return nil
}

// holds reports whether words have a phrase in a row.
func holds(words, phrase []string) bool {
	for i := 0; i+len(phrase) <= len(words); i++ {
		if slices.Equal(words[i:i+len(phrase)], phrase) {
			return true
		}
	}
	return false
}

// meaning takes the cosines of all passages; set.ids go with them.
func (c *candidates) meaning(set *vectorSet, cosines []float32) {
	c.vectors = true
	var sum, squares float64
	n := 0
	type place struct {
		at     int
		cosine float32
	}
	most := max(meaningCandidates, 4*c.query.Top)
	best := make([]place, 0, 2*most)
	floor := float32(-2)
	cut := func() {
		slices.SortFunc(best, func(a, b place) int { return cmp.Or(cmp.Compare(b.cosine, a.cosine), cmp.Compare(a.at, b.at)) })
		if len(best) > most {
			best = best[:most]
			floor = best[most-1].cosine
		}
	}
	for i, x := range cosines {
		sum += float64(x)
		squares += float64(x) * float64(x)
		n++
		if x <= floor || c.allowed != nil && !c.allowed[set.documents[i]] || c.required != nil && !c.required[set.ids[i]] || c.excluded[set.ids[i]] {
			continue
		}
		if best = append(best, place{i, x}); len(best) == 2*most {
			cut()
		}
	}
	cut()
	if n > 0 {
		c.mean = sum / float64(n)
		c.spread = math.Sqrt(max(squares/float64(n)-c.mean*c.mean, 0))
	}
	for _, p := range best {
		if found := c.passage(set.ids[p.at], set.documents[p.at]); found != nil {
			c.top = max(c.top, float64(p.cosine))
		}
	}
	// Those found by words have a meaning, too.
	for _, p := range c.passages {
		if i, ok := slices.BinarySearch(set.ids, p.id); ok {
			p.cosine = float64(cosines[i])
		}
	}
}
