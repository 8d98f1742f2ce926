//go:build amd64 && !noasm

package kernel

import "encoding/binary"

// rowScale is the scale of a quantised row and its inverse.
func rowScale(row []float32, limit int) (scale, inverse float32) {
	if len(row) == 0 {
		return 0, 0
	}
	largest := largestMagnitudeAVX2(&row[0], len(row))
	if largest < smallestQuantized {
		return 0, 0
	}
	return largest / float32(limit), float32(limit) / largest
}

// Rows in pairs: K 16-bit integers, K rounded up to even.

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
			sums[i] = quantizeRow16AVX2(&out[0], &row[0], k, inverse)
		}
	}
}

// Rows in fours: K signed bytes, K rounded up to a multiple of four.

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
		sums[i] = quantizeRow8AVX2(&out[0], &row[0], k, inverse)
	}
}

// The AVX2 panels hold for every two inputs 16 columns of two weights.

func panelI8BytesAVX2(_, k int) int { return 32 * ((k + 1) / 2) }

func packI8AVX2(panel, w []byte, n, k int) {
	panel = panel[:panelI8BytesAVX2(n, k)]
	clear(panel)
	for p := 0; p+2 <= k; p += 2 {
		row := panel[16*p : 16*p+2*n]
		for j := range n {
			binary.LittleEndian.PutUint16(row[2*j:], binary.LittleEndian.Uint16(w[j*k+p:]))
		}
	}
	if p := k &^ 1; p < k {
		for j := range n {
			panel[16*p+2*j] = w[j*k+p]
		}
	}
}

func panelI16BytesAVX2(_, k int) int { return 64 * ((k + 1) / 2) }

func packI16AVX2(panel, w []byte, n, k int) {
	packWords(panel[:panelI16BytesAVX2(n, k)], w, n, 2*k, 16, 0)
}

// The VNNI panels hold for every four bytes of a row of weights those of 32
// columns: four 8-bit weights, each plus 128, or two 16-bit ones.

func panelI8BytesVNNI(_, k int) int { return 128 * ((k + 3) / 4) }

func packI8VNNI(panel, w []byte, n, k int) {
	packWords(panel[:panelI8BytesVNNI(n, k)], w, n, k, 32, 0x80)
}

func panelI16BytesVNNI(_, k int) int { return 128 * ((k + 1) / 2) }

func packI16VNNI(panel, w []byte, n, k int) {
	packWords(panel[:panelI16BytesVNNI(n, k)], w, n, 2*k, 32, 0)
}

// packWords regroups n rows w of `bytes` bytes as a panel that holds for every
// four of them those of `columns` rows, each byte combined with flip.
func packWords(panel, w []byte, n, bytes, columns int, flip byte) {
	clear(panel)
	flips := uint32(flip) * 0x01010101
	for p := 0; p+4 <= bytes; p += 4 {
		row := panel[columns*p : columns*p+4*n]
		for j := range n {
			binary.LittleEndian.PutUint32(row[4*j:], binary.LittleEndian.Uint32(w[j*bytes+p:])^flips)
		}
	}
	for p := bytes &^ 3; p < bytes; p++ {
		for j := range n {
			panel[columns*(p&^3)+4*j+p%4] = w[j*bytes+p] ^ flip
		}
	}
}

// integerGemm is one of the products. It is no table of functions, which would
// move the arrays of narrow to the heap.
type integerGemm uint8

const (
	i8AVX2 integerGemm = iota
	i16AVX2
	i8VNNI
	i16VNNI
)

func gemmI8AVX2(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i8AVX2.multiply(c, ldc, q, rowScales, rowSums, m, n, k, panel, columnScales, bias)
}

func gemmI16AVX2(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i16AVX2.multiply(c, ldc, q, rowScales, rowSums, m, n, k, panel, columnScales, bias)
}

func gemmI8VNNI(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i8VNNI.multiply(c, ldc, q, rowScales, rowSums, m, n, k, panel, columnScales, bias)
}

func gemmI16VNNI(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	i16VNNI.multiply(c, ldc, q, rowScales, rowSums, m, n, k, panel, columnScales, bias)
}

