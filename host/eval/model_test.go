package main

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/host/small"
)

// vectorTexts are the texts of testdata/eval/vectors.safetensors, whose vectors
// PyTorch made (host/train/quantise.py).
func vectorTexts(t *testing.T) (inputs []core.Input, limits []int) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/eval/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts []struct {
		Text          string
		Times, Tokens int
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	for _, x := range texts {
		inputs = append(inputs, core.Input{Text: strings.Join(repeated(x.Text, x.Times), " ")})
		limits = append(limits, x.Tokens)
	}
	return inputs, limits
}

func repeated(text string, times int) []string {
	out := make([]string, times)
	for i := range out {
		out[i] = text
	}
	return out
}

func openEmbedded(t *testing.T, weights core.Weights) *core.Embedder {
	t.Helper()
	e, err := core.Open(small.Config, small.Tokenizer, weights, core.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestAgainstPyTorch compares the engine with the training code on the embedded
// weights: in float32, where both compute the same function, and with rounded
// activations, where blocks of the MLP round apart here and together there.
func TestAgainstPyTorch(t *testing.T) {
	file, err := checkpoint.OpenBytes(small.Weights)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../testdata/eval/vectors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	inputs, lengths := vectorTexts(t)
	for _, c := range []struct {
		kind                  string
		weights               core.Weights
		want                  string
		furthest, leastCosine float64
		why                   string
	}{
		{"float32", floatWeights{file}, "dequantised", 1e-4, 1 - 1e-7, "rounding of another order of sums"},
		{"int8", file, "int8", 0.02, 0.996, "activations near a rounding edge fall to either side, and MLP blocks have scales of their own"},
		{"int8 and trained weights", file, "trained", 0.04, 0.99, "8 bits a weight"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			e := openEmbedded(t, c.weights)
			tensor, err := golden.Tensor(c.want)
			if err != nil {
				t.Fatal(err)
			}
			want, err := tensor.Float32(nil)
			if err != nil {
				t.Fatal(err)
			}
			d := e.Dimension()
			worst, least := 0.0, 1.0
			for i, in := range inputs {
				got, err := e.Embed(t.Context(), []core.Input{in}, core.Options{MaxLength: lengths[i]})
				if err != nil {
					t.Fatal(err)
				}
				if got[0].Length != lengths[i] {
					t.Fatalf("text %d: %d tokens, want %d", i, got[0].Length, lengths[i])
				}
				var dot float64
				for k, v := range got[0].Vector {
					w := want[i*d+k]
					dot += float64(v) * float64(w)
					worst = max(worst, math.Abs(float64(v-w)))
				}
				least = min(least, dot)
				if dot < c.leastCosine {
					t.Errorf("text %d, %d tokens: cosine %.7f, want at least %v: %s", i, lengths[i], dot, c.leastCosine, c.why)
				}
			}
			t.Logf("largest difference %.2e, least cosine %.8f", worst, least)
			if worst > c.furthest {
				t.Errorf("largest difference %.2e, want at most %v: %s", worst, c.furthest, c.why)
			}
		})
	}
}
