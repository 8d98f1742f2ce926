//go:build daulet

package rusttokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	rust "github.com/daulet/tokenizers"

	"m2embed/core/tokenizer"
)

// Tokenizer is the Hugging Face tokenizers library, through
// github.com/daulet/tokenizers: a second opinion on core/tokenizer. It needs
// cgo and the static library that host/internal/tokenizertest/build-rust.sh
// makes, hence the build tag daulet.
//
// Only the tokens of the text are the library's. Special tokens and truncation
// are core's, as everywhere.
type Tokenizer struct {
	library *rust.Tokenizer
	core    *tokenizer.Tokenizer
}

// New reads a tokenizer.json. Close must be called in the end.
func New(tokenizerJSON []byte) (*Tokenizer, error) {
	core, err := tokenizer.Parse(tokenizerJSON)
	if err != nil {
		return nil, err
	}
	library, err := rust.FromBytes(tokenizerJSON)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer.json with the Rust library: %w", err)
	}
	return &Tokenizer{library: library, core: core}, nil
}

// Open opens the Hugging Face tokenizers library.
func Open(tokenizerJSON []byte) (Text, error) {
	t, err := New(tokenizerJSON)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close frees the library's memory, which Go does not.
func (t *Tokenizer) Close() error { return t.library.Close() }

// Encode does what Encode of a core tokenizer does.
func (t *Tokenizer) Encode(text string, o tokenizer.Options) (tokenizer.Encoding, error) {
	// As many characters as core gives a text may be in it, but the library
	// takes a C string of valid UTF-8. A control character, which is dropped
	// like NUL and U+FFFD, keeps the places of all others.
	if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
		text = replaceEachBadByte(text, '\x01')
	}
	encoding := t.library.EncodeWithOptions(text, false, rust.WithReturnOffsets())
	body := tokenizer.Encoding{IDs: make([]int32, len(encoding.IDs)), Offsets: make([]tokenizer.Span, len(encoding.Offsets))}
	for i, id := range encoding.IDs {
		body.IDs[i] = int32(id)
	}
	for i, place := range encoding.Offsets {
		body.Offsets[i] = tokenizer.Span{Start: int(place[0]), End: int(place[1])}
	}
	return t.core.Frame(body, o)
}

// replaceEachBadByte replaces NUL and every byte that is not part of valid UTF-8.
func replaceEachBadByte(text string, by byte) string {
	clean := []byte(text)
	for i := 0; i < len(clean); {
		r, size := utf8.DecodeRune(clean[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			clean[i] = by
		}
		i += size
	}
	return string(clean)
}

// Decode does what Decode of a core tokenizer does.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	unsigned := make([]uint32, 0, len(ids))
	for _, id := range ids {
		if id >= 0 {
			unsigned = append(unsigned, uint32(id))
		}
	}
	return t.library.Decode(unsigned, skipSpecial)
}
