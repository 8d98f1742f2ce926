package search

import (
	"math"
	"slices"
	"strings"
)

// BM25 as SQLite's FTS5 computes it: hits are weighted by columns before they are
// damped, a passage's length is that of all columns, and a word that half of the
// passages have is worth next to nothing, but not less.
const (
	bm25K1 = 1.2
	bm25B  = 0.75
	// leastRarity is what a word is worth at least.
	leastRarity = 1e-6
)

// match is a passage that holds a wording, by its row, and how often, by weights.
type match struct {
	row  int
	hits float64
}

// weighted are hits by the weights of their columns.
func (p *posting) weighted() float64 {
	return columnWeights[0]*float64(p.hits[0]) + columnWeights[1]*float64(p.hits[1]) + columnWeights[2]*float64(p.hits[2])
}

// score adds the BM25 of a wording that counts so many times to the scores of rows.
func (v *view) score(w wording, times float64, scores []float64) error {
	rows := &v.ix.rows
	if w.plain() {
		lists, err := v.lists(w.words)
		if err != nil {
			return err
		}
		n, err := v.count(lists)
		if err != nil {
			return err
		}
		factor := times * rarity(rows.alive(), n) * (bm25K1 + 1)
		var r postingReader
		for _, l := range lists {
			r.reset(l.postings)
			for r.next(0) {
				for i := range r.block {
					p := &r.block[i]
					if row := rows.at(p.id); row >= 0 {
						hits := p.weighted()
						scores[row] += factor * hits / (hits + rows.norms[row])
					}
				}
			}
			if err := r.err(); err != nil {
				return err
			}
		}
		return nil
	}
	all, err := v.matches(w, math.MaxInt)
	if err != nil {
		return err
	}
	factor := times * rarity(rows.alive(), len(all)) * (bm25K1 + 1)
	for _, m := range all {
		scores[m.row] += factor * m.hits / (m.hits + rows.norms[m.row])
	}
	return nil
}

// rarity is what a wording that n of all passages have is worth.
func rarity(all, n int) float64 {
	return max(leastRarity, math.Log((float64(all-n)+0.5)/(float64(n)+0.5)))
}

// plain reports whether a wording is one word in any column.
func (w wording) plain() bool { return !w.prefix && !w.parts && !strings.Contains(w.words, " ") }

// count is how many passages the postings are of.
func (v *view) count(lists []located) (n int, err error) {
	var r postingReader
	for _, l := range lists {
		if !l.worn {
			n += l.count
			continue
		}
		r.reset(l.postings)
		for r.next(0) {
			for _, p := range r.block {
				if v.ix.rows.at(p.id) >= 0 {
					n++
				}
			}
		}
		if err := r.err(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// matches are the passages that hold a wording, by ascending rows; where they are
// more than most, only most+1 of them.
func (v *view) matches(w wording, most int) (found []match, err error) {
	words := strings.Fields(w.words)
	switch {
	case len(words) == 0:
		return nil, nil
	case len(words) == 1 && w.prefix && !w.parts:
		return v.matchesBeginning(words[0])
	case w.plain():
		lists, err := v.lists(w.words)
		if err != nil {
			return nil, err
		}
		var r postingReader
		for _, l := range lists {
			r.reset(l.postings)
			for len(found) <= most && r.next(0) {
				for i := range r.block {
					if row := v.ix.rows.at(r.block[i].id); row >= 0 {
						found = append(found, match{row, r.block[i].weighted()})
					}
				}
			}
			if err := r.err(); err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	lists := make([][]located, len(words)) // by words, then segments
	for i, word := range words {
		if w.prefix && i == len(words)-1 {
			break
		}
		if lists[i], err = v.lists(word); err != nil {
			return nil, err
		}
	}
	for s := range v.segments {
		own := make([]*located, len(words))
		for i := range words {
			if lists[i] == nil {
				joined, err := v.joined(&v.segments[s], words[i])
				if err != nil {
					return nil, err
				}
				own[i] = &joined
				continue
			}
			own[i] = &lists[i][s]
		}
		err := v.phrase(own, w.parts, func(id int64, hits float64) bool {
			if row := v.ix.rows.at(id); row >= 0 {
				found = append(found, match{row, hits})
			}
			return len(found) <= most
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// matchesBeginning are the passages with a word that begins so.
func (v *view) matchesBeginning(word string) (found []match, err error) {
	if v.docs == nil {
		if err := v.prepare(); err != nil {
			return nil, err
		}
	}
	rows := &v.ix.rows
	hits := make([]float64, len(rows.ids))
	for s := range v.segments {
		err := v.beginnings(&v.segments[s], word, false, func(r *postingReader) {
			for r.next(0) {
				for i := range r.block {
					if row := rows.at(r.block[i].id); row >= 0 {
						hits[row] += r.block[i].weighted()
					}
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for row, n := range hits {
		if n > 0 {
			found = append(found, match{row, n})
		}
	}
	return found, nil
}

// phrase visits the passages of a segment that hold words one behind the other, until
// visit has enough. It walks through the passages of the two rarest words, and looks for
// the others where positions of these leave room for the phrase.
func (v *view) phrase(words []*located, parts bool, visit func(id int64, hits float64) bool) error {
	type member struct {
		*postingReader
		list   *located
		offset uint32
	}
	members := make([]member, len(words))
	for i, l := range words {
		if l.count == 0 {
			return nil
		}
		members[i] = member{newPostingReader(l.postings), l, uint32(i)}
	}
	slices.SortStableFunc(members, func(a, b member) int { return a.list.count - b.list.count })
	var starts [columns][]uint32
	target := int64(math.MinInt64)
candidates:
	for {
		first := members[0].seek(target)
		if first == nil {
			break
		}
		id := first.id
		target = id + 1
		// ahead is how many members are known to hold the passage.
		for i, ahead := 0, 1; i < len(members); i++ {
			for ; ahead < len(members) && ahead <= max(i, 1); ahead++ {
				p := members[ahead].seek(id)
				if p == nil {
					break candidates
				}
				if p.id > id {
					target = p.id
					continue candidates
				}
			}
			m := &members[i]
			if m.positions == nil {
				if err := v.positionsOf(m.list); err != nil {
					return err
				}
				m.positions = m.list.postings.positions
			}
			at := m.hits()
			if m.damaged {
				return errPostings
			}
			left := 0
			for column := range starts {
				starts[column] = phraseStarts(starts[column], at[column], m.offset, i == 0)
				left += len(starts[column])
			}
			if left == 0 {
				continue candidates
			}
		}
		hits := columnWeights[partsColumn] * float64(len(starts[partsColumn]))
		if !parts {
			hits += columnWeights[textColumn]*float64(len(starts[textColumn])) + columnWeights[headingColumn]*float64(len(starts[headingColumn]))
		}
		if hits > 0 && !visit(id, hits) {
			return nil
		}
	}
	for _, m := range members {
		if err := m.err(); err != nil {
			return err
		}
	}
	return nil
}

// phraseStarts are places where a phrase may begin, one of whose words stands at some
// positions: all of these the first time, later those that were possible before.
func phraseStarts(starts, at []uint32, offset uint32, first bool) []uint32 {
	if first {
		starts = starts[:0]
		for _, p := range at {
			if p >= offset {
				starts = append(starts, p-offset)
			}
		}
		return starts
	}
	kept, i := starts[:0], 0
	for _, p := range starts {
		for i < len(at) && at[i] < p+offset {
			i++
		}
		if i < len(at) && at[i] == p+offset {
			kept = append(kept, p)
		}
	}
	return kept
}
