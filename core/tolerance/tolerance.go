// Package tolerance is the table of how far results may stand from what tests
// compare them with, a reason a line.
package tolerance

// Kernels (core/kernel) against float64.
const (
	Gemm        = 1e-6 // relative to Σ|a·w|+|bias|: a chain of 1,000 rounded float32 sums drifts by about √K·2^-24
	LayerNorm   = 5e-7 // relative to the largest |weight|·|z|+|bias|: four roundings, and that of x + residual before them
	Gelu        = 5e-7 // absolute, a rounding of the result on top: the bound that the polynomial states
	Sine        = 2e-7 // absolute: the stated bound for |argument| ≤ 1,000
	Decay       = 3e-7 // relative: the exponential's polynomial and two roundings
	FFTPass     = 1e-6 // relative to the largest value that enters: two roundings a pass
	Elementwise = 4e-7 // relative to the sum of the magnitudes: up to four roundings
)

// Transforms (core/fft) against sums in float64, relative to the root of the sum
// of squares that enters a result.
const (
	Transform = 1e-6 // a rounding of 6e-8 a step, about one step a level
	Convolve  = 2e-6 // two transforms and the product between them
)

// The model against the original in PyTorch, float64. In brackets the original's
// own float32; wrong readings of the model change hidden rows by 1e-4 and more.
const (
	TinyHidden   = 3e-5     // largest difference of a hidden row [7e-6]
	TinyPooled   = 1e-5     // of a pooled vector [2e-6]
	TinyStage    = 3e-5     // of an intermediate tensor, relative to its largest value, at least 1
	DoubledSines = 6e-5     // of a hidden row with hyena_w_mod 2: doubled frequencies double every error [2.8e-5]
	BigHidden    = 2e-4     // 80M hidden rows [6e-5]
	BigPooled    = 1e-4     // 80M pooled [2e-5]
	BigCosine    = 1 - 1e-8 // cosine of 80M pooled vectors [1 - 1e-10]
	Int8Cosine   = 0.999    // cosine of an int8 model's vector: what 12-bit matrices and 8-bit tables keep up to 32,768 tokens
	OtherOrder   = 1 - 1e-8 // cosine of the same weights in another layout: rounding of another order of sums
)

// GPU kernels (webgpu) against float64: normalised mean squared errors, squares of
// relative errors.
const (
	GPUSum       = 1e-12 // a 32-bit sum of some hundred products is good to 1e-7 to 1e-6
	GPUTransform = 1e-11 // an FFT convolution in 32 bits is good to about 1e-6
	GPUPoint     = 1e-12 // elementwise functions are good to a few 1e-7
	GPUHalf      = 1e-6  // 16-bit weights have 11 bits of precision
)

// The model on a GPU.
const (
	GPUDoubledSines = 1e-4     // of a hidden row with hyena_w_mod 2: its sine is rounder than the processor's, at each of three layers
	GPUHalfCosine   = 0.999    // cosine with 16-bit matrices: 11 bits a weight
	GPUCosine       = 1 - 1e-9 // cosine to the processor's vector: rounding of another order of sums
)

// Graphs of random configurations (host/oracle) against core.
const (
	OracleHidden   = 5e-5 // of a hidden row, of size one: 7e-6 on models this small, and random ones may be less well behaved
	OracleGradient = 2e-3 // relative, of a central difference of step 1/64 over float32: rounding of 1e-6 over 1/32, and the third derivative
)
