package search

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// term is one thing that a query asks for.
type term struct {
	pieces   []string // its words, one behind the other
	alone    []string // pieces that are also looked for by themselves
	quoted   bool     // must be there, letter for letter but for case
	excluded bool     // must not be there
	prefix   bool     // its last word may go on
	exact    bool     // an identifier or a number, which meaning does not know
}

// prose is how many words make a query a text: quotes and minuses in it are its
// own, and demand nothing.
const prose = 24

func demanding(query string) bool { return len(strings.Fields(query)) < prose }

// parse reads a query: words, "exact phrases", -excluded ones, and the beginning
// of words with a star behind.
func parse(query string) []term {
	if !demanding(query) {
		query = strings.NewReplacer(`"`, " ", " -", " ").Replace(query)
	}
	var terms []term
	for rest := query; ; {
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		if rest == "" {
			return terms
		}
		var t term
		if len(rest) > 1 && rest[0] == '-' && !unicode.IsSpace(rune(rest[1])) && rest[1] != '-' {
			t.excluded, rest = true, rest[1:]
		}
		chunk := rest
		if rest[0] == '"' {
			if end := strings.IndexByte(rest[1:], '"'); end >= 0 {
				chunk, rest = rest[1:end+1], rest[end+2:]
				t.quoted = true
				t.pieces = wordsOf(chunk)
				if len(t.pieces) > 0 {
					terms = append(terms, t)
				}
				continue
			}
		}
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		if end == 0 { // a lone minus
			continue
		}
		chunk, rest = rest[:end], rest[end:]
		if t.pieces = wordsOf(chunk); len(t.pieces) == 0 {
			continue
		}
		t.prefix = strings.HasSuffix(chunk, "*")
		t.exact = identifier(chunk)
		humps := split(chunk)
		switch {
		case len(t.pieces) > 1 && !contraction(t.pieces):
			t.alone = t.pieces
		case len(t.pieces) == 1 && len(humps) > 1:
			t.alone = humps
		}
		terms = append(terms, t)
	}
}

// contraction tells "don't" and "Bob's" from what has parts of its own.
func contraction(pieces []string) bool {
	return len(pieces) == 2 && len(pieces[1]) <= 2 && len([]rune(pieces[0])) > 1 && !strings.ContainsFunc(pieces[0]+pieces[1], unicode.IsDigit)
}

// identifier reports whether a word is a name of code or a number: digits in it,
// an underscore, a dot or colon within, capitals behind small letters, or capitals
// alone.
func identifier(chunk string) bool {
	chunk = strings.TrimFunc(chunk, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if strings.ContainsFunc(chunk, unicode.IsDigit) || strings.ContainsAny(chunk, "_./:\\@") {
		return true
	}
	return slices.ContainsFunc(wordsOf(chunk), func(w string) bool { return len(split(w)) > 1 })
}

// wordsOf are the words of a text: runs of letters, digits and marks.
func wordsOf(text string) (words []string) {
	for _, word := range eachWord(text) {
		words = append(words, word)
	}
	return words
}

// eachWord yields them one by one, each behind the byte at which it begins.
func eachWord(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		start := -1
		for i := 0; i < len(text); {
			r, size := rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRuneInString(text[i:])
			}
			switch in := inWord(r); {
			case in && start < 0:
				start = i
			case !in && start >= 0:
				if !yield(start, text[start:i]) {
					return
				}
				start = -1
			}
			i += size
		}
		if start >= 0 {
			yield(start, text[start:])
		}
	}
}

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}

// split cuts a word such as getUserName, HTTPServer or utf8 where capitals and
// digits begin; other words are one piece.
func split(word string) []string {
	var pieces []string
	for _, w := range wordsOf(word) {
		runes := []rune(w)
		from := 0
		for i := 1; i < len(runes); i++ {
			before, r := runes[i-1], runes[i]
			hump := unicode.IsLower(before) && unicode.IsUpper(r) ||
				unicode.IsUpper(before) && unicode.IsUpper(r) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) && i-from > 1 ||
				unicode.IsLetter(before) && unicode.IsDigit(r) && i-from > 1
			if hump {
				pieces = append(pieces, string(runes[from:i]))
				from = i
			}
		}
		pieces = append(pieces, string(runes[from:]))
	}
	return pieces
}

