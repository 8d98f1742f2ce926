package model

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"m2embed/core/checkpoint/goldenweights"
)

// referenceLimit bounds the difference of hidden rows (of about 1) to the sums:
// float32 rounding as in tolerance.TinyHidden, several times that where three layers and
// the large taps of the shortest windows enlarge it (6e-5 seen).
const referenceLimit = 1.2e-4

// TestReference runs configurations that no golden file has: odd widths, filter
// windows shorter than the text, many blocks, one layer and more.
func TestReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		g := goldenweights.Tiny()
		g.VocabSize, g.NumHiddenLayers = 104, 1+r.IntN(3)
		g.HiddenSize = []int{8, 31, 32, 33, 40, 64, 65, 96}[r.IntN(8)]
		g.IntermediateSize = g.HiddenSize + r.IntN(70)
		g.MonarchMLPNBlocks = 1 + r.IntN(7)
		g.HyenaFilterOrder, g.HyenaEmbDim = 4+r.IntN(30), 3+2*r.IntN(3)
		g.Bidirectional, g.ResidualLongConv, g.UseGLUMLP, g.UseMonarchMLP = r.IntN(4) > 0, r.IntN(4) > 0, r.IntN(4) > 0, r.IntN(4) > 0
		g.HyenaTrainingAdditions = r.IntN(4) == 0
		length := 1 + r.IntN(50)
		window := i%2 == 1
		g.UsePositionalEncodings = !window && r.IntN(2) == 0
		g.LongConvLMax, g.MaxPositionEmbeddings = 64, 64
		if window {
			g.LongConvLMax, length = 2+r.IntN(9), 1+r.IntN(200)
		}
		c := Config{
			VocabSize: g.VocabSize, HiddenSize: g.HiddenSize, NumHiddenLayers: g.NumHiddenLayers, IntermediateSize: g.IntermediateSize,
			MaxPositionEmbeddings: g.MaxPositionEmbeddings, TypeVocabSize: g.TypeVocabSize, LayerNormEps: 1e-12,
			LongConvLMax: g.LongConvLMax, HyenaEmbDim: g.HyenaEmbDim, HyenaFilterOrder: g.HyenaFilterOrder, HyenaWMod: 1,
			UsePositionalEncodings: g.UsePositionalEncodings, Bidirectional: g.Bidirectional, ResidualLongConv: g.ResidualLongConv,
			HyenaTrainingAdditions: g.HyenaTrainingAdditions, UseGLUMLP: g.UseGLUMLP, UseMonarchMLP: g.UseMonarchMLP,
			MonarchMLPNBlocks: g.MonarchMLPNBlocks, Pooling: PoolMeanHidden,
		}
		if window {
			c.MaxSeqLen = 256
		}
		name := fmt.Sprintf("%d: D%d I%d n%d O%d e%d layers%d window%d L%d", i, c.HiddenSize, c.IntermediateSize, c.MonarchMLPNBlocks,
			c.HyenaFilterOrder, c.HyenaEmbDim, c.NumHiddenLayers, c.LongConvLMax, length)
		weights := goldenweights.New(g)
		m := load(t, c, weights, LoadOptions{Overwrite: true})
		ids := make([]int32, length)
		for k := range ids {
			ids[k] = int32(r.IntN(g.VocabSize))
		}
		reference := NewReference(c, weights)
		want, err := reference.Hidden(ids)
		if err != nil {
			t.Fatal(err)
		}
		var flat []float32
		for _, row := range want {
			for _, v := range row {
				flat = append(flat, float32(v))
			}
		}
		check(t, name, run(t, m, PoolMeanHidden, false, alone(ids)).Hidden(0), flat, referenceLimit)
		check(t, name+" first", run(t, m, PoolClassHidden, false, alone(ids)).Vector(0), flat[:c.HiddenSize], referenceLimit)
		vector, err := reference.Vector(ids, length, PoolMean, true)
		if err != nil {
			t.Fatal(err)
		}
		pooled := make([]float32, len(vector))
		for k, v := range vector {
			pooled[k] = float32(v)
		}
		check(t, name+" pooled", run(t, m, PoolMean, true, alone(ids)).Vector(0), pooled, referenceLimit)
	}
}

// TestReferenceMissing: a tensor that is missing is an error, not a panic.
func TestReferenceMissing(t *testing.T) {
	r := NewReference(tinyConfig(t), without{goldenweights.New(goldenweights.Tiny()), "none"})
	if _, err := r.Hidden([]int32{1, 2}); err != nil {
		t.Fatal(err)
	}
	r.weights, r.read = file(t, "tiny/variants.safetensors"), map[string][]float64{}
	if _, err := r.Vector([]int32{1, 2}, 2, PoolClass, false); err == nil {
		t.Error("no error without weights")
	}
}
