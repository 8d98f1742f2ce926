package kernel

import (
	"slices"
	"sync"
	"unsafe"
)

// Matrix is a weight matrix (N outputs, K inputs) as the product kernels take
// it: rows regrouped in panels of the set's PanelWidth outputs. Packing is
// done at first use and, for float32, in the weights' own memory, so a loaded
// model is held once and rows that are never used are never touched.
type Matrix struct {
	Outputs, Inputs int

	set     *Set
	pack    sync.Once
	weights []float32 // (N, K) row-major until packed, then panels (K, width)
	bias    []float32 // (N) or nil

	integers  *Integers // nil for a float32 matrix
	size      int       // bytes of an integer weight
	quantized []byte    // (N, K) integers, little-endian
	panels    []byte    // panels of them once packed
	inPlace   bool      // panels may take the memory of quantized
	scales    []float32 // (N), one a row of quantized
}

// NewMatrix wraps weights (N, K) row-major and a bias (N) or nil.
// It takes ownership of weights and reorders them at first use.
func NewMatrix(set *Set, weights []float32, outputs, inputs int, bias []float32) *Matrix {
	return &Matrix{Outputs: outputs, Inputs: inputs, set: set, weights: weights[:outputs*inputs], bias: bias}
}

// NewI8Matrix wraps 8-bit weights (N, K) with one scale a row. The weights are
// only read, unless [Matrix.PackInPlace] is called.
func NewI8Matrix(set *Set, weights []byte, scales []float32, outputs, inputs int, bias []float32) *Matrix {
	return newIntegerMatrix(set, &set.I8, 1, weights, scales, outputs, inputs, bias)
}

// NewI16Matrix is [NewI8Matrix] for little-endian 16-bit weights of magnitudes
// up to [MaxWeight16]; sums of larger ones may wrap around.
func NewI16Matrix(set *Set, weights []byte, scales []float32, outputs, inputs int, bias []float32) *Matrix {
	return newIntegerMatrix(set, &set.I16, 2, weights, scales, outputs, inputs, bias)
}

func newIntegerMatrix(set *Set, integers *Integers, size int, weights []byte, scales []float32, outputs, inputs int, bias []float32) *Matrix {
	return &Matrix{
		Outputs: outputs, Inputs: inputs, set: set, bias: bias,
		integers: integers, size: size, quantized: weights[:outputs*inputs*size], scales: scales[:outputs],
	}
}

// Quantized says whether the matrix holds integers, so that Multiply needs an
// [Input] quantised for it.
func (m *Matrix) Quantized() bool { return m.integers != nil }

func (m *Matrix) prepare() {
	if m.Quantized() {
		m.packQuantized()
		return
	}
	width := m.set.PanelWidth
	scratch := make([]float32, width*m.Inputs)
	for first := 0; first < m.Outputs; first += width {
		n := min(width, m.Outputs-first)
		panel := m.weights[first*m.Inputs : (first+n)*m.Inputs]
		rows := scratch[:len(panel)]
		copy(rows, panel)
		if m.set.transpose != nil {
			m.set.transpose(panel, rows, n, m.Inputs)
			continue
		}
		transpose(panel, rows, n, m.Inputs)
	}
}

// transpose writes src (n, k) as dst (k, n), in tiles that stay in cache.
func transpose(dst, src []float32, n, k int) {
	const tile = 64
	for k0 := 0; k0 < k; k0 += tile {
		k1 := min(k0+tile, k)
		for j := range n {
			row := src[j*k : j*k+k]
			for p := k0; p < k1; p++ {
				dst[p*n+j] = row[p]
			}
		}
	}
}

// PackInPlace lets integer weights be packed in their own memory, which then
// belongs to the matrix, where the panels are no larger than the weights.
func (m *Matrix) PackInPlace() { m.inPlace = true }

// Detach copies the weights, so that packing leaves alone those that the matrix
// was made of. It comes before the first use.
func (m *Matrix) Detach() {
	m.weights, m.inPlace = slices.Clone(m.weights), false
}

func (m *Matrix) packQuantized() {
	width := m.set.PanelWidth
	row := m.Inputs * m.size
	total := m.panelOffset(m.Outputs)
	var scratch []byte
	if m.inPlace && total == len(m.quantized) {
		m.panels = m.quantized
		scratch = make([]byte, width*row)
	} else {
		m.panels = make([]byte, total)
	}
	for first := 0; first < m.Outputs; first += width {
		n := min(width, m.Outputs-first)
		rows := m.quantized[first*row : (first+n)*row]
		if scratch != nil {
			rows = scratch[:copy(scratch, rows)]
		}
		m.integers.Pack(m.panels[m.panelOffset(first):], rows, n, m.Inputs)
	}
}

// panelOffset is where the quantised panel that starts at column first begins.
func (m *Matrix) panelOffset(first int) int {
	width := m.set.PanelWidth
	at := first / width * m.integers.PanelBytes(width, m.Inputs)
	if rest := first % width; rest > 0 {
		at += m.integers.PanelBytes(rest, m.Inputs)
	}
	return at
}

// rowTile is how many rows of activations run against a panel before the next
// panel: enough to pay for reading the panel, few enough to stay in cache.
const rowTile = 96

// Input is the left operand of a product: rows of activations, as float32 for
// float32 matrices and quantised for those of integers.
type Input struct {
	Values []float32 // (rows, K), row i begins at i*Stride
	Stride int

	Quantized *Quantized // needed by matrices of integers only
	Row       int        // the first row in Quantized

	// Blocks is memory in which the rows are regrouped where the back end is
	// faster for it; nil leaves them as they are.
	Blocks    *Blocks
	regrouped bool
}

