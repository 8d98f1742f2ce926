//go:build m2embed_operations

package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"unsafe"

	"m2embed/core/checkpoint"
	"m2embed/webgpu/plan"
)

// pattern gives any tensor: uniform noise that repeats after a prime number of
// elements, so that large operands cost no time to make, times a factor where
// the tensor's name has one.
type pattern map[string]float64

const period = 1_000_003

var noise = func() []float32 {
	out := make([]float32, period)
	z := uint64(1)
	for i := range out {
		z = z*6364136223846793005 + 1442695040888963407
		out[i] = float32(int64(z)>>40) / (1 << 23)
	}
	return out
}()

// values makes n elements of a tensor.
func (p pattern) values(name string, n int) []float32 {
	out := make([]float32, n)
	for at := 0; at < n; at += period {
		copy(out[at:], noise)
	}
	if scale, ok := p[name]; ok {
		for i := range out {
			out[i] *= float32(scale)
		}
	}
	return out
}

// patterned are the tensors of a plan, as large as it wants them.
type patterned struct {
	pattern
	sizes map[string]int
}

func (p pattern) of(l *plan.Plan) patterned {
	sizes := map[string]int{}
	for _, b := range l.Buffers {
		for _, piece := range b.Parts {
			sizes[piece.Tensor] = piece.Total
		}
	}
	return patterned{p, sizes}
}

func (p patterned) Names() []string { return slices.Sorted(maps.Keys(p.sizes)) }

func (p patterned) Tensor(name string) (checkpoint.Tensor, error) {
	n, ok := p.sizes[name]
	if !ok {
		return checkpoint.Tensor{}, fmt.Errorf("the plan has no tensor %q", name)
	}
	values := p.values(name, n)
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*n)
	return checkpoint.Tensor{Name: name, DType: checkpoint.F32, Shape: []int{n}, Data: data}, nil
}

// one measures a plan of a single operation. amount is what its dispatches do,
// in unit GFLOP/s or GB/s; sample returns the error of the result, and is nil for
// elementwise operations, which the parity tests prove at these forms.
func (b *bench) one(name, unit string, amount float64, p *plan.Plan, err error, sample func(y []float32) float64) {
	if !b.kernel.MatchString(name) {
		return
	}
	check(err)
	l, err := b.executor.Load(context.Background(), p, pattern{"f.modulation.deltas": 0, "taps": 0.01}.of(p))
	check(err)
	y, err := b.executor.Run(context.Background(), l, nil, nil)
	check(err)
	k := kernelTime{Name: name, Unit: unit}
	if sample != nil {
		k.Error = sample(y)
		if !(k.Error < 1e-6) {
			check(fmt.Errorf("%s: normalised error %g", name, k.Error))
		}
	}
	all := make([]int, len(p.Dispatches))
	for i := range all {
		all[i] = i
	}
	seconds := b.time(l, all)
	k.Milliseconds, k.Rate = seconds*1e3, amount/seconds/1e9
	b.report.Kernels = append(b.report.Kernels, k)
	fmt.Printf("%-52s %9.3f ms %9.0f %s", name, k.Milliseconds, k.Rate, unit)
	if sample != nil {
		fmt.Printf("  error %.1e", k.Error)
	}
	fmt.Println()
	b.executor.Unload(l)
	b.executor.Close()
}

type productShape struct {
	name                         string
	blocks, rows, inner, columns int
}

var products = []productShape{
	{"product 2048³", 1, 2048, 2048, 2048},
	{"product 4096³", 1, 4096, 4096, 4096},
	{"in_linear third, out_linear: 768 × 768 × 32768", 1, 768, 768, 32768},
	{"in_linear third, out_linear: 768 × 768 × 4096", 1, 768, 768, 4096},
	{"in_linear third, out_linear: 768 × 768 × 2048", 1, 768, 768, 2048},
	{"gated_layers: 4 blocks 1536 × 192 × 8192", 4, 1536, 192, 8192},
	{"wo: 4 blocks 192 × 768 × 8192", 4, 192, 768, 8192},
	{"filter taps: 2 blocks 128 × 128 × 32768", 2, 128, 128, 32768},
}

