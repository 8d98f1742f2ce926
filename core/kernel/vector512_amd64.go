//go:build amd64 && !noasm

package kernel

import "unsafe"

func geluGateVectorAVX512(dst, gate, value []float32) {
	if value == nil {
		geluAVX512(unsafe.SliceData(dst), unsafe.SliceData(gate), len(dst))
		return
	}
	geluGateAVX512(unsafe.SliceData(dst), unsafe.SliceData(gate), unsafe.SliceData(value), len(dst))
}

func shortFilterVectorAVX512(x []float32, rows int, taps []float32) {
	shortFilterAVX512(unsafe.SliceData(x), rows, &taps[0])
}

func multiplyVectorAVX512(dst, a, b []float32) {
	multiplyAVX512(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), len(dst))
}

func multiplyAddVectorAVX512(dst, a, b, c []float32) {
	multiplyAddAVX512(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c), len(dst))
}

func sineVectorAVX512(x, frequency []float32) {
	n := len(frequency)
	for len(x) >= n && n > 0 {
		if !sineAVX512(&x[0], &frequency[0], n) {
			sine(x[:n], frequency)
		}
		x = x[n:]
	}
}

func decayVectorAVX512(k, t, deltas []float32) {
	decayAVX512(unsafe.SliceData(k), unsafe.SliceData(t), len(t), &deltas[0])
}

func radix4ForwardVectorAVX512(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4ForwardLastAVX512(unsafe.SliceData(x), blocks)
		return
	}
	radix4ForwardAVX512(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix4InverseVectorAVX512(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4InverseLastAVX512(unsafe.SliceData(x), blocks)
		return
	}
	radix4InverseAVX512(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix2VectorAVX512(x []float32, blocks int) {
	radix2AVX512(unsafe.SliceData(x), blocks)
}

func spectrumProductVectorAVX512(x, y, kx, ky []float32, pairs int) {
	if pairs > 0 {
		last := (pairs - 1) * GroupWidth
		spectrumProductAVX512(&x[0], &y[last], &kx[0], &ky[last], pairs)
	}
}

func spectrumSplitVectorAVX512(x, y []float32, pairs int, scale float32) {
	if pairs > 0 {
		spectrumSplitAVX512(&x[0], &y[(pairs-1)*GroupWidth], pairs, scale)
	}
}
