package passage

import (
	"unicode"

	"m2embed/core/tokenizer"
)

// Tokens returns the bytes at which the tokens of text begin, special tokens
// left out.
func Tokens(t *tokenizer.Tokenizer, text string) []int {
	// Without a limit there is nothing to be refused.
	e, _ := t.Encode(text, tokenizer.Options{WithoutSpecialTokens: true, Offsets: true})
	starts := make([]int, len(e.Offsets))
	for i, o := range e.Offsets {
		starts[i] = o.Start
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