func (s productShape) run(b *bench, label string, o plan.Options) {
	p, err := plan.Product(s.blocks, s.rows, s.inner, s.blocks*s.rows, s.blocks*s.inner, s.columns, plan.After{}, b.limits, o)
	work := 2 * float64(s.blocks) * float64(s.rows) * float64(s.inner) * float64(s.columns)
	b.one(s.name+label, "GFLOP/s", work, p, err, func(y []float32) float64 {
		made := pattern{}
		w, x, bias := made.values("", s.blocks*s.rows*s.inner), made.values("", s.blocks*s.inner*plan.Columns(s.columns)), made.values("", s.blocks*s.rows)
		var errors, squares float64
		for i := range 200 {
			r, t := i*7919%(s.blocks*s.rows), i*104729%s.columns
			sum := float64(bias[r])
			for k := range s.inner {
				wk := float64(w[r*s.inner+k])
				if o.Half {
					wk = float64(checkpoint.Float16ToFloat32(checkpoint.Float32ToFloat16(float32(wk))))
				}
				sum += wk * float64(x[(r/s.rows*s.inner+k)*plan.Columns(s.columns)+t])
			}
			d := sum - float64(y[r*plan.Columns(s.columns)+t])
			errors, squares = errors+d*d, squares+sum*sum
		}
		return errors / squares
	})
}

// kernels measures the ceilings, then each kernel at the model's shapes.
func (b *bench) kernels() {
	n := 1 << 26
	p, err := plan.MemoryCopy(n, b.limits)
	b.one("copy 256 MiB", "GB/s", 8*float64(n), p, err, func(y []float32) float64 {
		x := pattern{}.values("", n)
		for i := 0; i < n; i += 9973 {
			if x[i] != y[i] {
				return math.Inf(1)
			}
		}
		return 0
	})
	for i, s := range products {
		s.run(b, "", plan.Options{})
		if i == 0 || i == 2 || i == 5 {
			s.run(b, ", 16-bit weights", plan.Options{Half: true})
		}
	}
	const d = 768
	for _, c := range []struct{ length, texts int }{{128, 512}, {512, 128}, {2048, 32}, {4096, 16}, {8192, 8}, {32768, 2}} {
		texts := c.texts
		for 4*d*plan.Columns(texts*c.length) > b.limits.MaxStorageBufferBindingSize || 8*d*2*c.length > b.limits.MaxStorageBufferBindingSize && texts > 1 {
			texts /= 2
		}
		p, err := plan.LongConvolution(texts, c.length, d, c.length, true, false, false, b.limits, b.options)
		rows := float64(texts * d)
		b.one(fmt.Sprintf("long convolution, %d tokens, %d rows", c.length, texts*d), "GB/s", rows*float64(c.length)*8, p, err, func(y []float32) float64 {
			return convolutionError(y, d, texts, c.length)
		})
	}
	columns := 32768
	bytes := 4 * float64(d) * float64(columns)
	p, err = plan.ShortFilter(1, columns, d, false, b.limits)
	b.one("short filter and gates, 768 × 32768", "GB/s", 5*bytes, p, err, nil)
	p, err = plan.LayerNorm(d, columns, 1e-12, b.limits)
	b.one("layer norm, 768 × 32768", "GB/s", 2*bytes, p, err, nil)
	p, err = plan.GELUGate(3072, 8192, true, b.limits)
	b.one("GELU × gate, 3072 × 8192", "GB/s", 3*bytes, p, err, nil)
	p, err = plan.Product(2, 128, 128, 256, 256, columns, plan.After{Sine: 1}, b.limits, plan.Options{})
	b.one("sine layer, 2 blocks 128 × 128 × 32768", "GFLOP/s", 2*2*128*128*float64(columns), p, err, nil)
}