// multiply is Integers.Gemm. Every step of a kernel takes four bytes of a row.
func (g integerGemm) multiply(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, width, most := pairsStride(k), 16, 6
	if g >= i8VNNI {
		width, most = 32, 12
	}
	if g == i8VNNI {
		stride = foursStride(k)
	}
	if n < width {
		g.narrow(c, ldc, q, stride, rowScales, rowSums, m, n, k, width, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, most)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch g {
		case i8AVX2:
			tileI8AVX2(rows, out, ldc, in, stride, stride/4, &panel[0], scales, &columnScales[0], b)
		case i16AVX2:
			tileI16AVX2(rows, out, ldc, in, stride, stride/4, &panel[0], scales, &columnScales[0], b)
		case i8VNNI:
			tileI8VNNI(rows, out, ldc, in, stride, stride/4, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case i16VNNI:
			tileI16VNNI(rows, out, ldc, in, stride, stride/4, &panel[0], scales, &columnScales[0], b)
		}
		i += rows
	}
}

// narrow runs a product whose columns don't fill a panel through a full one and
// copies the columns that exist.
func (g integerGemm) narrow(c []float32, ldc int, q []byte, stride int, rowScales []float32, rowSums []int32, m, n, k, width int, panel []byte, columnScales, bias []float32) {
	const most = 12
	var scales, biases [32]float32
	var tile [most * 32]float32
	copy(scales[:], columnScales[:n])
	if bias != nil {
		copy(biases[:], bias[:n])
	}
	for i := 0; i < m; i += most {
		rows := min(most, m-i)
		g.multiply(tile[:], 32, q[i*stride:], rowScales[i:], rowSums[min(i, len(rowSums)):], rows, width, k, panel, scales[:], biases[:])
		for r := range rows {
			copy(c[(i+r)*ldc:(i+r)*ldc+n], tile[r*32:])
		}
	}
}

// The register tiles by their number of rows.

func tileI8AVX2(rows int, c *float32, ldc int, q *byte, stride, steps int, panel *byte, rowScales, columnScales, bias *float32) {
	switch rows {
	case 1:
		gemmI8Rows1AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 2:
		gemmI8Rows2AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 3:
		gemmI8Rows3AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 4:
		gemmI8Rows4AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 5:
		gemmI8Rows5AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 6:
		gemmI8Rows6AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	}
}

func tileI16AVX2(rows int, c *float32, ldc int, q *byte, stride, steps int, panel *byte, rowScales, columnScales, bias *float32) {
	switch rows {
	case 1:
		gemmI16Rows1AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 2:
		gemmI16Rows2AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 3:
		gemmI16Rows3AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 4:
		gemmI16Rows4AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 5:
		gemmI16Rows5AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 6:
		gemmI16Rows6AVX2(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	}
}

func tileI8VNNI(rows int, c *float32, ldc int, q *byte, stride, steps int, panel *byte, rowScales, columnScales, bias *float32, rowSums *int32) {
	switch rows {
	case 1:
		gemmI8Rows1VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 2:
		gemmI8Rows2VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 3:
		gemmI8Rows3VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 4:
		gemmI8Rows4VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 5:
		gemmI8Rows5VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 6:
		gemmI8Rows6VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 7:
		gemmI8Rows7VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 8:
		gemmI8Rows8VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 9:
		gemmI8Rows9VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 10:
		gemmI8Rows10VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 11:
		gemmI8Rows11VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	case 12:
		gemmI8Rows12VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias, rowSums)
	}
}

func tileI16VNNI(rows int, c *float32, ldc int, q *byte, stride, steps int, panel *byte, rowScales, columnScales, bias *float32) {
	switch rows {
	case 1:
		gemmI16Rows1VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 2:
		gemmI16Rows2VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 3:
		gemmI16Rows3VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 4:
		gemmI16Rows4VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 5:
		gemmI16Rows5VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 6:
		gemmI16Rows6VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 7:
		gemmI16Rows7VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 8:
		gemmI16Rows8VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 9:
		gemmI16Rows9VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 10:
		gemmI16Rows10VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 11:
		gemmI16Rows11VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	case 12:
		gemmI16Rows12VNNI(c, ldc, q, stride, steps, panel, rowScales, columnScales, bias)
	}
}
