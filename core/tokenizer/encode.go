package tokenizer

import (
	"errors"
	"fmt"
	"slices"

	"m2embed/core/short"
)

// Truncation says what happens to a text with more tokens than MaxLength. The
// command line, the server and the JavaScript package have its names of
// [ParseTruncation], too.
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

// ParseTruncation reads the name of a truncation: keep-sep, drop-sep or refuse.
func ParseTruncation(name string) (Truncation, error) {
	i := slices.Index([]string{KeepSeparator: "keep-sep", DropSeparator: "drop-sep", Refuse: "refuse"}, name)
	if i < 0 {
		return 0, fmt.Errorf("truncation %s, want keep-sep, drop-sep or refuse", short.Quote(name))
	}
	return Truncation(i), nil
}

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
	Expect               int        // ids that Encode makes room for at once; 0: room grows with the text
	// Interrupt, unless it is nil, is called every few milliseconds. Its error
	// ends the encoding and is returned.
	Interrupt func() error
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
//   - Interrupt's
func (t *Tokenizer) Encode(text string, o Options) (Encoding, error) {
	e := t.newEncoder()
	defer t.release(e)
	if o.Expect > 0 {
		return e.encodeOnce(text, o)
	}
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

// encodeOnce makes ids and places where they stay: a long text's are never held
// twice.
func (e *encoder) encodeOnce(text string, o Options) (Encoding, error) {
	ids, spans := e.ids, e.spans
	defer func() { e.ids, e.spans = ids, spans }()
	// A word that turns out to be unknown may have had a few pieces.
	room := o.Expect + 128
	e.ids, e.spans = make([]int32, 0, room), nil
	if o.Offsets {
		e.spans = make([]Span, 0, room)
	}
	length, err := e.encode(text, o)
	if err != nil {
		return Encoding{Length: length}, err
	}
	return Encoding{IDs: e.ids, Offsets: e.spans, Length: length, Truncated: len(e.ids) < length}, nil
}

// Scratch is about how many bytes encoding a text of n bytes takes beside its
// ids and places: few, unless added tokens are looked for in normalised text.
func (t *Tokenizer) Scratch(n int) int {
	if t.foldedAdded == nil {
		return 0
	}
	return 64 * n // a byte and its place, five for three around an ideograph, in slices that grow
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

// keptScratch is the most ids, or bytes, that a scratch may hold on to between
// texts.
const keptScratch = 1 << 20

func (t *Tokenizer) newEncoder() encoder {
	s, _ := t.scratches.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	return encoder{scratch: s, t: t}
}

func (t *Tokenizer) release(e encoder) {
	if max(cap(e.ids), cap(e.word), cap(e.foldedText), cap(e.markPlaces.run)) <= keptScratch {
		t.scratches.Put(e.scratch)
	}
}

// frame returns the special tokens that options ask for, and how many tokens
// of the text there is room for.
func (t *Tokenizer) frame(o Options) (prefix, suffix []int32, limit int, err error) {
	if !o.WithoutSpecialTokens {
		prefix, suffix = t.prefixIDs, t.suffixIDs
	}
	special := len(prefix) + len(suffix)
	switch {
	case o.MaxLength < 0:
		return nil, nil, 0, fmt.Errorf("encode text: MaxLength is %d, want 0 (no limit) or more", o.MaxLength)
	case o.Truncation < KeepSeparator || o.Truncation > Refuse:
		return nil, nil, 0, fmt.Errorf("encode text: unknown truncation %d", o.Truncation)
	case o.MaxLength == 0:
		return prefix, suffix, noLimit, nil
	case o.Truncation != KeepSeparator:
		return prefix, suffix, o.MaxLength, nil
	case o.MaxLength < special:
		return nil, nil, 0, fmt.Errorf("encode text: MaxLength is %d, too small for the %d special tokens", o.MaxLength, special)
	}
	return prefix, suffix, o.MaxLength - special, nil
}

// checkLength returns ErrTooLong where options refuse what is too long.
func checkLength(length int, o Options) error {
	if o.Truncation == Refuse && o.MaxLength > 0 && length > o.MaxLength {
		return fmt.Errorf("encode text: %w: %d, at most %d are allowed", ErrTooLong, length, o.MaxLength)
	}
	return nil
}

// Frame truncates a text that another tokenizer has encoded without special
// tokens, and puts it between them, as Encode would have done. Errors are those
// of Encode.
func (t *Tokenizer) Frame(body Encoding, o Options) (Encoding, error) {
	prefix, suffix, limit, err := t.frame(o)
	if err != nil {
		return Encoding{}, err
	}
	length := len(prefix) + len(body.IDs) + len(suffix)
	if err := checkLength(length, o); err != nil {
		return Encoding{Length: length}, err
	}
	kept := min(limit, len(body.IDs))
	ids := slices.Concat(prefix, body.IDs[:kept], suffix)
	end := len(ids)
	if o.MaxLength > 0 {
		end = min(end, o.MaxLength)
	}
	result := Encoding{IDs: ids[:end], Length: length, Truncated: end < length}
	if o.Offsets && len(body.Offsets) == len(body.IDs) {
		places := make([]Span, len(ids))
		copy(places[len(prefix):], body.Offsets[:kept])
		result.Offsets = places[:end]
	}
	return result, nil
}

// encode leaves the ids in e.ids, and their places in e.spans when wanted.
func (e *encoder) encode(text string, o Options) (length int, err error) {
	prefix, suffix, limit, err := e.t.frame(o)
	if err != nil {
		return 0, err
	}
	e.limit = limit
	e.wantPlaces = o.Offsets
	e.ids, e.spans = e.ids[:0], e.spans[:0]
	e.special(prefix)
	e.first = len(e.ids)
	e.reset(o.Interrupt)
	if e.encodeText(text); e.interrupted != nil {
		return 0, e.interrupted
	}
	length = len(prefix) + e.count + len(suffix)
	if err := checkLength(length, o); err != nil {
		return length, err
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
	search := e.t.rawAdded.search(text, &e.interruption)
	for search.next() {
		if from < search.place.Start {
			between(text[from:search.place.Start], from)
		}
		e.emit(search.id, search.place)
		e.trim()
		from = search.place.End
	}
	if from < len(text) && e.interrupted == nil {
		between(text[from:], from)
	}
}
