package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// TestMarkPlaces holds the places of words with reordered marks against those of
// the reference library 0.23 (bytes; characters there).
func TestMarkPlaces(t *testing.T) {
	plain := parse(t, "tokenizer/bert-base-uncased.json")
	folding := &Tokenizer{
		size: plain.size, vocabulary: plain.vocabulary, normalizer: plain.normalizer, unknownID: plain.unknownID, maxCharactersPerWord: 100,
		foldedAdded: newAddedTokens(map[string]addedToken{"never there": {content: "never there", id: 5}}),
	}
	for text, want := range map[string][]Span{
		"a\u0340\u0361b":                                   {{0, 6}},
		"wk\u034a\U0001d165":                               {{0, 4}},
		"c\u030e\U0001d165\u0302":                          {{0, 3}},
		"z\u0318\u0353\U0001d165":                          {{0, 3}},
		"\u034a\U0001d165 x":                               {{0, 2}, {7, 8}},
		"\U0001d165\u034a":                                 {{0, 4}},
		"a\U0001d165\u0301b":                               {{0, 8}},
		"P\u0334\u065f\U0001d165":                          {{0, 5}},
		"a\u302e\u0323":                                    {{0, 6}},
		"a\u0323\u302e":                                    {{0, 6}},
		"a\u0301\u302e":                                    {{0, 3}},
		"a\u302e\u0301":                                    {{0, 4}},
		"a\u0301\u0323\u302eb c":                           {{0, 9}, {10, 11}},
		"x\u0301\U0001d15ey":                               {{0, 8}},
		"\u032f\U0001d16e\u0309\U00011235\u0332.\u0357":    {{0, 6}, {14, 15}},
		"\u0325\u0338\u0351\n\u302f\U0001d165\u0310\u0308": {{7, 14}},
		".\U0001d16d\u0336\u034c\ua953.":                   {{0, 1}, {5, 9}, {12, 13}},
	} {
		for name, tokenizer := range map[string]*Tokenizer{"plain": plain, "folding": folding} {
			e, err := tokenizer.Encode(text, Options{WithoutSpecialTokens: true, Offsets: true})
			if err != nil || !slices.Equal(e.Offsets, want) {
				t.Errorf("%s: %+q: %v, %v, want %v", name, text, e.Offsets, err, want)
			}
		}
	}
}

// TestMarkPlacesLinear: one run of marks is put in order once.
func TestMarkPlacesLinear(t *testing.T) {
	const n = 200_000
	text := "a" + strings.Repeat("\U0001d165\u0301", n)
	e, err := parse(t, "tokenizer/bert-base-uncased.json").Encode(text, Options{WithoutSpecialTokens: true, Offsets: true})
	// All n kept marks come first, so they have the places of the first n marks.
	if err != nil || len(e.Offsets) != 1 || e.Offsets[0] != (Span{0, 1 + 6*n/2}) {
		t.Errorf("%v, %v", e.Offsets, err)
	}
}
