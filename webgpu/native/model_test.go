package native_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/core/tolerance"
	"m2embed/webgpu/native"
	"m2embed/webgpu/plan"
)

// tiny opens the golden model's parts.
func tiny(t *testing.T) (model.Config, *checkpoint.File) {
	t.Helper()
	folder := filepath.Join("..", "..", "testdata", "tiny")
	text, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

// device is that of all tests.
var device = sync.OnceValues(native.OpenDevice)

func TestMain(m *testing.M) {
	code := m.Run()
	if onGPU() {
		if d, err := device(); err == nil {
			d.Close()
		}
	}
	os.Exit(code)
}

func onGPU() bool { return os.Getenv("M2EMBED_WEBGPU") == "native" }

// openGPU opens a model on the tests' device.
func openGPU(t *testing.T, c model.Config, tensors plan.Tensors, o native.Options) *native.Model {
	t.Helper()
	if !onGPU() {
		t.Skip("set M2EMBED_WEBGPU=native; build.sh does")
	}
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	m := native.OpenOn(d, c, tensors, o)
	t.Cleanup(m.Leave)
	return m
}

func open(t *testing.T) (*native.Model, *model.Model) {
	t.Helper()
	c, f := tiny(t)
	gpu := openGPU(t, c, f, native.Options{})
	cpu, err := model.Load(c, f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cpu.Close)
	return gpu, cpu
}

// embed runs sequences of one length each as passes, the neighbours that agree
// in it together.
func embed(ctx context.Context, gpu *native.Model, sequences []model.Sequence, pooling model.Pooling, normalize bool) (vectors [][]float32, err error) {
	for len(sequences) > 0 {
		p := core.Pass{Length: sequences[0].Length, Pooling: pooling, Normalize: normalize}
		for ; p.Texts < len(sequences) && p.Texts < 3 && sequences[p.Texts].Length == p.Length; p.Texts++ {
			for t := range p.Length {
				id, token := uint32(0), uint32(0)
				if s := sequences[p.Texts]; t < len(s.IDs) {
					id, token = uint32(s.IDs[t]), 1
				}
				p.IDs, p.Mask = append(p.IDs, id), append(p.Mask, token)
			}
		}
		sequences = sequences[p.Texts:]
		out, err := gpu.RunPass(ctx, p)
		if err != nil {
			return nil, err
		}
		for i := range p.Texts {
			vectors = append(vectors, out[64*i:64*(i+1)])
		}
	}
	return vectors, nil
}

// TestEmbed compares vectors with core's, over mixed lengths, pads and batches
// that have to be cut.
func TestEmbed(t *testing.T) {
	gpu, cpu := open(t)
	var sequences []model.Sequence
	for i, length := range []int{1, 17, 3, 17, 20, 17, 17, 17, 40} {
		s := model.Sequence{Length: length, IDs: make([]int32, max(1, length-i%3))}
		for j := range s.IDs {
			s.IDs[j] = int32(104 + (i*31+j*7)%800)
		}
		sequences = append(sequences, s)
	}
	for _, pooling := range []model.Pooling{model.PoolClass, model.PoolMeanHidden} {
		got, err := embed(context.Background(), gpu, sequences, pooling, pooling == model.PoolMeanHidden)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sequences {
			r := cpu.NewRun()
			r.Start([]model.Sequence{s}, pooling, pooling == model.PoolMeanHidden)
			if err := r.Finish(); err != nil {
				t.Fatal(err)
			}
			if c := core.Cosine(got[i], r.Vector(0)); !(c >= tolerance.GPUCosine) {
				t.Errorf("text %d, %v pooling: cosine %.10f", i, pooling, c)
			}
		}
	}
}

// TestWindow compares with core a model whose texts are longer than its
// filters: taps past the window are zero.
func TestWindow(t *testing.T) {
	c, _ := tiny(t)
	g := goldenweights.Tiny()
	g.LongConvLMax, g.UsePositionalEncodings = 37, false
	c.LongConvLMax, c.UsePositionalEncodings, c.MaxSeqLen, c.Normalize = 37, false, 100, false
	weights := goldenweights.New(g)
	gpu := openGPU(t, c, weights, native.Options{})
	cpu, err := model.Load(c, weights, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	for _, length := range []int{36, 37, 38, 61} {
		s := model.Sequence{Length: length, IDs: goldenweights.InputIDs("window", length, 104, 893)}
		got, err := embed(context.Background(), gpu, []model.Sequence{s}, model.PoolClass, false)
		if err != nil {
			t.Fatal(err)
		}
		r := cpu.NewRun()
		r.Start([]model.Sequence{s}, model.PoolClass, false)
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		if similarity := core.Cosine(got[0], r.Vector(0)); !(similarity >= tolerance.GPUCosine) {
			t.Errorf("%d tokens: cosine %.10f", length, similarity)
		}
	}
}

// TestSpectraBudget: the spectra of all lengths together stay within the budget,
// and what was given up is made again to the same vectors.
func TestSpectraBudget(t *testing.T) {
	c, f := tiny(t)
	const budget = 300_000 // two layers of two filters take 131,072 bytes at P 64, twice that at 128
	gpu := openGPU(t, c, f, native.Options{Plan: plan.Options{SpectraBytes: budget}})
	first := map[int][]float32{}
	for _, length := range []int{10, 100, 60, 100, 10, 200, 10} {
		s := model.Sequence{Length: length, IDs: goldenweights.InputIDs("budget", length, 104, 893)}
		got, err := embed(context.Background(), gpu, []model.Sequence{s}, model.PoolClass, false)
		if err != nil {
			t.Fatal(err)
		}
		if held := gpu.SpectraBytes(); held == 0 || held > budget {
			t.Errorf("%d tokens: %d bytes of spectra, want some and at most %d", length, held, budget)
		}
		if first[length] == nil {
			first[length] = got[0]
		} else if !slices.Equal(got[0], first[length]) {
			t.Errorf("%d tokens: another vector once the spectra were made again", length)
		}
	}
}

// TestSpectraBudgetOfDevice: the spectra of all models on a device stay within one
// budget, and what one gave up for another is made again to the same vectors.
func TestSpectraBudgetOfDevice(t *testing.T) {
	c, f := tiny(t)
	const budget = 300_000 // one model takes 131,072 bytes at P 64, twice that at 128
	var models [3]*native.Model
	for i := range models {
		models[i] = openGPU(t, c, f, native.Options{Plan: plan.Options{SpectraBytes: budget}})
	}
	first := map[int][]float32{}
	for turn, length := range []int{10, 10, 10, 100, 100, 10, 100} {
		m := models[turn%len(models)]
		s := model.Sequence{Length: length, IDs: goldenweights.InputIDs("budget", length, 104, 893)}
		got, err := embed(context.Background(), m, []model.Sequence{s}, model.PoolClass, false)
		if err != nil {
			t.Fatal(err)
		}
		if held := m.SpectraBytes(); held == 0 || held > budget {
			t.Errorf("turn %d, %d tokens: %d bytes of spectra, want some and at most %d", turn, length, held, budget)
		}
		if turn == 1 && m.SpectraBytes() != 2*131_072 {
			t.Errorf("%d bytes of spectra, want those of two models, which fit", m.SpectraBytes())
		}
		if first[length] == nil {
			first[length] = got[0]
		} else if !slices.Equal(got[0], first[length]) {
			t.Errorf("turn %d, %d tokens: another vector than before", turn, length)
		}
	}
}

// TestOneDevice: models that are open at once share a device, which lasts as long as
// one of them; a call that waits for another's pass heeds its context.
func TestOneDevice(t *testing.T) {
	if !onGPU() {
		t.Skip("set M2EMBED_WEBGPU=native; build.sh does")
	}
	c, f := tiny(t)
	one, err := native.Open(c, f, native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := native.Open(c, f, native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Device() != two.Device() {
		t.Error("two devices")
	}
	one.Close()
	if two.Device() != native.ProcessDevice() {
		t.Error("the device went with the first of its models")
	}
	s := []model.Sequence{{Length: 1, IDs: []int32{1}}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	two.Hold(func() {
		if _, err := embed(ctx, two, s, model.PoolClass, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that waits for its turn: %v", err)
		}
	})
	two.Close()
	if native.ProcessDevice() != nil {
		t.Error("the device outlives its models")
	}
}

// TestEconomize: a GPU whose memory is spent goes on without the spectra it kept.
func TestEconomize(t *testing.T) {
	gpu, _ := open(t)
	s := []model.Sequence{{Length: 30, IDs: goldenweights.InputIDs("economize", 30, 104, 893)}}
	first, err := embed(context.Background(), gpu, s, model.PoolClass, false)
	if err != nil {
		t.Fatal(err)
	}
	gpu.Economize()
	if held := gpu.SpectraBytes(); held != 0 {
		t.Errorf("%d bytes of spectra, want none", held)
	}
	again, err := embed(context.Background(), gpu, s, model.PoolClass, false)
	if err != nil || !slices.Equal(again[0], first[0]) {
		t.Errorf("another vector once the spectra were given up, error %v", err)
	}
}

// TestRefusedSetup: spectra that the device refused to make are made by the next run.
func TestRefusedSetup(t *testing.T) {
	gpu, _ := open(t)
	s := []model.Sequence{{Length: 30, IDs: goldenweights.InputIDs("refused", 30, 104, 893)}}
	want, err := embed(context.Background(), gpu, s, model.PoolClass, false)
	if err != nil {
		t.Fatal(err)
	}
	gpu.Economize()
	mend, err := gpu.BreakSetup(plan.Shape{Texts: 1, Length: 30, Pooling: model.PoolClass})
	if err != nil {
		t.Fatal(err)
	}
	var failure *native.Error
	if _, err := embed(context.Background(), gpu, s, model.PoolClass, false); !errors.As(err, &failure) || failure.Kind != native.Invalid {
		t.Errorf("a refused set-up: %v, want one of kind Invalid", err)
	}
	mend()
	got, err := embed(context.Background(), gpu, s, model.PoolClass, false)
	if err != nil || !slices.Equal(got[0], want[0]) {
		t.Errorf("another vector after a refused set-up, error %v", err)
	}
}

func TestEmbedErrors(t *testing.T) {
	gpu, _ := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := embed(ctx, gpu, []model.Sequence{{IDs: []int32{1}, Length: 1}}, model.PoolClass, false)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got, err := embed(context.Background(), gpu, []model.Sequence{{IDs: []int32{1}, Length: 1}}, model.PoolClass, false); err != nil || len(got[0]) != 64 {
		t.Errorf("after a cancelled run: %d numbers, %v", len(got), err)
	}
}

// TestMissingTensor checks that a failed load leaves nothing half done.
func TestMissingTensor(t *testing.T) {
	if !onGPU() {
		t.Skip("set M2EMBED_WEBGPU=native; build.sh does")
	}
	c, f := tiny(t)
	gpu, err := native.Open(c, without{f, "encoder.layer.1.mlp.wo.bias"}, native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer gpu.Close()
	for range 2 {
		if _, err := embed(context.Background(), gpu, []model.Sequence{{IDs: []int32{1}, Length: 1}}, model.PoolClass, false); err == nil {
			t.Error("no error for a missing tensor")
		}
	}
}

type without struct {
	plan.Tensors
	name string
}

func (w without) Tensor(name string) (checkpoint.Tensor, error) {
	if name == w.name {
		return checkpoint.Tensor{}, errors.New("left out")
	}
	return w.Tensors.Tensor(name)
}

func (w without) Names() []string {
	return slices.DeleteFunc(w.Tensors.Names(), func(s string) bool { return s == w.name })
}

func TestNoLibrary(t *testing.T) {
	if os.Getenv("M2EMBED_WEBGPU") != "" {
		t.Skip("a library has been loaded")
	}
	t.Setenv(native.LibraryVariable, "no/such/library")
	c, f := tiny(t)
	var failure *native.Error
	if _, err := native.Open(c, f, native.Options{}); !errors.As(err, &failure) || failure.Kind != native.Unsupported {
		t.Errorf("without a library: %v", err)
	}
}
