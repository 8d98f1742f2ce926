package kernel

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// weightWidth is one kind of integer weights.
type weightWidth struct {
	name  string
	of    func(*Set) *Integers
	size  int // bytes of a weight
	least int // smallest weight
	most  int // largest weight
	limit func(k int) int
	make  func(set *Set, weights []byte, scales []float32, outputs, inputs int, bias []float32) *Matrix
}

var widths = []weightWidth{
	{"int8", func(s *Set) *Integers { return &s.I8 }, 1, -128, 127, limit8, NewI8Matrix},
	{"int16", func(s *Set) *Integers { return &s.I16 }, 2, -MaxWeight16, MaxWeight16, Limit16, NewI16Matrix},
}

// random gives n weights as a checkpoint holds them, with many extremes: sums
// must neither saturate nor overflow.
func (w weightWidth) random(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n*w.size)
	for range n {
		v := w.least + r.IntN(w.most-w.least+1)
		switch r.IntN(8) {
		case 0:
			v = w.least
		case 1:
			v = w.most
		}
		b = w.append(b, v)
	}
	return b
}

func (w weightWidth) append(b []byte, v int) []byte {
	if w.size == 1 {
		return append(b, byte(v))
	}
	return binary.LittleEndian.AppendUint16(b, uint16(v))
}

func (w weightWidth) at(b []byte, i int) int32 {
	if w.size == 1 {
		return int32(int8(b[i]))
	}
	return int32(int16(binary.LittleEndian.Uint16(b[2*i:])))
}

// quantizeReference is the definition of Quantize for one row.
func quantizeReference(a []float32, limit int) (q []int32, scale float32, sum int32) {
	var largest float32
	for _, v := range a {
		largest = max(largest, float32(math.Abs(float64(v))))
	}
	q = make([]int32, len(a))
	if largest < smallestQuantized {
		return q, 0, 0
	}
	inverse := float32(limit) / largest
	for i, v := range a {
		q[i] = int32(math.RoundToEven(float64(v * inverse)))
		sum += q[i]
	}
	return q, largest / float32(limit), sum
}

// TestLimit16 proves that no sum leaves the range of 32 bits.
func TestLimit16(t *testing.T) {
	for _, k := range []int{0, 1, 2, 31, 32, 33, 192, 768, 1024, 1792, 7168, 1 << 20, 1 << 24} {
		limit := Limit16(k)
		if sum := int64(limit) * MaxWeight16 * int64(k); sum > math.MaxInt32 || limit > math.MaxInt16 {
			t.Errorf("k = %d: limit %d, sums up to %d", k, limit, sum)
		}
	}
	if got := Limit16(768); got != 1366 {
		t.Errorf("k = 768: limit %d, want 1366", got)
	}
}

// TestIntegerGemm demands equal bits of every set: the sums are integers.
func TestIntegerGemm(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		for _, w := range widths {
			t.Run(w.name, func(t *testing.T) { testIntegerGemm(t, set, w) })
		}
	})
}

func testIntegerGemm(t *testing.T, set *Set, width weightWidth) {
	r := rand.New(rand.NewPCG(10, 1))
	integers := width.of(set)
	for _, k := range append(inputSizes[1:], 3072) {
		lda, limit := k+r.IntN(3), width.limit(k)
		a := random(r, mostRows*lda, 3)
		if k > 8 {
			for i := range k { // extremes, halves, a row of zeros, the largest sums
				a[i] = []float32{3, -3}[i%2]
				a[lda+i] = float32(r.IntN(255)-127) * 0.5
				a[2*lda+i] = 0
				a[3*lda+i] = -1
				a[4*lda+i] = 1e-35 * float32(r.IntN(3)-1)
				a[5*lda+i] = 2
			}
		}
		stride := integers.Stride(k)
		q := make([]byte, mostRows*stride)
		scales, sums := make([]float32, mostRows), make([]int32, mostRows)
		integers.Quantize(q, scales, sums, a, lda, mostRows, k)
		for i := range mostRows {
			_, scale, sum := quantizeReference(a[i*lda:i*lda+k], limit)
			if scales[i] != scale || sums[i] != sum {
				t.Fatalf("k=%d row %d: scale %v sum %d, want %v %d", k, i, scales[i], sums[i], scale, sum)
			}
			// A row alone gives the same bytes.
			one := make([]byte, stride)
			integers.Quantize(one, make([]float32, 1), make([]int32, 1), a[i*lda:], lda, 1, k)
			if !slices.Equal(one, q[i*stride:i*stride+stride]) {
				t.Fatalf("k=%d: row %d has other bytes than alone", k, i)
			}
		}
		for _, n := range columnCounts(set, k) {
			w := width.random(r, n*k)
			for i := range k { // a column of the largest weights
				width.append(w[:i*width.size], width.most)
			}
			columnScales, bias := random(r, n, 0.1), random(r, n, 1)
			if r.IntN(3) == 0 {
				bias = nil
			}
			panel := make([]byte, integers.PanelBytes(n, k))
			integers.Pack(panel, w, n, k)
			want := make([]float32, mostRows*n)
			for i := range mostRows {
				row, scale, _ := quantizeReference(a[i*lda:i*lda+k], limit)
				for j := range n {
					var sum int32
					for p, v := range row {
						sum += v * width.at(w, j*k+p)
					}
					want[i*n+j] = float32(float32(sum) * float32(scale*columnScales[j]))
					if bias != nil {
						want[i*n+j] += bias[j]
					}
				}
			}
			ldc := n + r.IntN(4)
			for m := 1; m <= mostRows; m++ {
				g := newGuard((m-1)*ldc + n)
				integers.Gemm(g.body, ldc, q, scales, sums, m, n, k, panel, columnScales, bias)
				g.check(t)
				for i := range m {
					if !slices.Equal(g.body[i*ldc:i*ldc+n], want[i*n:i*n+n]) {
						t.Fatalf("k=%d n=%d m=%d row %d: got %v, want %v", k, n, m, i, g.body[i*ldc:i*ldc+n], want[i*n:i*n+n])
					}
				}
			}
		}
	}
}

