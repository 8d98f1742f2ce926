package model

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
)

// TestPositionsByFormula: a checkpoint without the position tables runs as one
// that holds the formulas' values, whatever lengths came before.
func TestPositionsByFormula(t *testing.T) {
	c := tinyConfig(t)
	ids := make([]int32, 300)
	for i := range ids {
		ids[i] = int32(i * 7 % 1000)
	}
	stored := load(t, c, formulaWeights{goldenweights.New(goldenweights.Tiny()), false}, LoadOptions{})
	made := load(t, c, formulaWeights{goldenweights.New(goldenweights.Tiny()), true}, LoadOptions{})
	for _, length := range []int{3, 300, 17, 256, 257} {
		sequence := alone(ids[:length])
		want := run(t, stored, PoolClass, false, sequence).Vector(0)
		if got := run(t, made, PoolClass, false, sequence).Vector(0); !slices.Equal(got, want) {
			t.Errorf("%d tokens: the formulas make other bits than the stored tables", length)
		}
	}
}

// formulaWeights hold the formulas' tables, or none.
type formulaWeights struct {
	Weights
	leaveOut bool
}

func byFormula(name string) bool {
	return strings.HasSuffix(name, "pos_emb.z") || strings.HasSuffix(name, "pos_emb.t") || strings.HasSuffix(name, "modulation.deltas")
}

func (w formulaWeights) Names() []string {
	names := w.Weights.Names()
	if w.leaveOut {
		names = slices.DeleteFunc(names, byFormula)
	}
	return names
}

func (w formulaWeights) Tensor(name string) (checkpoint.Tensor, error) {
	x, err := w.Weights.Tensor(name)
	if err != nil || !byFormula(name) {
		return x, err
	}
	values := DecayRates(64)
	switch {
	case strings.HasSuffix(name, "z"):
		values = PositionFeatures(512, 5, 512)
	case strings.HasSuffix(name, "t"):
		values = PositionTimes(512, 512)
	}
	x.Data = make([]byte, 0, 4*len(values))
	for _, v := range values {
		b := math.Float32bits(v)
		x.Data = append(x.Data, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
	}
	return x, nil
}

// TestUnprovenLength: a length that only the configuration claims costs nothing
// until a text has it.
func TestUnprovenLength(t *testing.T) {
	g := goldenweights.Tiny()
	g.UsePositionalEncodings = false
	weights := formulaWeights{goldenweights.New(g), true}
	c := tinyConfig(t)
	c.UsePositionalEncodings = false
	memory := func(lmax int) uint64 {
		c.LongConvLMax = lmax
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m := load(t, c, weights, LoadOptions{Threads: 1})
		run(t, m, PoolClass, false, alone([]int32{101, 7, 102}))
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := memory(512), memory(sizeLimit)
	if large > small+1<<20 {
		t.Errorf("opening and a short text take %d bytes with a claimed length of %d, %d with 512", large, sizeLimit, small)
	}
}

// TestSizes: sizes and products that no weights can have are refused by name.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Config)
		words  []string
	}{
		{"length", func(c *Config) { c.LongConvLMax = 2_000_000 }, []string{"long_conv_l_max", "2000000", "1048576"}},
		{"layers", func(c *Config) { c.NumHiddenLayers = 1 << 30 }, []string{"num_hidden_layers"}},
		{"window", func(c *Config) { c.MaxSeqLen = 1 << 24 }, []string{"max_seq_len"}},
		{"stored length", func(c *Config) { c.LongConvLMax = 4096 }, []string{"long_conv_l_max", "4096", "512"}},
		{"unused positions", func(c *Config) { c.MaxPositionEmbeddings = 4096 }, []string{"max_position_embeddings", "4096", "512"}},
	} {
		config := tinyConfig(t)
		c.change(&config)
		m, err := Load(config, file(t, "tiny/model.safetensors"), LoadOptions{Threads: 1})
		if err == nil {
			m.Close()
			t.Errorf("%s: accepted", c.name)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: error %q does not name %q", c.name, err, word)
			}
		}
	}
	large := Config{VocabSize: 1, HiddenSize: 1 << 20, MaxPositionEmbeddings: 1, LongConvLMax: 1, HyenaEmbDim: 3, HyenaFilterOrder: 1, IntermediateSize: 1 << 62}
	if err := large.checkProducts(); err == nil || !strings.Contains(err.Error(), "hidden_size × intermediate_size") {
		t.Errorf("error %v, want the product that no memory holds", err)
	}
}
