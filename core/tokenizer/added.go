package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of tokenizer.json's added_tokens: a string that is kept
// whole wherever it stands in the text.
type addedToken struct {
	content    string
	id         int32
	singleWord bool // only where no word character is next to it
	stripLeft  bool // takes the white space before it along
	stripRight bool // takes the white space after it along
	normalized bool // is looked for in normalised text
	special    bool // may be skipped by Decode
}

// addedTokens finds the leftmost, and of those the longest, added token.
type addedTokens struct {
	byContent map[string]addedToken
	lengths   [256][]int // by first byte: lengths of the tokens, longest first
	starts    string     // the first bytes
}

// newAddedTokens returns nil when there are no tokens.
func newAddedTokens(byContent map[string]addedToken) *addedTokens {
	if len(byContent) == 0 {
		return nil
	}
	a := &addedTokens{byContent: byContent}
	var starts []byte
	for content := range byContent {
		lengths := &a.lengths[content[0]]
		if len(*lengths) == 0 {
			starts = append(starts, content[0])
		}
		if !slices.Contains(*lengths, len(content)) {
			*lengths = append(*lengths, len(content))
		}
	}
	for i := range a.lengths {
		slices.SortStableFunc(a.lengths[i], func(x, y int) int { return y - x })
	}
	a.starts = string(starts)
	return a
}

// addedSearch goes through the added tokens of a text.
type addedSearch struct {
	tokens *addedTokens
	text   string
	at     int // the search goes on here
	taken  int // end of the last place found

	spaceFrom, spaceEnd int // white space after the last token that took some

	interruption *interruption
	askAt        int
	work         int // on comparing with tokens, in bytes of text, since it was asked

	id    int32
	place Span // bytes of text, with white space that the token takes along
}

func (a *addedTokens) search(text string, i *interruption) addedSearch {
	return addedSearch{tokens: a, text: text, interruption: i, askAt: askEvery}
}

// next finds the next token and reports whether there is one. There is none
// after an interruption.
func (s *addedSearch) next() bool {
	for s.at < len(s.text) && s.interruption.interrupted == nil {
		if s.at >= s.askAt {
			s.askAt = s.at + askEvery
			if s.interruption.ask() {
				return false
			}
		}
		if !s.skip() {
			return false
		}
		token, ok := s.match()
		if s.work >= askEvery {
			if s.work = 0; s.interruption.ask() {
				return false
			}
		}
		if !ok {
			s.at++
			continue
		}
		start, end := s.at, s.at+len(token.content)
		s.at = end
		if token.singleWord && (endsInWord(s.text[:start]) || beginsWithWord(s.text[end:])) {
			continue
		}
		if token.stripLeft && start > s.taken {
			start = s.taken + len(strings.TrimRightFunc(s.text[s.taken:start], isSpace))
		}
		if token.stripRight {
			// White space that was gone through for the last token is not gone
			// through again, or a run of it would take the square of its length.
			if end < s.spaceFrom || end > s.spaceEnd {
				s.spaceFrom = end
				s.spaceEnd = len(s.text) - len(strings.TrimLeftFunc(s.text[end:], isSpace))
			}
			end = s.spaceEnd
		}
		s.taken = end
		s.id, s.place = token.id, Span{start, end}
		return true
	}
	return false
}

// skip moves to the next byte that a token begins with.
func (s *addedSearch) skip() bool {
	if len(s.tokens.starts) == 1 {
		i := strings.IndexByte(s.text[s.at:], s.tokens.starts[0])
		if i < 0 {
			return false
		}
		s.at += i
		return true
	}
	for ; s.at < len(s.text); s.at++ {
		if len(s.tokens.lengths[s.text[s.at]]) > 0 {
			return true
		}
	}
	return false
}

// match returns the longest token at the current place.
func (s *addedSearch) match() (addedToken, bool) {
	rest := s.text[s.at:]
	for _, length := range s.tokens.lengths[rest[0]] {
		if length <= len(rest) {
			s.work += length / 16 // what a map hashes at once
			if token, ok := s.tokens.byContent[rest[:length]]; ok {
				return token, true
			}
		}
	}
	return addedToken{}, false
}

func endsInWord(text string) bool {
	r, size := utf8.DecodeLastRuneInString(text)
	return size > 0 && isWordCharacter(r)
}

func beginsWithWord(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	return size > 0 && isWordCharacter(r)
}

// isWordCharacter reports what \w matches in Unicode regular expressions (UTS
// #18, annex C).
func isWordCharacter(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}
