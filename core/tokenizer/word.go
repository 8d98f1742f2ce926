package tokenizer

import (
	"math"
	"unicode/utf8"
)

// Span is the place of a token in the text: bytes Start to End of it.
type Span struct{ Start, End int }

// scratch is what encoding needs besides its result. Scratches are kept and
// used again, so that encoding does not allocate.
type scratch struct {
	word       []byte // the current word, normalised; no more than the longest that can match
	places     []Span // source of each byte of word, when places are wanted
	whole      Span   // source of the current word
	characters int    // characters of the current word, those left out of word included
	hash       uint64 // of word, as a word start
	hashStale  bool   // marks were reordered: hash is to be made again
	prefixes   []uint64

	// Kept marks at the end of word that may yet change places: markEnd is
	// len(word) while the run goes on.
	marks      []part
	markEnd    int
	markPlaces markPlaces

	ids          []int32
	spans        []Span
	foldedText   []byte // a normalised segment, where added tokens are looked for in it
	foldedPlaces []Span // source of each byte of foldedText
}

// encoder is one text on its way.
type encoder struct {
	*scratch
	t          *Tokenizer
	wantPlaces bool
	first      int // where the tokens of the text begin in ids
	limit      int // tokens of the text to keep
	count      int // tokens of the text so far
	interruption
}

func (e *encoder) emit(id int32, place Span) {
	e.count++
	e.ids = append(e.ids, id)
	if e.wantPlaces {
		e.spans = append(e.spans, place)
	}
}

// trim drops tokens over the limit; they have been counted.
func (e *encoder) trim() {
	if len(e.ids)-e.first > e.limit {
		e.ids = e.ids[:e.first+e.limit]
		if e.wantPlaces {
			e.spans = e.spans[:e.first+e.limit]
		}
	}
}

// add appends one character to the word.
func (e *encoder) add(r rune, place Span) {
	e.extend(place)
	if e.characters > e.t.maxCharactersPerWord {
		return
	}
	before := len(e.word)
	e.word = utf8.AppendRune(e.word, r)
	for _, b := range e.word[before:] {
		e.hash = (e.hash ^ uint64(b)) * hashPrime
		if e.wantPlaces {
			e.places = append(e.places, place)
		}
	}
}

// extend counts one more character of the word.
func (e *encoder) extend(place Span) {
	if e.characters == 0 {
		e.whole = place
	}
	// The first and the last of reordered marks may be any of them.
	e.whole.Start, e.whole.End = min(e.whole.Start, place.Start), max(e.whole.End, place.End)
	e.characters++
}

// markPlace returns the place of a kept mark that comes of the character at
// source, where places are wanted.
func (e *encoder) markPlace(s string, base int, source Span) Span {
	if !e.wantPlaces {
		return source
	}
	return e.markPlaces.next(s, base, source.Start-base, e.t.normalizer.settings.cleanText)
}

// addMark appends a kept mark. Marks that follow each other are put in the order
// of their combining classes, those of one class staying as they are.
func (e *encoder) addMark(mark part, place Span) {
	if e.markEnd != len(e.word) || len(e.marks) == maxMarkRun {
		e.marks = e.marks[:0]
	}
	e.add(mark.character, place)
	if e.characters > e.t.maxCharactersPerWord {
		return
	}
	e.marks = append(e.marks, mark)
	size := utf8.RuneLen(mark.character)
	at := len(e.word) - size
	for i := len(e.marks) - 1; i > 0 && e.marks[i-1].combining > mark.combining; i-- {
		other := e.marks[i-1]
		e.marks[i-1], e.marks[i] = mark, other
		otherSize := utf8.RuneLen(other.character)
		at -= otherSize
		utf8.EncodeRune(e.word[at:], mark.character)
		utf8.EncodeRune(e.word[at+size:], other.character)
		if e.wantPlaces {
			otherPlace := e.places[at]
			for j := range size + otherSize {
				if j < size {
					e.places[at+j] = place
				} else {
					e.places[at+j] = otherPlace
				}
			}
		}
		e.hashStale = true
	}
	e.markEnd = len(e.word)
}

