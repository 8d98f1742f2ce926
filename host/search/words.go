package search

import (
	"slices"
	"strings"
	"unicode"
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

// wordsOf are the words of a text as SQLite's unicode61 finds them: runs of
// letters, digits and marks.
func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !inWord(r) })
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

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

// parts are the pieces of a text's words that have several: a column of their
// own, in which getUserName is found by "user name".
func parts(text string) string {
	var b strings.Builder
	for _, w := range wordsOf(text) {
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

// match is the FTS5 expression of a term.
func (t term) match() string {
	phrase := quote(t.pieces)
	if t.prefix {
		phrase += "*"
	}
	if t.quoted || t.excluded {
		return phrase
	}
	alternatives := []string{phrase}
	if len(t.alone) > 1 {
		alternatives = append(alternatives, "parts : "+quote(t.alone))
	}
	for _, w := range t.alone {
		if len([]rune(w)) > 2 && !stop[strings.ToLower(w)] {
			alternatives = append(alternatives, quote([]string{w}))
		}
	}
	return strings.Join(alternatives, " OR ")
}

// phrase is the FTS5 expression of a query's plain words one behind the other, ""
// where they are fewer than two. It finds what "be that as it may" is remembered
// by, and BM25 does not know.
func phrase(terms []term) string {
	var words []string
	for _, t := range terms {
		if t.quoted || t.excluded || t.prefix {
			return ""
		}
		words = append(words, t.pieces...)
	}
	if len(words) < 2 {
		return ""
	}
	return quote(words)
}

func quote(words []string) string { return `"` + strings.Join(words, " ") + `"` }

// plain are the FTS5 expressions of a query's words, each once, that need not be
// there.
func plain(terms []term) []string {
	var words, stopped []string
	for _, t := range terms {
		list := &words
		switch {
		case t.excluded || t.quoted:
			continue
		case t.stopped():
			list = &stopped
		}
		if m := t.match(); !slices.Contains(*list, m) {
			*list = append(*list, m)
		}
	}
	if len(words) == 0 {
		return stopped
	}
	return words
}

// expression is the FTS5 expression of a query, "" where it has no words to look
// for.
func expression(terms []term) string {
	var must, may, not, stopped []string
	for _, t := range terms {
		switch {
		case t.excluded:
			not = append(not, t.match())
		case t.quoted:
			must = append(must, t.match())
		case t.stopped():
			stopped = append(stopped, t.match())
		default:
			may = append(may, t.match())
		}
	}
	if len(must) == 0 && len(may) == 0 {
		may = stopped
	}
	if len(must) == 0 && len(may) == 0 {
		return ""
	}
	e := strings.Join(append(append([]string{}, may...), must...), " OR ")
	if len(must) > 0 {
		e = "(" + strings.Join(must, " AND ") + ") AND (" + e + ")"
	}
	if len(not) > 0 {
		e = "(" + e + ") NOT (" + strings.Join(not, " OR ") + ")"
	}
	return e
}
