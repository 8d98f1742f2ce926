package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/core/tolerance"
)

var (
	testdata   = filepath.Join("..", "..", "..", "testdata")
	moduleFile = filepath.Join("..", "..", "..", "wasm", "module", "m2embed.wasm")
	// cacheDir keeps what wazero makes of the module, which takes seconds and under the
	// race detector half a minute, until there is another module.
	cacheDir = filepath.Join("..", "..", "..", "wasm", "build", "compiled")
)

func TestMain(m *testing.M) {
	build := exec.Command("sh", filepath.Join("..", "..", "..", "wasm", "build.sh"), "fresh")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		panic("build the module: " + err.Error())
	}
	os.Exit(m.Run())
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tiny(t testing.TB, weights string) Model {
	b := read(t, filepath.Join(testdata, "tiny", weights))
	return Model{
		Config:    read(t, filepath.Join(testdata, "tiny", "config.json")),
		Tokenizer: read(t, filepath.Join(testdata, "tiny", "tokenizer.json")),
		Weights:   bytes.NewReader(b), Size: int64(len(b)),
	}
}

func open(t testing.TB, m Model, o Options) *Engine {
	t.Helper()
	o.CacheDir = cacheDir
	e, err := Open(t.Context(), read(t, moduleFile), m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// use runs f on an instance of the pool.
func use(ctx context.Context, e *Engine, f func(*instance) error) error {
	i, err := e.take(ctx, nil)
	if err != nil {
		return err
	}
	defer e.give(i)
	return f(i)
}

// embedOn embeds on an instance.
func embedOn(ctx context.Context, i *instance, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	r, err := i.start(ctx, inputs, o)
	if err != nil {
		return nil, err
	}
	defer r.free(ctx)
	for done := false; !done; {
		if done, err = r.prepare(ctx); err != nil {
			return nil, err
		}
	}
	for {
		if done, err := r.step(ctx); err != nil {
			return nil, err
		} else if done {
			return r.results(ctx)
		}
	}
}

// TestGolden compares the module with the float64 run of the original.
func TestGolden(t *testing.T) {
	truth, err := checkpoint.OpenBytes(read(t, filepath.Join(testdata, "tiny", "truth_f64.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := checkpoint.OpenBytes(read(t, filepath.Join(testdata, "tiny", "outputs.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	for _, weights := range []string{"model.safetensors", "pytorch_model.bin", "pytorch_model.legacy.bin"} {
		e := open(t, tiny(t, weights), Options{})
		if k := e.Info().Kernels; k != "wasm-simd-unrolled" {
			t.Errorf("kernels %q", k)
		}
		var worst float64
		cases := 0
		for _, name := range outputs.Names() {
			prefix, ok := strings.CutSuffix(name, "/input_ids")
			if !ok {
				continue
			}
			want, err := truth.Tensor(prefix + "/pooled_cls")
			if err != nil {
				continue
			}
			ids, err := outputs.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			var in core.Input
			for at := 0; at < len(ids.Data); at += 8 {
				in.IDs = append(in.IDs, int32(binary.LittleEndian.Uint32(ids.Data[at:])))
			}
			found, err := e.Embed(t.Context(), []core.Input{in}, core.Options{Padding: model.Padding{Mode: model.PadNone}})
			if err != nil {
				t.Fatalf("%s %s: %v", weights, prefix, err)
			}
			for c, v := range found[0].Vector {
				d := math.Abs(float64(v) - math.Float64frombits(binary.LittleEndian.Uint64(want.Data[8*c:])))
				worst = max(worst, d)
			}
			cases++
		}
		if cases < 5 || !(worst <= tolerance.TinyPooled) {
			t.Errorf("%s: off by %.3g in %d cases, limit %.3g", weights, worst, cases, tolerance.TinyPooled)
		}
	}
}

// natively opens a model with core.
func natively(t *testing.T, m Model) *core.Embedder {
	t.Helper()
	file, err := checkpoint.Open(m.Weights, m.Size)
	if err != nil {
		t.Fatal(err)
	}
	e, err := core.Open(m.Config, m.Tokenizer, file, core.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestSameAsNative compares options and reports with core.
func TestSameAsNative(t *testing.T) {
	m := tiny(t, "model.safetensors")
	m.Config = bytes.Replace(m.Config, []byte("{"), []byte(`{"matryoshka_dimensions": [16], `), 1)
	e := open(t, m, Options{})
	if d := e.Info().Dimensions; !slices.Equal(d, []int{16}) {
		t.Errorf("vectors may be cut to %v", d)
	}
	native := natively(t, m)
	if space := e.Info().Space; space != native.Space() || space == "" {
		t.Errorf("space %q, natively %q", space, native.Space())
	}
	inputs := append(core.Texts("", "hello world", "\x00\xff\xfe", strings.Repeat("long text ", 400)), core.Input{IDs: []int32{101, 7, 102}})
	inputs[1].Spans = []core.Span{{Start: 0, End: 5}, {Start: 0, End: 11}, {Start: 5, End: 6}}
	inputs[4].Spans = []core.Span{{Start: 1, End: 2}, {Start: 3, End: 3}}
	for _, o := range []core.Options{
		{},
		{Padding: model.Padding{Mode: model.PadNone}, Normalize: core.Yes},
		{Padding: model.Padding{Mode: model.PadLongest}, Normalize: core.No, MaxLength: 17},
		{Padding: model.Padding{Mode: model.PadToLength, Length: 33}, MaxLength: 30, Truncation: tokenizer.DropSeparator},
		{Padding: model.Padding{Mode: model.PadMax}, MaxLength: 20, Pooling: model.PoolMeanHidden},
		{Padding: model.Padding{Mode: model.PadNone}, Pooling: model.PoolClassHidden},
		{Padding: model.Padding{Mode: model.PadNone}, Pooling: model.PoolMean},
		{Padding: model.Padding{Mode: model.PadNone}, Pooling: model.PoolNone, MaxLength: 9},
		{Padding: model.Padding{Mode: model.PadNone}, Dimensions: 16, Normalize: core.Yes},
	} {
		got, err := e.Embed(t.Context(), inputs, o)
		if err != nil {
			t.Fatal(err)
		}
		want, err := native.Embed(t.Context(), inputs, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			g, w := got[i], want[i]
			if g.Tokens != w.Tokens || g.Length != w.Length || g.Truncated != w.Truncated {
				t.Errorf("%+v input %d: got %d %d %v, want %d %d %v", o, i, g.Tokens, g.Length, g.Truncated, w.Tokens, w.Length, w.Truncated)
			}
			near := func(what string, got, want []float32) {
				if len(got) != len(want) {
					t.Fatalf("%+v input %d: %s of %d values, natively %d", o, i, what, len(got), len(want))
				}
				for c, v := range want {
					// Two float32 runs, each within tinyHidden of the truth.
					if d := math.Abs(float64(v - got[c])); !(d <= 6e-5) {
						t.Fatalf("%+v input %d: value %d of %s is %v, natively %v", o, i, c, what, got[c], v)
					}
				}
			}
			near("vector", g.Vector, w.Vector)
			if len(g.Spans) != len(w.Spans) {
				t.Fatalf("%+v input %d: %d spans, natively %d", o, i, len(g.Spans), len(w.Spans))
			}
			for k, s := range w.Spans {
				if g.Spans[k].Tokens != s.Tokens || (g.Spans[k].Vector == nil) != (s.Vector == nil) {
					t.Errorf("%+v input %d: span %d has %d tokens, natively %d", o, i, k, g.Spans[k].Tokens, s.Tokens)
				}
				near("span", g.Spans[k].Vector, s.Vector)
			}
		}
	}
}

func TestBatchAndPoolKeepBits(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{Instances: 2})
	o := core.Options{Padding: model.Padding{Mode: model.PadNone}}
	texts := core.Texts("a", "b b", "c c c", strings.Repeat("d ", 70), "e")
	alone := make([][]float32, len(texts))
	var group sync.WaitGroup
	for i := range texts {
		group.Go(func() {
			found, err := e.Embed(t.Context(), texts[i:i+1], o)
			if err != nil {
				t.Error(err)
				return
			}
			alone[i] = found[0].Vector
		})
	}
	group.Wait()
	together, err := e.Embed(t.Context(), texts, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range together {
		if !slices.Equal(f.Vector, alone[i]) {
			t.Errorf("text %d has other bits in a batch", i)
		}
	}
	spanned := texts[3]
	spanned.Spans = []core.Span{{Start: 4, End: 60}}
	one, err := e.Embed(t.Context(), []core.Input{spanned}, o)
	if err != nil {
		t.Fatal(err)
	}
	spanned.Spans = []core.Span{{Start: 0, End: 9}, {Start: 4, End: 60}}
	many, err := e.Embed(t.Context(), append(texts[:3:3], spanned), o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(one[0].Spans[0].Vector, many[3].Spans[1].Vector) || !slices.Equal(many[3].Vector, alone[3]) {
		t.Error("a span has other bits beside others, or changes the text's vector")
	}
	if empty, err := e.Texts(t.Context()); err != nil || len(empty) != 0 {
		t.Errorf("no texts: %v, %v", empty, err)
	}
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestBadModels(t *testing.T) {
	good := tiny(t, "model.safetensors")
	weights := read(t, filepath.Join(testdata, "tiny", "model.safetensors"))
	of := func(b []byte) func(*Model) {
		return func(m *Model) { m.Weights, m.Size = bytes.NewReader(b), int64(len(b)) }
	}
	changed := func(at int, v byte) []byte {
		b := slices.Clone(weights)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		change func(*Model)
		code   Code
		says   string
	}{
		"empty config":   {func(m *Model) { m.Config = nil }, BadConfig, "config.json"},
		"config no JSON": {func(m *Model) { m.Config = []byte("{") }, BadConfig, ""},
		"no tokenizer":   {func(m *Model) { m.Tokenizer = []byte{} }, BadTokenizer, "tokenizer.json"},
		"bad tokenizer":  {func(m *Model) { m.Tokenizer = []byte(`{"model":{"type":"BPE"}}`) }, BadTokenizer, "BPE"},
		"empty weights":  {of(nil), BadWeights, ""},
		"not weights":    {of([]byte("<html>not found</html>")), BadWeights, ""},
		"cut weights":    {of(weights[:len(weights)-1000]), BadWeights, ""},
		"cut header":     {of(weights[:100]), BadWeights, "header"},
		"giant header":   {of(changed(6, 255)), BadWeights, "header"},
		"corrupt header": {of(changed(40, '}')), BadWeights, ""},
		"other shape": {func(m *Model) {
			m.Config = bytes.Replace(m.Config, []byte(`"intermediate_size": 256`), []byte(`"intermediate_size": 512`), 1)
		}, BadWeights, "512"},
		"size is a lie":  {func(m *Model) { m.Size += 4096 }, 0, "read weights"},
		"beyond 4 GiB":   {func(m *Model) { m.Size = 5 << 30 }, OutOfMemory, "memory limit"},
		"cut checkpoint": {of(read(t, filepath.Join(testdata, "tiny", "pytorch_model.bin"))[:300_000]), BadWeights, ""},
		"hidden mismatch": {func(m *Model) {
			m.Config = bytes.Replace(m.Config, []byte(`"hidden_size": 64`), []byte(`"hidden_size": 128`), 1)
		}, BadWeights, "128"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			c.change(&m)
			e, err := Open(t.Context(), read(t, moduleFile), m, Options{CacheDir: cacheDir})
			if err == nil {
				e.Close(context.Background())
				t.Fatal("opened")
			}
			if codeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("code %d: %v; want code %d and %q", codeOf(err), err, c.code, c.says)
			}
			t.Log(err)
		})
	}
	if _, err := Open(t.Context(), []byte("\x00asm\x01\x00\x00\x00"), good, Options{}); err == nil || !strings.Contains(err.Error(), "not m2embed") {
		t.Errorf("an empty module: %v", err)
	}
	if _, err := Open(t.Context(), []byte("#!/bin/sh"), good, Options{}); err == nil {
		t.Error("a module that is none was opened")
	}
}

func TestBadInputs(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	before, err := e.Texts(t.Context(), "still the same")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		inputs []core.Input
		o      core.Options
		code   Code
	}{
		"no ids":        {[]core.Input{{IDs: []int32{}}}, core.Options{}, BadArgument},
		"id too large":  {[]core.Input{{IDs: []int32{1000}}}, core.Options{}, BadArgument},
		"negative id":   {[]core.Input{{IDs: []int32{-1}}}, core.Options{}, BadArgument},
		"ids too long":  {[]core.Input{{IDs: make([]int32, 513)}}, core.Options{}, BadArgument},
		"text too long": {core.Texts(strings.Repeat("a ", 600)), core.Options{Truncation: tokenizer.Refuse}, TooLong},
		"padding":       {core.Texts("a"), core.Options{Padding: model.Padding{Mode: model.PadToLength, Length: 513}}, BadArgument},
		"no padding":    {core.Texts("a"), core.Options{Padding: model.Padding{Mode: model.PadToLength}}, BadArgument},
		"max length":    {core.Texts("a"), core.Options{MaxLength: 1}, BadArgument},
	} {
		if _, err := e.Embed(t.Context(), c.inputs, c.o); codeOf(err) != c.code {
			t.Errorf("%s: code %d, want %d: %v", name, codeOf(err), c.code, err)
		}
	}
	// 4 MB of one word, and of words: cut, and said so.
	for _, text := range []string{strings.Repeat("x", 4<<20), strings.Repeat("word ", 1<<20)} {
		found, err := e.Embed(t.Context(), core.Texts(text), core.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if found[0].Truncated != (found[0].Tokens > 512) {
			t.Errorf("%d tokens, truncated %v", found[0].Tokens, found[0].Truncated)
		}
	}
	after, err := e.Texts(t.Context(), "still the same")
	if err != nil || !slices.Equal(after[0], before[0]) {
		t.Errorf("after bad input: %v", err)
	}
}

func TestCancelAndClose(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Embed(ctx, core.Texts("a"), core.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	ctx = &cancelAfter{Context: t.Context(), calls: 5}
	if _, err := e.Embed(ctx, core.Texts(slices.Repeat([]string{"some words"}, 200)...), core.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled between steps: %v", err)
	}
	if _, err := e.Texts(t.Context(), "a"); err != nil {
		t.Errorf("after a cancelled call: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := e.Texts(t.Context(), "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestOrder: a call that waits for the only instance has it after the step that
// is under way, however long the other call goes on.
func TestOrder(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	short := make(chan error)
	steps := 0
	o := core.Options{Padding: model.Padding{Mode: model.PadToLength, Length: 100}}
	o.Progress = func(float64, float64) error {
		if steps++; steps > 1 {
			return nil
		}
		go func() {
			_, err := e.Texts(t.Context(), "short")
			short <- err
		}()
		for waits := false; !waits; time.Sleep(time.Millisecond) { // until it has the instance or waits for it
			e.mu.Lock()
			waits = len(e.waiting) > 0 || len(e.idle) == 0
			e.mu.Unlock()
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := e.Embed(ctx, core.Texts(slices.Repeat([]string{"some words"}, 10000)...), o)
		ended <- err
	}()
	select {
	case err := <-short:
		if err != nil {
			t.Error(err)
		}
	case err := <-ended:
		t.Errorf("the long call ended first: %v", err)
		<-short
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSteps: between steps the engine tells how far it is, and its only instance
// serves others.
func TestSteps(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	o := core.Options{Padding: model.Padding{Mode: model.PadToLength, Length: 100}}
	long := core.Texts(slices.Repeat([]string{"some words"}, 30)...)
	want, err := e.Embed(t.Context(), long, o)
	if err != nil {
		t.Fatal(err)
	}
	short, err := e.Texts(t.Context(), "short")
	if err != nil {
		t.Fatal(err)
	}
	steps, before := 0, 0.0
	plain := o
	o.Progress = func(done, total float64) error {
		steps++
		if total != 3000 || done < before || done > total {
			t.Errorf("%v of %v positions after %v", done, total, before)
		}
		before = done
		if steps%10 == 1 {
			if found, err := e.Texts(t.Context(), "short"); err != nil || !slices.Equal(found[0], short[0]) {
				t.Error("in between:", err)
			}
		}
		return nil
	}
	got, err := e.Embed(t.Context(), long, o)
	if err != nil || steps < 10 || before < 1000 {
		t.Fatalf("%d steps up to %v: %v", steps, before, err)
	}
	for k := range want {
		if !slices.Equal(got[k].Vector, want[k].Vector) {
			t.Errorf("text %d has other bits", k)
		}
	}

	stop := errors.New("stop")
	ctx, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		ctx     context.Context
		between func(done, total float64) error
		want    error
	}{
		{t.Context(), func(_, _ float64) error { return stop }, stop},
		{ctx, func(_, _ float64) error { cancel(); return nil }, context.Canceled},
		{t.Context(), func(_, _ float64) error { return e.Close(t.Context()) }, ErrClosed},
	} {
		plain.Progress = c.between
		if _, err := e.Embed(c.ctx, long, plain); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}

// TestClose: Close waits for calls as long as its context allows, and several
// Closes do not wait for each other.
func TestClose(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{Instances: 2})
	var busy []*instance
	for range 2 {
		i, err := e.take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		busy = append(busy, i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := e.Texts(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no instance is free: %v", err)
	}
	if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if _, err := e.Texts(t.Context(), "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	ended := make(chan error)
	for range 3 {
		go func() { ended <- e.Close(t.Context()) }()
	}
	for _, i := range busy {
		e.give(i)
	}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestBudget: a budget beyond what a module's number holds is the largest one.
func TestBudget(t *testing.T) {
	for bytes, want := range map[int]uint64{0: 0, 5: 5, -1: 1<<32 - 1, -1 << 40: 1<<32 - 1, 1 << 31: 1<<31 - 1, 1 << 32: 1<<31 - 1} {
		if got := budget(bytes); got != want {
			t.Errorf("budget %d becomes %d, want %d", bytes, got, want)
		}
	}
}

// cancelAfter is a context that is cancelled once it was looked at some times.
type cancelAfter struct {
	context.Context
	calls int
}

func (c *cancelAfter) Err() error {
	if c.calls--; c.calls < 0 {
		return context.Canceled
	}
	return nil
}

func TestMemoryLimit(t *testing.T) {
	_, err := Open(t.Context(), read(t, moduleFile), tiny(t, "model.safetensors"), Options{CacheDir: cacheDir, MemoryLimit: 5 << 20})
	if codeOf(err) != OutOfMemory {
		t.Errorf("5 MB: code %d: %v", codeOf(err), err)
	}
	e := open(t, tiny(t, "model.safetensors"), Options{MemoryLimit: 24 << 20})
	big := core.Texts(slices.Repeat([]string{strings.Repeat("y ", 1<<20)}, 20)...)
	if _, err := e.Embed(t.Context(), big, core.Options{}); codeOf(err) != OutOfMemory {
		t.Errorf("40 MB of text in 24 MB of memory: code %d: %v", codeOf(err), err)
	}
	if _, err := e.Texts(t.Context(), "small"); err != nil {
		t.Errorf("after the limit was hit: %v", err)
	}
}

// Texts is Embed for plain texts and the model's own options: their vectors.
func (e *Engine) Texts(ctx context.Context, texts ...string) ([][]float32, error) {
	found, err := e.Embed(ctx, core.Texts(texts...), core.Options{})
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(found))
	for i, f := range found {
		vectors[i] = f.Vector
	}
	return vectors, nil
}