// convolutionError compares some outputs of a long convolution without decay
// with their direct sums.
func convolutionError(y []float32, d, texts, length int) float64 {
	made := pattern{"taps": 0.01}
	row := plan.Columns(length)
	u, taps, skip := made.values("u", d*plan.Columns(texts*length)), made.values("taps", 2*d*row), made.values("f.bias", d)
	var errors, squares float64
	for i := range 50 {
		c, first, t := i*7919%d, i%texts*length, i*104729%length
		u := u[c*plan.Columns(texts*length)+first:][:length]
		sum := float64(skip[c]) * float64(u[t])
		for j := 0; j <= t; j++ {
			sum += float64(taps[c*row+j]) * float64(u[t-j])
		}
		for j := 0; t+1+j < length; j++ {
			sum += float64(taps[(d+c)*row+j]) * float64(u[t+1+j])
		}
		e := sum - float64(y[c*plan.Columns(texts*length)+first+t])
		errors, squares = errors+e*e, squares+sum*sum
	}
	return errors / squares
}

// tiles measures ways to cut each product of the model at several lengths.
func (b *bench) tiles() {
	large := []plan.Tile{{Rows: 16, Columns: 16, Tall: true}, {Rows: 16, Columns: 16}, {Rows: 8, Columns: 16}, {Rows: 16, Columns: 8}, {Rows: 8, Columns: 8}, {Rows: 16, Columns: 16, Parts: 1}}
	small := []plan.Tile{{Rows: 8, Columns: 8}, {Rows: 16, Columns: 16, Parts: 1}, {Rows: 8, Columns: 8, Parts: 1}, {Rows: 8, Columns: 8, Parts: 2}, {Rows: 8, Columns: 8, Parts: 4}}
	for _, columns := range []int{128, 512, 2048, 4096, 8192} {
		for _, s := range []productShape{{"linear", 1, 768, 768, columns}, {"in_linear", 1, 2304, 768, columns},
			{"gated_layers", 4, 1536, 192, columns}, {"wo", 4, 192, 768, columns}, {"taps", 2, 256, 128, columns}, {"network", 2, 128, 128, columns}} {
			tiles := large
			if columns <= 512 {
				tiles = small
			} else if columns == 2048 {
				tiles = append(append([]plan.Tile{}, large...), small[2:]...)
			}
			fmt.Printf("%s: %d × %d × %d × %d:", s.name, s.blocks, s.rows, s.inner, s.columns)
			for _, tile := range tiles {
				p, err := plan.Product(s.blocks, s.rows, s.inner, s.blocks*s.rows, s.blocks*s.inner, s.columns, plan.After{}, b.limits, plan.Options{Tile: tile})
				check(err)
				l, err := b.executor.Load(context.Background(), p, pattern{}.of(p))
				check(err)
				seconds := b.time(l, []int{0})
				unit := 8
				if tile.Parts > 0 {
					unit = 4
				}
				fmt.Printf("  %d×%d/%d %.1f µs", unit*tile.Rows, unit*tile.Columns, tile.Parts, seconds*1e6)
				b.executor.Unload(l)
			}
			fmt.Println()
			b.executor.Close()
		}
	}
}

// ceilings sets each kernel's fraction of the best rate measured here.
func (b *bench) ceilings() {
	best := map[string]float64{}
	for _, k := range b.report.Kernels {
		if k.Name == "copy 256 MiB" || k.Name == "product 2048³" || k.Name == "product 4096³" {
			best[k.Unit] = max(best[k.Unit], k.Rate)
		}
	}
	for i, k := range b.report.Kernels {
		if best[k.Unit] > 0 {
			b.report.Kernels[i].Ceiling = k.Rate / best[k.Unit]
		}
	}
}
