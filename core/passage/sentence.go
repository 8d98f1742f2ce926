package passage

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// nextSentence ends behind a full stop, question or exclamation mark and the
// quotes and brackets that close with it, where another sentence seems to
// begin, and before an item of a list.
func nextSentence(text string, start, end int) int {
	for i := start; i < end; {
		b := text[i]
		if b < utf8.RuneSelf && b != '.' && b != '?' && b != '!' && b != '\n' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:end])
		at := i
		i += size
		switch r {
		case '\n':
			if at > start && item(text[i:end]) {
				return i
			}
		case '.', '?', '!', '…':
			after := closers(text, i, end)
			if after == end || isSpace(text[after]) && begins(text[after:end]) && (r != '.' || after > i || !abbreviated(text[start:at])) {
				return after
			}
			i = after
		case '。', '？', '！', '｡':
			return closers(text, i, end)
		}
	}
	return end
}

// closers is the end of the marks that belong to a sentence's end at i.
func closers(text string, i, end int) int {
	for i < end {
		r, size := utf8.DecodeRuneInString(text[i:end])
		if !strings.ContainsRune(".?!…\"')]}”’»。？！」』）", r) {
			break
		}
		i += size
	}
	return i
}

// begins reports whether a sentence may begin behind white space: not with a
// small letter.
func begins(text string) bool {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			return !unicode.IsLower(r)
		}
	}
	return true
}

// abbreviations are words whose full stop ends no sentence, though a capital
// letter or a number may follow.
var abbreviations = map[string]bool{
	"mr": true, "mrs": true, "ms": true, "dr": true, "prof": true, "st": true, "rev": true, "gen": true, "col": true,
	"capt": true, "lt": true, "sgt": true, "hon": true, "messrs": true, "mme": true, "mlle": true, "vs": true, "cf": true,
	"no": true, "nos": true, "vol": true, "pp": true, "fig": true, "figs": true, "eq": true, "sec": true, "ch": true,
	"art": true, "ed": true, "eds": true, "approx": true, "ca": true, "viz": true, "bzw": true, "nr": true, "abs": true,
}

// abbreviated reports whether the full stop behind text belongs to a word such
// as "Dr" or "U.S", or to an initial.
func abbreviated(text string) bool {
	word := text[strings.LastIndexAny(text, " \n\t(\"'")+1:]
	if i := strings.LastIndexByte(word, '.'); i >= 0 {
		return len(word)-i <= 2 // the S of U.S
	}
	if len(word) == 1 {
		return word[0] >= 'A' && word[0] <= 'Z'
	}
	return len(word) <= 7 && abbreviations[strings.ToLower(word)]
}

// item reports whether a line is one of a list: "- ", "* ", "• ", "1. ", "a) ".
func item(line string) bool {
	line = strings.TrimLeft(line, " \t")
	if len(line) < 2 {
		return false
	}
	for _, mark := range [...]string{"- ", "* ", "+ ", "• ", "– "} {
		if strings.HasPrefix(line, mark) {
			return true
		}
	}
	n := 0
	for n < len(line) && n < 4 && line[n] >= '0' && line[n] <= '9' {
		n++
	}
	if n == 0 && line[0] >= 'a' && line[0] <= 'z' {
		return line[1] == ')'
	}
	return n > 0 && n+1 < len(line) && (line[n] == '.' || line[n] == ')') && line[n+1] == ' '
}
