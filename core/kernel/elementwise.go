package kernel

import "math"

func layerNorm(dst, x, residual, weight, bias []float32, eps float64) {
	n := len(dst)
	x, weight, bias = x[:n], weight[:n], bias[:n]
	var sum float64
	for i, v := range x {
		if residual != nil {
			v += residual[i]
		}
		dst[i] = v
		sum += float64(v)
	}
	mean := sum / float64(n)
	var squares float64
	for _, v := range dst {
		d := float64(v) - mean
		squares += float64(d * d)
	}
	inverse := 1 / math.Sqrt(squares/float64(n)+eps)
	for i, v := range dst {
		dst[i] = float32(float32((float64(v)-mean)*inverse)*weight[i]) + bias[i]
	}
}

func geluGate(dst, gate, value []float32) {
	for i, x := range gate[:len(dst)] {
		g := float32(0.5 * float64(x) * (1 + math.Erf(float64(x)*(1/math.Sqrt2))))
		if value != nil {
			g *= value[i]
		}
		dst[i] = g
	}
}

func shortFilter(x []float32, rows int, taps []float32) {
	const w = GroupWidth
	first, second, third, bias := taps[:w], taps[w:2*w], taps[2*w:3*w], taps[3*w:4*w]
	// Last row first, so that the rows a result needs are still unfiltered.
	for t := rows - 1; t >= 0; t-- {
		row := x[t*w : t*w+w]
		for c, v := range row {
			s := bias[c]
			if t >= 2 {
				s += float32(first[c] * x[(t-2)*w+c])
			}
			if t >= 1 {
				s += float32(second[c] * x[(t-1)*w+c])
			}
			row[c] = s + float32(third[c]*v)
		}
	}
}

func multiply(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func multiplyAdd(dst, a, b, c []float32) {
	for i := range dst {
		dst[i] = float32(a[i]*b[i]) + c[i]
	}
}

func sine(x, frequency []float32) {
	n := len(frequency)
	for len(x) >= n && n > 0 {
		for i, f := range frequency {
			x[i] = float32(math.Sin(float64(f) * float64(x[i])))
		}
		x = x[n:]
	}
}

func decay(k, t, deltas []float32) {
	for j, time := range t {
		row := k[j*GroupWidth : (j+1)*GroupWidth]
		for c, d := range deltas[:GroupWidth] {
			row[c] *= float32(math.Exp(-float64(time) * math.Abs(float64(d))))
		}
	}
}
