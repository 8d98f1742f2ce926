package search

import (
	"strings"
	"unicode/utf8"

	porter "github.com/blevesearch/go-porterstemmer"
)

// Columns of a passage, which a word may be found in.
const (
	textColumn    = iota
	headingColumn // the document's title and the headings above
	partsColumn   // the pieces of words such as getUserName
	columns
)

// columnWeights are what a word counts in each.
var columnWeights = [columns]float64{1, 0.7, 0.5}

// Words of fewer bytes than shortestStem and of more than longestStem are their
// own stems.
const (
	shortestStem = 3
	longestStem  = 64
)

// longestWord is how many bytes of a word are looked at: what is longer is no word, but
// a row of data without spaces, and is found by its beginning.
const longestWord = 256

// stemmer finds the stems by which words are indexed: Porter's (1980), of words
// without case and accents. It remembers them, as a text has the same words again
// and again, and is for one goroutine.
type stemmer map[string]string

// mostStems bounds what a stemmer remembers.
const mostStems = 100_000

func (s stemmer) stem(word string) string {
	if len(word) > longestWord {
		for word = word[:longestWord]; !utf8.ValidString(word); {
			word = word[:len(word)-1]
		}
	}
	stem, ok := s[word]
	if !ok {
		stem = fold(word)
		if len(stem) >= shortestStem && len(stem) <= longestStem {
			stem = string(porter.StemWithoutLowerCasing([]rune(stem)))
		}
		if len(s) >= mostStems {
			clear(s)
		}
		s[strings.Clone(word)] = stem // a word is a part of its whole text
	}
	return stem
}

// stems are those of words; marks by themselves have none.
func (s stemmer) stems(words []string) []string {
	stems := make([]string, 0, len(words))
	for _, w := range words {
		if stem := s.stem(w); stem != "" {
			stems = append(stems, stem)
		}
	}
	return stems
}
