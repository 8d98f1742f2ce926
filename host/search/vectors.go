package search

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"m2embed/core/kernel"
)

// quantize makes D 8-bit integers of a vector scaled to unit length, and the
// scale, 4 bytes, behind them: x ≈ scale · integer.
func quantize(vector []float32) ([]byte, error) {
	var squares, largest float64
	for _, x := range vector {
		squares += float64(x) * float64(x)
		largest = max(largest, math.Abs(float64(x)))
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) {
		return nil, errors.New("a vector is not finite")
	}
	d := len(vector)
	b := make([]byte, d+4)
	if largest == 0 {
		return b, nil
	}
	for i, x := range vector {
		b[i] = byte(int8(math.RoundToEven(float64(x) / largest * 127)))
	}
	// The integers' own length is what makes the vector one of unit length.
	var own float64
	for _, x := range b[:d] {
		own += float64(int8(x)) * float64(int8(x))
	}
	binary.LittleEndian.PutUint32(b[d:], math.Float32bits(float32(1/math.Sqrt(own))))
	return b, nil
}

// vectorSet holds vectors in memory, packed for the products of [kernel].
type vectorSet struct {
	n, dimension int
	blocks       []*kernel.Matrix // of blockRows vectors each, the last of fewer
	tail         []byte           // the integers of the last block, as they lie in the file
	tailScale    []float32
}

// blockRows is how many vectors are packed together. The last block is packed
// again when vectors come.
const blockRows = 4096

// reopen makes the set ready for append.
func (s *vectorSet) reopen() {
	if len(s.tail) > 0 && len(s.blocks) > 0 { // packed once already
		s.blocks = s.blocks[:len(s.blocks)-1]
	}
}

// append takes a vector as quantize makes it; nil is one of zeros.
func (s *vectorSet) append(raw []byte) error {
	if raw == nil {
		raw = make([]byte, s.dimension+4)
	}
	if s.dimension == 0 {
		s.dimension = len(raw) - 4
	}
	if len(raw) != s.dimension+4 || s.dimension <= 0 {
		return fmt.Errorf("%w: the vector of a passage has %d bytes, want %d", ErrDamaged, len(raw), s.dimension+4)
	}
	s.n++
	s.tail = append(s.tail, raw[:s.dimension]...)
	s.tailScale = append(s.tailScale, math.Float32frombits(binary.LittleEndian.Uint32(raw[s.dimension:])))
	if len(s.tailScale) == blockRows {
		s.pack().PackInPlace()
		s.tail, s.tailScale = nil, nil
	}
	return nil
}

// finish packs what is left.
func (s *vectorSet) finish() {
	if len(s.tail) > 0 {
		s.pack()
	}
}

func (s *vectorSet) pack() *kernel.Matrix {
	m := kernel.NewI8Matrix(kernel.Active(), s.tail, s.tailScale, len(s.tailScale), s.dimension, nil)
	s.blocks = append(s.blocks, m)
	return m
}

// cosines returns the cosine of a query with every vector.
func (s *vectorSet) cosines(query []float32) ([]float32, error) {
	if s.n == 0 {
		return nil, nil
	}
	if len(query) != s.dimension {
		return nil, fmt.Errorf("%w: its vectors have %d numbers, the query's %d", ErrSpace, s.dimension, len(query))
	}
	unit := unitVector(query)
	if unit == nil {
		return nil, errors.New("the query's vector is not finite")
	}
	rows := coarseAndFine(unit)
	n := s.n
	out := make([]float32, 2*n)
	at := 0
	var q kernel.Quantized
	for i, m := range s.blocks {
		if i == 0 {
			q.Reset(m, 2)
			q.Store(0, rows, len(unit), 2)
		}
		m.Multiply(out[at:], n, kernel.Input{Quantized: &q}, 2, 0, m.Outputs)
		at += m.Outputs
	}
	for i, fine := range out[n:] {
		out[i] += fine
	}
	return out[:n:n], nil
}

// coarseAndFine are two rows whose sum is the vector: multiples of a 127th of its
// largest number, which the kernels hold exactly, and what is left.
// With the first alone, what the integers lose of a query costs a point of nDCG
// here and there; both are one walk through the memory.
func coarseAndFine(vector []float32) []float32 {
	d := len(vector)
	rows := make([]float32, 2*d)
	var largest float32
	for _, x := range vector {
		largest = max(largest, x, -x)
	}
	step := largest / 127
	for i, x := range vector {
		if step > 0 {
			rows[i] = step * float32(math.RoundToEven(float64(x/step)))
		}
		rows[d+i] = x - rows[i]
	}
	return rows
}

// unitVector scales a vector to unit length; nil if it is not finite.
func unitVector(vector []float32) []float32 {
	var squares float64
	for _, x := range vector {
		squares += float64(x) * float64(x)
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) {
		return nil
	}
	unit := make([]float32, len(vector))
	for i, x := range vector {
		unit[i] = float32(float64(x) / max(math.Sqrt(squares), 1e-12))
	}
	return unit
}
