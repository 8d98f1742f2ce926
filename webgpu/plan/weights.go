package plan

import (
	"encoding/binary"
	"fmt"
	"math"

	"m2embed/core/checkpoint"
)

// PieceKind says how a part of a weight buffer is made.
type PieceKind uint8

// The kinds of pieces.
const (
	// Copy takes Rows·Inner elements of the tensor from row First on, row-major.
	Copy PieceKind = iota
	// Turn takes (Blocks, Rows, Inner) and writes (Blocks, Inner, Rows), rows of
	// the result padded to a multiple of 4 by zeros.
	Turn
	// Zeros is Rows zeros.
	Zeros
	// Twiddles is exp(-2πi k / 2^e) at complex place 2^(e-1) + k, for every e
	// with 2^e ≤ Rows; Rows complex numbers, made in float64 and rounded once.
	Twiddles
)

// Piece is one part of a weight buffer, in elements. Pieces follow each other.
type Piece struct {
	Kind        PieceKind
	Tensor      string // the checkpoint's name without the prefix "bert."
	Blocks      int
	Rows, Inner int
	First       int
	Half        bool // stored as 16-bit floats
	formula     func() []float32
	Total       int // elements that the tensor has to have
}

// elements is the number of elements that the piece stores.
func (p Piece) elements() int {
	switch p.Kind {
	case Turn:
		return p.Blocks * p.Inner * align(p.Rows, 4)
	case Zeros:
		return p.Rows
	case Twiddles:
		return 2 * p.Rows
	}
	return p.Rows * p.Inner
}

func (p Piece) bytes() int {
	if p.Half {
		return align(2*p.elements(), 4)
	}
	return 4 * p.elements()
}

// Tensors gives a model's tensors by the checkpoint's names without the prefix
// "bert.": a *checkpoint.File, for one. An 8-bit tensor has its scales, one a
// row of the last dimension, in a sibling "name_scale".
type Tensors interface {
	Names() []string
	Tensor(name string) (checkpoint.Tensor, error)
}

// Pack makes the content of a Weight buffer, b.Size bytes, little-endian. dst
// is reused when it is large enough.
//
// # Errors
//
// A tensor that is missing or has another number of elements than the
// configuration says.
func Pack(dst []byte, b Buffer, tensors Tensors) ([]byte, error) {
	if cap(dst) < b.Size {
		dst = make([]byte, b.Size)
	}
	dst = dst[:b.Size]
	clear(dst)
	at := 0
	for _, p := range b.Parts {
		if err := p.pack(dst[at:at+p.bytes()], tensors); err != nil {
			return nil, err
		}
		at += p.bytes()
	}
	return dst, nil
}

func (p Piece) pack(dst []byte, tensors Tensors) error {
	put := func(i int, v float32) { binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v)) }
	if p.Half {
		put = func(i int, v float32) { binary.LittleEndian.PutUint16(dst[2*i:], checkpoint.Float32ToFloat16(v)) }
	}
	switch p.Kind {
	case Zeros:
		return nil
	case Twiddles:
		twiddles(put, p.Rows)
		return nil
	}
	values, err := p.values(tensors)
	if err != nil {
		return err
	}
	if p.Kind == Copy {
		for i, v := range values[p.First*p.Inner : (p.First+p.Rows)*p.Inner] {
			put(i, v)
		}
		return nil
	}
	row := align(p.Rows, 4)
	for b := range p.Blocks {
		from, to := values[b*p.Rows*p.Inner:], b*p.Inner*row
		// Tiles keep both sides of the transpose in cache.
		const tile = 32
		for r0 := 0; r0 < p.Rows; r0 += tile {
			for s0 := 0; s0 < p.Inner; s0 += tile {
				for r := r0; r < min(r0+tile, p.Rows); r++ {
					for s := s0; s < min(s0+tile, p.Inner); s++ {
						put(to+s*row+r, from[r*p.Inner+s])
					}
				}
			}
		}
	}
	return nil
}

// values reads the piece's tensor as float32.
func (p Piece) values(tensors Tensors) ([]float32, error) {
	t, err := tensors.Tensor(p.Tensor)
	if err != nil {
		if p.formula != nil {
			return p.formula(), nil
		}
		return nil, err
	}
	if t.Elements() != p.Total {
		return nil, fmt.Errorf("read tensor %q: shape %v, want %d elements", p.Tensor, t.Shape, p.Total)
	}
	if t.Quantized() {
		scales, err := tensors.Tensor(t.Name + checkpoint.ScaleSuffix)
		if err != nil {
			return nil, err
		}
		v, err := t.Dequantize(scales)
		if err != nil {
			return nil, fmt.Errorf("read %w", err)
		}
		return v, nil
	}
	if view, ok := t.Float32View(); ok {
		return view, nil
	}
	v, err := t.Float32(nil)
	if err != nil {
		return nil, fmt.Errorf("read tensor %q: %w", p.Tensor, err)
	}
	return v, nil
}

// twiddles writes the table that long_convolution.wgsl reads.
func twiddles(put func(int, float32), size int) {
	put(0, 1)
	for half := 1; half < size; half *= 2 {
		for k := range half {
			sin, cos := math.Sincos(math.Pi * float64(k) / float64(half))
			put(2*(half+k), float32(cos))
			put(2*(half+k)+1, float32(-sin))
		}
	}
}
