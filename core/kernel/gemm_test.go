package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"m2embed/core/tolerance"
)

// inputSizes are the edge sizes of K.
var inputSizes = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 66, 192, 255, 256, 257, 511, 768}

// columnCounts lists the panel widths to test: all for a short K, edges else.
func columnCounts(set *Set, k int) []int {
	var counts []int
	for n := 1; n <= set.PanelWidth; n++ {
		if k <= 9 || n == 1 || n == set.PanelWidth || n == set.PanelWidth-1 || n == set.PanelWidth/2 || n == set.PanelWidth/2+1 {
			counts = append(counts, n)
		}
	}
	return counts
}

// mostRows covers more than two full register tiles of every back end.
const mostRows = 29

func TestGemmF32(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(7, 1))
		for _, k := range inputSizes {
			for _, n := range columnCounts(set, k) {
				lda, ldc := k+r.IntN(4), n+r.IntN(4)
				a, panel := random(r, mostRows*lda+1, 1), random(r, k*n, 1)
				bias := random(r, n, 1)
				if r.IntN(3) == 0 {
					bias = nil
				}
				// Each row alone is what every larger call must repeat.
				alone := make([]float32, mostRows*n)
				for i := range mostRows {
					set.GemmF32(alone[i*n:], n, a[i*lda:], lda, 1, n, k, panel, bias)
					for j := range n {
						var sum, size float64
						if bias != nil {
							sum = float64(bias[j])
							size = math.Abs(sum)
						}
						for p := range k {
							v := float64(a[i*lda+p]) * float64(panel[p*n+j])
							sum += v
							size += math.Abs(v)
						}
						near(t, fmt.Sprintf("k=%d n=%d row %d column %d", k, n, i, j), alone[i*n+j], sum, tolerance.Gemm*size)
					}
				}
				for m := 1; m <= mostRows; m++ {
					g := newGuard((m-1)*ldc + n)
					set.GemmF32(g.body, ldc, a, lda, m, n, k, panel, bias)
					g.check(t)
					for i := range m {
						if !slices.Equal(g.body[i*ldc:i*ldc+n], alone[i*n:i*n+n]) {
							t.Fatalf("k=%d n=%d m=%d: row %d has other bits than alone", k, n, m, i)
						}
						for j := i*ldc + n; j < min((i+1)*ldc, len(g.body)); j++ {
							if g.body[j] != guardMark {
								t.Fatalf("k=%d n=%d m=%d: wrote between the rows", k, n, m)
							}
						}
					}
				}
			}
		}
	})
}

func TestMatrixMultiply(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(8, 1))
		for _, size := range []struct{ rows, outputs, inputs int }{
			{1, 1, 1}, {3, 5, 7}, {rowTile - 1, 33, 17}, {rowTile + 1, 66, 250}, {2*rowTile + 7, 96, 66}, {5, 100, 768}, {4, 8, 1}, {9, 17, 2}, {6, 24, 0}, {7, 9, 3},
		} {
			weights, bias := random(r, size.outputs*size.inputs, 1), random(r, size.outputs, 1)
			a := random(r, size.rows*size.inputs, 1)
			m := NewMatrix(set, slices.Clone(weights), size.outputs, size.inputs, bias)
			first := 0
			if size.outputs > set.PanelWidth {
				first = set.PanelWidth
			}
			columns := size.outputs - first
			c := make([]float32, size.rows*columns)
			in := Input{Values: a, Stride: size.inputs}
			m.Multiply(c, columns, in, size.rows, first, size.outputs)
			checkBlocks(t, m, in, size.rows, first, c)
			for i := range size.rows {
				for j := range columns {
					sum := float64(bias[first+j])
					length := math.Abs(sum)
					for p := range size.inputs {
						v := float64(a[i*size.inputs+p]) * float64(weights[(first+j)*size.inputs+p])
						sum += v
						length += math.Abs(v)
					}
					near(t, fmt.Sprintf("%+v [%d %d]", size, i, j), c[i*columns+j], sum, tolerance.Gemm*length)
				}
			}
		}
	})
}

// checkBlocks demands that regrouped rows, by Multiply or before it, give the
// bits that rows taken as they are gave. want has as many columns as the product.
func checkBlocks(t *testing.T, m *Matrix, in Input, rows, first int, want []float32) {
	t.Helper()
	columns := m.Outputs - first
	in.Blocks = &Blocks{}
	for _, before := range []bool{false, true} {
		if before {
			m.Regroup(&in, rows)
		}
		g := newGuard(rows * columns)
		m.Multiply(g.body, columns, in, rows, first, m.Outputs)
		g.check(t)
		if !slices.Equal(g.body, want) {
			t.Fatalf("%d x %d x %d, regrouped before %v: other bits", rows, m.Outputs, m.Inputs, before)
		}
	}
}

// TestMatrixSharedPacking lets several goroutines race to the first use.
func TestMatrixSharedPacking(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(9, 1))
		const outputs, inputs = 100, 129
		m := NewMatrix(set, random(r, outputs*inputs, 1), outputs, inputs, nil)
		a := random(r, inputs, 1)
		results := make([][]float32, 4)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() {
				results[i] = make([]float32, outputs)
				m.Multiply(results[i], outputs, Input{Values: a, Stride: inputs}, 1, 0, outputs)
			})
		}
		group.Wait()
		for _, other := range results[1:] {
			if !slices.Equal(other, results[0]) {
				t.Fatal("results differ")
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		if set.transpose == nil {
			t.Skip("the plain one")
		}
		r := rand.New(rand.NewPCG(16, 1))
		for n := 1; n <= set.PanelWidth; n++ {
			for _, k := range []int{1, 7, 8, 9, 16, 66} {
				src, want := random(r, n*k, 1), make([]float32, n*k)
				transpose(want, src, n, k)
				g := newGuard(n * k)
				set.transpose(g.body, src, n, k)
				g.check(t)
				if !slices.Equal(g.body, want) {
					t.Fatalf("n=%d k=%d", n, k)
				}
			}
		}
	})
}
