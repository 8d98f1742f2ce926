package document

import (
	"strings"
	"unicode"

	"m2embed/core/passage"
)

// flow writes running text: white space collapsed, blocks apart, headings noted.
type flow struct {
	b        strings.Builder
	headings []passage.Heading
	pages    []int
	most     int // bytes of text
	breaks   int // line ends that are due before the next text
	space    bool
	level    int // of the heading in work, 0: none
	start    int // where it begins; -1: nothing written yet
}

// full reports whether there is more text than may be.
func (f *flow) full() bool { return f.b.Len() > f.most }

// due writes what stands between the text so far and the next.
func (f *flow) due() {
	switch {
	case f.b.Len() == 0:
	case f.breaks > 0:
		f.b.WriteString("\n\n"[:min(f.breaks, 2)])
	case f.space:
		f.b.WriteByte(' ')
	}
	f.breaks, f.space = 0, false
	if f.level > 0 && f.start < 0 {
		f.start = f.b.Len()
	}
}

// text adds text of a line.
func (f *flow) text(s string) {
	for len(s) > 0 && !f.full() {
		n := strings.IndexFunc(s, unicode.IsSpace)
		if n == 0 {
			f.space = true
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
			continue
		}
		if n < 0 {
			n = len(s)
		}
		f.due()
		f.b.WriteString(s[:n])
		s = s[n:]
	}
}

// verbatim adds text whose white space means something.
func (f *flow) verbatim(s string) {
	for i, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		if i > 0 {
			f.line(1)
			f.breaks = max(f.breaks, 1)
		}
		if strings.TrimSpace(line) == "" || f.full() {
			continue
		}
		f.space = false
		f.due()
		f.b.WriteString(strings.TrimRightFunc(line, unicode.IsSpace))
	}
}

// line asks for n line ends before the next text.
func (f *flow) line(n int) { f.breaks, f.space = max(f.breaks, n), false }

// heading begins one.
func (f *flow) heading(level int) {
	f.line(2)
	f.level, f.start = level, -1
}

// endHeading ends it.
func (f *flow) endHeading() {
	if f.level > 0 && f.start >= 0 {
		title := strings.Join(strings.Fields(f.b.String()[f.start:]), " ")
		f.headings = append(f.headings, passage.Heading{Start: f.start, End: f.b.Len(), Level: f.level, Title: clip(title, maxFieldBytes)})
	}
	f.level = 0
	f.line(2)
}

// page begins a page.
func (f *flow) page() {
	f.line(2)
	if n := f.b.Len(); len(f.pages) == 0 || n >= f.pages[len(f.pages)-1] {
		f.pages = append(f.pages, n)
	}
}

// document is what was written.
func (f *flow) document(title string) (Document, error) {
	if f.full() {
		return Document{}, tooLarge(f.most)
	}
	if f.b.Len() == 0 {
		return Document{}, ErrNoText
	}
	return Document{Title: title, Text: f.b.String(), Headings: f.headings, Pages: f.pages}, nil
}
