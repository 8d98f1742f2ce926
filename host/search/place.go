package search

import (
	"slices"
	"strings"

	"m2embed/core/passage"
)

// turn is where, within a passage, another page or another section begins.
type turn struct {
	At      int    `json:"at"` // byte of the passage
	Page    int    `json:"page"`
	Heading string `json:"heading"`
}

// turner finds the turns of a document's passages, which come in their order.
type turner struct {
	document *Document
	next     int // heading
	sections     // above it
}

// of returns the turns of a passage that begins on a page.
func (t *turner) of(p *piece) (all []turn) {
	d, page, heading := t.document, p.page, p.heading
	for ; t.next < len(d.Headings) && d.Headings[t.next].Start <= p.Start; t.next++ {
		t.enter(d.Headings[t.next])
	}
	pages := d.Pages[min(page, len(d.Pages)):]
	turnPages := func(end int) {
		for ; len(pages) > 0 && pages[0] < end; pages = pages[1:] {
			page++
			all = append(all, turn{pages[0] - p.Start, page, heading})
		}
	}
	inside := sections(slices.Clone(t.sections))
	for _, h := range d.Headings[t.next:] {
		if h.Start >= p.End {
			break
		}
		if h.Start <= p.Start {
			continue // not in order
		}
		turnPages(h.Start + 1)
		inside.enter(h)
		heading = inside.String()
		all = append(all, turn{h.Start - p.Start, page, heading})
	}
	turnPages(p.End)
	return all
}

// sections are the headings above a place, outermost first.
type sections []passage.Heading

func (s *sections) enter(h passage.Heading) {
	for len(*s) > 0 && (*s)[len(*s)-1].Level >= h.Level {
		*s = (*s)[:len(*s)-1]
	}
	*s = append(*s, h)
}

func (s sections) String() string {
	titles := make([]string, len(s))
	for i, h := range s {
		titles[i] = h.Title
	}
	return strings.Join(titles, " > ")
}

// settle marks the words of a query in a hit and moves its place to them.
func (h *Hit) settle(terms []term, turns []turn, oneLine bool) {
	var which []markedWord
	h.Marks, which = marks(h.Text, terms)
	at := focus(h.Marks, which)
	if h.Line > 0 && !oneLine {
		h.Line += strings.Count(h.Text[:at], "\n")
	}
	if n, _ := slices.BinarySearchFunc(turns, at+1, func(t turn, at int) int { return t.At - at }); n > 0 {
		h.Page, h.Heading = turns[n-1].Page, turns[n-1].Heading
	}
}