// Blocks holds rows of activations regrouped in fours: (rows/4, K, 4).
type Blocks struct{ words []float32 }

// Bytes is the memory held.
func (b *Blocks) Bytes() int { return 4 * cap(b.words) }

// Regroup regroups the first rows of in once for several products with
// matrices of this one's kind and inputs.
func (m *Matrix) Regroup(in *Input, rows int) {
	if m.blockRows(in, rows) > 0 {
		m.regroup(in, 0, rows&^3)
		in.regrouped = true
	}
}

// blockRows is how many of the rows run in blocks of four.
func (m *Matrix) blockRows(in *Input, rows int) int {
	if in.Blocks == nil || m.set.interleave == nil || m.Inputs == 0 {
		return 0
	}
	return rows &^ 3
}

// words is the length of a row in units of 4 bytes.
func (m *Matrix) words() int {
	if m.Quantized() {
		return m.integers.Stride(m.Inputs) / 4
	}
	return m.Inputs
}

func (m *Matrix) regroup(in *Input, row, rows int) {
	n := m.words()
	in.Blocks.words = grow(in.Blocks.words, rows*n)
	source, stride := unsafe.Pointer(unsafe.SliceData(in.Values[row*in.Stride:])), 4*in.Stride
	if q := in.Quantized; m.Quantized() {
		source, stride = unsafe.Pointer(unsafe.SliceData(q.rows[(in.Row+row)*q.stride:])), q.stride
	}
	m.set.interleave(unsafe.Pointer(unsafe.SliceData(in.Blocks.words)), source, stride, rows, n)
}

// Multiply computes c[i, j-first] = bias[j] + Σ_k a[i,k]·W[j,k] for the rows of
// in and the columns first ≤ j < last. first must be a multiple of the panel
// width, last too unless it is Outputs. c has row stride ldc.
func (m *Matrix) Multiply(c []float32, ldc int, in Input, rows, first, last int) {
	m.pack.Do(m.prepare)
	width := m.set.PanelWidth
	whole := first + (last-first)/width*width
	for r := 0; r < rows; r += rowTile {
		count := min(rowTile, rows-r)
		fours := m.blockRows(&in, count)
		if whole == first {
			fours = 0
		}
		if fours > 0 {
			m.multiplyBlocks(c[r*ldc:], ldc, &in, r, fours, first, whole)
		}
		for j := first; j < last; j += width {
			r, count := r, count
			if j < whole {
				r, count = r+fours, count-fours
			}
			if count == 0 {
				continue
			}
			n := min(width, m.Outputs-j)
			var bias []float32
			if m.bias != nil {
				bias = m.bias[j:]
			}
			if !m.Quantized() {
				panel := m.weights[j*m.Inputs : (j+n)*m.Inputs]
				m.set.GemmF32(c[r*ldc+j-first:], ldc, in.Values[r*in.Stride:], in.Stride, count, n, m.Inputs, panel, bias)
				continue
			}
			q, row := in.Quantized, in.Row+r
			m.integers.Gemm(c[r*ldc+j-first:], ldc, q.rows[row*q.stride:], q.scales[row:], q.sums[row:], count, n, m.Inputs,
				m.panels[m.panelOffset(j):], m.scales[j:], bias)
		}
	}
}

// multiplyBlocks is Multiply for rows in blocks of four and whole panels.
func (m *Matrix) multiplyBlocks(c []float32, ldc int, in *Input, row, rows, first, last int) {
	var blocks []float32
	if in.regrouped {
		blocks = in.Blocks.words[row*m.words():]
	} else {
		m.regroup(in, row, rows)
		blocks = in.Blocks.words
	}
	var bias []float32
	if m.bias != nil {
		bias = m.bias[first:]
	}
	if !m.Quantized() {
		m.set.gemmF32Blocks(c, ldc, blocks, rows, last-first, m.Inputs, m.weights[first*m.Inputs:], bias)
		return
	}
	m.integers.gemmBlocks(c, ldc, blocks, in.Quantized.scales[in.Row+row:], rows, last-first, m.Inputs, m.panels[m.panelOffset(first):], m.scales[first:], bias)
}

// Quantized holds rows of activations as integers, each row with a scale of
// its own, so that a row never depends on its neighbours.
type Quantized struct {
	integers *Integers
	inputs   int
	stride   int
	rows     []byte
	scales   []float32
	sums     []int32
}

// Reset makes room for rows to multiply with m or a matrix of its kind and
// inputs, keeping memory that is large enough.
func (q *Quantized) Reset(m *Matrix, rows int) {
	q.integers, q.inputs, q.stride = m.integers, m.Inputs, m.integers.Stride(m.Inputs)
	q.rows = grow(q.rows, rows*q.stride)
	q.scales = grow(q.scales, rows)
	q.sums = grow(q.sums, rows)
}

// Store quantises a (rows, K) with row stride lda into the rows from `at` on.
func (q *Quantized) Store(at int, a []float32, lda, rows int) {
	q.integers.Quantize(q.rows[at*q.stride:], q.scales[at:], q.sums[at:], a, lda, rows, q.inputs)
}

// Bytes is the memory held.
func (q *Quantized) Bytes() int { return cap(q.rows) + 4*(cap(q.scales)+cap(q.sums)) }

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
