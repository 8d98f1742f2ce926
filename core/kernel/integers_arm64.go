//go:build arm64 && !noasm

package kernel

import "encoding/binary"

// rowScale is the scale of a quantised row and its inverse.
func rowScale(row []float32, limit int) (scale, inverse float32) {
	if len(row) == 0 {
		return 0, 0
	}
	largest := largestMagnitudeNEON(&row[0], len(row))
	if largest < smallestQuantized {
		return 0, 0
	}
	return largest / float32(limit), float32(limit) / largest
}

// Rows for SMLAL: K 16-bit integers, K rounded up to even.

func pairsStride(k int) int { return 4 * ((k + 1) / 2) }

func quantizePairs(limit func(k int) int) func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
	return func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
		stride, limit := pairsStride(k), limit(k)
		for i := range m {
			row, out := a[i*lda:i*lda+k], q[i*stride:(i+1)*stride]
			scale, inverse := rowScale(row, limit)
			scales[i], sums[i] = scale, 0
			if scale == 0 {
				clear(out)
				continue
			}
			clear(out[2*k:])
			sums[i] = quantizeRow16NEON(&out[0], &row[0], k, inverse)
		}
	}
}

// Rows for SDOT: K signed bytes, K rounded up to a multiple of four.

func foursStride(k int) int { return 4 * ((k + 3) / 4) }

func quantizeFours(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
	stride := foursStride(k)
	for i := range m {
		row, out := a[i*lda:i*lda+k], q[i*stride:(i+1)*stride]
		scale, inverse := rowScale(row, limit8(k))
		scales[i], sums[i] = scale, 0
		if scale == 0 {
			clear(out)
			continue
		}
		clear(out[k:])
		sums[i] = quantizeRow8NEON(&out[0], &row[0], k, inverse)
	}
}

// The panels for SMLAL hold for every input the weights of 16 columns.

func panelI8BytesLong(_, k int) int { return 16 * k }

func packI8Long(panel, w []byte, n, k int) {
	clear(panel[:panelI8BytesLong(n, k)])
	for j := range n {
		for p, v := range w[j*k : j*k+k] {
			panel[16*p+j] = v
		}
	}
}

func panelI16BytesLong(_, k int) int { return 32 * k }

func packI16Long(panel, w []byte, n, k int) {
	clear(panel[:panelI16BytesLong(n, k)])
	for j := range n {
		for p := range k {
			binary.LittleEndian.PutUint16(panel[32*p+2*j:], binary.LittleEndian.Uint16(w[2*(j*k+p):]))
		}
	}
}

// The panels for SDOT hold for every four inputs those weights of 16 columns.

func panelI8BytesDot(_, k int) int { return 64 * ((k + 3) / 4) }

func packI8Dot(panel, w []byte, n, k int) {
	clear(panel[:panelI8BytesDot(n, k)])
	for j := range n {
		for p, v := range w[j*k : j*k+k] {
			panel[64*(p/4)+4*j+p%4] = v
		}
	}
}

// integerGemm is one of the products. It is no table of functions, which would
// move the arrays of narrow to the heap.
type integerGemm uint8

const (
	i8Long integerGemm = iota
	i16Long
	i8Dot
)

func gemmI8Long(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i8Long.multiply(c, ldc, q, rowScales, m, n, k, panel, columnScales, bias)
}

func gemmI16Long(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i16Long.multiply(c, ldc, q, rowScales, m, n, k, panel, columnScales, bias)
}

func gemmI8Dot(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i8Dot.multiply(c, ldc, q, rowScales, m, n, k, panel, columnScales, bias)
}

// multiply is Integers.Gemm.
func (g integerGemm) multiply(c []float32, ldc int, q []byte, rowScales []float32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := pairsStride(k), k
	if g == i8Dot {
		stride = foursStride(k)
		steps = stride / 4
	}
	if n < 16 {
		g.narrow(c, ldc, q, stride, rowScales, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 6)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch g {
		case i8Long:
			gemmI8LongNEON(rows, out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case i16Long:
			gemmI16LongNEON(rows, out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case i8Dot:
			gemmI8DotNEON(rows, out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		}
		i += rows
	}
}

// narrow runs a product whose columns don't fill a panel through a full one and
// copies the columns that exist.
func (g integerGemm) narrow(c []float32, ldc int, q []byte, stride int, rowScales []float32, m, n, k int, panel []byte, columnScales, bias []float32) {
	const most = 6
	var scales, biases [16]float32
	var tile [most * 16]float32
	copy(scales[:], columnScales[:n])
	if bias != nil {
		copy(biases[:], bias[:n])
	}
	for i := 0; i < m; i += most {
		rows := min(most, m-i)
		g.multiply(tile[:], 16, q[i*stride:], rowScales[i:], rows, 16, k, panel, scales[:], biases[:])
		for r := range rows {
			copy(c[(i+r)*ldc:(i+r)*ldc+n], tile[r*16:])
		}
	}
}