func TestIntegerMatrixMultiply(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		for _, w := range widths {
			t.Run(w.name, func(t *testing.T) { testIntegerMatrixMultiply(t, set, w) })
		}
	})
}

func testIntegerMatrixMultiply(t *testing.T, set *Set, width weightWidth) {
	r := rand.New(rand.NewPCG(11, 1))
	for _, size := range []struct{ rows, outputs, inputs int }{{1, 1, 1}, {7, 33, 66}, {rowTile + 1, 100, 250}, {2*rowTile + 6, 24, 31}, {5, 96, 64}, {4, 8, 1}, {9, 17, 3}, {8, 32, 6}} {
		w, scales := width.random(r, size.outputs*size.inputs), random(r, size.outputs, 0.1)
		a := random(r, size.rows*size.inputs, 1)
		var got, want []float32
		for _, s := range []*Set{set, &Go} {
			m := width.make(s, w, scales, size.outputs, size.inputs, nil)
			if !m.Quantized() {
				t.Fatal("not quantised")
			}
			var q Quantized
			q.Reset(m, size.rows)
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
		m := width.make(set, slices.Clone(w), scales, size.outputs, size.inputs, nil)
		m.PackInPlace()
		var q Quantized
		q.Reset(m, size.rows)
		q.Store(0, a, size.inputs, size.rows)
		m.Multiply(got, size.outputs, Input{Quantized: &q}, size.rows, 0, size.outputs)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: packed in place, other bits", size)
		}
	}
}

// TestNoAllocation runs the products with panels that are not full.
func TestNoAllocation(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(17, 1))
		const rows, outputs, inputs = 13, 39, 30
		f32 := NewMatrix(set, random(r, outputs*inputs, 1), outputs, inputs, nil)
		scales := random(r, outputs, 1)
		i8 := NewI8Matrix(set, widths[0].random(r, outputs*inputs), scales, outputs, inputs, nil)
		i16 := NewI16Matrix(set, widths[1].random(r, outputs*inputs), scales, outputs, inputs, nil)
		a, c := random(r, rows*inputs, 1), make([]float32, rows*outputs)
		var q Quantized
		var blocks Blocks
		if n := testing.AllocsPerRun(5, func() {
			f32.Multiply(c, outputs, Input{Values: a, Stride: inputs, Blocks: &blocks}, rows, 0, outputs)
			for _, m := range []*Matrix{i8, i16} {
				q.Reset(m, rows)
				q.Store(0, a, inputs, rows)
				m.Multiply(c, outputs, Input{Quantized: &q, Blocks: &blocks}, rows, 0, outputs)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestQuantizeNotFinite: a row with a value that is no number, or infinite, must
// not end as a finite one.
func TestQuantizeNotFinite(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		for _, w := range widths {
			integers := w.of(set)
			for _, k := range []int{1, 7, 8, 31, 32, 33, 100} {
				q, scales, sums := make([]byte, integers.Stride(k)), make([]float32, 1), make([]int32, 1)
				for at := range k {
					for _, bad := range []float64{math.NaN(), math.Copysign(math.NaN(), -1), math.Inf(1), math.Inf(-1)} {
						a := make([]float32, k)
						for i := range a {
							a[i] = float32(i - k/2)
						}
						a[at] = float32(bad)
						integers.Quantize(q, scales, sums, a, k, 1, k)
						if s := float64(scales[0]); !math.IsNaN(s) && !math.IsInf(s, 0) {
							t.Fatalf("%s, %v at %d of %d: scale %v", w.name, bad, at, k, s)
						}
					}
				}
			}
		}
	})
}
