package model

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/kernel"
)

// traced gives a sum over each tensor of a pass that depends on every bit and its
// place, and whether an MLP was cut by columns.
func traced(t *testing.T, m *Model, pooling Pooling, sequences ...Sequence) (sums map[string]uint64, columns bool) {
	r, sums := m.NewRun(), map[string]uint64{}
	var mu sync.Mutex
	add := func(name string, row, column, rows, columns int, x []float32, stride int) {
		mu.Lock()
		defer mu.Unlock()
		for i := range rows {
			for j := range columns {
				h := (uint64(row+i)<<48 ^ uint64(column+j)<<32 ^ uint64(math.Float32bits(x[i*stride+j]))) * 0x9e3779b97f4a7c15
				sums[name] += (h ^ h>>29) * 0xbf58476d1ce4e5b9
			}
		}
	}
	r.trace = func(name string, layer, row, column, rows, columns int, x []float32, stride int) {
		add(fmt.Sprint(name, layer), row, column, rows, columns, x, stride)
	}
	m.workers.pace.Store(math.Float64bits(1e3)) // so slow that any number of threads pays
	runAgain(t, r, pooling, false, sequences...)
	for i := range sequences {
		for name, x := range map[string][]float32{"vector": r.Vector(i), "spans": r.SpanVectors(i)} {
			add(name, i, 0, 1, len(x), x, 0)
		}
	}
	return sums, slices.ContainsFunc(r.tasks, func(x task) bool { return x.stage == &outStage })
}

// TestColumns demands of an MLP that is cut by columns the bits of one that is cut
// by rows, in every tensor on the way, on every back end.
func TestColumns(t *testing.T) {
	for _, glu := range []bool{true, false} {
		shape := goldenweights.Tiny()
		shape.HiddenSize, shape.IntermediateSize, shape.UseGLUMLP = 256, 512, glu
		weights := goldenweights.New(shape)
		c := tinyConfig(t)
		c.HiddenSize, c.IntermediateSize, c.UseGLUMLP = shape.HiddenSize, shape.IntermediateSize, glu
		sets := kernel.Sets()
		if !glu {
			sets = sets[len(sets)-1:]
		}
		for _, set := range sets {
			for name, w := range map[string]Weights{"int8": int8Weights{weights, 2}, "f32": weights} {
				t.Run(fmt.Sprintf("%s/%s/GLU %v", set.Name, name, glu), func(t *testing.T) {
					rows := load(t, c, w, LoadOptions{Kernels: set, Threads: 1})
					columns := load(t, c, w, LoadOptions{Kernels: set, Threads: 4})
					for _, lengths := range [][]int{{1}, {33, 30}, {64}} {
						var batch []Sequence
						for i, n := range lengths {
							batch = append(batch, alone(goldenweights.InputIDs(fmt.Sprint("columns.", i), n, 104, 890)))
						}
						spans := slices.Clone(batch)
						spans[0].Spans = []Span{{First: 0, Last: 1}}
						for _, x := range []struct {
							pooling Pooling
							batch   []Sequence
						}{{PoolClass, batch}, {PoolMean, batch}, {PoolClass, spans}} {
							want, cut := traced(t, rows, x.pooling, x.batch...)
							if cut {
								t.Fatalf("%v tokens on one thread are cut by columns", lengths)
							}
							got, cut := traced(t, columns, x.pooling, x.batch...)
							if most := x.pooling == PoolMean && lengths[0] == 64; cut == most {
								t.Errorf("%v tokens, %v: cut by columns: %v", lengths, x.pooling, cut)
							}
							if !maps.Equal(got, want) {
								t.Errorf("%v tokens, %v: other bits than cut by rows", lengths, x.pooling)
							}
						}
					}
				})
			}
		}
	}
}
