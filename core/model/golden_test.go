package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/kernel"
	"m2embed/core/tolerance"
)

const testdata = "../../testdata"

// file opens a safetensors or PyTorch file of the test data in memory.
func file(t testing.TB, name string) *checkpoint.File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func floats(t testing.TB, f *checkpoint.File, name string) []float32 {
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

// integers reads int32 or int64 tensors row by row.
func integers(t testing.TB, f *checkpoint.File, name string) [][]int32 {
	t.Helper()
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	var flat []int32
	for at := 0; at < len(x.Data); at += x.DType.Size() {
		flat = append(flat, int32(binary.LittleEndian.Uint32(x.Data[at:])))
	}
	if len(x.Shape) == 1 {
		return [][]int32{flat}
	}
	return slices.Collect(slices.Chunk(flat, x.Shape[1]))
}

func tinyConfig(t testing.TB) Config {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, "tiny/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t testing.TB, c Config, w Weights, o LoadOptions) *Model {
	t.Helper()
	m, err := Load(c, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// run embeds sequences in one pass.
func run(t testing.TB, m *Model, pooling Pooling, normalize bool, sequences ...Sequence) *Run {
	t.Helper()
	r := m.NewRun()
	runAgain(t, r, pooling, normalize, sequences...)
	return r
}

func runAgain(t testing.TB, r *Run, pooling Pooling, normalize bool, sequences ...Sequence) {
	t.Helper()
	for _, s := range sequences {
		if err := r.model.CheckSequence(s); err != nil {
			t.Fatal(err)
		}
	}
	r.Start(sequences, pooling, normalize)
	for !r.Step() {
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
}

func alone(ids []int32) Sequence { return Sequence{IDs: ids, Length: len(ids)} }

func difference(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst := 0.0
	for i, v := range got {
		e := math.Abs(float64(v) - float64(want[i]))
		if !(e <= worst) {
			worst = e
		}
	}
	return worst
}

// check logs a line of the golden table and fails beyond the limit.
func check(t *testing.T, name string, got, want []float32, limit float64) {
	t.Helper()
	e := difference(got, want)
	t.Logf("%-52s max abs error %8.2e  1-cosine %8.1e", name, e, 1-Cosine(got, want))
	if !(e <= limit) {
		t.Errorf("%s: max abs error %g, limit %g", name, e, limit)
	}
}

var poolings = map[string]Pooling{"cls_hidden": PoolClassHidden, "pooled_cls": PoolClass, "mean_hidden": PoolMeanHidden, "pooled_mean": PoolMean}

func eachSet(t *testing.T, test func(t *testing.T, set *kernel.Set)) {
	for _, set := range kernel.Sets() {
		t.Run(set.Name, func(t *testing.T) { test(t, set) })
	}
}

func TestGoldenTiny(t *testing.T) {
	want := file(t, "tiny/outputs.safetensors")
	eachSet(t, func(t *testing.T, set *kernel.Set) {
		m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Kernels: set})
		for _, l := range []int{1, 2, 3, 5, 17, 64, 100, 512} {
			at := fmt.Sprintf("L%d/", l)
			ids := integers(t, want, at+"input_ids")[0]
			for name, pooling := range poolings {
				r := run(t, m, pooling, false, alone(ids))
				check(t, at+name, r.Vector(0), floats(t, want, at+name), tolerance.TinyPooled)
				if !pooling.firstToken() {
					check(t, at+"hidden", r.Hidden(0), floats(t, want, at+"hidden"), tolerance.TinyHidden)
				}
				r = run(t, m, pooling, true, alone(ids))
				check(t, at+name+"_l2", r.Vector(0), floats(t, want, at+name+"_l2"), tolerance.TinyPooled)
			}
		}
	})
}

// TestGoldenStages compares every intermediate tensor.
func TestGoldenStages(t *testing.T) {
	want := file(t, "tiny/outputs.safetensors")
	channelsFirst := []string{"conv1_y", "conv2_y", "gated_v", "short_conv"} // (D, L) in the file
	eachSet(t, func(t *testing.T, set *kernel.Set) {
		m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Kernels: set, Threads: 1})
		for _, l := range []int{5, 17, 64} {
			at := fmt.Sprintf("L%d/", l)
			r := m.NewRun()
			got := map[string]map[[2]int]float32{}
			r.trace = func(name string, layer, row, column, rows, columns int, values []float32, stride int) {
				key := fmt.Sprintf("layer%d.%s", layer, name)
				if name == "embeddings" {
					key = name
				}
				if got[key] == nil {
					got[key] = map[[2]int]float32{}
				}
				for i := range rows {
					for j := range columns {
						got[key][[2]int{row + i, column + j}] = values[i*stride+j]
					}
				}
			}
			m.spectra.budget = 0 // so that the filters are made in every pass
			runAgain(t, r, PoolMean, false, alone(integers(t, want, at+"input_ids")[0]))
			compared := 0
			for _, name := range want.Names() {
				key, ok := strings.CutPrefix(name, at)
				if !ok || got[key] == nil {
					continue
				}
				x, err := want.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				values := floats(t, want, name)
				columns := x.Shape[len(x.Shape)-1]
				transposed := slices.Contains(channelsFirst, key[strings.LastIndex(key, ".")+1:])
				worst, largest := 0.0, 1.0
				for i, v := range values {
					at := [2]int{i / columns, i % columns}
					if transposed {
						at[0], at[1] = at[1], at[0]
					}
					g, ok := got[key][at]
					if !ok {
						t.Fatalf("%s: element %v was not computed", name, at)
					}
					largest = max(largest, math.Abs(float64(v)))
					worst = max(worst, math.Abs(float64(g)-float64(v)))
				}
				compared++
				t.Logf("%-40s max abs error %8.2e of %.3g", name, worst, largest)
				if !(worst <= tolerance.TinyStage*largest) {
					t.Errorf("%s: max abs error %g, limit %g", name, worst, tolerance.TinyStage*largest)
				}
			}
			if least := map[int]int{5: 25, 17: 25, 64: 5}[l]; compared < least {
				t.Errorf("L%d: compared %d tensors, want at least %d", l, compared, least)
			}
		}
	})
}

