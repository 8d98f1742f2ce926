package tokenizer

import "unicode"

// class is what a character is to the tokenizer, by the tables of the reference
// library. Those are older than Go's: for them, marks and punctuation added to
// Unicode since are ordinary characters, and so are unassigned code points.
type class uint8

const (
	ordinary    class = iota
	control           // dropped by clean text: Cc, Cf, Co, U+0000, U+FFFD
	punctuation       // a word of its own
	droppedMark       // dropped by strip accents: Mn
	keptMark          // not dropped, but has a combining class: takes part in reordering
)

type classRange struct {
	low, high rune
	class     class
}

// classOf finds the class of a character by binary search.
func classOf(r rune) class {
	low, high := 0, len(classRanges)
	for low < high {
		middle := (low + high) / 2
		if classRanges[middle].high < r {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(classRanges) && classRanges[low].low <= r {
		return classRanges[low].class
	}
	return ordinary
}

// isSpace reports Unicode's White_Space property, which no release has changed
// since U+180E lost it in 6.3.
func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

// isIdeograph reports the characters that get a space on either side. The sixth
// range begins at U+2B920, not at U+2B820 where CJK extension E does: the
// reference library has it so, and ids must follow.
func isIdeograph(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF ||
		r >= 0x3400 && r <= 0x4DBF ||
		r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F ||
		r >= 0x2B740 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x2F800 && r <= 0x2FA1F
}

// Hangul syllables decompose by arithmetic (Unicode core specification, 3.12).
const (
	hangulFirst    = 0xAC00
	hangulLast     = 0xD7A3
	hangulLeading  = 0x1100
	hangulVowel    = 0x1161
	hangulTrailing = 0x11A7
	hangulVowels   = 21
	hangulTrails   = 28
)

// appendDecomposition appends the full canonical decomposition of r, as of Unicode
// 9: the reference library leaves characters that were added later whole.
func appendDecomposition(dst []rune, r rune) []rune {
	if r < 0xC0 {
		return append(dst, r)
	}
	if r >= hangulFirst && r <= hangulLast {
		syllable := r - hangulFirst
		dst = append(dst,
			hangulLeading+syllable/(hangulVowels*hangulTrails),
			hangulVowel+syllable/hangulTrails%hangulVowels)
		if trail := syllable % hangulTrails; trail != 0 {
			dst = append(dst, hangulTrailing+trail)
		}
		return dst
	}
	if parts := decomposed.of(r); parts != nil {
		return append(dst, parts...)
	}
	return append(dst, r)
}

// appendLower appends r in lower case, character by character: no rule for a
// final sigma. Only U+0130 becomes two characters.
func appendLower(dst []rune, r rune) []rune {
	if r == 0x130 {
		return append(dst, 'i', 0x307)
	}
	return append(dst, unicode.ToLower(r))
}
