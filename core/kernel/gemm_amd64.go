//go:build amd64 && !noasm

package kernel

import "unsafe"

// inputBlock is how many inputs run at once: so many rows of a panel, 16 KB,
// stay in the first-level cache while all rows of activations pass by. Sums
// continue from c, so the blocks don't change a bit.
const (
	inputBlock       = 256
	inputBlockAVX512 = 128
)

// maskTable gives at [16-n:] a mask of the first n of 16 columns.
var maskTable = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

func gemmF32AVX2(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
	if n < 16 {
		gemmF32Masked(c, ldc, a, lda, m, n, k, panel, n, bias)
		return
	}
	start, startStride := &zeros[0], 0
	if bias != nil {
		start = &bias[0]
	}
	alone := k <= inputBlock && lda == k
	for p := 0; p == 0 || p < k; p += inputBlock {
		count, from := min(inputBlock, k-p), at(panel, p*16)
		// Only fetched ahead, so it may point past the panel: no pointer.
		next := uintptr(unsafe.Pointer(from)) + uintptr(4*16*count)
		for i := 0; i < m; {
			rows := nextTile(m-i, 6)
			out, in, first := at(c, i*ldc), at(a, i*lda+p), start
			if p > 0 {
				first, startStride = out, ldc
			}
			if alone && i+rows < m {
				prefetchLines(uintptr(unsafe.Pointer(in))+uintptr(4*rows*lda), min(rows, m-i-rows)*k/16)
			}
			switch rows {
			case 1:
				gemmF32Rows1AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			case 2:
				gemmF32Rows2AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			case 3:
				gemmF32Rows3AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			case 4:
				gemmF32Rows4AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			case 5:
				gemmF32Rows5AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			case 6:
				gemmF32Rows6AVX2(out, ldc, in, lda, count, from, first, startStride, next)
			}
			i += rows
			next += uintptr(16 * count) // a cache line for every four inputs
		}
	}
}

// gemmF32Masked computes n ≤ 16 columns of a panel whose rows are `stride` apart.
func gemmF32Masked(c []float32, ldc int, a []float32, lda, m, n, k int, panel []float32, stride int, bias []float32) {
	mask, start := &maskTable[16-n], &zeros[0]
	if bias != nil {
		start = &bias[0]
	}
	i := 0
	for ; i+4 <= m; i += 4 {
		gemmF32MaskedRows4(at(c, i*ldc), ldc, at(a, i*lda), lda, k, unsafe.SliceData(panel), stride, start, mask)
	}
	for ; i < m; i++ {
		gemmF32MaskedRows1(at(c, i*ldc), ldc, at(a, i*lda), lda, k, unsafe.SliceData(panel), stride, start, mask)
	}
}

func gemmF32AVX512(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
	if n < 32 {
		for j := 0; j < n; j += 16 {
			var b []float32
			if bias != nil {
				b = bias[j:]
			}
			gemmF32Masked(c[j:], ldc, a, lda, m, min(16, n-j), k, panel[min(j, len(panel)):], n, b)
		}
		return
	}
	start, startStride := &zeros[0], 0
	if bias != nil {
		start = &bias[0]
	}
	alone := k <= inputBlockAVX512 && lda == k
	for p := 0; p == 0 || p < k; p += inputBlockAVX512 {
		count, from := min(inputBlockAVX512, k-p), at(panel, p*32)
		// Only fetched ahead, so it may point past the panel: no pointer.
		next := uintptr(unsafe.Pointer(from)) + uintptr(4*32*count)
		for i := 0; i < m; {
			rows := nextTile(m-i, 12)
			out, in, first := at(c, i*ldc), at(a, i*lda+p), start
			if p > 0 {
				first, startStride = out, ldc
			}
			if alone && i+rows < m {
				prefetchLines(uintptr(unsafe.Pointer(in))+uintptr(4*rows*lda), min(rows, m-i-rows)*k/16)
			}
			switch rows {
			case 1:
				gemmF32Rows1AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 2:
				gemmF32Rows2AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 3:
				gemmF32Rows3AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 4:
				gemmF32Rows4AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 5:
				gemmF32Rows5AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 6:
				gemmF32Rows6AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 7:
				gemmF32Rows7AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 8:
				gemmF32Rows8AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 9:
				gemmF32Rows9AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 10:
				gemmF32Rows10AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 11:
				gemmF32Rows11AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			case 12:
				gemmF32Rows12AVX512(out, ldc, in, lda, count, from, first, startStride, next)
			}
			i += rows
			next += uintptr(16 * count) // a cache line for every four inputs
		}
	}
}