func TestGoldenHalfWeights(t *testing.T) {
	want := file(t, "tiny/outputs.safetensors")
	for _, kind := range []string{"bf16", "f16"} {
		m := load(t, tinyConfig(t), file(t, "tiny/pytorch_model."+kind+".bin"), LoadOptions{})
		for _, l := range []int{5, 64} {
			at := fmt.Sprintf("L%d/", l)
			ids := alone(integers(t, want, at+"input_ids")[0])
			check(t, at+kind+"w/pooled_cls", run(t, m, PoolClass, false, ids).Vector(0), floats(t, want, at+kind+"w/pooled_cls"), tolerance.TinyPooled)
			check(t, at+kind+"w/hidden", run(t, m, PoolMean, false, ids).Hidden(0), floats(t, want, at+kind+"w/hidden"), tolerance.TinyHidden)
		}
	}
}

// TestGoldenPadding covers pads, which are input like any token, and the mask,
// which only the mean knows.
func TestGoldenPadding(t *testing.T) {
	want := file(t, "tiny/padding.safetensors")
	m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{})
	for _, name := range []string{"A_alone", "B_alone", "AB_dynamic", "A_static512", "B_static512", "AB_static512", "A_static512_mask_all_ones"} {
		ids, mask := integers(t, want, name+"/input_ids"), integers(t, want, name+"/attention_mask")
		var sequences []Sequence
		for i, row := range ids {
			tokens := 0
			for _, v := range mask[i] {
				tokens += int(v)
			}
			sequences = append(sequences, Sequence{IDs: row[:tokens], Length: len(row)})
		}
		d := m.config.HiddenSize
		for key, pooling := range poolings {
			r := run(t, m, pooling, false, sequences...)
			values := floats(t, want, name+"/"+key)
			for i := range sequences {
				check(t, fmt.Sprintf("%s/%s[%d]", name, key, i), r.Vector(i), values[i*d:(i+1)*d], tolerance.TinyPooled)
			}
		}
	}
}

