//go:build m2embed_operations

package parity

import (
	"fmt"
	"math"
	"os"
	"testing"

	"m2embed/core/model"
	"m2embed/core/tolerance"
	"m2embed/webgpu/plan"
)

// The op table: to add an operation, plan it alone in package plan, give its
// twin in twins_test.go, and add a test below with edge sizes.

// filled is an activation of noise; the padding is NaN, so that reading it
// shows.
func filled(seed uint64, rows, columns int, scale float64) matrix {
	m := matrix{rows, columns, plan.Columns(columns), nil}
	values := noise(seed, rows*columns, scale)
	m.values = make([]float32, rows*m.row)
	for i := range m.values {
		if c := i % m.row; c < columns {
			m.values[i] = values[i/m.row*columns+c]
		} else {
			m.values[i] = float32(math.NaN())
		}
	}
	return m
}

// compare checks the live columns of a (rows, columns) result.
func compare(t *testing.T, got []float32, want [][]float64, row int, limit float64) {
	t.Helper()
	var g []float32
	var w []float64
	for r := range want {
		g = append(g, got[r*row:r*row+len(want[r])]...)
		w = append(w, want[r]...)
	}
	if e := normalizedError(g, w); !(e <= limit) {
		t.Errorf("normalised error %.2e, want at most %.0e", e, limit)
	}
}

func run(t *testing.T, p *plan.Plan, err error, tensors plan.Tensors, ids []int32, mask []uint32) []float32 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, err := open(t).Run("", p, tensors, ids, mask)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestProduct(t *testing.T) {
	r := open(t)
	parts := func(side, parts int) plan.Tile { return plan.Tile{Rows: side, Columns: side, Parts: parts} }
	tall := plan.Tile{Rows: 16, Columns: 16, Tall: true}
	tiles := func(rows, columns int) plan.Tile { return plan.Tile{Rows: rows, Columns: columns} }
	for i, c := range []struct {
		blocks, rows, inner, rowsTotal, innerTotal, columns int
		tile                                                plan.Tile // the zero value leaves the choice to the planner
	}{
		{1, 1, 1, 1, 1, 1, plan.Tile{}},
		{1, 3, 5, 3, 5, 7, plan.Tile{}},
		{1, 65, 17, 65, 17, 129, tiles(8, 8)}, // one past a tile each way
		{1, 65, 33, 65, 33, 66, parts(16, 1)}, // the same of the small kernel
		{1, 33, 65, 33, 65, 35, parts(8, 4)},  // and past a round of its parts
		{4, 17, 16, 66, 63, 33, parts(8, 4)},  // ragged blocks
		{4, 17, 16, 66, 63, 33, tiles(8, 8)},
		{4, 2, 2, 5, 5, 9, plan.Tile{}},          // last blocks empty
		{2, 130, 17, 258, 33, 131, tall},         // one or two past a large tile each way, ragged
		{1, 128, 64, 128, 64, 2100, plan.Tile{}}, // the planner's choices
		{2, 192, 40, 384, 80, 4096, plan.Tile{}},
		{1, 1200, 30, 1200, 30, 1700, plan.Tile{}},
	} {
		if brief() && c.columns > 200 {
			continue
		}
		for _, half := range []bool{false, true} {
			if brief() && c.tile != (plan.Tile{}) && half != (i%2 == 0) {
				continue // each kernel once
			}
			t.Run(fmt.Sprintf("%v half=%v", c, half), func(t *testing.T) {
				x := filled(1, c.innerTotal, c.columns, 1)
				weight, bias := noise(2, c.blocks*c.rows*c.inner, 1), noise(3, c.rowsTotal, 1)
				p, err := plan.Product(c.blocks, c.rows, c.inner, c.rowsTotal, c.innerTotal, c.columns, plan.After{}, r.Limits(), plan.Options{Half: half, Tile: c.tile})
				got := run(t, p, err, source{"weight": weight, "x": x.values, "bias": bias}, nil, nil)
				limit := tolerance.GPUSum
				if half {
					limit = tolerance.GPUHalf
				}
				compare(t, got, productTwin(c.blocks, c.rows, c.inner, c.rowsTotal, c.innerTotal, weight, bias, x), x.row, limit)
			})
		}
	}
}

