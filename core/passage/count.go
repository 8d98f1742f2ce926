package passage

import (
	"slices"
	"strings"
	"unicode"

	"m2embed/core/tokenizer"
)

// tokenized is how many bytes are tokenized at once, so that a long text does not take
// twenty times its own room: so many that their ends do not matter.
const tokenized = 64 << 10

// Tokens returns the bytes at which the tokens of text begin, special tokens
// left out.
func Tokens(t *tokenizer.Tokenizer, text string) []int {
	var starts []int
	for from := 0; from < len(text); {
		to := min(from+tokenized, len(text))
		if to < len(text) { // before a space
			if n := strings.LastIndexFunc(text[from:to], unicode.IsSpace); n > 0 {
				to = from + n
			} else if n := strings.IndexFunc(text[to:], unicode.IsSpace); n >= 0 {
				to += n
			} else {
				to = len(text)
			}
		}
		// Without a limit there is nothing to be refused.
		e, _ := t.Encode(text[from:to], tokenizer.Options{WithoutSpecialTokens: true, Offsets: true})
		starts = slices.Grow(starts, len(e.Offsets))
		for _, o := range e.Offsets {
			starts = append(starts, from+o.Start)
		}
		from = to
	}
	return starts
}

// wordPiece is how many letters a token has in the estimate of Words: English
// words of BERT's vocabulary have 1.3 tokens, long ones more.
const wordPiece = 7

// Words estimates where tokens begin without a tokenizer: one at each word and
// one more every seven letters of it, one at each punctuation mark and
// ideograph.
func Words(text string) []int {
	var starts []int
	letters := 0 // of the word so far
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar || unicode.IsSpace(r) || unicode.IsControl(r):
			letters = 0
		case unicode.Is(unicode.Han, r) || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			starts = append(starts, i)
			letters = 0
		default:
			if letters%wordPiece == 0 {
				starts = append(starts, i)
			}
			letters++
		}
	}
	return starts
}

// longestToken is how many bytes of a word a token may stand for: a tokenizer has one
// token for a word of any length that it does not know, in which a passage would be
// as long.
const longestToken = 1 << 10

// bounded adds starts of tokens within those that are longer.
func bounded(text string, starts []int) []int {
	var all []int
	done := 0 // of starts, in all
	for i, start := range starts {
		next := len(text)
		if i+1 < len(starts) {
			next = starts[i+1]
		}
		if next-start <= longestToken || start < 0 || next > len(text) {
			continue
		}
		word := text[start:next]
		if n := strings.IndexFunc(word, unicode.IsSpace); n >= 0 {
			word = word[:n]
		}
		if len(word) <= longestToken {
			continue
		}
		all = append(all, starts[done:i+1]...)
		done = i + 1
		for at := longestToken; at < len(word); at += longestToken {
			all = append(all, start+at)
		}
	}
	if done == 0 {
		return starts
	}
	return append(all, starts[done:]...)
}
