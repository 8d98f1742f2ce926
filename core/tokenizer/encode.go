package tokenizer

import (
	"errors"
	"fmt"
)

// Truncation says what happens to a text with more tokens than MaxLength.
type Truncation int

const (
	// KeepSeparator drops tokens from the end of the text, so that the row
	// still ends in [SEP].
	KeepSeparator Truncation = iota
	// DropSeparator cuts the row of ids, [SEP] included, at MaxLength. The
	// original M2-BERT does so.
	DropSeparator
	// Refuse returns ErrTooLong.
	Refuse
)

// ErrTooLong is wrapped by the error for a text with more than MaxLength tokens
// under Refuse.
var ErrTooLong = errors.New("text has too many tokens")

// Options says how to encode. The zero value adds special tokens and has no
// limit.
type Options struct {
	MaxLength            int        // most ids to return, special tokens included; 0: no limit
	Truncation           Truncation // what to do with more
	WithoutSpecialTokens bool       // leave out [CLS] and [SEP]
	Offsets              bool       // fill Encoding.Offsets
}

// Encoding is an encoded text of L tokens.
type Encoding struct {
	IDs       []int32 // (L)
	Offsets   []Span  // (L) bytes of the text each id stands for, zero for [CLS] and [SEP]; nil unless asked for
	Length    int     // tokens before truncation, special tokens included
	Truncated bool
}

// Encode returns the ids of text. Bytes that are not valid UTF-8 count as
// U+FFFD each, which clean text drops.
//
// # Errors
//
//   - MaxLength is negative, or has no room for the special tokens
//   - ErrTooLong, under Refuse; Length is set then
func (t *Tokenizer) Encode(text string, o Options) (Encoding, error) {
	e := t.newEncoder()
	defer t.release(e)
	length, err := e.encode(text, o)
	if err != nil {
		return Encoding{Length: length}, err
	}
	result := Encoding{
		IDs:       append(make([]int32, 0, len(e.ids)), e.ids...),
		Length:    length,
		Truncated: len(e.ids) < length,
	}
	if o.Offsets {
		result.Offsets = append(make([]Span, 0, len(e.spans)), e.spans...)
	}
	return result, nil
}

// AppendIDs appends the ids of text to dst and returns the extended slice and
// the number of tokens before truncation. It is Encode without allocation:
// offsets are not made. Errors are those of Encode; dst is returned as it was.
func (t *Tokenizer) AppendIDs(dst []int32, text string, o Options) (ids []int32, length int, err error) {
	e := t.newEncoder()
	defer t.release(e)
	o.Offsets = false
	length, err = e.encode(text, o)
	if err != nil {
		return dst, length, err
	}
	return append(dst, e.ids...), length, nil
}

// keptScratch is the most ids that a scratch may hold on to between texts.
const keptScratch = 1 << 20

func (t *Tokenizer) newEncoder() encoder {
	s, _ := t.scratches.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	return encoder{scratch: s, t: t}
}

func (t *Tokenizer) release(e encoder) {
	if cap(e.ids) <= keptScratch && cap(e.foldedText) <= keptScratch {
		t.scratches.Put(e.scratch)
	}
}

// encode leaves the ids in e.ids, and their places in e.spans when wanted.
func (e *encoder) encode(text string, o Options) (length int, err error) {
	prefix, suffix := e.t.prefixIDs, e.t.suffixIDs
	if o.WithoutSpecialTokens {
		prefix, suffix = nil, nil
	}
	special := len(prefix) + len(suffix)
	e.limit = noLimit
	switch {
	case o.MaxLength < 0:
		return 0, fmt.Errorf("encode text: MaxLength is %d, want 0 (no limit) or more", o.MaxLength)
	case o.MaxLength == 0:
	case o.Truncation == KeepSeparator:
		if o.MaxLength < special {
			return 0, fmt.Errorf("encode text: MaxLength is %d, too small for the %d special tokens", o.MaxLength, special)
		}
		e.limit = o.MaxLength - special
	case o.Truncation == DropSeparator || o.Truncation == Refuse:
		e.limit = o.MaxLength
	default:
		return 0, fmt.Errorf("encode text: unknown truncation %d", o.Truncation)
	}

	e.wantPlaces = o.Offsets
	e.ids, e.spans = e.ids[:0], e.spans[:0]
	e.special(prefix)
	e.first = len(e.ids)
	e.encodeText(text)
	length = e.count + special
	if o.Truncation == Refuse && o.MaxLength > 0 && length > o.MaxLength {
		return length, fmt.Errorf("encode text: %w: %d, at most %d are allowed", ErrTooLong, length, o.MaxLength)
	}
	e.special(suffix)
	if o.MaxLength > 0 && len(e.ids) > o.MaxLength {
		e.ids = e.ids[:o.MaxLength]
		if e.wantPlaces {
			e.spans = e.spans[:o.MaxLength]
		}
	}
	return length, nil
}

// special appends tokens of the template.
func (e *encoder) special(ids []int32) {
	e.ids = append(e.ids, ids...)
	if e.wantPlaces {
		for range ids {
			e.spans = append(e.spans, Span{})
		}
	}
}

// encodeText encodes the text between the template's tokens: added tokens are found
// first, what lies between them is segmented.
func (e *encoder) encodeText(text string) {
	between := e.segment
	if e.t.foldedAdded != nil {
		between = e.foldedSegment
	}
	if e.t.rawAdded == nil {
		between(text, 0)
		return
	}
	from := 0
	search := e.t.rawAdded.search(text)
	for search.next() {
		if from < search.place.Start {
			between(text[from:search.place.Start], from)
		}
		e.emit(search.id, search.place)
		e.trim()
		from = search.place.End
	}
	if from < len(text) {
		between(text[from:], from)
	}
}
