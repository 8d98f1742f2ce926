//go:build amd64 && !noasm

package kernel

import (
	"encoding/binary"
	"unsafe"
)

// rowScale is the scale of a quantised row and its inverse.
func rowScale(row []float32) (scale, inverse float32) {
	if len(row) == 0 {
		return 0, 0
	}
	largest := largestMagnitudeAVX2(&row[0], len(row))
	if largest < smallestQuantized {
		return 0, 0
	}
	return largest / 127, 127 / largest
}

// The AVX2 layout: a row is K 16-bit integers, K rounded up to even. A panel
// holds for every two inputs 16 columns of two signed bytes.

func quantizedStrideAVX2(k int) int { return 4 * ((k + 1) / 2) }

func panelI8BytesAVX2(_, k int) int { return 32 * ((k + 1) / 2) }

func quantizeRowsAVX2(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
	stride := quantizedStrideAVX2(k)
	for i := range m {
		row, out := a[i*lda:i*lda+k], q[i*stride:(i+1)*stride]
		scale, inverse := rowScale(row)
		scales[i], sums[i] = scale, 0
		if scale == 0 {
			clear(out)
			continue
		}
		clear(out[2*k:])
		sums[i] = quantizeRow16AVX2(&out[0], &row[0], k, inverse)
	}
}

func packI8AVX2(panel []byte, w []int8, n, k int) {
	panel = panel[:panelI8BytesAVX2(n, k)]
	clear(panel)
	for p := 0; p+2 <= k; p += 2 {
		row := panel[16*p : 16*p+2*n]
		for j := range n {
			binary.LittleEndian.PutUint16(row[2*j:], *(*uint16)(unsafe.Pointer(&w[j*k+p : j*k+p+2][0])))
		}
	}
	if p := k &^ 1; p < k {
		for j := range n {
			panel[16*p+2*j] = byte(w[j*k+p])
		}
	}
}

func gemmI8AVX2(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := quantizedStrideAVX2(k), (k+1)/2
	if n < 16 {
		gemmI8Narrow(false, c, ldc, q, stride, rowScales, nil, m, n, k, panel, columnScales, bias)
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

// gemmI8Narrow runs a product whose columns don't fill a panel through a full
// one and copies the columns that exist.
func gemmI8Narrow(vnni bool, c []float32, ldc int, q []byte, stride int, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	const most = 12
	var scales, biases [32]float32
	var tile [most * 32]float32
	copy(scales[:], columnScales[:n])
	if bias != nil {
		copy(biases[:], bias[:n])
	}
	for i := 0; i < m; i += most {
		rows := min(most, m-i)
		if vnni {
			gemmI8VNNI(tile[:], 32, q[i*stride:], rowScales[i:], rowSums[i:], rows, 32, k, panel, scales[:], biases[:])
		} else {
			gemmI8AVX2(tile[:], 32, q[i*stride:], rowScales[i:], nil, rows, 16, k, panel, scales[:], biases[:])
		}
		for r := range rows {
			copy(c[(i+r)*ldc:(i+r)*ldc+n], tile[r*32:])
		}
	}
}

// The VNNI layout: a row is K signed bytes, K rounded up to a multiple of
// four. A panel holds for every four inputs 32 columns of four bytes, each the
// weight plus 128.

func quantizedStrideVNNI(k int) int { return 4 * ((k + 3) / 4) }

func panelI8BytesVNNI(_, k int) int { return 128 * ((k + 3) / 4) }

func quantizeRowsVNNI(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
	stride := quantizedStrideVNNI(k)
	for i := range m {
		row, out := a[i*lda:i*lda+k], q[i*stride:(i+1)*stride]
		scale, inverse := rowScale(row)
		scales[i], sums[i] = scale, 0
		if scale == 0 {
			clear(out)
			continue
		}
		clear(out[k:])
		sums[i] = quantizeRow8AVX2(&out[0], &row[0], k, inverse)
	}
}

func packI8VNNI(panel []byte, w []int8, n, k int) {
	panel = panel[:panelI8BytesVNNI(n, k)]
	clear(panel)
	for p := 0; p+4 <= k; p += 4 {
		row := panel[32*p : 32*p+4*n]
		for j := range n {
			four := *(*uint32)(unsafe.Pointer(&w[j*k+p : j*k+p+4][0]))
			binary.LittleEndian.PutUint32(row[4*j:], four^0x80808080)
		}
	}
	for p := k &^ 3; p < k; p++ {
		for j := range n {
			panel[128*(p/4)+4*j+p%4] = byte(w[j*k+p]) ^ 0x80
		}
	}
}

func gemmI8VNNI(c []float32, ldc int, q []byte, rowScales []float32, rowSums []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	stride, steps := quantizedStrideVNNI(k), (k+3)/4
	if n < 32 {
		gemmI8Narrow(true, c, ldc, q, stride, rowScales, rowSums, m, n, k, panel, columnScales, bias)
		return
	}
	b := &zeros[0]
	if bias != nil {
		b = &bias[0]
	}
	for i := 0; i < m; {
		rows := nextTile(m-i, 12)
		out, in, scales, sums := at(c, i*ldc), at(q, i*stride), at(rowScales, i), at(rowSums, i)
		switch rows {
		case 1:
			gemmI8Rows1VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 2:
			gemmI8Rows2VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 3:
			gemmI8Rows3VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 4:
			gemmI8Rows4VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 5:
			gemmI8Rows5VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 6:
			gemmI8Rows6VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 7:
			gemmI8Rows7VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 8:
			gemmI8Rows8VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 9:
			gemmI8Rows9VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 10:
			gemmI8Rows10VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 11:
			gemmI8Rows11VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		case 12:
			gemmI8Rows12VNNI(out, ldc, in, stride, steps, &panel[0], scales, &columnScales[0], b, sums)
		}
		i += rows
	}
}
