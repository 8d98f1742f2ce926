package model

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/tolerance"
)

// soak says that the long runs are asked for.
var soak = os.Getenv("M2EMBED_SOAK") != ""

func bigConfig(length int) Config {
	c := defaults()
	c.MaxPositionEmbeddings, c.LongConvLMax = length, length
	c.HyenaEmbDim, c.HyenaFilterOrder = 5, 128
	c.UsePositionalEncodings, c.ResidualLongConv, c.UseMonarchMLP = true, true, true
	c.Pooling = PoolClass
	return c
}

// bigWeights are made once: 440 MB.
var bigWeights = sync.OnceValue(func() Weights { return goldenweights.New(goldenweights.Base80M(32768)) })

// TestGolden80M runs the published 80M/32k shape. Short lengths and both sides
// of the switch from the unified to the streamed convolution run always, the
// long ones in the soak.
func TestGolden80M(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 440 MB of weights")
	}
	want := file(t, "golden/m2-80m-32k/outputs.safetensors")
	padding := file(t, "golden/m2-80m-32k/padding.safetensors")
	// One spectrum at 65,536 rows is larger than the whole model: keep none.
	m := load(t, bigConfig(32768), bigWeights(), LoadOptions{Overwrite: true, FilterBudget: -1})
	d := m.config.HiddenSize
	lengths := []int{5, 128, 2048, 2049}
	paddings := []int{12, 16, 32, 64, 128}
	if m.Kernels() == "go" { // minutes with the plain kernels
		lengths, paddings = lengths[:2], paddings[:1]
		if !soak {
			lengths = lengths[:1]
		}
	}
	if soak {
		lengths = append(lengths, 8192, 32768)
	}
	r := m.NewRun()
	for _, l := range lengths {
		at := fmt.Sprintf("L%d/", l)
		ids := goldenIDs(l)
		if l < 32768 {
			ids = integers(t, want, at+"input_ids")[0]
		}
		runAgain(t, r, PoolMean, false, alone(ids))
		check(t, "80M/"+at+"pooled_mean", r.Vector(0), floats(t, want, at+"f64/pooled_mean"), tolerance.BigPooled)
		positions := integers(t, want, at+"positions")[0]
		for i, p := range positions {
			hidden := floats(t, want, at+"f64/hidden_rows")[i*d : (i+1)*d]
			check(t, fmt.Sprintf("80M/%shidden[%d]", at, p), r.Hidden(0)[int(p)*d:(int(p)+1)*d], hidden, tolerance.BigHidden)
		}
		// The last layer's saving computes the first token on another way.
		runAgain(t, r, PoolClass, false, alone(ids))
		pooled := floats(t, want, at+"f64/pooled_cls")
		check(t, "80M/"+at+"pooled_cls", r.Vector(0), pooled, tolerance.BigPooled)
		if c := Cosine(r.Vector(0), pooled); !(c >= tolerance.BigCosine) {
			t.Errorf("L%d: cosine %.12f, want at least %.12f", l, c, tolerance.BigCosine)
		}
	}
	short := integers(t, padding, "input_ids")[0]
	if soak {
		paddings = append(paddings, 2048, 8192, 32768)
	}
	for _, l := range paddings {
		at := fmt.Sprintf("pad%d/", l)
		runAgain(t, r, PoolClass, false, Sequence{IDs: short, Length: l})
		check(t, "80M/"+at+"pooled_cls", r.Vector(0), floats(t, padding, at+"pooled_cls"), tolerance.BigPooled)
	}
}

// goldenIDs makes the token ids of a golden length.
func goldenIDs(l int) []int32 {
	return goldenweights.InputIDs(fmt.Sprintf("big.%d", l), l, 1000, 29000)
}
