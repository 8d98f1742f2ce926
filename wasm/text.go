//go:build wasip1

package main

import (
	"encoding/binary"
	"unsafe"

	"m2embed/core/passage"
	"m2embed/core/tokenizer"
)

// words is the tokenizer of an open model.
func (m *loading) words() (*tokenizer.Tokenizer, error) {
	e, err := m.ready()
	if err != nil {
		return nil, err
	}
	t := e.Tokenizer()
	if t == nil {
		return nil, fail(BadArgument, "no tokenizer: this model was opened for token ids only")
	}
	return t, nil
}

// encode tokenizes a text with its special tokens or without, with the places of
// the tokens. It counts them first, so that everything gets its size at once, if
// there is room for it, and other bytes for each token beside.
func (m *loading) encode(text string, bare bool, other int, ask func() error) (tokenizer.Encoding, error) {
	t := m.embedder.Tokenizer()
	if err := room(uint64(t.Scratch(len(text)))); err != nil {
		return tokenizer.Encoding{}, err
	}
	_, n, err := t.AppendIDs(nil, text, tokenizer.Options{MaxLength: 1, Truncation: tokenizer.DropSeparator, Interrupt: ask})
	if err != nil {
		return tokenizer.Encoding{}, withCode(BadArgument, err)
	}
	const idAndPlace = 4 + 16
	if err := room(uint64(t.Scratch(len(text)) + n*(idAndPlace+other))); err != nil {
		return tokenizer.Encoding{}, err
	}
	enc, err := t.Encode(text, tokenizer.Options{Offsets: true, WithoutSpecialTokens: bare, Expect: n, Interrupt: ask})
	return enc, withCode(BadArgument, err)
}

// tokens writes the tokens record of a text.
func (m *loading) tokens(text string, ask func() error) ([]byte, error) {
	enc, err := m.encode(text, false, 0, ask)
	if err != nil {
		return nil, err
	}
	t, n := m.embedder.Tokenizer(), len(enc.IDs)
	size := 4 + (4+8+4)*n
	for _, id := range enc.IDs {
		size += len(t.Token(id))
	}
	if err := room(uint64(size)); err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(n))
	for _, id := range enc.IDs {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	for _, s := range enc.Offsets {
		b = binary.LittleEndian.AppendUint32(b, uint32(s.Start))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.End))
	}
	for _, id := range enc.IDs {
		b = appendText(b, t.Token(id))
	}
	return b, nil
}

// passages writes the passages record of a text.
func (m *loading) passages(text string, options []byte, ask func() error) ([]byte, error) {
	field := func(i int) int { return int(binary.LittleEndian.Uint32(options[4*i:])) }
	o := passage.Options{Target: field(0), Max: field(1), Overlap: field(2)}
	format := field(3)
	if format > 1 {
		return nil, fail(BadArgument, "passages: format %d, want 0 or 1", format)
	}
	const start = 8
	enc, err := m.encode(text, true, start, ask)
	if err != nil {
		return nil, err
	}
	starts := make([]int, len(enc.Offsets))
	for i, place := range enc.Offsets {
		starts[i] = place.Start
	}
	if format == 1 {
		o.Headings = passage.Markdown(text)
	}
	found := passage.Cut(text, starts, o)
	size := uint64(4)
	for _, p := range found {
		size += 20
		for _, h := range p.Headings {
			size += 4 + uint64(len(h))
		}
	}
	if err := room(size); err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(len(found)))
	for _, p := range found {
		for _, n := range [...]int{p.Start, p.End, p.Tokens, len(p.Headings), p.Above} {
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		}
		for _, h := range p.Headings {
			b = appendText(b, h)
		}
	}
	return b, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
}

// decode makes a text of token ids.
func (m *loading) decode(ids []byte, special bool) ([]byte, error) {
	t, err := m.words()
	if err != nil {
		return nil, err
	}
	if len(ids)%4 != 0 {
		return nil, fail(BadArgument, "decode: ids of %d bytes, want int32s", len(ids))
	}
	list := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(ids))), len(ids)/4)
	size := uint64(0)
	for _, id := range list {
		size += uint64(len(t.Token(id))) + 1
	}
	if err := room(4 * size); err != nil { // it grows as it is made
		return nil, err
	}
	text := t.Decode(list, !special)
	return unsafe.Slice(unsafe.StringData(text), len(text)), nil
}

// preparation starts a run that is over once it is prepared: what finish answers
// is the record that work makes of a text.
func preparation(handle int32, at, length uint32, work func(m *loading, text string, ask func() error) ([]byte, error)) (*run, error) {
	m, err := models.get(handle)
	if err != nil {
		return nil, err
	}
	if _, err := m.words(); err != nil {
		return nil, err
	}
	text, err := bytesAt("text", at, length)
	if err != nil {
		return nil, err
	}
	r := &run{model: handle, owner: m}
	r.begin(text, func(ask func() error) (err error) {
		r.record, err = work(m, textOf(text), ask)
		return err
	})
	return r, nil
}

//go:wasmexport tokenize
func tokenize(handle int32, text, length uint32) int32 {
	return call(func() (int32, error) {
		r, err := preparation(handle, text, length, (*loading).tokens)
		if err != nil {
			return 0, err
		}
		return runs.add(r), nil
	})
}

//go:wasmexport passages
func passages(handle int32, text, length, options uint32) int32 {
	return call(func() (int32, error) {
		o, err := bytesAt("options", options, PassageOptionsSize)
		if err != nil {
			return 0, err
		}
		o = append([]byte(nil), o...)
		r, err := preparation(handle, text, length, func(m *loading, text string, ask func() error) ([]byte, error) {
			return m.passages(text, o, ask)
		})
		if err != nil {
			return 0, err
		}
		return runs.add(r), nil
	})
}

//go:wasmexport decode
func decode(handle int32, ids, length, special uint32) int32 {
	return withModel(handle, func(m *loading) error {
		b, err := bytesAt("ids", ids, length)
		if err != nil {
			return err
		}
		result = nil
		result, err = m.decode(b, special != 0)
		return err
	})
}
