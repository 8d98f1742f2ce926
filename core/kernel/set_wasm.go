//go:build wasip1 && m2embed_kernels

package kernel

import "unsafe"

// The functions of the SIMD kernel module (wasm/kernels), which the build
// merges into this one. Counts are in elements, as in Set.

//go:wasmimport kernels gemm_f32
//go:noescape
func wasmGemmF32(c unsafe.Pointer, ldc int32, a unsafe.Pointer, lda, m, n, k int32, panel, bias unsafe.Pointer)

//go:wasmimport kernels gemm_f32_blocks
//go:noescape
func wasmGemmF32Blocks(c unsafe.Pointer, ldc int32, blocks unsafe.Pointer, m, n, k int32, panels, bias unsafe.Pointer)

//go:wasmimport kernels gemm_f32_blocks_unrolled
//go:noescape
func wasmGemmF32BlocksUnrolled(c unsafe.Pointer, ldc int32, blocks unsafe.Pointer, m, n, k int32, panels, bias unsafe.Pointer)

//go:wasmimport kernels interleave
//go:noescape
func wasmInterleave(dst, src unsafe.Pointer, stride, m, n int32)

//go:wasmimport kernels gemm_i8
//go:noescape
func wasmGemmI8(c unsafe.Pointer, ldc int32, q, rowScales unsafe.Pointer, m, n, k int32, panel, columnScales, bias unsafe.Pointer)

//go:wasmimport kernels gemm_i8_blocks
//go:noescape
func wasmGemmI8Blocks(c unsafe.Pointer, ldc int32, blocks, rowScales unsafe.Pointer, m, n, k int32, panels, columnScales, bias unsafe.Pointer)

//go:wasmimport kernels pack_i8
//go:noescape
func wasmPackI8(panel, w unsafe.Pointer, n, k int32)

//go:wasmimport kernels gemm_i16
//go:noescape
func wasmGemmI16(c unsafe.Pointer, ldc int32, q, rowScales unsafe.Pointer, m, n, k int32, panel, columnScales, bias unsafe.Pointer)

//go:wasmimport kernels gemm_i16_blocks
//go:noescape
func wasmGemmI16Blocks(c unsafe.Pointer, ldc int32, blocks, rowScales unsafe.Pointer, m, n, k int32, panels, columnScales, bias unsafe.Pointer)

//go:wasmimport kernels pack_i16
//go:noescape
func wasmPackI16(panel, w unsafe.Pointer, n, k int32)

//go:wasmimport kernels quantize_rows
//go:noescape
func wasmQuantizeRows(q, scales, sums, a unsafe.Pointer, lda, m, k int32, limit float32)

//go:wasmimport kernels layer_norm
//go:noescape
func wasmLayerNorm(dst, x, residual, weight, bias unsafe.Pointer, n int32, eps float64)

//go:wasmimport kernels gelu_gate
//go:noescape
func wasmGeluGate(dst, gate, value unsafe.Pointer, n int32)

//go:wasmimport kernels multiply
//go:noescape
func wasmMultiply(dst, a, b unsafe.Pointer, n int32)

//go:wasmimport kernels multiply_add
//go:noescape
func wasmMultiplyAdd(dst, a, b, c unsafe.Pointer, n int32)

//go:wasmimport kernels short_filter
//go:noescape
func wasmShortFilter(x unsafe.Pointer, rows int32, taps unsafe.Pointer)

//go:wasmimport kernels sine
//go:noescape
func wasmSine(x, frequency unsafe.Pointer, rows, n int32)

//go:wasmimport kernels decay
//go:noescape
func wasmDecay(k, t unsafe.Pointer, rows int32, deltas unsafe.Pointer)

//go:wasmimport kernels radix4_forward
//go:noescape
func wasmRadix4Forward(x unsafe.Pointer, n, blocks int32, twiddles unsafe.Pointer)

//go:wasmimport kernels radix4_inverse
//go:noescape
func wasmRadix4Inverse(x unsafe.Pointer, n, blocks int32, twiddles unsafe.Pointer)

//go:wasmimport kernels radix2
//go:noescape
func wasmRadix2(x unsafe.Pointer, blocks int32)

//go:wasmimport kernels spectrum_product
//go:noescape
func wasmSpectrumProduct(x, y, kx, ky unsafe.Pointer, pairs int32)

//go:wasmimport kernels spectrum_split
//go:noescape
func wasmSpectrumSplit(x, y unsafe.Pointer, pairs int32, scale float32)

// address is where a slice begins; an empty one may give nil.
func address[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

// wasmStride is the bytes of a quantised row: int16, padded to a multiple of four.
func wasmStride(k int) int { return (k + 3) &^ 3 * 2 }

func wasmQuantize(limit func(k int) int) func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
	return func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
		wasmQuantizeRows(address(q), address(scales), address(sums), address(a), int32(lda), int32(m), int32(k), float32(limit(k)))
	}
}