func TestLayerNorm(t *testing.T) {
	r := open(t)
	for _, c := range []struct{ d, columns int }{{1, 1}, {2, 3}, {17, 16}, {64, 17}, {768, 65}, {19, 4097}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			x := filled(1, c.d, c.columns, 0.05)
			weight, bias := noise(3, c.d, 1), noise(4, c.d, 1)
			p, err := plan.LayerNorm(c.d, c.columns, 1e-12, r.Limits())
			got := run(t, p, err, source{"x": x.values, "norm.weight": weight, "norm.bias": bias}, nil, nil)
			limit := tolerance.GPUPoint
			if c.d == 2 {
				limit = 1e-9 // the difference of two near numbers decides
			}
			compare(t, got, layerNormTwin(x, weight, bias, 1e-12), x.row, limit)
		})
	}
}

func TestGELUGate(t *testing.T) {
	r := open(t)
	for _, gated := range []bool{false, true} {
		for _, c := range []struct{ inner, columns int }{{1, 1}, {5, 63}, {250, 65}} {
			rows := c.inner
			if gated {
				rows *= 2
			}
			g := filled(1, rows, c.columns, 8)
			p, err := plan.GELUGate(c.inner, c.columns, gated, r.Limits())
			got := run(t, p, err, source{"g": g.values}, nil, nil)
			want := make([][]float64, c.inner)
			for i := range want {
				want[i] = make([]float64, c.columns)
				for j := range want[i] {
					want[i][j] = geluTwin(g.at(i, j))
					if gated {
						want[i][j] *= g.at(c.inner+i, j)
					}
				}
			}
			compare(t, got, want, g.row, tolerance.GPUPoint)
			if gated {
				continue
			}
			for i := range want { // the left tail keeps its relative accuracy
				for j, w := range want[i] {
					if e := math.Abs(float64(got[i*g.row+j])-w) / math.Abs(w); e > 1e-5 {
						t.Fatalf("gelu(%g): %g, want %g", g.at(i, j), got[i*g.row+j], w)
					}
				}
			}
		}
	}
}

// TestProductAfter: what follows a product, in each kernel.
func TestProductAfter(t *testing.T) {
	r := open(t)
	const rows, inner, columns = 7, 5, 300
	x, other := filled(1, rows, columns, 30), filled(4, rows, columns, 1)
	weight, bias, frequency := noise(2, rows*inner, 1), noise(3, rows, 1), noise(5, rows, 20)
	x.rows = inner
	tiles := []plan.Tile{{Rows: 8, Columns: 8, Parts: 4}, {Rows: 8, Columns: 8}, {Rows: 16, Columns: 16, Tall: true}}
	if brief() {
		tiles = tiles[:1]
	}
	for _, tile := range tiles {
		tensors := source{"weight": weight, "x": x.values[:inner*x.row], "bias": bias, "frequency": frequency, "other": other.values}
		want := productTwin(1, rows, inner, rows, inner, weight, bias, x)
		p, err := plan.Product(1, rows, inner, rows, inner, columns, plan.After{Add: true}, r.Limits(), plan.Options{Tile: tile})
		got := run(t, p, err, tensors, nil, nil)
		sums := make([][]float64, rows)
		for i := range sums {
			for j := range columns {
				sums[i] = append(sums[i], want[i][j]+other.at(i, j))
			}
		}
		compare(t, got, sums, x.row, tolerance.GPUSum)
		p, err = plan.Product(1, rows, inner, rows, inner, columns, plan.After{Sine: 2}, r.Limits(), plan.Options{Tile: tile})
		got = run(t, p, err, tensors, nil, nil)
		for i := range rows {
			for j := range columns {
				argument := 2 * float64(frequency[i]) * want[i][j]
				// Rounding of the sum moves the argument.
				if e := math.Abs(float64(got[i*x.row+j]) - math.Sin(argument)); e > 1e-6+math.Abs(2*float64(frequency[i]))*2e-5 {
					t.Fatalf("tile %v: sin(%g) is %g, error %.1e", tile, argument, got[i*x.row+j], e)
				}
			}
		}
	}
	// Exact arguments: one weight of 1, no bias.
	one := filled(1, 1, 1000, 30)
	p, err := plan.Product(1, 1, 1, 1, 1, 1000, plan.After{Sine: 2}, r.Limits(), plan.Options{})
	got := run(t, p, err, source{"weight": {1}, "x": one.values, "bias": {0}, "frequency": {17.5}}, nil, nil)
	for j := range 1000 {
		argument := float64(float32(35) * float32(one.at(0, j)))
		if e := math.Abs(float64(got[j]) - math.Sin(argument)); e > 1e-6+math.Abs(argument)*6e-8 {
			t.Fatalf("sin(%g) is %g, error %.1e", argument, got[j], e)
		}
	}
}

