package parity

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/core/tolerance"
	"m2embed/webgpu/plan"
)

func golden(t *testing.T, name string) *checkpoint.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder(), "..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func values(t *testing.T, f *checkpoint.File, name string) []float32 {
	t.Helper()
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := x.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ids(t *testing.T, f *checkpoint.File, name string) (out []int32) {
	t.Helper()
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	size := x.DType.Size()
	for i := range len(x.Data) / size {
		out = append(out, int32(uint32(x.Data[i*size])|uint32(x.Data[i*size+1])<<8|uint32(x.Data[i*size+2])<<16|uint32(x.Data[i*size+3])<<24))
	}
	return out
}

func largest(got, want []float32) (difference float64) {
	if len(got) < len(want) {
		return math.Inf(1)
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - float64(w)); d > difference || math.IsNaN(d) {
			difference = d
		}
	}
	return difference
}

func configuration(t *testing.T, overrides map[string]any) model.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder(), "..", "testdata", "tiny", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range overrides {
		all[k] = v
	}
	data, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func forward(t *testing.T, name string, c model.Config, tensors plan.Tensors, s plan.Shape, o plan.Options, ids []int32, mask []uint32) []float32 {
	t.Helper()
	p, err := plan.New(c, s, open(t).Limits(), o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := open(t).Run(name, p, tensors, ids, mask)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTinyModel(t *testing.T) {
	open(t)
	c := configuration(t, nil)
	weights, want := golden(t, "tiny/model.safetensors"), golden(t, "tiny/outputs.safetensors")
	lengths := []int{1, 2, 3, 5, 17, 64, 100, 512}
	if brief() {
		lengths = []int{1, 17, 64}
	}
	for _, length := range lengths {
		prefix := fmt.Sprintf("L%d/", length)
		in := ids(t, want, prefix+"input_ids")
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			hidden := forward(t, "tiny", c, weights, plan.Shape{Texts: 1, Length: length, Hidden: true, Pooling: model.PoolNone}, plan.Options{}, in, nil)
			if d := largest(hidden, values(t, want, prefix+"hidden")); !(d <= tolerance.TinyHidden) {
				t.Errorf("hidden states differ by %.1e", d)
			}
			mask := make([]uint32, length)
			for i := range mask {
				mask[i] = 1
			}
			for name, s := range map[string]plan.Shape{
				"cls_hidden": {Pooling: model.PoolClassHidden}, "pooled_cls": {Pooling: model.PoolClass},
				"mean_hidden": {Pooling: model.PoolMeanHidden}, "pooled_mean": {Pooling: model.PoolMean},
				"pooled_cls_l2": {Pooling: model.PoolClass, Normalize: true},
			} {
				// All poolings at one length. TestPool has the others; what they leave of
				// the last layer differs between these two alone.
				if length != 17 && name != "pooled_cls" && name != "pooled_mean" {
					continue
				}
				s.Texts, s.Length = 1, length
				vector := forward(t, "tiny", c, weights, s, plan.Options{}, in, mask)
				limit := tolerance.TinyPooled
				if s.Pooling == model.PoolClassHidden || s.Pooling == model.PoolMeanHidden {
					limit = tolerance.TinyHidden
				}
				if d := largest(vector, values(t, want, prefix+name)); !(d <= limit) {
					t.Errorf("%s differs by %.1e", name, d)
				}
				if length != 17 {
					continue
				}
				s.Hidden = true
				both := forward(t, "tiny", c, weights, s, plan.Options{}, in, mask)
				if d := largest(both[:c.HiddenSize], vector); !(d <= limit) || !slices.Equal(both[c.HiddenSize:], hidden) {
					t.Errorf("%s with hidden states differs by %.1e, or they do", name, d)
				}
			}
		})
	}
	t.Run("half", func(t *testing.T) {
		in := ids(t, want, "L64/input_ids")
		got := forward(t, "tiny half", c, weights, plan.Shape{Texts: 1, Length: 64}, plan.Options{Half: true}, in, nil)
		if similarity := core.Cosine(got, values(t, want, "L64/pooled_cls")); !(similarity >= tolerance.GPUHalfCosine) {
			t.Errorf("cosine %g", similarity)
		}
	})
	t.Run("small buffers", func(t *testing.T) {
		if brief() {
			t.Skip("one runner will do")
		}
		// Spectra made anew, in blocks of channels, and the MLP in blocks of columns.
		in := ids(t, want, "L512/input_ids")
		o := plan.Options{SpectraBytes: -1, BlockBytes: 1 << 16}
		p, err := plan.New(c, plan.Shape{Texts: 1, Length: 512}, plan.Limits{MaxStorageBufferBindingSize: 300 << 10, MaxBufferSize: 300 << 10, MaxComputeWorkgroupsPerDimension: 1 << 16}, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := open(t).Run("tiny small", p, weights, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := largest(got, values(t, want, "L512/pooled_cls")); !(d <= tolerance.TinyPooled) {
			t.Errorf("pooled vector differs by %.1e", d)
		}
	})
}

// TestBatch checks that texts of a batch do not touch each other: each has the
// vector, bit for bit, that the plan gives it at another place of the batch.
func TestBatch(t *testing.T) {
	open(t)
	c := configuration(t, nil)
	weights, want := golden(t, "tiny/model.safetensors"), golden(t, "tiny/outputs.safetensors")
	const length = 17
	in := ids(t, want, "L17/input_ids")
	other := make([]int32, length)
	for i := range other {
		other[i] = int32(200 + 3*i)
	}
	batch := append(append(append([]int32{}, other...), in...), other...)
	got := forward(t, "tiny", c, weights, plan.Shape{Texts: 3, Length: length}, plan.Options{}, batch, nil)
	d := c.HiddenSize
	if x := largest(got[d:2*d], values(t, want, "L17/pooled_cls")); !(x <= tolerance.TinyPooled) {
		t.Errorf("second text differs by %.1e", x)
	}
	for i := range d {
		if got[i] != got[2*d+i] {
			t.Fatalf("equal texts differ at %d: %g, %g", i, got[i], got[2*d+i])
		}
	}
}

func TestVariants(t *testing.T) {
	open(t)
	if brief() {
		t.Skip("one runner will do")
	}
	data, err := os.ReadFile(filepath.Join(folder(), "..", "testdata", "tiny", "variants.json"))
	if err != nil {
		t.Fatal(err)
	}
	var variants map[string]map[string]any
	if err := json.Unmarshal(data, &variants); err != nil {
		t.Fatal(err)
	}
	want := golden(t, "tiny/variants.safetensors")
	for name, overrides := range variants {
		t.Run(name, func(t *testing.T) {
			c := configuration(t, overrides)
			weights := goldenweights.New(goldenConfig(c))
			for _, length := range []int{6, 33} {
				prefix := fmt.Sprintf("%s/L%d/", name, length)
				in := ids(t, want, fmt.Sprintf("L%d/input_ids", length))
				hidden := forward(t, "variant "+name, c, weights, plan.Shape{Texts: 1, Length: length, Hidden: true, Pooling: model.PoolNone}, plan.Options{}, in, nil)
				if length == 33 { // the file has the first, the middle and the last row
					d := c.HiddenSize
					hidden = append(append(append([]float32{}, hidden[:d]...), hidden[16*d:17*d]...), hidden[32*d:]...)
				}
				limit := tolerance.TinyHidden
				if name == "w_mod2" {
					limit = tolerance.GPUDoubledSines
				}
				if d := largest(hidden, values(t, want, prefix+"hidden")); !(d <= limit) {
					t.Errorf("%d tokens: hidden states differ by %.1e", length, d)
				}
				pooled := forward(t, "variant "+name, c, weights, plan.Shape{Texts: 1, Length: length, Pooling: model.PoolClass}, plan.Options{}, in, nil)
				if d := largest(pooled, values(t, want, prefix+"pooled_cls_f64")); !(d <= limit) {
					t.Errorf("%d tokens: pooled vector differs by %.1e", length, d)
				}
			}
		})
	}
}

func goldenConfig(c model.Config) goldenweights.Config {
	return goldenweights.Config{
		VocabSize: c.VocabSize, HiddenSize: c.HiddenSize, NumHiddenLayers: c.NumHiddenLayers, IntermediateSize: c.IntermediateSize,
		MaxPositionEmbeddings: c.MaxPositionEmbeddings, LongConvLMax: c.LongConvLMax, TypeVocabSize: c.TypeVocabSize,
		HyenaEmbDim: c.HyenaEmbDim, HyenaFilterOrder: c.HyenaFilterOrder, MonarchMLPNBlocks: c.MonarchMLPNBlocks,
		Bidirectional: c.Bidirectional, ResidualLongConv: c.ResidualLongConv, UsePositionalEncodings: c.UsePositionalEncodings,
		HyenaTrainingAdditions: c.HyenaTrainingAdditions, UseGLUMLP: c.UseGLUMLP, UseMonarchMLP: c.UseMonarchMLP,
	}
}

// base80M is the configuration of the golden 80M model with 32,768 positions.
func base80M(t *testing.T) model.Config {
	return configuration(t, map[string]any{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
		"vocab_size": 30528, "max_position_embeddings": 32768, "long_conv_l_max": 32768, "hyena_filter_order": 128})
}

func TestBase80M(t *testing.T) {
	open(t)
	if brief() {
		t.Skip("one runner will do")
	}
	lengths := []int{5}
	if os.Getenv("M2EMBED_SOAK") != "" {
		lengths = append(lengths, 128, 2048, 2049)
	}
	c := base80M(t)
	weights := goldenweights.New(goldenConfig(c))
	want := golden(t, "golden/m2-80m-32k/outputs.safetensors")
	for _, length := range lengths {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			in := goldenweights.InputIDs(fmt.Sprintf("big.%d", length), length, 1000, 29000)
			got := forward(t, "80M", c, weights, plan.Shape{Texts: 1, Length: length, Pooling: model.PoolClass}, plan.Options{}, in, nil)
			truth := values(t, want, fmt.Sprintf("L%d/f64/pooled_cls", length))
			d, similarity := largest(got, truth), core.Cosine(got, truth)
			t.Logf("largest difference %.1e, 1 - cosine %.1e", d, 1-similarity)
			if !(d <= tolerance.BigPooled && similarity >= tolerance.BigCosine) {
				t.Errorf("differs by %.1e, cosine %.10f", d, similarity)
			}
		})
	}
}

