package kernel

import "math"

// The plain int8 layout: a quantised row is k signed bytes, a panel is (n, K)
// signed bytes as the checkpoint has them.

// smallestQuantized is the magnitude from which on a row is told from zeros:
// below it 127/max|a| would leave the range of a float32.
const smallestQuantized = 1e-36

func quantizedStride(k int) int { return k }

func panelI8Bytes(n, k int) int { return n * k }

func quantizeRows(q []byte, scales []float32, sums []int32, a []float32, lda, m, k int) {
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
		scales[i] = largest / 127
		inverse := 127 / largest
		for p, v := range row {
			r := int32(math.RoundToEven(float64(v * inverse)))
			sums[i] += r
			out[p] = byte(int8(r))
		}
	}
}

func packI8(panel []byte, w []int8, n, k int) {
	for i, v := range w[:n*k] {
		panel[i] = byte(v)
	}
}

func gemmI8(c []float32, ldc int, q []byte, rowScales []float32, _ []int32, m, n, k int, panel []byte, columnScales, bias []float32) {
	for i := range m {
		row := q[i*k : i*k+k]
		for j := range n {
			column := panel[j*k : j*k+k]
			var sum int32
			for p, v := range row {
				sum += int32(int8(v)) * int32(int8(column[p]))
			}
			out := float32(float32(sum) * float32(rowScales[i]*columnScales[j]))
			if bias != nil {
				out += bias[j]
			}
			c[i*ldc+j] = out
		}
	}
}
