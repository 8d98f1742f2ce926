package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// mark is a character with a combining class in a run of them.
type mark struct {
	at        int   // its place in the run as the text has it
	combining uint8 // canonical combining class
	first     bool  // the first, or only, part of a character of the text
	kept      bool  // not dropped with the accents
}

// markPlaces hands out the places of kept marks. Decomposition puts the marks of
// a run in the order of their classes, but the reference library counts its
// characters off against those of the text as they come: the n-th mark after
// reordering has the place of the n-th before it. So a place depends on the
// whole run, marks that are dropped included.
type markPlaces struct {
	end     int    // of the run in the segment; 0: none is known
	run     []mark // scratch
	sources []Span // of the run's characters
	places  []Span // (marks of the run) in the order of the text
	kept    []Span // of kept marks, in the order of the text
}

// next returns the place of a kept mark that comes of the character at byte i of
// segment s, which begins at base of the text. It must be asked for each in turn.
func (m *markPlaces) next(s string, base, i int, clean bool) Span {
	if i >= m.end {
		m.find(s, base, i, clean)
	}
	place := m.kept[0]
	m.kept = m.kept[1:]
	return place
}

// find works out the places of the run that the character at byte i is in.
func (m *markPlaces) find(s string, base, i int, clean bool) {
	m.run, m.sources, m.places, m.kept = m.run[:0], m.sources[:0], m.places[:0], nil
	var before Span // of the character whose other parts begin the run
	var buffer [8]rune
	for at := runStart(s, i, clean); at < len(s); {
		r, size := utf8.DecodeRuneInString(s[at:])
		place := Span{base + at, base + at + size}
		parts := buffer[:0]
		if !clean || !isCleaned(r) {
			parts = appendDecomposition(parts, r)
		}
		for k, p := range parts {
			class := markClass(p)
			switch {
			case class == 0 && at > i:
				m.settle(before)
				return
			case class == 0:
				m.run, m.sources, before = m.run[:0], m.sources[:0], place
			default:
				m.run = append(m.run, mark{len(m.run), class, k == 0, classOf(p) == keptMark})
				if k == 0 {
					m.sources = append(m.sources, place)
				}
			}
		}
		at += size
		m.end = at
	}
	m.settle(before)
}

// settle puts the run in order and counts its characters off.
func (m *markPlaces) settle(place Span) {
	m.places = append(m.places, make([]Span, len(m.run))...)
	ordered := slices.Clone(m.run)
	slices.SortStableFunc(ordered, func(a, b mark) int { return int(a.combining) - int(b.combining) })
	sources := m.sources
	for _, x := range ordered {
		if x.first {
			place, sources = sources[0], sources[1:]
		}
		m.places[x.at] = place
	}
	kept := m.places[:0]
	for i, x := range m.run {
		if x.kept {
			kept = append(kept, m.places[i])
		}
	}
	m.kept = kept
}

// runStart returns where the run begins that goes on at byte i of s: at a
// character that is no mark, whose own decomposition may end in marks, or at 0.
func runStart(s string, i int, clean bool) int {
	var buffer [8]rune
	r, _ := utf8.DecodeRuneInString(s[i:])
	for i > 0 && markClass(appendDecomposition(buffer[:0], r)[0]) > 0 {
		var size int
		for i > 0 {
			r, size = utf8.DecodeLastRuneInString(s[:i])
			i -= size
			if !clean || !isCleaned(r) {
				break
			}
		}
	}
	return i
}

// isCleaned reports whether clean text drops a character.
func isCleaned(r rune) bool {
	return classOf(r) == control && r != '\t' && r != '\n' && r != '\r'
}

// markClass is the canonical combining class by the tables of the reference
// library: 0 for all but marks, and for marks that are newer than they.
func markClass(r rune) uint8 {
	if k := classOf(r); k == droppedMark || k == keptMark {
		return combiningClass(r)
	}
	return 0
}
