package core

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// Samples of a tensor that name its values: this many, evenly spaced from its
// first byte to its last, of this many bytes. A tensor of fewer bytes is taken
// whole. So few pages of a mapped file are read that opening stays quick.
const (
	spaceSamples = 4
	sampleBytes  = 64
)

// spaceVersion changes with what a space is made of.
const spaceVersion = "m2embed space 1"

// space names a vector space: 16 hexadecimal digits, of FNV-1a in 128 bits with
// both halves added bit by bit. What goes in decides the vectors:
//
//   - the configuration as it was read, pooling, normalisation, padding and the
//     maximum length included; numbers in decimal, no padding as max_length, the
//     maximum length as it holds; but not the lengths to which vectors may be cut,
//     and prompts only where there are any
//   - the tokenizer: its tokens in the order of their ids, its template and its
//     settings
//   - of each tensor that the model uses, by name: name, stored type, shape and
//     samples of its bytes as they are stored
//
// A model in float32 and the same in integers are two spaces. Pieces are
// preceded by their length, so that none is taken for a part of another.
func space(c model.Config, t *tokenizer.Tokenizer, tensors map[string][]byte) string {
	if c.Padding.Mode == model.PadDefault {
		c.Padding.Mode = model.PadMax
	}
	c.MaxSeqLen = c.MaxLength()
	h := newSum()
	h.piece([]byte(spaceVersion))
	prompts := c.Prompts
	c.MatryoshkaDimensions, c.Prompts = nil, nil
	h.piece(append(bytes.TrimSuffix(fmt.Appendf(nil, "%+v", c), []byte(" MatryoshkaDimensions:[] Prompts:map[]}")), '}'))
	for _, name := range slices.Sorted(maps.Keys(prompts)) {
		if prompts[name] != "" {
			h.piece([]byte("prompt " + name))
			h.piece([]byte(prompts[name]))
		}
	}
	if t != nil {
		t.Describe(h.piece)
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		h.piece([]byte(name))
		h.piece(tensors[name])
	}
	return h.folded()
}

// SpaceOf names the space of the vectors that a model makes with options: the
// model's own space, unless padding, pooling or normalisation are others than the
// model's; then one that is named after the space and all three. Where texts are
// cut makes no other space, nor does the task: queries and documents compare.
func SpaceOf(space string, c model.Config, o Options) string {
	own := Options{Padding: c.Padding, Pooling: c.Pooling, Normalize: No}
	if c.Normalize {
		own.Normalize = Yes
	}
	own.Padding = namedPadding(own.Padding, c)
	run := own
	if o.Padding.Mode != model.PadDefault {
		run.Padding = namedPadding(o.Padding, c)
	}
	if o.Pooling != model.PoolDefault {
		run.Pooling = o.Pooling
	}
	if o.Normalize != ModelDefault {
		run.Normalize = o.Normalize
	}
	if run.Padding == own.Padding && run.Pooling == own.Pooling && run.Normalize == own.Normalize {
		return space
	}
	h := newSum()
	h.piece([]byte(spaceVersion))
	h.piece([]byte(space))
	h.piece(fmt.Appendf(nil, "%v %v %v", run.Padding, run.Pooling, run.Normalize == Yes))
	return h.folded()
}

// namedPadding gives one name to each way of padding to a model's maximum.
func namedPadding(p model.Padding, c model.Config) model.Padding {
	if p.Mode == model.PadDefault || p.Mode == model.PadToLength && p.Length == c.MaxLength() {
		return model.Padding{Mode: model.PadMax}
	}
	return p
}

// sum128 is FNV-1a in 128 bits. hash/fnv multiplies in 128 bits, of which
// WebAssembly has nothing, and every model that opens there waits for half a million
// bytes of tokens: this takes a fifth of the time.
type sum128 struct{ high, low uint64 }

func newSum() *sum128 { return &sum128{0x6c62272e07bb0142, 0x62b821756295c58d} }

func (h *sum128) write(b []byte) {
	const prime = 0x13b // and the bit 88
	high, low := h.high, h.low
	for _, c := range b {
		low ^= uint64(c)
		first := low & (1<<32 - 1) * prime
		second := low>>32*prime + first>>32
		high = high*prime + low<<24 + second>>32
		low = second<<32 | first&(1<<32-1)
	}
	h.high, h.low = high, low
}

// piece takes in a piece, its length first.
func (h *sum128) piece(b []byte) {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(b)))
	h.write(length[:])
	h.write(b)
}

// folded is the sum as 64 bits, in hexadecimal digits.
func (h *sum128) folded() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, h.high^h.low))
}

// sampledWeights notes what tensors are before anybody changes their bytes.
type sampledWeights struct {
	model.Weights
	samples map[string][]byte
}

func (w sampledWeights) Tensor(name string) (checkpoint.Tensor, error) {
	t, err := w.Weights.Tensor(name)
	if err == nil && w.samples[name] == nil {
		w.samples[name] = sampleOf(t)
	}
	return t, err
}

// sampleOf is what a space knows of a tensor.
func sampleOf(t checkpoint.Tensor) []byte {
	b := fmt.Appendf(nil, "%v %v ", t.DType, t.Shape)
	if len(t.Data) <= spaceSamples*sampleBytes {
		return append(b, t.Data...)
	}
	for i := range spaceSamples {
		at := int(int64(len(t.Data)-sampleBytes) * int64(i) / (spaceSamples - 1))
		b = append(b, t.Data[at:at+sampleBytes]...)
	}
	return b
}
