package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// rate reports operations per second in units of 10⁹ under the given name.
func rate(b *testing.B, operations float64, unit string) {
	b.ReportMetric(operations*float64(b.N)/b.Elapsed().Seconds()/1e9, unit)
}

func benchmarkSets(b *testing.B, run func(b *testing.B, set *Set)) {
	for _, set := range Sets() {
		b.Run(set.Name, func(b *testing.B) { run(b, set) })
	}
}

// The products of the 80M model: rows, outputs, inputs.
var productShapes = [][3]int{{96, 2304, 768}, {128, 768, 768}, {512, 768, 768}, {96, 1536, 192}, {96, 192, 768}}

func BenchmarkMatrixF32(b *testing.B) {
	benchmarkSets(b, func(b *testing.B, set *Set) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, s := range productShapes {
			b.Run(fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]), func(b *testing.B) {
				m := NewMatrix(set, random(r, s[1]*s[2], 1), s[1], s[2], random(r, s[1], 1))
				a, c := random(r, s[0]*s[2], 1), make([]float32, s[0]*s[1])
				for b.Loop() {
					m.Multiply(c, s[1], Input{Values: a, Stride: s[2]}, s[0], 0, s[1])
				}
				rate(b, 2*float64(s[0]*s[1]*s[2]), "GFLOP/s")
			})
		}
	})
}

func BenchmarkIntegerMatrix(b *testing.B) {
	benchmarkSets(b, func(b *testing.B, set *Set) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, w := range widths {
			for _, s := range productShapes {
				b.Run(fmt.Sprintf("%s/%dx%dx%d", w.name, s[0], s[1], s[2]), func(b *testing.B) {
					m := w.make(set, w.random(r, s[1]*s[2]), random(r, s[1], 1), s[1], s[2], random(r, s[1], 1))
					a, c := random(r, s[0]*s[2], 1), make([]float32, s[0]*s[1])
					var q Quantized
					q.Reset(m, s[0])
					q.Store(0, a, s[2], s[0])
					for b.Loop() {
						m.Multiply(c, s[1], Input{Quantized: &q}, s[0], 0, s[1])
					}
					rate(b, 2*float64(s[0]*s[1]*s[2]), "Gop/s")
				})
			}
		}
	})
}

// BenchmarkVector times the operations around the products, in elements.
func BenchmarkVector(b *testing.B) {
	const rows, d = 64, 768
	r := rand.New(rand.NewPCG(1, 1))
	x, y, z, dst := random(r, rows*d, 3), random(r, rows*d, 3), random(r, rows*d, 3), make([]float32, rows*d)
	frequency, times := random(r, 128, 10), random(r, rows*d/GroupWidth, 1)
	tw := twiddleTable(256)
	scales, sums := make([]float32, rows), make([]int32, rows)
	q := make([]byte, 4*rows*d)
	operations := []struct {
		name string
		run  func(set *Set)
	}{
		{"LayerNorm", func(set *Set) {
			for i := range rows {
				set.LayerNorm(dst[i*d:(i+1)*d], x[i*d:], y[i*d:], z[:d], y[:d], 1e-12)
			}
		}},
		{"GeluGate", func(set *Set) { set.GeluGate(dst, x, y) }},
		{"ShortFilter", func(set *Set) { copy(dst, x); set.ShortFilter(dst, rows*d/GroupWidth, y[:4*GroupWidth]) }},
		{"Multiply", func(set *Set) { set.Multiply(dst, x, y) }},
		{"MultiplyAdd", func(set *Set) { set.MultiplyAdd(dst, x, y, z) }},
		{"Sine", func(set *Set) { copy(dst, x); set.Sine(dst, frequency) }},
		{"Decay", func(set *Set) { copy(dst, x); set.Decay(dst, times, y) }},
		{"QuantizeI8", func(set *Set) { set.I8.Quantize(q, scales, sums, x, d, rows, d) }},
		{"QuantizeI16", func(set *Set) { set.I16.Quantize(q, scales, sums, x, d, rows, d) }},
		{"Radix4Forward", func(set *Set) { copy(dst, x); set.Radix4Forward(dst, 256, 6, tw) }},
		{"Radix4Inverse", func(set *Set) { copy(dst, x); set.Radix4Inverse(dst, 256, 6, tw) }},
		{"Radix4ForwardLast", func(set *Set) { copy(dst, x); set.Radix4Forward(dst, 4, 384, tw) }},
		{"SpectrumProduct", func(set *Set) {
			copy(dst, x)
			h := rows * d / 2
			set.SpectrumProduct(dst[:h], dst[h:], y[:h], y[h:], h/GroupWidth)
		}},
	}
	for _, o := range operations {
		b.Run(o.name, func(b *testing.B) {
			benchmarkSets(b, func(b *testing.B, set *Set) {
				for b.Loop() {
					o.run(set)
				}
				rate(b, rows*d, "Gelements/s")
			})
		})
	}
}

func BenchmarkPack(b *testing.B) {
	const outputs, inputs = 2304, 768
	r := rand.New(rand.NewPCG(1, 1))
	w, scales := random(r, outputs*inputs, 1), random(r, outputs, 1)
	benchmarkSets(b, func(b *testing.B, set *Set) {
		b.Run("f32", func(b *testing.B) {
			for b.Loop() {
				NewMatrix(set, w, outputs, inputs, nil).prepare()
			}
			rate(b, 4*outputs*inputs, "GB/s")
		})
		for _, width := range widths {
			w := width.random(r, outputs*inputs)
			b.Run(width.name, func(b *testing.B) {
				for b.Loop() {
					width.make(set, w, scales, outputs, inputs, nil).prepare()
				}
				rate(b, float64(len(w)), "GB/s")
			})
		}
	})
}
