package search

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// candidates are passages that may be an answer, with their scores.
type candidates struct {
	terms []term
	query Query

	allowed  map[int64]bool    // documents; nil: all
	required map[int64]bool    // passages that hold all quoted phrases; nil: none are asked for
	excluded map[int64]bool    // passages that hold what must not be there
	exact    map[int64]float64 // share of the query's words that a passage holds as rare names and numbers, or as one phrase
	names    float64           // share of the query's words that are rare names and numbers

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
)

func newCandidates(terms []term, q Query) *candidates {
	return &candidates{terms: terms, query: q, passages: map[int64]*candidate{}}
}

// words finds the best passages by BM25, and which hold what must or must not be
// there.
func (c *candidates) words(v *view) error {
	w := wantedOf(c.terms, stemmer{})
	if err := c.demands(v, w); err != nil {
		return err
	}
	rows := &v.ix.rows
	for id := range c.exact {
		if row := rows.at(id); row >= 0 {
			c.passage(id, rows.documents[row])
		}
	}
	if len(w.score) == 0 || c.query.Mode == Meaning {
		return nil
	}
	scores := make([]float64, len(rows.ids))
	times := map[wording]int{}
	for _, one := range w.score {
		times[one]++
	}
	for _, one := range w.score {
		if n := times[one]; n > 0 {
			times[one] = 0
			if err := v.score(one, float64(n), scores); err != nil {
				return err
			}
		}
	}
	most := max(wordCandidates, 4*c.query.Top)
	if c.required != nil {
		most = mostRequired
	}
	best := newBest[float64](most)
	for row, score := range scores {
		if score > best.floor && c.may(rows.ids[row], rows.documents[row]) {
			best.add(row, score)
		}
	}
	for _, p := range best.sorted() {
		found := c.passage(rows.ids[p.row], rows.documents[p.row])
		found.bm25 = p.score
		c.best = max(c.best, p.score)
	}
	return nil
}

// best are the rows with the largest scores, of equal ones the first: a heap whose
// root is the worst of them.
type best[T float32 | float64] struct {
	most  int
	floor T // what is not above it is not among them
	all   []scored[T]
}

type scored[T float32 | float64] struct {
	row   int
	score T
}

// worse reports whether s stands behind o.
func (s scored[T]) worse(o scored[T]) bool {
	return s.score < o.score || s.score == o.score && s.row > o.row
}

// newBest takes scores above 0.
func newBest[T float32 | float64](most int) *best[T] { return &best[T]{most: most} }

// add takes rows in ascending order, if their score is above the floor.
func (b *best[T]) add(row int, score T) {
	if len(b.all) < b.most {
		if b.all = append(b.all, scored[T]{row, score}); len(b.all) < b.most {
			return
		}
		b.sorted()
		slices.Reverse(b.all) // a heap, too
	} else {
		b.all[0] = scored[T]{row, score}
		for i := 0; ; {
			worst := 2*i + 1
			if worst >= len(b.all) {
				break
			}
			if worst+1 < len(b.all) && b.all[worst+1].worse(b.all[worst]) {
				worst++
			}
			if !b.all[worst].worse(b.all[i]) {
				break
			}
			b.all[i], b.all[worst] = b.all[worst], b.all[i]
			i = worst
		}
	}
	b.floor = b.all[0].score
}

// sorted ends the adding.
func (b *best[T]) sorted() []scored[T] {
	slices.SortFunc(b.all, func(x, y scored[T]) int { return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.row, y.row)) })
	return b.all
}

// may reports whether a passage may be found.
func (c *candidates) may(id, document int64) bool {
	return (c.allowed == nil || c.allowed[document]) && (c.required == nil || c.required[id]) && !c.excluded[id]
}

