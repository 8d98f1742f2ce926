package oracle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/core/tolerance"
)

// pair makes equal configurations for the weights and for core.
func pair(w goldenweights.Config, wMod float64, longest int) (goldenweights.Config, model.Config) {
	c := model.Config{
		VocabSize: w.VocabSize, HiddenSize: w.HiddenSize, NumHiddenLayers: w.NumHiddenLayers,
		IntermediateSize: w.IntermediateSize, MaxPositionEmbeddings: w.MaxPositionEmbeddings,
		TypeVocabSize: w.TypeVocabSize, LayerNormEps: 1e-12, LongConvLMax: w.LongConvLMax,
		HyenaEmbDim: w.HyenaEmbDim, HyenaFilterOrder: w.HyenaFilterOrder, HyenaWMod: wMod,
		UsePositionalEncodings: w.UsePositionalEncodings, Bidirectional: w.Bidirectional,
		ResidualLongConv: w.ResidualLongConv, HyenaTrainingAdditions: w.HyenaTrainingAdditions,
		UseGLUMLP: w.UseGLUMLP, UseMonarchMLP: w.UseMonarchMLP, MonarchMLPNBlocks: w.MonarchMLPNBlocks,
		MaxSeqLen: longest, Pooling: model.PoolClass,
	}
	return w, c
}

// randomConfig draws a small model; about a quarter run longer than their
// filters (no positions, a window).
func randomConfig(r *rand.Rand) (goldenweights.Config, model.Config) {
	flip := func() bool { return r.IntN(2) == 0 }
	w := goldenweights.Config{
		VocabSize: 200, HiddenSize: 8 + r.IntN(64), NumHiddenLayers: 1 + r.IntN(2),
		IntermediateSize: 8 + r.IntN(120), LongConvLMax: 40, MaxPositionEmbeddings: 40, TypeVocabSize: 1 + r.IntN(2),
		HyenaEmbDim: 3 + 2*r.IntN(3), HyenaFilterOrder: 4 + r.IntN(40), MonarchMLPNBlocks: 1 + r.IntN(6),
		Bidirectional: r.IntN(4) > 0, ResidualLongConv: flip(), UsePositionalEncodings: flip(),
		HyenaTrainingAdditions: flip(), UseGLUMLP: r.IntN(4) > 0, UseMonarchMLP: r.IntN(4) > 0,
	}
	longest := 40
	if !w.UsePositionalEncodings && flip() {
		w.LongConvLMax, longest = 5+r.IntN(20), 60
	}
	return pair(w, []float64{1, 1, 2}[r.IntN(3)], longest)
}

// published has the published retrieval models' switches at a small size.
func published() (goldenweights.Config, model.Config) {
	return pair(goldenweights.Tiny(), 1, 0)
}

func core(t *testing.T, c model.Config, w model.Weights, s model.Sequence, pooling model.Pooling) *model.Run {
	t.Helper()
	m, err := model.Load(c, w, model.LoadOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if err := m.CheckSequence(s); err != nil {
		t.Fatal(err)
	}
	r := m.NewRun()
	r.Start([]model.Sequence{s}, pooling, false)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHidden compares core's hidden states with the graph's over random
// configurations and lengths.
func TestHidden(t *testing.T) {
	r := rand.New(rand.NewPCG(2024, 11))
	for i := range 24 {
		w, c := randomConfig(r)
		if i == 0 {
			w, c = published()
		}
		length := 1 + r.IntN(c.MaxLength())
		if i < 4 {
			length = []int{33, 1, 2, 3}[i]
		}
		length = min(length, 60)
		t.Run(fmt.Sprintf("%d/L%d", i, length), func(t *testing.T) {
			weights := goldenweights.New(w)
			ids := goldenweights.InputIDs(fmt.Sprint("oracle.", i), length, 104, 90)
			o, err := New(c, weights)
			if err != nil {
				t.Fatal(err)
			}
			want, err := o.Hidden(o.Words(ids))
			if err != nil {
				t.Fatal(err)
			}
			got := core(t, c, weights, model.Sequence{IDs: ids, Length: length}, model.PoolMean).Hidden(0)
			if len(got) != len(want) {
				t.Fatalf("core gives %d values, the graph %d", len(got), len(want))
			}
			var worst float64
			for j, v := range got {
				worst = math.Max(worst, math.Abs(float64(v)-want[j]))
			}
			if !(worst <= tolerance.OracleHidden) {
				t.Errorf("hidden states differ by %.3g, limit %.3g, for %+v", worst, tolerance.OracleHidden, c)
			}
		})
	}
}

// shifted gives the weights with the pad's word vector moved by step·direction.
type shifted struct {
	*goldenweights.Weights
	pad       int
	direction []float64
	step      float64
}

func (s shifted) Tensor(name string) (checkpoint.Tensor, error) {
	t, err := s.Weights.Tensor(name)
	if err != nil || name != "embeddings.word_embeddings.weight" {
		return t, err
	}
	table, ok := t.Float32View()
	if !ok {
		return t, fmt.Errorf("the word table is no float32 view")
	}
	for i, v := range s.direction {
		table[s.pad*len(s.direction)+i] += float32(s.step * v)
	}
	return t, nil
}

// TestPadsArePartOfTheModel shows with a derivative that pads are input: when
// a pad's word vector moves, core's pooled vector moves by what the graph's
// gradient says, and the gradient is far from zero.
func TestPadsArePartOfTheModel(t *testing.T) {
	w, c := published()
	weights := goldenweights.New(w)
	const tokens, length = 7, 16
	ids := goldenweights.InputIDs("pad.A", tokens, 104, 892)
	all := append([]int32(nil), ids...)
	for len(all) < length {
		all = append(all, int32(c.PadTokenID))
	}
	r := rand.New(rand.NewPCG(7, 7))
	direction, move := make([]float64, c.HiddenSize), make([]float64, c.HiddenSize)
	for i := range direction {
		direction[i], move[i] = 2*r.Float64()-1, 0.05*(2*r.Float64()-1)
	}
	o, err := New(c, weights)
	if err != nil {
		t.Fatal(err)
	}
	pooled, gradient, err := o.PooledGradient(o.Words(all), direction)
	if err != nil {
		t.Fatal(err)
	}
	var derivative float64
	for position := tokens; position < length; position++ {
		for i, v := range move {
			derivative += gradient[position*c.HiddenSize+i] * v
		}
	}
	at := func(step float64) (sum float64) {
		s := shifted{weights, c.PadTokenID, move, step}
		run := core(t, c, s, model.Sequence{IDs: ids, Length: length}, model.PoolClass)
		for i, v := range run.Vector(0) {
			if step == 0 && math.Abs(float64(v)-pooled[i]) > tolerance.OracleHidden {
				t.Errorf("pooled[%d] is %v in core, %v in the graph", i, v, pooled[i])
			}
			sum += direction[i] * float64(v)
		}
		return sum
	}
	at(0)
	const step = 1.0 / 64
	measured := (at(step) - at(-step)) / (2 * step)
	t.Logf("moving the pads: core's pooled vector changes by %.5f a unit, the derivative says %.5f", measured, derivative)
	if !(math.Abs(measured-derivative) <= tolerance.OracleGradient*math.Max(1, math.Abs(derivative))) {
		t.Errorf("core changes by %v, the derivative says %v", measured, derivative)
	}
	if math.Abs(derivative) < 0.01 {
		t.Errorf("the derivative is %v: pads hardly matter, so this proves nothing", derivative)
	}
}
