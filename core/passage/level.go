package passage

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// level is what a text is cut into, from coarse to fine.
type level uint8

const (
	paragraphs level = iota // at empty lines; a fenced block is one
	sentences               // and items of a list
	lines
	clauses // behind , ; : and before a bracket
	words   // at white space
	tokens
)

// next is where the piece of text[start:end] that begins at start ends, which is
// behind start. f has seen the pieces before.
func (l level) next(text string, start, end int, f *fences) int {
	switch l {
	case paragraphs:
		return nextParagraph(text, start, end, f)
	case sentences:
		return nextSentence(text, start, end)
	case lines:
		if i := strings.IndexByte(text[start:end], '\n'); i >= 0 {
			return start + i + 1
		}
	case clauses:
		return nextClause(text, start, end)
	case words:
		for i, r := range text[start:end] {
			if i > 0 && unicode.IsSpace(r) {
				return start + i
			}
		}
	}
	return end
}

// nextParagraph ends before an empty line, and before and behind a fenced block.
func nextParagraph(text string, start, end int, f *fences) int {
	for at := start; at < end; {
		line := lineEnd(text, at, end)
		content := strings.TrimSpace(text[at:line])
		if content == "" && at > start {
			return at
		}
		if after := f.block(text, content, line, end); after > 0 {
			if at > start {
				return at
			}
			return after
		}
		at = line
	}
	return end
}

// nextClause ends behind a comma, semicolon or colon with white space after it,
// behind an ideographic one, or before an opening bracket.
func nextClause(text string, start, end int) int {
	for i := start; i < end; {
		r, size := utf8.DecodeRuneInString(text[i:end])
		switch r {
		case ',', ';', ':', '–', '—':
			if n := i + size; n < end && isSpace(text[n]) {
				return n
			}
		case '，', '；', '：', '、':
			return i + size
		case '(', '[', '{':
			if i > start && isSpace(text[i-1]) {
				return i
			}
		}
		i += size
	}
	return end
}

// lineEnd is where the line that holds byte at ends, its line break included.
func lineEnd(text string, at, end int) int {
	if i := strings.IndexByte(text[at:end], '\n'); i >= 0 {
		return at + i + 1
	}
	return end
}

// trim leaves out white space at both ends of a range.
func trim(text string, start, end int) (int, int) {
	s := strings.TrimLeftFunc(text[start:end], unicode.IsSpace)
	start = end - len(s)
	return start, start + len(strings.TrimRightFunc(s, unicode.IsSpace))
}

// continues reports whether a byte is the second or later of a character.
func continues(b byte) bool { return b&0xC0 == 0x80 }

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
