package kernel

import "sync"

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

	quantized []int8    // (N, K); nil for a float32 matrix
	panels    []byte    // quantised panels once packed
	scales    []float32 // (N), one a row of quantized
}

// NewMatrix wraps weights (N, K) row-major and a bias (N) or nil.
// It takes ownership of weights and reorders them at first use.
func NewMatrix(set *Set, weights []float32, outputs, inputs int, bias []float32) *Matrix {
	return &Matrix{Outputs: outputs, Inputs: inputs, set: set, weights: weights[:outputs*inputs], bias: bias}
}

// NewQuantizedMatrix wraps 8-bit weights (N, K) with one scale a row. The
// weights are only read.
func NewQuantizedMatrix(set *Set, weights []int8, scales []float32, outputs, inputs int, bias []float32) *Matrix {
	return &Matrix{Outputs: outputs, Inputs: inputs, set: set, quantized: weights[:outputs*inputs], scales: scales[:outputs], bias: bias}
}

// Quantized says whether the matrix holds 8-bit weights, so that Multiply
// needs a [Quantizer].
func (m *Matrix) Quantized() bool { return m.quantized != nil }

func (m *Matrix) prepare() {
	if m.quantized != nil {
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

func (m *Matrix) packQuantized() {
	width := m.set.PanelWidth
	m.panels = make([]byte, m.panelOffset(m.Outputs))
	for first := 0; first < m.Outputs; first += width {
		n := min(width, m.Outputs-first)
		m.set.PackI8(m.panels[m.panelOffset(first):], m.quantized[first*m.Inputs:(first+n)*m.Inputs], n, m.Inputs)
	}
}

// panelOffset is where the quantised panel that starts at column first begins.
func (m *Matrix) panelOffset(first int) int {
	width := m.set.PanelWidth
	at := first / width * m.set.PanelI8Bytes(width, m.Inputs)
	if rest := first % width; rest > 0 {
		at += m.set.PanelI8Bytes(rest, m.Inputs)
	}
	return at
}

// rowTile is how many rows of activations run against a panel before the next
// panel: enough to pay for reading the panel, few enough to stay in cache.
const rowTile = 96

// Multiply computes c[i, j-first] = bias[j] + Σ_k a[i,k]·W[j,k] for m rows and
// the columns first ≤ j < last. first must be a multiple of the panel width
// or of [GroupWidth]. a is (m, K) with row stride lda, c has row stride ldc.
// q is needed by quantised matrices only.
func (m *Matrix) Multiply(c []float32, ldc int, a []float32, lda, rows, first, last int, q *Quantizer) {
	m.pack.Do(m.prepare)
	if m.quantized != nil {
		m.multiplyQuantized(c, ldc, a, lda, rows, first, last, q)
		return
	}
	width := m.set.PanelWidth
	for r := 0; r < rows; r += rowTile {
		count := min(rowTile, rows-r)
		for j := first; j < last; j += width {
			n := min(width, m.Outputs-j)
			panel := m.weights[j*m.Inputs : (j+n)*m.Inputs]
			m.set.GemmF32(c[r*ldc+j-first:], ldc, a[r*lda:], lda, count, n, m.Inputs, panel, m.biasFrom(j))
		}
	}
}

func (m *Matrix) biasFrom(j int) []float32 {
	if m.bias == nil {
		return nil
	}
	return m.bias[j:]
}

func (m *Matrix) multiplyQuantized(c []float32, ldc int, a []float32, lda, rows, first, last int, q *Quantizer) {
	width := m.set.PanelWidth
	for r := 0; r < rows; r += rowTile {
		count := min(rowTile, rows-r)
		q.quantize(m.set, a[r*lda:], lda, count, m.Inputs)
		for j := first; j < last; j += width {
			n := min(width, m.Outputs-j)
			m.set.GemmI8(c[r*ldc+j-first:], ldc, q.rows, q.scales[:], q.sums[:], count, n, m.Inputs,
				m.panels[m.panelOffset(j):], m.scales[j:], m.biasFrom(j))
		}
	}
}

// Quantizer is the scratch in which activations are quantised; one a thread.
type Quantizer struct {
	rows   []byte
	scales [rowTile]float32
	sums   [rowTile]int32
}

func (q *Quantizer) quantize(set *Set, a []float32, lda, m, k int) {
	if need := rowTile * set.QuantizedStride(k); len(q.rows) < need {
		q.rows = make([]byte, need)
	}
	set.QuantizeRows(q.rows, q.scales[:], q.sums[:], a, lda, m, k)
}
