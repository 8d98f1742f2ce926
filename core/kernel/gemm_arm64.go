//go:build arm64 && !noasm

package kernel

import "unsafe"

// inputBlock is how many inputs run at once: so many rows of a panel, 16 KB,
// stay in the first-level cache while all rows of activations pass by. Sums
// continue from c, so the blocks don't change a bit.
const inputBlock = 256

func gemmF32Vector(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
	if n < 16 {
		gemmF32NarrowVector(c, ldc, a, lda, m, n, k, panel, bias)
		return
	}
	start, startStride := &zeros[0], 0
	if bias != nil {
		start = &bias[0]
	}
	for p := 0; p == 0 || p < k; p += inputBlock {
		count, from := min(inputBlock, k-p), at(panel, p*16)
		for i := 0; i < m; {
			rows := nextTile(m-i, 6)
			out, first := at(c, i*ldc), start
			if p > 0 {
				first, startStride = out, ldc
			}
			gemmF32NEON(rows, out, ldc, at(a, i*lda+p), lda, count, from, first, startStride)
			i += rows
		}
	}
}

// gemmF32NarrowVector computes n columns of a panel that is not full, by fours
// and then one at a time.
func gemmF32NarrowVector(c []float32, ldc int, a []float32, lda, m, n, k int, panel, bias []float32) {
	for i := 0; i < m; i += 4 {
		rows := min(4, m-i)
		for j := 0; j < n; {
			start := &zeros[0]
			if bias != nil {
				start = &bias[j]
			}
			out, in, from := at(c, i*ldc+j), at(a, i*lda), unsafe.Add(unsafe.Pointer(unsafe.SliceData(panel)), 4*min(j, len(panel)))
			if n-j >= 4 {
				gemmF32Columns4NEON(rows, out, ldc, in, lda, k, (*float32)(from), n, start)
				j += 4
			} else {
				gemmF32Columns1NEON(rows, out, ldc, in, lda, k, (*float32)(from), n, start)
				j++
			}
		}
	}
}
