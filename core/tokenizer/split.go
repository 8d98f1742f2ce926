package tokenizer

import "unicode/utf8"

// segment normalises, splits and encodes a stretch of text without added
// tokens. base is where it begins in the whole text. Normalisation, splitting
// and the hash of a word happen in one pass; text is never copied but word by
// word.
func (e *encoder) segment(s string, base int) {
	n := e.t.normalizer
	e.startWord()
	e.markPlaces.end = 0
	e.begin(base)
	defer e.finish(base + len(s))
	for i := 0; i < len(s); {
		if n.letters[s[i]] != 0 {
			i = e.letters(s, i, base)
			continue
		}
		r, size := rune(s[i]), 1
		var f effect
		if r < utf8.RuneSelf {
			f = n.ascii[r]
		} else {
			// Every byte that is not part of valid UTF-8 is a U+FFFD of its own.
			r, size = utf8.DecodeRuneInString(s[i:])
			f = n.effect(r)
		}
		place := Span{base + i, base + i + size}
		if place.Start >= e.askAt && e.due(place.Start) {
			return
		}
		i += size
		switch f.action() {
		case barrier:
			e.markEnd = -1
		case space:
			e.endWord()
		case letter:
			e.add(f.character(), place)
		case isolate:
			e.endWord()
			e.single(f.character(), place)
		case sequence:
			e.expand(r, s, base, place)
		}
	}
	e.endWord()
}

// letters takes the ASCII letters from s[i] into the word and returns where they
// end.
func (e *encoder) letters(s string, i, base int) int {
	table := &e.t.normalizer.letters
	start := i
	end := len(s)
	if room := e.t.maxCharactersPerWord - e.characters; room < end-i {
		end = i + max(0, room)
	}
	hash, word := e.hash, e.word
	for ; i < end; i++ {
		c := table[s[i]]
		if c == 0 {
			break
		}
		word = append(word, c)
		hash = (hash ^ uint64(c)) * hashPrime
	}
	e.hash, e.word = hash, word
	if e.wantPlaces {
		for j := start; j < i; j++ {
			e.places = append(e.places, Span{base + j, base + j + 1})
		}
	}
	// Letters over the limit are counted, not kept: the word is lost anyway.
	for i < len(s) && table[s[i]] != 0 {
		i++
	}
	if e.characters == 0 {
		e.whole.Start = base + start
	}
	e.whole.End = base + i
	e.characters += i - start
	return i
}

// expand takes a character of segment s that becomes several, or is a mark, into
// the word.
func (e *encoder) expand(r rune, s string, base int, place Span) {
	if r >= hangulFirst && r <= hangulLast {
		// Korean text is made of these: two or three letters, no marks.
		var letters [3]rune
		for _, letter := range appendDecomposition(letters[:0], r) {
			e.add(letter, place)
		}
		return
	}
	var buffer [16]part
	for _, p := range e.t.normalizer.appendExpansion(buffer[:0], r) {
		switch p.kind {
		case droppedMark:
			e.markEnd = -1
		case keptMark:
			e.addMark(p, e.markPlace(s, base, place))
		default:
			switch splitOf(p.character) {
			case space:
				e.endWord()
			case isolate:
				e.endWord()
				e.single(p.character, place)
			default:
				e.add(p.character, place)
			}
		}
	}
}
