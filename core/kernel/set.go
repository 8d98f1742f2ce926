package kernel

import "unsafe"

// Set is one back end: the operations of the forward pass over slices.
// All functions trust their slice lengths to be consistent (the callers are
// our own packages); none of them allocates or keeps an argument.
type Set struct {
	// Name says which back end this is: "go", "avx2", "avx512", "neon",
	// "neon-dotprod", "wasm-simd".
	Name string

	// PanelWidth is the number of output columns in a packed weight panel.
	PanelWidth int

	// GemmF32 computes n columns of a matrix product with one packed panel:
	//
	//	c[i*ldc+j] = bias[j] + Σ_k a[i*lda+k] · panel[k*n+j]
	//
	// for i < m, j < n, n ≤ PanelWidth. panel is (K, n). bias may be nil.
	// The sum starts at the bias and runs in the order of k.
	GemmF32 func(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32)

	// I8 and I16 are the products of integers: of 8-bit weights, and of weights
	// of up to [MaxWeight16] held in 16 bits.
	I8, I16 Integers

	// LayerNorm normalises one row of D values: dst = (s-mean)/sqrt(var+eps) ·
	// weight + bias with s = x + residual and the population variance.
	// residual may be nil; dst may alias x or residual.
	LayerNorm func(dst, x, residual, weight, bias []float32, eps float64)

	// GeluGate computes dst[i] = gelu(gate[i]) · value[i] with the exact
	// gelu(x) = x/2 · (1 + erf(x/√2)). A nil value stands for ones; dst may
	// alias gate.
	GeluGate func(dst, gate, value []float32)

	// ShortFilter runs the causal three-tap depthwise filter over a group in
	// place: x[t] = taps[3] + taps[0]·x[t-2] + taps[1]·x[t-1] + taps[2]·x[t].
	// x is (rows, GroupWidth), taps (4, GroupWidth); rows before the first are
	// zero.
	ShortFilter func(x []float32, rows int, taps []float32)

	// Multiply computes dst[i] = a[i] · b[i]; dst may alias either.
	Multiply func(dst, a, b []float32)

	// MultiplyAdd computes dst[i] = a[i] · b[i] + c[i]; dst may alias any.
	MultiplyAdd func(dst, a, b, c []float32)

	// Sine computes x[r,i] = sin(frequency[i] · x[r,i]) for rows of
	// len(frequency) values. Arguments reach a few hundred; the absolute error
	// stays below 2e-7 there.
	Sine func(x, frequency []float32)

	// Decay multiplies a group of filter taps with their window:
	// k[j,c] *= exp(-t[j] · |deltas[c]|), k (len(t), GroupWidth), deltas
	// (GroupWidth).
	Decay func(k, t, deltas []float32)

	// Radix4Forward does one decimation-in-frequency pass over `blocks`
	// consecutive blocks of n complex rows (n divisible by 4), kernel e^{-i}.
	// Quarter outputs are stored in the order 0, 2, 1, 3, so that the passes
	// leave the spectrum in bit-reversed order. twiddles holds for each
	// j < n/4 the six numbers Re, Im of w^j, w^2j, w^3j with w = e^{-2πi/n}.
	Radix4Forward func(x []float32, n, blocks int, twiddles []float32)

	// Radix4Inverse undoes Radix4Forward but for the factor 4: decimation in
	// time with conjugated twiddles.
	Radix4Inverse func(x []float32, n, blocks int, twiddles []float32)

	// Radix2 replaces each pair of complex rows by its sum and difference:
	// the pass for n = 2 in both directions.
	Radix2 func(x []float32, blocks int)

	// SpectrumProduct multiplies the spectra of packed channel pairs with the
	// spectra of their filters. Row i of x and row pairs-1-i of y hold
	// frequencies q and N-q; rows i of kx and pairs-1-i of ky hold the filter
	// spectra of the real-part and of the imaginary-part channels at q, with
	// the factor 1/2 of the split folded in.
	SpectrumProduct func(x, y, kx, ky []float32, pairs int)

	// SpectrumSplit turns transformed filter pairs into the form that
	// SpectrumProduct takes: with X = x[i] and Y = y[pairs-1-i],
	// x[i] = scale·(X + conj Y), y[pairs-1-i] = -i·scale·(X - conj Y).
	SpectrumSplit func(x, y []float32, pairs int, scale float32)

	// interleave regroups m rows (a multiple of 4) of n words of 4 bytes, stride
	// bytes apart, as blocks (n, 4), for the product below and those of integers;
	// nil, like these, where rows are taken as they are.
	interleave func(dst, src unsafe.Pointer, stride, m, n int)

	// gemmF32Blocks is GemmF32 for interleaved rows and whole panels that lie
	// one after the other: m is a multiple of 4, n of PanelWidth, k > 0.
	gemmF32Blocks func(c []float32, ldc int, blocks []float32, m, n, k int, panels, bias []float32)

	// transpose writes src (n, k) as dst (k, n) when a Matrix is packed; nil
	// stands for the plain one.
	transpose func(dst, src []float32, n, k int)
}

// Integers are the operations for products with weights of one integer width.
// Rows of activations are quantised for it, each by itself.
type Integers struct {
	// Stride is the number of bytes that Quantize writes for a row of k values.
	Stride func(k int) int

	// Quantize rounds m rows of k values to integers: scale = max|a| / limit,
	// q = a / scale rounded to the nearest even integer, with limit 127 beside
	// 8-bit weights and [Limit16] beside 16-bit ones. The layout of q is the back
	// end's own. sums holds Σ_k q of each row, scales each row's scale (0 for a
	// row whose largest magnitude is below 1e-33, which counts as zeros).
	Quantize func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int)

	// PanelBytes is the size of a packed panel of n columns and k rows.
	PanelBytes func(n, k int) int

	// Pack writes n ≤ PanelWidth rows w (n, K) of little-endian weights as one
	// panel of PanelBytes(n, k) bytes.
	Pack func(panel, w []byte, n, k int)

	// Gemm computes n columns of a product of quantised rows with one packed
	// panel; the integer sums are exact:
	//
	//	c[i*ldc+j] = bias[j] + rowScales[i]·columnScales[j] · Σ_k q[i,k]·w[j,k]
	Gemm func(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32)

	// gemmBlocks is Gemm for interleaved rows and whole panels; see
	// Set.gemmF32Blocks.
	gemmBlocks func(c []float32, ldc int, blocks, rowScales []float32, m, n, k int, panels []byte, columnScales, bias []float32)
}

// Go is the set of plain twins.
var Go = Set{
	Name:            "go",
	PanelWidth:      4,
	GemmF32:         gemmF32,
	I8:              plainIntegers[int8](limit8),
	I16:             plainIntegers[int16](Limit16),
	LayerNorm:       layerNorm,
	GeluGate:        geluGate,
	ShortFilter:     shortFilter,
	Multiply:        multiply,
	MultiplyAdd:     multiplyAdd,
	Sine:            sine,
	Decay:           decay,
	Radix4Forward:   radix4Forward,
	Radix4Inverse:   radix4Inverse,
	Radix2:          radix2,
	SpectrumProduct: spectrumProduct,
	SpectrumSplit:   spectrumSplit,
}

// Active is the set that models are loaded with unless told otherwise: the
// last of [Sets].
func Active() *Set {
	s := Sets()
	return s[len(s)-1]
}
