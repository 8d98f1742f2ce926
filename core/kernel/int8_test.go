package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomInt8(r *rand.Rand, n int) []int8 {
	w := make([]int8, n)
	for i := range w {
		w[i] = int8(r.IntN(256) - 128)
		switch r.IntN(8) { // many extremes: sums must not saturate
		case 0:
			w[i] = -128
		case 1:
			w[i] = 127
		}
	}
	return w
}

// quantizeReference is the definition of QuantizeRows for one row.
func quantizeReference(a []float32) (q []int32, scale float32, sum int32) {
	var largest float32
	for _, v := range a {
		largest = max(largest, float32(math.Abs(float64(v))))
	}
	q = make([]int32, len(a))
	if largest < smallestQuantized {
		return q, 0, 0
	}
	inverse := 127 / largest
	for i, v := range a {
		q[i] = int32(math.RoundToEven(float64(v * inverse)))
		sum += q[i]
	}
	return q, largest / 127, sum
}

// TestGemmI8 demands equal bits of every set: the sums are integers.
func TestGemmI8(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(10, 1))
		for _, k := range append(inputSizes[1:], 3072) {
			lda := k + r.IntN(3)
			a := random(r, mostRows*lda, 3)
			if k > 8 {
				for i := range k { // extremes, halves and a row of zeros
					a[i] = []float32{3, -3}[i%2]
					a[lda+i] = float32(r.IntN(255)-127) * 0.5
					a[2*lda+i] = 0
					a[3*lda+i] = -1
					a[4*lda+i] = 1e-38 * float32(r.IntN(3)-1)
				}
			}
			stride := set.QuantizedStride(k)
			q := make([]byte, mostRows*stride)
			scales, sums := make([]float32, mostRows), make([]int32, mostRows)
			set.QuantizeRows(q, scales, sums, a, lda, mostRows, k)
			for i := range mostRows {
				_, scale, sum := quantizeReference(a[i*lda : i*lda+k])
				if scales[i] != scale || sums[i] != sum {
					t.Fatalf("k=%d row %d: scale %v sum %d, want %v %d", k, i, scales[i], sums[i], scale, sum)
				}
				// A row alone gives the same bytes.
				one := make([]byte, stride)
				set.QuantizeRows(one, make([]float32, 1), make([]int32, 1), a[i*lda:], lda, 1, k)
				if !slices.Equal(one, q[i*stride:i*stride+stride]) {
					t.Fatalf("k=%d: row %d has other bytes than alone", k, i)
				}
			}
			for _, n := range columnCounts(set, k) {
				w := randomInt8(r, n*k)
				columnScales, bias := random(r, n, 0.1), random(r, n, 1)
				if r.IntN(3) == 0 {
					bias = nil
				}
				panel := make([]byte, set.PanelI8Bytes(n, k))
				set.PackI8(panel, w, n, k)
				want := make([]float32, mostRows*n)
				for i := range mostRows {
					row, scale, _ := quantizeReference(a[i*lda : i*lda+k])
					for j := range n {
						var sum int32
						for p, v := range row {
							sum += v * int32(w[j*k+p])
						}
						want[i*n+j] = float32(sum) * (scale * columnScales[j])
						if bias != nil {
							want[i*n+j] += bias[j]
						}
					}
				}
				ldc := n + r.IntN(4)
				for m := 1; m <= mostRows; m++ {
					g := newGuard((m-1)*ldc + n)
					set.GemmI8(g.body, ldc, q, scales, sums, m, n, k, panel, columnScales, bias)
					g.check(t)
					for i := range m {
						if !slices.Equal(g.body[i*ldc:i*ldc+n], want[i*n:i*n+n]) {
							t.Fatalf("k=%d n=%d m=%d row %d: got %v, want %v", k, n, m, i, g.body[i*ldc:i*ldc+n], want[i*n:i*n+n])
						}
					}
				}
			}
		}
	})
}

func TestQuantizedMatrixMultiply(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(11, 1))
		for _, size := range []struct{ rows, outputs, inputs int }{{1, 1, 1}, {7, 33, 66}, {rowTile + 1, 100, 250}, {2*rowTile + 6, 24, 31}, {5, 96, 64}, {4, 8, 1}, {9, 17, 3}} {
			w, scales := randomInt8(r, size.outputs*size.inputs), random(r, size.outputs, 0.1)
			a := random(r, size.rows*size.inputs, 1)
			var got, want []float32
			for _, s := range []*Set{set, &Go} {
				m := NewQuantizedMatrix(s, w, scales, size.outputs, size.inputs, nil)
				if !m.Quantized() {
					t.Fatal("not quantised")
				}
				var q Quantized
				q.Reset(s, size.rows, size.inputs)
				for i := range size.rows { // row by row, as threads would
					q.Store(i, a[i*size.inputs:], size.inputs, 1)
				}
				c := make([]float32, size.rows*size.outputs)
				m.Multiply(c, size.outputs, Input{Quantized: &q}, size.rows, 0, size.outputs)
				checkBlocks(t, m, Input{Quantized: &q}, size.rows, 0, c)
				got, want = want, c
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: other bits than the plain twin", size)
			}
			m := NewQuantizedMatrix(set, slices.Clone(w), scales, size.outputs, size.inputs, nil)
			m.PackInPlace()
			var q Quantized
			q.Reset(set, size.rows, size.inputs)
			q.Store(0, a, size.inputs, size.rows)
			m.Multiply(got, size.outputs, Input{Quantized: &q}, size.rows, 0, size.outputs)
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: packed in place, other bits", size)
			}
		}
	})
}

// TestNoAllocation runs the products with panels that are not full.
func TestNoAllocation(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(17, 1))
		const rows, outputs, inputs = 13, 39, 30
		f32 := NewMatrix(set, random(r, outputs*inputs, 1), outputs, inputs, nil)
		i8 := NewQuantizedMatrix(set, randomInt8(r, outputs*inputs), random(r, outputs, 1), outputs, inputs, nil)
		a, c := random(r, rows*inputs, 1), make([]float32, rows*outputs)
		var q Quantized
		var blocks Blocks
		if n := testing.AllocsPerRun(5, func() {
			q.Reset(set, rows, inputs)
			q.Store(0, a, inputs, rows)
			f32.Multiply(c, outputs, Input{Values: a, Stride: inputs, Blocks: &blocks}, rows, 0, outputs)
			i8.Multiply(c, outputs, Input{Quantized: &q, Blocks: &blocks}, rows, 0, outputs)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
