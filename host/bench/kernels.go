package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"m2embed/core/kernel"
)

// kernelRow is one operation on one back end, on one thread.
type kernelRow struct {
	Operation string  `json:"operation"`
	Set       string  `json:"set"`
	Rate      float64 `json:"rate"` // median
	Best      float64 `json:"best"`
	Unit      string  `json:"unit"`
}

func randoms(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*r.Float32() - 1
	}
	return x
}

// operation is something to time: work is in units of 10⁹ of the unit.
type operation struct {
	name, unit string
	work       float64
	run        func(set *kernel.Set)
}

// operations times the operations of every back end in turns.
func (b *bench) operations() error {
	r := rand.New(rand.NewPCG(1, 1))
	var operations []operation
	for _, s := range [][3]int{{128, 2304, 768}, {512, 768, 768}, {2048, 768, 768}, {96, 1536, 192}} {
		operations = append(operations, products(r, s[0], s[1], s[2])...)
	}
	operations = append(operations, vectors(r)...)
	rounds := 15
	if b.quick {
		rounds = 7
	}
	b.result.Kernels = nil
	for _, o := range operations {
		times := map[string][]float64{}
		for round := range rounds {
			for _, set := range kernel.Sets() {
				if set == &kernel.Go && round >= 3 {
					continue // slow, and only for orientation
				}
				// Of the processor: others on the machine don't count.
				before := processorSeconds()
				o.run(set)
				if round > 0 {
					times[set.Name] = append(times[set.Name], processorSeconds()-before)
				}
			}
		}
		for _, set := range kernel.Sets() {
			t := times[set.Name]
			b.result.Kernels = append(b.result.Kernels, kernelRow{o.name, set.Name, o.work / median(t), o.work / least(t), o.unit})
		}
	}
	return nil
}

// products are the float32 product of one shape and those of integers.
func products(r *rand.Rand, rows, outputs, inputs int) []operation {
	weights, bias := randoms(r, outputs*inputs), randoms(r, outputs)
	i8, i16 := make([]byte, outputs*inputs), make([]byte, 0, 2*outputs*inputs)
	for i := range i8 {
		i8[i] = byte(r.IntN(255) - 127)
		i16 = binary.LittleEndian.AppendUint16(i16, uint16(r.IntN(2*kernel.MaxWeight16+1)-kernel.MaxWeight16))
	}
	a, c := randoms(r, rows*inputs), make([]float32, rows*outputs)
	name := fmt.Sprintf("%d×%d×%d", rows, inputs, outputs)
	work := 2 * float64(rows) * float64(outputs) * float64(inputs) / 1e9
	product := func(kind, unit string, wrap func(*kernel.Set) *kernel.Matrix) operation {
		type packed struct {
			matrix *kernel.Matrix
			rows   kernel.Quantized
		}
		sets := map[*kernel.Set]*packed{}
		return operation{"product " + kind + " " + name, unit, work, func(set *kernel.Set) {
			p := sets[set]
			if p == nil {
				p = &packed{matrix: wrap(set)}
				if p.matrix.Quantized() {
					p.rows.Reset(p.matrix, rows)
					p.rows.Store(0, a, inputs, rows)
				}
				sets[set] = p
			}
			p.matrix.Multiply(c, outputs, kernel.Input{Values: a, Stride: inputs, Quantized: &p.rows}, rows, 0, outputs)
		}}
	}
	return []operation{
		product("f32", "GFLOP/s", func(set *kernel.Set) *kernel.Matrix {
			return kernel.NewMatrix(set, slices.Clone(weights), outputs, inputs, bias)
		}),
		product("int8", "Gop/s", func(set *kernel.Set) *kernel.Matrix {
			return kernel.NewI8Matrix(set, i8, bias, outputs, inputs, bias)
		}),
		product("int16", "Gop/s", func(set *kernel.Set) *kernel.Matrix {
			return kernel.NewI16Matrix(set, i16, bias, outputs, inputs, bias)
		}),
	}
}

// vectors are the operations around the products, in elements.
func vectors(r *rand.Rand) []operation {
	const rows, d = 64, 768
	const groupRows = rows * d / kernel.GroupWidth
	x, y, z, dst := randoms(r, rows*d), randoms(r, rows*d), randoms(r, rows*d), make([]float32, rows*d)
	twiddles := randoms(r, 6*64)
	list := []struct {
		name string
		run  func(set *kernel.Set)
	}{
		{"layer norm", func(set *kernel.Set) {
			for i := range rows {
				set.LayerNorm(dst[i*d:(i+1)*d], x[i*d:(i+1)*d], y[i*d:], z[:d], y[:d], 1e-12)
			}
		}},
		{"GELU × gate", func(set *kernel.Set) { set.GeluGate(dst, x, y) }},
		{"short filter", func(set *kernel.Set) { copy(dst, x); set.ShortFilter(dst, groupRows, y[:4*kernel.GroupWidth]) }},
		{"sine", func(set *kernel.Set) { copy(dst, x); set.Sine(dst, y[:128]) }},
		{"decay", func(set *kernel.Set) { copy(dst, x); set.Decay(dst, z[:groupRows], y) }},
		{"radix-4 pass", func(set *kernel.Set) { copy(dst, x); set.Radix4Forward(dst, 256, groupRows/256, twiddles) }},
		{"spectrum product", func(set *kernel.Set) {
			copy(dst, x)
			h := rows * d / 2
			set.SpectrumProduct(dst[:h], dst[h:], y[:h], y[h:], groupRows/2)
		}},
	}
	var operations []operation
	for _, o := range list {
		const repeat = 20
		operations = append(operations, operation{o.name, "Gvalues/s", repeat * rows * d / 1e9, func(set *kernel.Set) {
			for range repeat {
				o.run(set)
			}
		}})
	}
	return operations
}
