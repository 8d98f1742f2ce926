package kernel

// tolerance is how far a back end may stand from the float64 references of
// these tests. Every limit has its reason beside it.
var tolerance = struct {
	gemm, layerNorm, gelu, sine, decay, fft, elementwise float64
}{
	// Relative to Σ|a·w|+|bias|: a chain of up to 1,000 rounded float32
	// additions drifts by about √K·2^-24 and stays far below 1e-6.
	gemm: 1e-6,
	// Relative to the largest |weight|·|z|+|bias|: four roundings, and the
	// rounding of x + residual beforehand (seen by the reference too).
	layerNorm: 5e-7,
	// Absolute, with one rounding of the result on top: the stated bound of
	// the polynomial.
	gelu: 5e-7,
	// Absolute: the stated bound for |argument| ≤ 1,000.
	sine: 2e-7,
	// Relative: the exponential's polynomial and two roundings.
	decay: 3e-7,
	// Relative to the largest value that enters: two roundings a pass.
	fft: 1e-6,
	// Relative to the sum of the magnitudes: up to four roundings.
	elementwise: 4e-7,
}