// TestWide compares with core two layers of the golden 80M model's sizes at a length
// that fills tiles: all twelve take the software adapter minutes.
func TestWide(t *testing.T) {
	open(t)
	if brief() {
		t.Skip("one runner will do")
	}
	c := base80M(t)
	c.NumHiddenLayers, c.MaxPositionEmbeddings, c.LongConvLMax, c.VocabSize = 2, 128, 128, 1000
	weights := goldenweights.New(goldenConfig(c))
	s := model.Sequence{Length: 128, IDs: goldenweights.InputIDs("wide", 128, 104, 893)}
	got := forward(t, "wide", c, weights, plan.Shape{Texts: 1, Length: s.Length, Pooling: model.PoolClass}, plan.Options{}, s.IDs, nil)
	cpu, err := model.Load(c, weights, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	r := cpu.NewRun()
	r.Start([]model.Sequence{s}, model.PoolClass, false)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	d, similarity := largest(got, r.Vector(0)), core.Cosine(got, r.Vector(0))
	t.Logf("largest difference %.1e, 1 - cosine %.1e", d, 1-similarity)
	if !(d <= tolerance.BigPooled && similarity >= tolerance.BigCosine) {
		t.Errorf("differs by %.1e, cosine %.10f", d, similarity)
	}
}