// WasmSIMD is the set of SIMD kernels in the form that suits optimising
// engines (V8, SpiderMonkey, JavaScriptCore).
var WasmSIMD = Set{
	Name:       "wasm-simd",
	PanelWidth: 8,
	GemmF32: func(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
		wasmGemmF32(address(c), int32(ldc), address(a), int32(lda), int32(m), int32(n), int32(k), address(panel), address(bias))
	},
	I8: Integers{
		Stride:   wasmStride,
		Quantize: wasmQuantize(limit8),
		// Pairs of k for 8 columns, whatever n is.
		PanelBytes: func(_, k int) int { return (k + 3) / 4 * 32 },
		Pack: func(panel, w []byte, n, k int) {
			wasmPackI8(address(panel), address(w), int32(n), int32(k))
		},
		Gemm: func(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
			wasmGemmI8(address(c), int32(ldc), address(q), address(rowScales), int32(m), int32(n), int32(k), address(panel), address(columnScales), address(bias))
		},
		gemmBlocks: func(c []float32, ldc int, blocks, rowScales []float32, m, n, k int, panels []byte, columnScales, bias []float32) {
			wasmGemmI8Blocks(address(c), int32(ldc), address(blocks), address(rowScales), int32(m), int32(n), int32(k), address(panels), address(columnScales), address(bias))
		},
	},
	I16: Integers{
		Stride:     wasmStride,
		Quantize:   wasmQuantize(Limit16),
		PanelBytes: func(_, k int) int { return (k + 3) / 4 * 64 },
		Pack: func(panel, w []byte, n, k int) {
			wasmPackI16(address(panel), address(w), int32(n), int32(k))
		},
		Gemm: func(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
			wasmGemmI16(address(c), int32(ldc), address(q), address(rowScales), int32(m), int32(n), int32(k), address(panel), address(columnScales), address(bias))
		},
		gemmBlocks: func(c []float32, ldc int, blocks, rowScales []float32, m, n, k int, panels []byte, columnScales, bias []float32) {
			wasmGemmI16Blocks(address(c), int32(ldc), address(blocks), address(rowScales), int32(m), int32(n), int32(k), address(panels), address(columnScales), address(bias))
		},
	},
	LayerNorm: func(dst, x, residual, weight, bias []float32, eps float64) {
		wasmLayerNorm(address(dst), address(x), address(residual), address(weight), address(bias), int32(len(dst)), eps)
	},
	GeluGate: func(dst, gate, value []float32) {
		wasmGeluGate(address(dst), address(gate), address(value), int32(len(dst)))
	},
	ShortFilter: func(x []float32, rows int, taps []float32) {
		wasmShortFilter(address(x), int32(rows), address(taps))
	},
	Multiply: func(dst, a, b []float32) {
		wasmMultiply(address(dst), address(a), address(b), int32(len(dst)))
	},
	MultiplyAdd: func(dst, a, b, c []float32) {
		wasmMultiplyAdd(address(dst), address(a), address(b), address(c), int32(len(dst)))
	},
	Sine: func(x, frequency []float32) {
		if n := len(frequency); n > 0 {
			wasmSine(address(x), address(frequency), int32(len(x)/n), int32(n))
		}
	},
	Decay: func(k, t, deltas []float32) {
		wasmDecay(address(k), address(t), int32(len(t)), address(deltas))
	},
	Radix4Forward: func(x []float32, n, blocks int, twiddles []float32) {
		wasmRadix4Forward(address(x), int32(n), int32(blocks), address(twiddles))
	},
	Radix4Inverse: func(x []float32, n, blocks int, twiddles []float32) {
		wasmRadix4Inverse(address(x), int32(n), int32(blocks), address(twiddles))
	},
	Radix2: func(x []float32, blocks int) {
		wasmRadix2(address(x), int32(blocks))
	},
	SpectrumProduct: func(x, y, kx, ky []float32, pairs int) {
		wasmSpectrumProduct(address(x), address(y), address(kx), address(ky), int32(pairs))
	},
	SpectrumSplit: func(x, y []float32, pairs int, scale float32) {
		wasmSpectrumSplit(address(x), address(y), int32(pairs), scale)
	},
	interleave: func(dst, src unsafe.Pointer, stride, m, n int) {
		wasmInterleave(dst, src, int32(stride), int32(m), int32(n))
	},
	gemmF32Blocks: func(c []float32, ldc int, blocks []float32, m, n, k int, panels, bias []float32) {
		wasmGemmF32Blocks(address(c), int32(ldc), address(blocks), int32(m), int32(n), int32(k), address(panels), address(bias))
	},
}

// WasmSIMDUnrolled is WasmSIMD with the float32 product unrolled over the shared
// dimension, which suits wazero. Both give the same bits.
var WasmSIMDUnrolled = unrolledForm(WasmSIMD)

func unrolledForm(s Set) Set {
	s.Name = "wasm-simd-unrolled"
	s.gemmF32Blocks = func(c []float32, ldc int, blocks []float32, m, n, k int, panels, bias []float32) {
		wasmGemmF32BlocksUnrolled(address(c), int32(ldc), address(blocks), int32(m), int32(n), int32(k), address(panels), address(bias))
	}
	return s
}

// Sets lists the back ends of the merged module.
func Sets() []*Set { return []*Set{&Go, &WasmSIMDUnrolled, &WasmSIMD} }
