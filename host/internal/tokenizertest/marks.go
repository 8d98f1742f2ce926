package tokenizertest

import (
	"strings"
	"unicode"
)

// keptMarks are the characters that normalisation may move, but does not drop,
// and those that decompose to some. The reference library moves the characters
// but leaves their offsets where they were; core/tokenizer moves both, so texts
// with such marks are compared without offsets.
var keptMarks = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x08D4, 0x08E1, 1}, {0x1B44, 0x1B44, 1}, {0x1BAA, 0x1BAA, 1}, {0x1BF2, 0x1BF3, 1}, {0x1DFB, 0x1DFB, 1},
		{0x302E, 0x302F, 1}, {0xA953, 0xA953, 1}, {0xA9C0, 0xA9C0, 1},
	},
	R32: []unicode.Range32{
		{0x111C0, 0x111C0, 1}, {0x11235, 0x11235, 1}, {0x1134D, 0x1134D, 1}, {0x11442, 0x11446, 4}, {0x116B6, 0x116B6, 1},
		{0x11C3F, 0x11C3F, 1}, {0x1D15E, 0x1D166, 1}, {0x1D16D, 0x1D172, 1}, {0x1D1BB, 0x1D1C0, 1}, {0x1E000, 0x1E02A, 1}, {0x1E944, 0x1E94A, 1},
	},
}

// HasKeptMark reports whether offsets of a text are not to be compared.
func HasKeptMark(text string) bool { return strings.ContainsFunc(text, isKeptMark) }

func isKeptMark(r rune) bool { return unicode.Is(keptMarks, r) }
