package core

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
)

// fuzzModel is a config.json and weights of the smallest kind.
func fuzzModel(change func(g *goldenweights.Config)) (config, weights []byte) {
	g := goldenweights.Config{
		VocabSize: 8, HiddenSize: 4, NumHiddenLayers: 1, IntermediateSize: 5, MaxPositionEmbeddings: 6, LongConvLMax: 6,
		TypeVocabSize: 1, HyenaEmbDim: 3, HyenaFilterOrder: 2, MonarchMLPNBlocks: 2,
		Bidirectional: true, ResidualLongConv: true, UsePositionalEncodings: true, UseGLUMLP: true, UseMonarchMLP: true,
	}
	change(&g)
	var b bytes.Buffer
	if err := goldenweights.New(g).WriteSafetensors(&b); err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"vocab_size":%d,"hidden_size":%d,"num_hidden_layers":%d,"intermediate_size":%d,"max_position_embeddings":%d,`+
		`"long_conv_l_max":%d,"type_vocab_size":%d,"hyena_emb_dim":%d,"hyena_filter_order":%d,"monarch_mlp_nblocks":%d,"bidirectional":%t,`+
		`"residual_long_conv":%t,"use_positional_encodings":%t,"hyena_training_additions":%t,"use_glu_mlp":%t,"use_monarch_mlp":%t,"pad_token_id":1}`,
		g.VocabSize, g.HiddenSize, g.NumHiddenLayers, g.IntermediateSize, g.MaxPositionEmbeddings, g.LongConvLMax, g.TypeVocabSize,
		g.HyenaEmbDim, g.HyenaFilterOrder, g.MonarchMLPNBlocks, g.Bidirectional, g.ResidualLongConv, g.UsePositionalEncodings,
		g.HyenaTrainingAdditions, g.UseGLUMLP, g.UseMonarchMLP), b.Bytes()
}

// FuzzEmbed opens and runs models of mutated configurations and weights: what
// opens embeds without a fault, twice to the same bits.
func FuzzEmbed(f *testing.F) {
	for _, change := range []func(g *goldenweights.Config){
		func(*goldenweights.Config) {},
		func(g *goldenweights.Config) { g.Bidirectional, g.ResidualLongConv, g.NoPooler = false, false, true },
		func(g *goldenweights.Config) { g.UsePositionalEncodings, g.HyenaTrainingAdditions = false, true },
		func(g *goldenweights.Config) { g.UseGLUMLP, g.UseMonarchMLP, g.HyenaEmbDim = false, false, 5 },
	} {
		config, weights := fuzzModel(change)
		f.Add(config, weights, []byte{1, 2, 3}, uint8(0))
		f.Add(config, weights, []byte{7, 0, 5, 6, 1, 200}, uint8(3))
		f.Add(bytes.Replace(config, []byte("{"), []byte(`{"prompts":{"query":"q: ","a":""},`), 1), weights, []byte{1}, uint8(0))
	}
	f.Fuzz(func(t *testing.T, config, weights, tokens []byte, choice uint8) {
		file, err := checkpoint.OpenBytes(slices.Clone(weights))
		if err != nil {
			return
		}
		e, err := Open(config, nil, file, OpenOptions{Threads: 1, FilterBudget: 4096, ConfigFromWeights: choice&1 != 0})
		if err != nil {
			return
		}
		defer e.Close()
		input := Input{IDs: []int32{}}
		for _, b := range tokens[:min(len(tokens), 40)] {
			input.IDs = append(input.IDs, int32(b))
		}
		o := Options{Padding: none, Pooling: model.Pooling(choice >> 1 % 5), Task: "query"}
		var before []float32
		for range 2 {
			r, err := e.Embed(t.Context(), []Input{input}, o)
			var fault *model.Fault
			if errors.As(err, &fault) {
				t.Fatalf("%v\n%s", fault, fault.Stack)
			}
			if err != nil {
				return
			}
			vector := r[0].Vector
			if len(vector) != e.Dimension() || slices.ContainsFunc(vector, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }) {
				t.Fatalf("vector %v of %d numbers", vector, e.Dimension())
			}
			if before != nil && !slices.Equal(before, vector) {
				t.Fatal("the second call makes other bits")
			}
			before = vector
		}
	})
}
