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

// markedWord is what a mark is on: a word of the query, or a part of one.
type markedWord struct {
	stem string
	part bool
}

// marks finds the words of a query in a text, ascending.
func marks(text string, terms []term) (found []Mark, which []markedWord) {
	wanted, begins := map[string]markedWord{}, []string(nil)
	for _, t := range terms {
		if t.excluded {
			continue
		}
		for i, w := range append(append([]string{}, t.pieces...), t.alone...) {
			w = fold(w)
			if len(t.pieces) == 1 && !t.quoted && stop[w] {
				continue
			}
			if s := stem(w); wanted[s].stem == "" || i < len(t.pieces) {
				wanted[s] = markedWord{s, i >= len(t.pieces)}
			}
		}
		if t.prefix {
			begins = append(begins, fold(t.pieces[len(t.pieces)-1]))
		}
	}
	for start, word := range eachWord(text) {
		folded := fold(word)
		is, marked := wanted[stem(folded)]
		if !marked && compound(word) {
			for _, piece := range split(word) {
				if w, ok := wanted[stem(fold(piece))]; ok {
					is, marked = w, true
				}
			}
		}
		for _, b := range begins {
			if !marked && strings.HasPrefix(folded, b) {
				is, marked = markedWord{stem: b}, true
			}
		}
		if marked {
			found, which = append(found, Mark{start, start + len(word)}), append(which, is)
		}
	}
	return found, which
}

// closeness is how many bytes apart words count as standing together.
const closeness = 120

// focus is the mark that a passage is shown by: one of a word that the passage rarely
// holds, with most such words around it. It is 0 where there are none.
func focus(found []Mark, which []markedWord) (at int) {
	worth := map[markedWord]float64{}
	for _, w := range which {
		worth[w]++
	}
	for w, times := range worth {
		if worth[w] = 2 / times; w.part {
			worth[w] /= 2
		}
	}
	best := 0.0
	for i, m := range found {
		near := map[markedWord]bool{}
		score := 0.1 * worth[which[i]] // of equal company
		for k, n := range found {
			if n.Start >= m.Start-closeness && n.End <= m.End+closeness && !near[which[k]] {
				near[which[k]] = true
				score += worth[which[k]]
			}
		}
		if score > best+1e-9 {
			at, best = m.Start, score
		}
	}
	return at
}
