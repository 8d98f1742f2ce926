package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folded are the words of a text without case and accents.
func folded(text string) []string {
	words := wordsOf(text)
	for i, w := range words {
		words[i] = fold(w)
	}
	return words
}

// fold leaves out case and accents.
func fold(word string) string {
	ascii := true
	for i := range len(word) {
		ascii = ascii && word[i] < utf8.RuneSelf
	}
	word = strings.ToLower(word)
	if ascii {
		return word
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(word))
}

// stem is a word's beginning by which its forms know each other, for marking.
func stem(word string) string {
	for _, end := range []string{"ations", "ation", "ings", "ing", "ies", "ied", "edly", "ed", "es", "ly", "s", "e", "y"} {
		if s, ok := strings.CutSuffix(word, end); ok && len(s) >= 3 {
			return s
		}
	}
	return word
}

// marks finds the words of a query in a text, ascending.
func marks(text string, terms []term) []Mark {
	wanted, begins := map[string]bool{}, []string(nil)
	for _, t := range terms {
		if t.excluded {
			continue
		}
		for _, w := range append(append([]string{}, t.pieces...), t.alone...) {
			w = fold(w)
			if len(t.pieces) == 1 && !t.quoted && stop[w] {
				continue
			}
			wanted[stem(w)] = true
		}
		if t.prefix {
			begins = append(begins, fold(t.pieces[len(t.pieces)-1]))
		}
	}
	var found []Mark
	for start, word := range eachWord(text) {
		folded := fold(word)
		marked := wanted[stem(folded)]
		if !marked && compound(word) {
			for _, piece := range split(word) {
				marked = marked || wanted[stem(fold(piece))]
			}
		}
		for _, b := range begins {
			marked = marked || strings.HasPrefix(folded, b)
		}
		if marked {
			found = append(found, Mark{start, start + len(word)})
		}
	}
	return found
}
