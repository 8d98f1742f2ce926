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

func gemmI8AVX2(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := pairsStride(k), (k+1)/2
	if n < 16 {
		gemmNarrow(i8AVX2, c, ldc, q, stride, rowScales, nil, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 6)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch rows {
		case 1:
			gemmI8Rows1AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 2:
			gemmI8Rows2AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 3:
			gemmI8Rows3AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 4:
			gemmI8Rows4AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 5:
			gemmI8Rows5AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 6:
			gemmI8Rows6AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		}
		i += rows
	}
}

func gemmI16AVX2(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := pairsStride(k), (k+1)/2
	if n < 16 {
		gemmNarrow(i16AVX2, c, ldc, q, stride, rowScales, nil, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 6)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch rows {
		case 1:
			gemmI16Rows1AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 2:
			gemmI16Rows2AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 3:
			gemmI16Rows3AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 4:
			gemmI16Rows4AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 5:
			gemmI16Rows5AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 6:
			gemmI16Rows6AVX2(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		}
		i += rows
	}
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

func gemmI8VNNI(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := foursStride(k), (k+3)/4
	if n < 32 {
		gemmNarrow(i8VNNI, c, ldc, q, stride, rowScales, rowSums, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 12)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch rows {
		case 1:
			gemmI8Rows1VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 2:
			gemmI8Rows2VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 3:
			gemmI8Rows3VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 4:
			gemmI8Rows4VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 5:
			gemmI8Rows5VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 6:
			gemmI8Rows6VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 7:
			gemmI8Rows7VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 8:
			gemmI8Rows8VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 9:
			gemmI8Rows9VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 10:
			gemmI8Rows10VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 11:
			gemmI8Rows11VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		case 12:
			gemmI8Rows12VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, at(rowSums, i))
		}
		i += rows
	}
}

func gemmI16VNNI(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := pairsStride(k), (k+1)/2
	if n < 32 {
		gemmNarrow(i16VNNI, c, ldc, q, stride, rowScales, nil, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 12)
		out, in, scales := at(c, i*ldc), at(q, i*stride), at(rowScales, i)
		switch rows {
		case 1:
			gemmI16Rows1VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 2:
			gemmI16Rows2VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 3:
			gemmI16Rows3VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 4:
			gemmI16Rows4VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 5:
			gemmI16Rows5VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 6:
			gemmI16Rows6VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 7:
			gemmI16Rows7VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 8:
			gemmI16Rows8VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 9:
			gemmI16Rows9VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 10:
			gemmI16Rows10VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 11:
			gemmI16Rows11VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		case 12:
			gemmI16Rows12VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b)
		}
		i += rows
	}
}

// gemmNarrow runs a product whose columns don't fill a panel through a full one
// of the given width and copies the columns that exist.
func gemmNarrow(kind integerGemm, c []float32, ldc int, q []byte, stride int, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	const most = 12
	var scales, biases [32]float32
	var tile [most * 32]float32
	copy(scales[:], columnScales[:n])
	if bias != nil {
		copy(biases[:], bias[:n])
	}
	for i := 0; i < m; i += most {
		rows := min(most, m-i)
		switch kind {
		case i8AVX2:
			gemmI8AVX2(tile[:], 32, q[i*stride:], rowScales[i:], nil, rows, 16, k, panel, scales[:], biases[:])
		case i16AVX2:
			gemmI16AVX2(tile[:], 32, q[i*stride:], rowScales[i:], nil, rows, 16, k, panel, scales[:], biases[:])
		case i8VNNI:
			gemmI8VNNI(tile[:], 32, q[i*stride:], rowScales[i:], rowSums[i:], rows, 32, k, panel, scales[:], biases[:])
		case i16VNNI:
			gemmI16VNNI(tile[:], 32, q[i*stride:], rowScales[i:], nil, rows, 32, k, panel, scales[:], biases[:])
		}
		for r := range rows {
			copy(c[(i+r)*ldc:(i+r)*ldc+n], tile[r*32:])
		}
	}
}

// integerGemm names a product; a function value would move the arrays above to
// the heap.
type integerGemm uint8

const (
	i8AVX2 integerGemm = iota
	i16AVX2
	i8VNNI
	i16VNNI
)
