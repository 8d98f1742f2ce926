//go:build arm64 && !noasm

package kernel

import "unsafe"

func multiplyVector(dst, a, b []float32) {
	multiplyNEON(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), len(dst))
}

func multiplyAddVector(dst, a, b, c []float32) {
	multiplyAddNEON(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), unsafe.SliceData(c), len(dst))
}
