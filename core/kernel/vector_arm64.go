//go:build arm64 && !noasm

package kernel

import (
	"math"
	"unsafe"
)

func layerNormVector(dst, x, residual, weight, bias []float32, eps float64) {
	n := len(dst)
	if n == 0 {
		return
	}
	var sum float64
	if residual == nil {
		sum = layerNormSumNEON(&dst[0], &x[0], n)
	} else {
		sum = layerNormAddNEON(&dst[0], &x[0], &residual[0], n)
	}
	mean := sum / float64(n)
	squares := layerNormSquaresNEON(&dst[0], n, mean)
	layerNormScaleNEON(&dst[0], n, mean, 1/math.Sqrt(squares/float64(n)+eps), &weight[0], &bias[0])
}

func geluGateVector(dst, gate, value []float32) {
	if value == nil {
		geluNEON(unsafe.SliceData(dst), unsafe.SliceData(gate), len(dst))
		return
	}
	geluGateNEON(unsafe.SliceData(dst), unsafe.SliceData(gate), unsafe.SliceData(value), len(dst))
}

func shortFilterVector(x []float32, rows int, taps []float32) {
	shortFilterNEON(unsafe.SliceData(x), rows, &taps[0])
}

func multiplyVector(dst, a, b []float32) {
	multiplyNEON(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), len(dst))
}

func multiplyAddVector(dst, a, b, c []float32) {
	multiplyAddNEON(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c), len(dst))
}

func sineVector(x, frequency []float32) {
	n := len(frequency)
	for len(x) >= n && n > 0 {
		if !sineNEON(&x[0], &frequency[0], n) {
			sine(x[:n], frequency)
		}
		x = x[n:]
	}
}

func decayVector(k, t, deltas []float32) {
	decayNEON(unsafe.SliceData(k), unsafe.SliceData(t), len(t), &deltas[0])
}

func radix4ForwardVector(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4ForwardLastNEON(unsafe.SliceData(x), blocks)
		return
	}
	radix4ForwardNEON(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix4InverseVector(x []float32, n, blocks int, twiddles []float32) {
	if n == 4 {
		radix4InverseLastNEON(unsafe.SliceData(x), blocks)
		return
	}
	radix4InverseNEON(unsafe.SliceData(x), n/4, blocks, &twiddles[0])
}

func radix2Vector(x []float32, blocks int) { radix2NEON(unsafe.SliceData(x), blocks) }

func spectrumProductVector(x, y, kx, ky []float32, pairs int) {
	if pairs > 0 {
		last := (pairs - 1) * GroupWidth
		spectrumProductNEON(&x[0], &y[last], &kx[0], &ky[last], pairs)
	}
}

func spectrumSplitVector(x, y []float32, pairs int, scale float32) {
	if pairs > 0 {
		spectrumSplitNEON(&x[0], &y[(pairs-1)*GroupWidth], pairs, scale)
	}
}
