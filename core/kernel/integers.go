package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// MaxWeight16 is the largest magnitude of a weight that is held in 16 bits: 12
// bits, which leaves the activations about as many before a sum of products
// leaves the range of 32 bits.
const MaxWeight16 = 2047

// Limit16 is what the largest magnitude of a row of k activations becomes beside
// 16-bit weights: as much as keeps every sum of k products in the range of 32
// bits, 1366 for k = 768.
func Limit16(k int) int { return min(math.MaxInt32/(MaxWeight16*max(k, 1)), math.MaxInt16) }

// limit8 is the same beside 8-bit weights.
func limit8(int) int { return 127 }

// smallestQuantized is the magnitude from which on a row is told from zeros:
// below it the inverse of the scale would leave the range of a float32.
const smallestQuantized = 1e-33

// plainIntegers are the plain twins. A quantised row and a column of a panel
// are k integers as wide as the weights, in the processor's byte order.
func plainIntegers[T int8 | int16](limit func(k int) int) Integers {
	size := int(unsafe.Sizeof(T(0)))
	return Integers{
		Stride: func(k int) int { return k * size },
		Quantize: func(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
			quantize(asIntegers[T](q), scales, sums, a, lda, m, k, float32(limit(k)))
		},
		PanelBytes: func(n, k int) int { return n * k * size },
		Pack: func(panel, w []byte, n, k int) {
			for i, p := 0, asIntegers[T](panel); i < n*k; i++ {
				if size == 1 {
					p[i] = T(int8(w[i]))
				} else {
					p[i] = T(int16(binary.LittleEndian.Uint16(w[2*i:])))
				}
			}
		},
		Gemm: func(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
			gemmIntegers(c, ldc, asIntegers[T](q), rowScales, m, n, k, asIntegers[T](panel), columnScales, bias)
		},
	}
}

func asIntegers[T int8 | int16](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(T(0))))
}

func quantize[T int8 | int16](q []T, scales []float32, sums []int32, a []float32, lda, m, k int, limit float32) {
	for i := range m {
		row := a[i*lda : i*lda+k]
		out := q[i*k : i*k+k]
		var largest float32
		for _, v := range row {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		scales[i], sums[i] = 0, 0
		if largest < smallestQuantized {
			clear(out)
			continue
		}
		scales[i] = largest / limit
		inverse := limit / largest
		for p, v := range row {
			r := int32(math.RoundToEven(float64(v * inverse)))
			sums[i] += r
			out[p] = T(r)
		}
	}
}

func gemmIntegers[T int8 | int16](c []float32, ldc int, q []T, rowScales []float32, m, n, k int, panel []T, columnScales, bias []float32) {
	for i := range m {
		row := q[i*k : i*k+k]
		for j := range n {
			column := panel[j*k:][:len(row)]
			var sum int32
			for p, v := range row {
				sum += int32(v) * int32(column[p])
			}
			out := float32(float32(sum) * float32(rowScales[i]*columnScales[j]))
			if bias != nil {
				out += bias[j]
			}
			c[i*ldc+j] = out
		}
	}
}
