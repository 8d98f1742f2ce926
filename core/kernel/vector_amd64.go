//go:build amd64 && !noasm

package kernel

import (
	"math"
	"unsafe"
)

// transposeVector writes src (n, k) as dst (k, n) by squares of eight.
func transposeVector(dst, src []float32, n, k int) {
	whole := k &^ 7
	j := 0
	for ; j+8 <= n; j += 8 {
		if whole > 0 {
			transpose8AVX2(&dst[j], n, &src[j*k], k, whole)
		}
		for p := whole; p < k; p++ {
			for i := j; i < j+8; i++ {
				dst[p*n+i] = src[i*k+p]
			}
		}
	}
	for ; j < n; j++ {
		for p := range k {
			dst[p*n+j] = src[j*k+p]
		}
	}
}

func layerNormVector(dst, x, residual, weight, bias []float32, eps float64) {
	n := len(dst)
	if n == 0 {
		return
	}
	var sum float64
	if residual == nil {
		sum = layerNormSumAVX2(&dst[0], &x[0], n)
	} else {
		sum = layerNormAddAVX2(&dst[0], &x[0], &residual[0], n)
	}
	mean := sum / float64(n)
	squares := layerNormSquaresAVX2(&dst[0], n, mean)
	layerNormScaleAVX2(&dst[0], n, mean, 1/math.Sqrt(squares/float64(n)+eps), &weight[0], &bias[0])
}

func geluGateVectorAVX2(dst, gate, value []float32) {
	if value == nil {
		geluAVX2(unsafe.SliceData(dst), unsafe.SliceData(gate), len(dst))
		return
	}
	geluGateAVX2(unsafe.SliceData(dst), unsafe.SliceData(gate), unsafe.SliceData(value), len(dst))
}

func shortFilterVectorAVX2(x []float32, rows int, taps []float32) {
	shortFilterAVX2(unsafe.SliceData(x), rows, &taps[0])
}

func multiplyVectorAVX2(dst, a, b []float32) {
	multiplyAVX2(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), len(dst))
}

func multiplyAddVectorAVX2(dst, a, b, c []float32) {
	multiplyAddAVX2(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c), len(dst))
}

func sineVectorAVX2(x, frequency []float32) {
	n := len(frequency)
	for len(x) >= n && n > 0 {
		if !sineAVX2(&x[0], &frequency[0], n) {
			sine(x[:n], frequency)
		}
		x = x[n:]
	}
}

func decayVectorAVX2(k, t, deltas []float32) {
	decayAVX2(unsafe.SliceData(k), unsafe.SliceData(t), len(t), &deltas[0])
}

func radix4ForwardVectorAVX2(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4ForwardLastAVX2(unsafe.SliceData(x), blocks)
		return
	}
	radix4ForwardAVX2(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix4InverseVectorAVX2(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4InverseLastAVX2(unsafe.SliceData(x), blocks)
		return
	}
	radix4InverseAVX2(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix2VectorAVX2(x []float32, blocks int) {
	radix2AVX2(unsafe.SliceData(x), blocks)
}

func spectrumProductVectorAVX2(x, y, kx, ky []float32, pairs int) {
	if pairs > 0 {
		last := (pairs - 1) * GroupWidth
		spectrumProductAVX2(&x[0], &y[last], &kx[0], &ky[last], pairs)
	}
}

func spectrumSplitVectorAVX2(x, y []float32, pairs int, scale float32) {
	if pairs > 0 {
		spectrumSplitAVX2(&x[0], &y[(pairs-1)*GroupWidth], pairs, scale)
	}
}