// TestGoldenVariants runs the configurations that differ from the published
// ones in one switch.
func TestGoldenVariants(t *testing.T) {
	want := file(t, "tiny/variants.safetensors")
	type change struct {
		weights func(c *goldenweights.Config)
		config  func(c *Config)
	}
	variants := map[string]change{
		"training_additions": {func(c *goldenweights.Config) { c.HyenaTrainingAdditions = true }, func(c *Config) { c.HyenaTrainingAdditions = true }},
		"no_residual_conv":   {func(c *goldenweights.Config) { c.ResidualLongConv = false }, func(c *Config) { c.ResidualLongConv = false }},
		"no_glu":             {func(c *goldenweights.Config) { c.UseGLUMLP = false }, func(c *Config) { c.UseGLUMLP = false }},
		"dense_mlp":          {func(c *goldenweights.Config) { c.UseMonarchMLP = false }, func(c *Config) { c.UseMonarchMLP = false }},
		"dense_no_glu": {func(c *goldenweights.Config) { c.UseMonarchMLP, c.UseGLUMLP = false, false },
			func(c *Config) { c.UseMonarchMLP, c.UseGLUMLP = false, false }},
		"causal":       {func(c *goldenweights.Config) { c.Bidirectional = false }, func(c *Config) { c.Bidirectional = false }},
		"no_positions": {func(c *goldenweights.Config) { c.UsePositionalEncodings = false }, func(c *Config) { c.UsePositionalEncodings = false }},
		"w_mod2":       {func(c *goldenweights.Config) {}, func(c *Config) { c.HyenaWMod = 2 }},
		"emb3":         {func(c *goldenweights.Config) { c.HyenaEmbDim = 3 }, func(c *Config) { c.HyenaEmbDim = 3 }},
		"emb7":         {func(c *goldenweights.Config) { c.HyenaEmbDim = 7 }, func(c *Config) { c.HyenaEmbDim = 7 }},
		"blocks8":      {func(c *goldenweights.Config) { c.MonarchMLPNBlocks = 8 }, func(c *Config) { c.MonarchMLPNBlocks = 8 }},
		"ragged": {func(c *goldenweights.Config) { c.HiddenSize, c.IntermediateSize = 66, 250 },
			func(c *Config) { c.HiddenSize, c.IntermediateSize = 66, 250 }},
		"blocks1": {func(c *goldenweights.Config) { c.MonarchMLPNBlocks = 1 }, func(c *Config) { c.MonarchMLPNBlocks = 1 }},
	}
	eachSet(t, func(t *testing.T, set *kernel.Set) {
		for name, v := range variants {
			g, c := goldenweights.Tiny(), tinyConfig(t)
			v.weights(&g)
			v.config(&c)
			m := load(t, c, goldenweights.New(g), LoadOptions{Kernels: set, Overwrite: true})
			for _, l := range []int{6, 33} {
				ids := alone(integers(t, want, fmt.Sprintf("L%d/input_ids", l))[0])
				at := fmt.Sprintf("%s/L%d/", name, l)
				check(t, at+"pooled_cls_f64", run(t, m, PoolClass, false, ids).Vector(0), floats(t, want, at+"pooled_cls_f64"), tolerance.TinyPooled)
				if slices.Contains(want.Names(), at+"hidden") {
					hidden := run(t, m, PoolMean, false, ids).Hidden(0)
					if l == 33 { // the file has the first, the middle and the last row
						hidden = rows(hidden, c.HiddenSize, 0, l/2, l-1)
					}
					limit := tolerance.TinyHidden
					if name == "w_mod2" {
						limit = tolerance.DoubledSines
					}
					check(t, at+"hidden", hidden, floats(t, want, at+"hidden"), limit)
				}
			}
		}
	})
}

// rows picks rows of x (L, d).
func rows(x []float32, d int, positions ...int) []float32 {
	var out []float32
	for _, p := range positions {
		out = append(out, x[p*d:(p+1)*d]...)
	}
	return out
}