// maxMarkRun bounds the work of reordering. No language comes near it, and a word
// of more than 100 characters is unknown anyway.
const maxMarkRun = 128

// startWord makes ready for the next word.
func (e *encoder) startWord() {
	e.word = e.word[:0]
	e.places = e.places[:0]
	e.characters = 0
	e.hash = hashSeeds[wordStart]
	e.hashStale = false
	e.markEnd = -1
}

// endWord turns the word into tokens. A word that cannot be spelled, or has too
// many characters, becomes one unknown token.
func (e *encoder) endWord() {
	if e.characters == 0 {
		e.markEnd = -1
		return
	}
	if e.characters > e.t.maxCharactersPerWord || !e.pieces() {
		e.emit(e.t.unknownID, e.whole)
	}
	e.trim()
	e.startWord()
}

// pieces emits the longest pieces from left to right. It reports false, and
// emits nothing, when there is a rest that no piece matches.
func (e *encoder) pieces() bool {
	v := e.t.vocabulary
	if e.hashStale {
		e.hash = hashOf(wordStart, string(e.word))
	}
	if len(e.word) <= v.longest[wordStart] {
		if id := v.lookup(wordStart, e.word, e.hash); id >= 0 {
			e.emitPiece(id, 0, len(e.word))
			return true
		}
	}
	tokens, counted := len(e.ids), e.count
	kind, start, work := wordStart, 0, 0
	for start < len(e.word) {
		rest := e.word[start:]
		// Where a tokenizer allows words of any length, one may take long.
		if work += min(len(rest), v.longest[kind]); work >= askEvery {
			if work = 0; e.ask() {
				return true
			}
		}
		id, length := e.longestPiece(kind, rest)
		if id < 0 {
			e.ids, e.count = e.ids[:tokens], counted
			if e.wantPlaces {
				e.spans = e.spans[:tokens]
			}
			return false
		}
		e.emitPiece(id, start, start+length)
		start += length
		kind = continuation
	}
	return true
}

func (e *encoder) emitPiece(id int32, start, end int) {
	if e.wantPlaces {
		e.emit(id, Span{e.places[start].Start, e.places[end-1].End})
		return
	}
	e.emit(id, Span{})
}

// longestPiece finds the longest piece that rest begins with: its id, or −1, and
// its bytes.
func (e *encoder) longestPiece(kind int, rest []byte) (id int32, length int) {
	v := e.t.vocabulary
	longest := min(len(rest), v.longest[kind])
	hash := hashSeeds[kind]
	e.prefixes = e.prefixes[:0]
	for _, b := range rest[:longest] {
		hash = (hash ^ uint64(b)) * hashPrime
		e.prefixes = append(e.prefixes, hash)
	}
	for length = longest; length > 0; length-- {
		if length < len(rest) && !utf8.RuneStart(rest[length]) {
			continue
		}
		if id := v.lookup(kind, rest[:length], e.prefixes[length-1]); id >= 0 {
			return id, length
		}
	}
	return -1, 0
}

// single emits a word of one character.
func (e *encoder) single(r rune, place Span) {
	id := int32(-1)
	switch {
	case e.t.maxCharactersPerWord < 1:
	case r < utf8.RuneSelf:
		id = e.t.vocabulary.single[r]
	default:
		var buffer [utf8.UTFMax]byte
		piece := buffer[:utf8.EncodeRune(buffer[:], r)]
		hash := hashSeeds[wordStart]
		for _, b := range piece {
			hash = (hash ^ uint64(b)) * hashPrime
		}
		id = e.t.vocabulary.lookup(wordStart, piece, hash)
	}
	if id < 0 {
		id = e.t.unknownID
	}
	e.emit(id, place)
	e.trim()
}

// noLimit is the limit when everything is kept.
const noLimit = math.MaxInt