// compound reports whether a word may have several pieces; most have not.
func compound(word string) bool {
	before := rune(0)
	for _, r := range word {
		if before != 0 && (unicode.IsUpper(r) || unicode.IsDigit(r) && !unicode.IsDigit(before)) {
			return true
		}
		before = r
	}
	return false
}

// parts are the pieces of a text's words that have several: a column of their
// own, in which getUserName is found by "user name".
func parts(text string) string {
	var b strings.Builder
	for _, w := range eachWord(text) {
		if !compound(w) {
			continue
		}
		if pieces := split(w); len(pieces) > 1 {
			b.WriteString(strings.Join(pieces, " "))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// stop are words that nearly every English passage holds. They are not looked
// for unless a query has nothing else: they would cost a walk through all rows
// for a weight of nearly nothing.
var stop = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a about after all also am an and any are as at be been before being but by can could did do does
		for from get had has have he her him his how i if in into is it its me more most my no not of on or our out over she
		should so some such than that the their them then there these they this those to too under up us was we were what when
		where which while who whom whose why will with would you your`) {
		m[w] = true
	}
	return m
}()

// stopped reports whether a term says nothing beside others.
func (t term) stopped() bool {
	return len(t.pieces) == 1 && !t.prefix && !t.quoted && stop[strings.ToLower(t.pieces[0])]
}

// wording is one way in which a passage may hold what is asked for: words one behind
// the other.
type wording struct {
	words  string // their stems, with spaces between
	prefix bool   // the last may go on
	parts  bool   // only among the pieces of words such as getUserName
}

// String is how it is written in tests.
func (w wording) String() string {
	s := strconv.Quote(w.words)
	if w.parts {
		s = "parts:" + s
	}
	if w.prefix {
		s += "*"
	}
	return s
}

// phrase is the wording of a term as it stands.
func (t term) phrase(s stemmer) wording {
	return wording{words: strings.Join(s.stems(t.pieces), " "), prefix: t.prefix}
}

// wordings are what a term may be found by.
func (t term) wordings(s stemmer) []wording {
	all := []wording{t.phrase(s)}
	if t.quoted || t.excluded {
		return all
	}
	if len(t.alone) > 1 {
		all = append(all, wording{words: strings.Join(s.stems(t.alone), " "), parts: true})
	}
	for _, w := range t.alone {
		if len([]rune(w)) > 2 && !stop[strings.ToLower(w)] {
			all = append(all, wording{words: s.stem(w)})
		}
	}
	return all
}

// whole is the wording of a query's plain words one behind the other, without words
// where they are fewer than two. It finds what "be that as it may" is remembered
// by, and BM25 does not know.
func whole(terms []term, s stemmer) wording {
	var words []string
	for _, t := range terms {
		if t.quoted || t.excluded || t.prefix {
			return wording{}
		}
		words = append(words, t.pieces...)
	}
	if len(words) < 2 {
		return wording{}
	}
	return wording{words: strings.Join(s.stems(words), " ")}
}

// wanted is what a query asks of words.
type wanted struct {
	score []wording // by which passages are scored, each as often as it counts
	must  []wording // all of which a passage must hold
	not   []wording // none of which it may hold
}

// wantedOf sorts the terms of a query. Words of [stop] are scored only where there
// are no others; what must be there counts twice.
func wantedOf(terms []term, s stemmer) wanted {
	var w wanted
	var stopped []wording
	for _, t := range terms {
		switch {
		case t.excluded:
			w.not = append(w.not, t.phrase(s))
		case t.quoted:
			w.must = append(w.must, t.phrase(s))
		case t.stopped():
			stopped = append(stopped, t.wordings(s)...)
		default:
			w.score = append(w.score, t.wordings(s)...)
		}
	}
	if len(w.must) == 0 && len(w.score) == 0 {
		w.score = stopped
	}
	w.score = append(w.score, append(w.must, w.must...)...)
	return w
}