func TestShortFilter(t *testing.T) {
	r := open(t)
	for _, c := range []struct{ texts, length, d int }{{1, 1, 1}, {3, 1, 2}, {2, 2, 3}, {1, 3, 66}, {5, 17, 4}, {1, 300, 5}} {
		for _, gate := range []bool{false, true} {
			n := c.texts * c.length
			x1, x2, v := filled(1, c.d, n, 1), filled(2, c.d, n, 1), filled(3, c.d, n, 1)
			taps, bias := noise(4, 9*c.d, 1), noise(5, 3*c.d, 1)
			p, err := plan.ShortFilter(c.texts, c.length, c.d, gate, r.Limits())
			got := run(t, p, err, source{"x1": x1.values, "x2": x2.values, "v": v.values, "filter.weight": taps, "filter.bias": bias}, nil, nil)
			want := shortFilterTwin(c.texts, c.length, x2, taps[3*c.d:], bias[c.d:])
			if !gate {
				want = shortFilterTwin(c.texts, c.length, x1, taps, bias)
				for i, row := range shortFilterTwin(c.texts, c.length, v, taps[6*c.d:], bias[2*c.d:]) {
					for j := range row {
						want[i][j] *= row[j]
					}
				}
			}
			compare(t, got, want, x1.row, tolerance.GPUPoint)
		}
	}
}

func TestLongConvolution(t *testing.T) {
	r := open(t)
	// Lengths to 64, 2047 and 2048, 2049 and 4096 share their transforms.
	lengths := []int{1, 2, 3, 17, 64, 65, 200, 2047, 2048, 2049, 4096}
	if brief() {
		lengths = []int{1, 17, 64, 2048, 2049}
	}
	if os.Getenv("M2EMBED_SOAK") != "" {
		lengths = append(lengths, 300, 1000, 5000, 8192, 16384, 20000, 32768)
	}
	for i, length := range lengths {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			// One of four forms for each length, all forms over the table.
			c := struct {
				texts, d              int
				reverse, gated, added bool
			}{1 + i%3, 3, i%4 != 3, i%3 == 1, i%3 == 2}
			if length > 2048 {
				c.texts = 1 + i%2
			}
			testConvolution(t, r, c.texts, length, c.d, c.reverse, c.gated, c.added)
		})
	}
}

func testConvolution(t *testing.T, r Runner, texts, length, d int, reverse, gated, added bool) {
	n := texts * length
	taps := length
	if length == 17 || length == 5000 {
		taps = length - 6 // a window shorter than the text
	}
	u, gate, y := filled(1, d, n, 1), filled(2, d, n, 1), filled(3, d, n, 1)
	k := filled(4, 2*d, taps, 1)
	bias, deltas, times := noise(5, d, 1), noise(6, d, 8), make([]float32, taps)
	for j := range times {
		times[j] = float32(j) / float32(max(1, taps-1))
	}
	if !reverse {
		k.values = k.values[:d*k.row]
	}
	p, err := plan.LongConvolution(texts, length, d, taps, reverse, gated, added, r.Limits(), plan.Options{})
	got := run(t, p, err, source{"u": u.values, "gate": gate.values, "y": y.values, "taps": k.values,
		"f.bias": bias, "f.modulation.deltas": deltas, "f.pos_emb.t": times}, nil, nil)
	want := make([][]float64, d)
	for c := range d {
		decayed := func(row int) (out []float64) {
			for j := range taps {
				out = append(out, k.at(row, j)*math.Exp(-float64(times[j])*math.Abs(float64(deltas[c]))))
			}
			return out
		}
		forward := decayed(c)
		var backward []float64
		if reverse {
			backward = decayed(d + c)
		}
		for b := range texts {
			in := make([]float64, length)
			for i := range in {
				in[i] = u.at(c, b*length+i)
			}
			for i, v := range convolutionTwin(in, float64(bias[c]), forward, backward) {
				if gated {
					v *= gate.at(c, b*length+i)
				}
				if added {
					v += y.at(c, b*length+i)
				}
				want[c] = append(want[c], v)
			}
		}
	}
	compare(t, got, want, u.row, tolerance.GPUTransform)
}

func TestTranspose(t *testing.T) {
	r := open(t)
	for _, c := range []struct{ d, n int }{{1, 1}, {16, 16}, {17, 33}, {66, 100}} {
		x := filled(1, c.d, c.n, 1)
		p, err := plan.Transpose(c.d, c.n, r.Limits())
		got := run(t, p, err, source{"x": x.values}, nil, nil)
		for i := range c.n {
			for j := range c.d {
				if float64(got[i*c.d+j]) != x.at(j, i) {
					t.Fatalf("%v: [%d, %d] is %g, want %g", c, i, j, got[i*c.d+j], x.at(j, i))
				}
			}
		}
	}
}

