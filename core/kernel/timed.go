package kernel

import "unsafe"

// Operation is a kind of kernel, as [Timed] counts them.
type Operation uint8

const (
	Product   Operation = iota // matrix products, with regrouping and quantising
	Transform                  // passes of Fourier transforms, products of spectra
	Wave                       // sines and windows of the filters
	Other                      // everything else
)

// Timed returns a copy of a set that tells count what each call took by clock.
// inputs is the K of a product, 0 for other operations. For benchmarks.
func Timed(s *Set, clock func() int64, count func(o Operation, inputs int, took int64)) *Set {
	t := *s
	timed := func(o Operation, inputs int) func() {
		start := clock()
		return func() { count(o, inputs, clock()-start) }
	}
	t.GemmF32 = func(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
		defer timed(Product, k)()
		s.GemmF32(c, ldc, a, lda, m, n, k, panel, bias)
	}
	if s.gemmF32Blocks != nil {
		t.gemmF32Blocks = func(c []float32, ldc int, blocks []float32, m, n, k int, panels, bias []float32) {
			defer timed(Product, k)()
			s.gemmF32Blocks(c, ldc, blocks, m, n, k, panels, bias)
		}
		t.interleave = func(dst, src unsafe.Pointer, stride, m, n int) {
			defer timed(Product, n)()
			s.interleave(dst, src, stride, m, n)
		}
	}
	t.I8, t.I16 = timedIntegers(&s.I8, timed), timedIntegers(&s.I16, timed)
	t.LayerNorm = func(dst, x, residual, weight, bias []float32, eps float64) {
		defer timed(Other, 0)()
		s.LayerNorm(dst, x, residual, weight, bias, eps)
	}
	t.GeluGate = func(dst, gate, value []float32) {
		defer timed(Other, 0)()
		s.GeluGate(dst, gate, value)
	}
	t.Sine = func(x, frequency []float32) {
		defer timed(Wave, 0)()
		s.Sine(x, frequency)
	}
	t.Decay = func(k, times, deltas []float32) {
		defer timed(Wave, 0)()
		s.Decay(k, times, deltas)
	}
	t.Radix4Forward = func(x []float32, n, blocks int, twiddles []float32) {
		defer timed(Transform, 0)()
		s.Radix4Forward(x, n, blocks, twiddles)
	}
	t.Radix4Inverse = func(x []float32, n, blocks int, twiddles []float32) {
		defer timed(Transform, 0)()
		s.Radix4Inverse(x, n, blocks, twiddles)
	}
	t.Radix2 = func(x []float32, blocks int) {
		defer timed(Transform, 0)()
		s.Radix2(x, blocks)
	}
	t.SpectrumProduct = func(x, y, kx, ky []float32, pairs int) {
		defer timed(Transform, 0)()
		s.SpectrumProduct(x, y, kx, ky, pairs)
	}
	t.SpectrumSplit = func(x, y []float32, pairs int, scale float32) {
		defer timed(Transform, 0)()
		s.SpectrumSplit(x, y, pairs, scale)
	}
	return &t
}

func timedIntegers(s *Integers, timed func(o Operation, inputs int) func()) Integers {
	t := *s
	t.Quantize = func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
		defer timed(Product, k)()
		s.Quantize(q, scales, sums, a, lda, m, k)
	}
	t.Gemm = func(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
		defer timed(Product, k)()
		s.Gemm(c, ldc, q, rowScales, rowSums, m, n, k, panel, columnScales, bias)
	}
	if s.gemmBlocks != nil {
		t.gemmBlocks = func(c []float32, ldc int, blocks, rowScales []float32, m, n, k int, panels []byte, columnScales, bias []float32) {
			defer timed(Product, k)()
			s.gemmBlocks(c, ldc, blocks, rowScales, m, n, k, panels, columnScales, bias)
		}
	}
	return t
}