// passage is the candidate of an id, nil if it may not be found.
func (c *candidates) passage(id, document int64) *candidate {
	if !c.may(id, document) {
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
func (c *candidates) demands(v *view, w wanted) error {
	var rare []wording
	words := 0.0
	c.exact = map[int64]float64{}
	stems := stemmer{}
	for _, t := range c.terms {
		if !t.excluded && !t.stopped() {
			words++
		}
		if t.exact && !t.excluded && !t.quoted {
			rare = append(rare, wording{words: t.phrase(stems).words})
		}
	}
	all := whole(c.terms, stems)
	if all.words != "" {
		rare = append(rare, all)
	}
	for _, one := range rare {
		if c.query.Mode == Meaning {
			break
		}
		few := max(20, v.ix.rows.alive()/100)
		found, err := v.matches(one, few)
		if err != nil {
			return err
		}
		if len(found) == 0 || len(found) > few {
			continue
		}
		share := 1.0
		if one != all {
			share /= max(words, 1)
			c.names += share
		}
		share *= min(1, 4/float64(len(found)))
		for _, m := range found {
			id := v.ix.rows.ids[m.row]
			c.exact[id] = min(1, c.exact[id]+share)
		}
	}
	for _, one := range w.not {
		found, err := v.matches(one, math.MaxInt)
		if err != nil {
			return err
		}
		if c.excluded == nil {
			c.excluded = map[int64]bool{}
		}
		for _, m := range found {
			c.excluded[v.ix.rows.ids[m.row]] = true
		}
	}
	for i, one := range w.must {
		found, err := v.matches(one, math.MaxInt)
		if err != nil {
			return err
		}
		both := map[int64]bool{}
		for _, m := range found {
			if id := v.ix.rows.ids[m.row]; i == 0 || c.required[id] {
				both[id] = true
			}
		}
		c.required = both
	}
	if c.required == nil {
		return nil
	}
	ids := slices.Sorted(maps.Keys(c.required))
	for _, id := range ids[min(len(ids), mostRequired):] {
		delete(c.required, id)
	}
	return c.verify(v, ids[:min(len(ids), mostRequired)])
}

// verify leaves of the required passages those that hold every quoted phrase with
// the very words, not with others of the same stem.
func (c *candidates) verify(v *view, ids []int64) error {
	texts := textReader{ctx: v.ctx, tx: v.tx}
	documents, err := documentsBy(v.ctx, v.tx, "id")
	if err != nil {
		return err
	}
	defer documents.Close()
	var document documentRow
	for _, id := range ids {
		p, ok, err := texts.read(id)
		if err != nil {
			return err
		}
		if row := v.ix.rows.at(id); row >= 0 && v.ix.rows.documents[row] != document.id {
			if document, err = documents.read(v.ctx, v.ix.rows.documents[row]); err != nil {
				return missing(err)
			}
		}
		words := folded(p.text + "\n" + document.title + "\n" + p.heading)
		for _, t := range c.terms {
			if !ok || t.quoted && !t.excluded && !holds(words, folded(strings.Join(t.pieces, " "))) {
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

// meaning takes the cosines of all rows.
func (c *candidates) meaning(rows *rows, cosines []float32) {
	c.vectors = true
	var sum, squares float64
	near := newBest[float32](max(meaningCandidates, 4*c.query.Top))
	near.floor = -2
	for row, x := range cosines {
		document := rows.documents[row]
		if document == 0 {
			continue
		}
		sum += float64(x)
		squares += float64(x) * float64(x)
		if x > near.floor && c.may(rows.ids[row], document) {
			near.add(row, x)
		}
	}
	if n := float64(rows.alive()); n > 0 {
		c.mean = sum / n
		c.spread = math.Sqrt(max(squares/n-c.mean*c.mean, 0))
	}
	for _, p := range near.sorted() {
		c.passage(rows.ids[p.row], rows.documents[p.row])
		c.top = max(c.top, float64(p.score))
	}
	// Those found by words have a meaning, too.
	for _, p := range c.passages {
		if row := rows.at(p.id); row >= 0 && row < len(cosines) {
			p.cosine = float64(cosines[row])
		}
	}
}
