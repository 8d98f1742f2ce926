// Package passage cuts texts into passages: pieces of some hundred tokens that
// are embedded and found one by one.
//
// A passage is a range of bytes of its text. Paragraphs are kept whole where
// they fit, then sentences, then lines, clauses and words, so that a passage
// reads as its author wrote it; a heading begins a new one and is carried as
// context by all that follow below it.
//
// Lengths are in tokens and come from outside, as the bytes at which tokens
// begin: [Tokens] asks a tokenizer, [Words] estimates without one. The package
// is pure: the same text, places and options give the same passages anywhere.
package passage

import "strings"

// Options say how long passages are. The zero value is good.
type Options struct {
	// Target is the number of tokens that a passage aims at; 0 means
	// DefaultTarget.
	Target int
	// Max is the most tokens of a passage, without special tokens and context;
	// 0 means one and a half times Target. It is at least Target.
	Max int
	// Overlap is how many tokens of the passage before a passage may repeat at
	// its beginning: whole sentences (or what else the text had to be cut into),
	// as many as fit, and none across a heading. It is at most half of Target.
	Overlap int
	// Headings are the text's headings in order; [Markdown] finds those of
	// Markdown. Such as lie outside of the text or not in order are left out.
	Headings []Heading
}

// DefaultTarget is the tokens of a passage where Options do not say.
const DefaultTarget = 192

// Passage is a piece of a text, without white space around it.
type Passage struct {
	Start, End int      // bytes of the text
	Tokens     int      // that begin in it
	Headings   []string // titles of the sections it stands in, outermost first; shared, not to be changed
	Above      int      // how many of Headings stand above Start: the rest is in the passage itself
}

// Context is the headings above the passage, outermost first, joined by " > ":
// what a reader who sees the passage alone would miss.
func (p Passage) Context() string { return strings.Join(p.Headings[:p.Above], " > ") }

// Text is the passage's text behind its context, on a line of its own where
// there is one: what to embed.
func (p Passage) Text(text string) string {
	if p.Above == 0 {
		return text[p.Start:p.End]
	}
	return p.Context() + "\n" + text[p.Start:p.End]
}

// Cut cuts text into passages. starts are the bytes at which its tokens begin,
// ascending; [Tokens] and [Words] make them. Those of more than 1,024 bytes without
// white space count as several.
//
// Passages come in the order of the text. Every byte that is not white space is
// in one; Start and End both ascend, and lie between characters; without Overlap
// no two passages share a byte. No passage has more than Max tokens, unless one
// character has. A section that fits into Max is one passage.
func Cut(text string, starts []int, o Options) []Passage {
	if o.Target <= 0 {
		o.Target = DefaultTarget
	}
	if o.Max <= 0 {
		o.Max = o.Target + o.Target/2
	}
	o.Max = max(o.Max, o.Target)
	o.Overlap = min(max(o.Overlap, 0), o.Target/2)
	c := cutter{text: text, starts: bounded(text, starts), options: o}
	at := 0
	for _, h := range o.Headings {
		if h.Start < at || h.End <= h.Start || h.End > len(text) {
			continue
		}
		c.split(at, h.Start, paragraphs)
		c.heading(h)
		at = h.End
	}
	c.split(at, len(text), paragraphs)
	c.end()
	return c.passages
}
