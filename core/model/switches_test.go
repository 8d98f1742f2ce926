package model

import (
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint/goldenweights"
)

// TestSwitches: a configuration whose switches differ from what the weights
// hold is refused by the key and a tensor, in both directions, and the weights
// settle every switch.
func TestSwitches(t *testing.T) {
	cases := []struct {
		key     string
		config  func(c *Config) *bool
		weights func(c *goldenweights.Config) *bool
		tensor  string // that the error names
	}{
		{"residual_long_conv", func(c *Config) *bool { return &c.ResidualLongConv },
			func(c *goldenweights.Config) *bool { return &c.ResidualLongConv }, "encoder.layer.0.attention.filter_fn2."},
		{"bidirectional", func(c *Config) *bool { return &c.Bidirectional },
			func(c *goldenweights.Config) *bool { return &c.Bidirectional }, "encoder.layer.0.attention.filter_fn.implicit_filter_rev."},
		{"use_positional_encodings", func(c *Config) *bool { return &c.UsePositionalEncodings },
			func(c *goldenweights.Config) *bool { return &c.UsePositionalEncodings }, "embeddings.position_embeddings.weight"},
		{"hyena_training_additions", func(c *Config) *bool { return &c.HyenaTrainingAdditions },
			func(c *goldenweights.Config) *bool { return &c.HyenaTrainingAdditions }, "encoder.layer.0.attention.layernorm."},
		{"use_glu_mlp", func(c *Config) *bool { return &c.UseGLUMLP },
			func(c *goldenweights.Config) *bool { return &c.UseGLUMLP }, "encoder.layer.0.mlp.gated_layers.weight"},
		{"use_monarch_mlp", func(c *Config) *bool { return &c.UseMonarchMLP },
			func(c *goldenweights.Config) *bool { return &c.UseMonarchMLP }, "encoder.layer.0.mlp.gated_layers.weight"},
	}
	for _, k := range cases {
		for _, on := range []bool{true, false} {
			right := tinyConfig(t)
			g := goldenweights.Tiny()
			*k.config(&right), *k.weights(&g) = on, on
			w := goldenweights.New(g)
			m := load(t, right, w, LoadOptions{Threads: 1})
			want := slices.Clone(run(t, m, PoolClass, false, alone([]int32{101, 300, 102})).Vector(0))

			wrong := right
			*k.config(&wrong) = !on
			_, err := Load(wrong, w, LoadOptions{Threads: 1})
			if err == nil {
				t.Errorf("%s %t: weights of the other kind are accepted", k.key, !on)
				continue
			}
			for _, word := range []string{k.key, k.tensor, "config-from-weights"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%s %t: error %q does not name %q", k.key, !on, err, word)
				}
			}
			if len(err.Error()) > 600 {
				t.Errorf("%s %t: an error of %d bytes", k.key, !on, len(err.Error()))
			}
			settled, err := ConfigFromWeights(wrong, w)
			if err != nil {
				t.Fatalf("%s %t: %v", k.key, !on, err)
			}
			m = load(t, settled, w, LoadOptions{Threads: 1})
			if got := run(t, m, PoolClass, false, alone([]int32{101, 300, 102})).Vector(0); !slices.Equal(got, want) {
				t.Errorf("%s %t: settled by the weights, the vector differs", k.key, !on)
			}
		}
	}
}

// TestSwitchInOneLayer: tensors of any layer count, not the first's alone.
func TestSwitchInOneLayer(t *testing.T) {
	g := goldenweights.Tiny()
	g.HyenaTrainingAdditions = true
	w := without{goldenweights.New(g), "encoder.layer.0.attention.layernorm."}
	_, err := Load(tinyConfig(t), w, LoadOptions{Threads: 1})
	if err == nil || !strings.Contains(err.Error(), "encoder.layer.1.attention.layernorm.") {
		t.Errorf("error %v, want the second layer's unused tensor", err)
	}
}

// without leaves out tensors whose names begin in a certain way.
type without struct {
	Weights
	prefix string
}

func (w without) Names() []string {
	return slices.DeleteFunc(w.Weights.Names(), func(name string) bool { return strings.HasPrefix(name, w.prefix) })
}
