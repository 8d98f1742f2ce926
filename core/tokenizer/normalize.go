package tokenizer

import (
	"sync/atomic"
	"unicode/utf8"
)

// normalization says which steps a tokenizer.json asks for. The order is fixed:
// clean text, ideographs, accents, case.
type normalization struct {
	cleanText   bool // drop control characters, make white space plain spaces
	ideographs  bool // put a space on either side of an ideograph
	stripAccent bool // decompose (NFD) and drop nonspacing marks
	lowerCase   bool
}

// effect is what normalisation and splitting together make of one character:
// an action in the upper byte and, for some, the character that results.
type effect uint32

const (
	drop     effect = iota << 24 // nothing
	barrier                      // nothing, but marks are not reordered across it
	space                        // the word ends
	letter                       // one character of a word
	isolate                      // a word of its own
	sequence                     // several characters or a mark: see expand
)

func (e effect) action() effect  { return e &^ 0xFFFFFF }
func (e effect) character() rune { return rune(e & 0xFFFFFF) }

// normalizer maps characters to effects. Effects of the first two planes are
// worked out a page of 256 at a time, when the first character of a page is
// met, and kept: at most half a megabyte.
type normalizer struct {
	settings normalization
	ascii    [utf8.RuneSelf]effect
	letters  [256]byte // the resulting byte of each ASCII letter of a word; 0 for all else
	pages    [0x20000 >> 8]atomic.Pointer[[256]effect]
}

func newNormalizer(settings normalization) *normalizer {
	n := &normalizer{settings: settings}
	for c := range n.ascii {
		n.ascii[c] = n.work(rune(c))
		if n.ascii[c].action() == letter {
			n.letters[c] = byte(n.ascii[c].character())
		}
	}
	return n
}

// effect returns what becomes of r.
func (n *normalizer) effect(r rune) effect {
	page := int(r) >> 8
	if page >= len(n.pages) {
		return n.work(r)
	}
	effects := n.pages[page].Load()
	if effects == nil {
		effects = new([256]effect)
		for i := range effects {
			effects[i] = n.work(rune(page<<8 | i))
		}
		// Another goroutine may store its own copy: they are equal.
		n.pages[page].Store(effects)
	}
	return effects[r&0xFF]
}

// work works out the effect of r.
func (n *normalizer) work(r rune) effect {
	if n.settings.cleanText {
		if isSpace(r) && !(r >= '\v' && r <= '\f') && r != 0x85 {
			return space // \v, \f and U+0085 are control characters, too, and that counts first
		}
		if isCleaned(r) {
			return drop
		}
	}
	var buffer [8]rune
	kept, hasBarrier, hasMark := buffer[:0], false, false
	if n.settings.stripAccent {
		var decomposed [8]rune
		for _, part := range appendDecomposition(decomposed[:0], r) {
			switch classOf(part) {
			case droppedMark:
				hasBarrier = hasBarrier || combiningClass(part) == 0
				continue
			case keptMark:
				hasMark = true
			}
			kept = n.appendCased(kept, part)
		}
	} else {
		kept = n.appendCased(kept, r)
	}
	switch {
	case len(kept) == 0 && hasBarrier:
		return barrier
	case len(kept) == 0:
		return drop
	case len(kept) > 1 || hasMark:
		return sequence
	}
	result := effect(kept[0])
	if n.settings.ideographs && isIdeograph(r) {
		return isolate | result
	}
	return splitOf(kept[0]) | result
}

// splitOf returns the action of a normalised character: space, isolate or letter.
func splitOf(r rune) effect {
	switch {
	case isSpace(r):
		return space
	case classOf(r) == punctuation:
		return isolate
	}
	return letter
}

func (n *normalizer) appendCased(dst []rune, r rune) []rune {
	if n.settings.lowerCase {
		return appendLower(dst, r)
	}
	return append(dst, r)
}

// part is one character of an expanded sequence.
type part struct {
	character rune
	kind      class // ordinary, droppedMark or keptMark
	combining uint8 // canonical combining class of a mark
}

// appendExpansion appends what becomes of a character whose effect is sequence.
// Dropped marks stay in as barriers when their combining class is 0.
func (n *normalizer) appendExpansion(dst []part, r rune) []part {
	var decomposed, cased [8]rune
	parts := append(decomposed[:0], r)
	if n.settings.stripAccent {
		parts = appendDecomposition(decomposed[:0], r)
	}
	for _, p := range parts {
		kind := ordinary
		if n.settings.stripAccent {
			kind = classOf(p)
		}
		switch kind {
		case droppedMark:
			if combiningClass(p) == 0 {
				dst = append(dst, part{character: p, kind: droppedMark})
			}
			continue
		case keptMark:
			dst = append(dst, part{character: p, kind: keptMark, combining: combiningClass(p)})
			continue
		}
		for _, c := range n.appendCased(cased[:0], p) {
			dst = append(dst, part{character: c, kind: ordinary})
		}
	}
	return dst
}
