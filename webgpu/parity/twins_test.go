//go:build m2embed_operations

package parity

import (
	"math"

	"m2embed/core/checkpoint"
)

// The twins compute in float64 what a kernel computes, in the most obvious
// way. Matrices are (rows, columns) with a row length.

type matrix struct {
	rows, columns, row int
	values             []float32
}

func (m matrix) at(r, c int) float64 {
	if r < 0 || c < 0 || r >= m.rows || c >= m.columns {
		return 0
	}
	return float64(m.values[r*m.row+c])
}

func productTwin(blocks, rows, inner, rowsTotal, innerTotal int, weight, bias []float32, x matrix) [][]float64 {
	y := make([][]float64, rowsTotal)
	for i := range y {
		b, r := i/rows, i%rows
		y[i] = make([]float64, x.columns)
		for t := range y[i] {
			sum := float64(bias[i])
			for s := 0; s < inner && b*inner+s < innerTotal; s++ {
				sum += float64(weight[(b*rows+r)*inner+s]) * x.at(b*inner+s, t)
			}
			y[i][t] = sum
		}
	}
	return y
}

func layerNormTwin(x matrix, weight, bias []float32, epsilon float64) [][]float64 {
	y := make([][]float64, x.rows)
	for c := range y {
		y[c] = make([]float64, x.columns)
	}
	for t := range x.columns {
		mean, variance := 0.0, 0.0
		for c := range x.rows {
			y[c][t] = x.at(c, t)
			mean += y[c][t] / float64(x.rows)
		}
		for c := range x.rows {
			variance += (y[c][t] - mean) * (y[c][t] - mean) / float64(x.rows)
		}
		for c := range x.rows {
			y[c][t] = (y[c][t]-mean)/math.Sqrt(variance+epsilon)*float64(weight[c]) + float64(bias[c])
		}
	}
	return y
}

func geluTwin(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }

func shortFilterTwin(texts, length int, x matrix, taps, bias []float32) [][]float64 {
	y := make([][]float64, x.rows)
	for c := range y {
		y[c] = make([]float64, texts*length)
		for t := range y[c] {
			y[c][t] = float64(bias[c])
			for k := range 3 {
				if at := t%length - 2 + k; at >= 0 {
					y[c][t] += float64(taps[3*c+k]) * x.at(c, t-2+k)
				}
			}
		}
	}
	return y
}

// convolutionTwin is the definition of the bidirectional long convolution:
// y[t] = D u[t] + Σ_j k_fwd[j] u[t-j] + Σ_i k_rev[i] u[t+1+i].
func convolutionTwin(u []float64, d float64, forward, reverse []float64) []float64 {
	y := make([]float64, len(u))
	for t := range y {
		sum := d * u[t]
		for j := 0; j <= t && j < len(forward); j++ {
			sum += forward[j] * u[t-j]
		}
		for i := 0; t+1+i < len(u) && i < len(reverse); i++ {
			sum += reverse[i] * u[t+1+i]
		}
		y[t] = sum
	}
	return y
}

// normalizedError is the mean squared error over the mean square of want. A
// NaN counts as an infinite error.
func normalizedError(got []float32, want []float64) float64 {
	var errors, squares float64
	for i, w := range want {
		d := float64(got[i]) - w
		errors += d * d
		squares += w * w
	}
	if math.IsNaN(errors) {
		return math.Inf(1)
	}
	if squares == 0 {
		return errors
	}
	return errors / squares
}

// source is a set of tensors made up for a test.
type source map[string][]float32

func (s source) Names() []string { return nil }

func (s source) Tensor(name string) (checkpoint.Tensor, error) {
	values := s[name]
	data := make([]byte, 4*len(values))
	for i, v := range values {
		b := math.Float32bits(v)
		data[4*i], data[4*i+1], data[4*i+2], data[4*i+3] = byte(b), byte(b>>8), byte(b>>16), byte(b>>24)
	}
	return checkpoint.Tensor{Name: name, Shape: []int{len(values)}, DType: checkpoint.F32, Data: data}, nil
}

// noise makes n numbers in [-scale, scale) that depend on the seed alone.
func noise(seed uint64, n int, scale float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		z := seed*0x9E3779B97F4A7C15 + uint64(i+1)*0xD1B54A32D192ED03
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		out[i] = float32((float64(z>>11)/(1<<52) - 1) * scale)
	}
	return out
}