func TestPool(t *testing.T) {
	r := open(t)
	for _, pooling := range []model.Pooling{model.PoolClass, model.PoolMean, model.PoolClassHidden, model.PoolMeanHidden} {
		for _, c := range []struct {
			texts, length, d int
			normalize        bool
		}{{1, 1, 1, false}, {3, 5, 66, true}, {2, 300, 64, false}} {
			x := filled(1, c.d, c.texts*c.length, 1)
			weight, bias := noise(2, c.d*c.d, 0.2), noise(3, c.d, 1)
			mask := make([]uint32, c.texts*c.length)
			for i := range mask {
				if i%c.length <= c.length/2 {
					mask[i] = 1
				}
			}
			p, err := plan.Pool(c.texts, c.length, c.d, pooling, c.normalize, r.Limits())
			got := run(t, p, err, source{"x": x.values, "pooler.dense.weight": weight, "pooler.dense.bias": bias}, make([]int32, len(mask)), mask)
			var want []float64
			for b := range c.texts {
				want = append(want, poolTwin(x, b, c.length, mask, pooling, weight, bias, c.normalize)...)
			}
			if e := normalizedError(got, want); !(e <= tolerance.GPUPoint) {
				t.Errorf("%v %+v: normalised error %.2e", pooling, c, e)
			}
		}
	}
}

func poolTwin(x matrix, text, length int, mask []uint32, pooling model.Pooling, weight, bias []float32, normalize bool) []float64 {
	v := make([]float64, x.rows)
	for c := range v {
		v[c] = x.at(c, text*length)
		if pooling == model.PoolMean || pooling == model.PoolMeanHidden {
			count := 0.0
			v[c] = 0
			for t := range length {
				m := float64(mask[text*length+t])
				v[c] += m * x.at(c, text*length+t)
				count += m
			}
			v[c] /= count
		}
	}
	if pooling == model.PoolClass || pooling == model.PoolMean {
		out := make([]float64, len(v))
		for r := range out {
			out[r] = float64(bias[r])
			for s := range v {
				out[r] += float64(weight[r*len(v)+s]) * v[s]
			}
			out[r] = math.Tanh(out[r])
		}
		v = out
	}
	if normalize {
		squares := 0.0
		for _, a := range v {
			squares += a * a
		}
		for i := range v {
			v[i] /= max(math.Sqrt(squares), 1e-12)
		}
	}
	return v
}

func TestEmbedding(t *testing.T) {
	c := model.Config{VocabSize: 200, HiddenSize: 18, MaxPositionEmbeddings: 70, LongConvLMax: 70, TypeVocabSize: 2, LayerNormEps: 1e-12}
	const d = 18
	tensors := source{"embeddings.word_embeddings.weight": noise(1, 200*d, 0.05), "embeddings.position_embeddings.weight": noise(2, 70*d, 0.05),
		"embeddings.token_type_embeddings.weight": noise(3, 2*d, 0.05), "embeddings.LayerNorm.weight": noise(4, d, 1), "embeddings.LayerNorm.bias": noise(5, d, 1)}
	whole := open(t).Limits()
	small := whole
	small.MaxStorageBufferBindingSize = 128 * d * 4
	for name, limits := range map[string]plan.Limits{"whole": whole, "parts": small} {
		for _, positions := range []bool{true, false} {
			for _, half := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s positions=%v half=%v", name, positions, half), func(t *testing.T) {
					c.UsePositionalEncodings = positions
					const texts, length = 1, 65
					ids := make([]int32, texts*length)
					for i := range ids {
						ids[i] = int32(i * 7 % 200)
					}
					p, err := plan.Embedding(c, texts, length, limits, plan.Options{Half: half})
					got := run(t, p, err, tensors, ids, nil)
					x := matrix{d, len(ids), len(ids), make([]float32, d*len(ids))}
					for i, id := range ids {
						for k := range d {
							x.values[k*len(ids)+i] = tensors["embeddings.word_embeddings.weight"][int(id)*d+k] + tensors["embeddings.token_type_embeddings.weight"][k]
							if positions {
								x.values[k*len(ids)+i] += tensors["embeddings.position_embeddings.weight"][i%length*d+k]
							}
						}
					}
					limit := tolerance.GPUPoint
					if half {
						limit = tolerance.GPUHalf
					}
					compare(t, got, layerNormTwin(x, tensors["embeddings.LayerNorm.weight"], tensors["embeddings.LayerNorm.bias"], 1e-12), plan.Columns(len(ids)), limit)
				})
			}
		}
	}
}
