package core

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/kernel"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openTiny(t testing.TB, o OpenOptions) *Embedder {
	t.Helper()
	e, err := Open(read(t, "tiny/config.json"), read(t, "tiny/vocab.txt"), openTinyWeights(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func openTinyWeights(t testing.TB) *checkpoint.File {
	t.Helper()
	w, err := checkpoint.OpenBytes(read(t, "tiny/model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func embed(t testing.TB, e *Embedder, o Options, in ...Input) []Embedding {
	t.Helper()
	r, err := e.Embed(context.Background(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var none = model.Padding{Mode: model.PadNone}

func text(words int, seed int) string {
	var s strings.Builder
	for i := range words {
		fmt.Fprintf(&s, "%c%c ", 'a'+(i*7+seed)%26, 'a'+(i*3+seed)%26)
	}
	return s.String()
}

// TestBatchInvariance: with every padding but "longest" a text's bits do not
// depend on its batch, on its place in it, or on the number of threads.
func TestBatchInvariance(t *testing.T) {
	texts := Texts("", "one", text(3, 1), text(10, 2), text(10, 3), text(33, 4), text(100, 5), text(3, 1), text(160, 6), "x", text(64, 7))
	for _, set := range kernel.Sets() {
		alone := openTiny(t, OpenOptions{Threads: 1, Kernels: set})
		for _, padding := range []model.Padding{none, {Mode: model.PadToLength, Length: 40}, {Mode: model.PadMax}} {
			for _, pooling := range []model.Pooling{model.PoolClass, model.PoolMeanHidden} {
				o := Options{Padding: padding, Pooling: pooling}
				var want [][]float32
				for _, in := range texts {
					want = append(want, embed(t, alone, o, in)[0].Vector)
				}
				for _, threads := range []int{1, 2, 3, 5} {
					e := openTiny(t, OpenOptions{Threads: threads, Kernels: set})
					for range 2 { // the second time with kept filters
						for i, r := range embed(t, e, o, texts...) {
							if !slices.Equal(r.Vector, want[i]) {
								t.Fatalf("%s, padding %v, pooling %v, %d threads: text %d has other bits in the batch", set.Name, padding, pooling, threads, i)
							}
						}
					}
				}
			}
		}
	}
}

func TestPaddingLengths(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	short, long := text(5, 1), text(30, 2)
	n := embed(t, e, Options{Padding: none}, Texts(short, long)...)
	for _, c := range []struct {
		padding     model.Padding
		short, long int
	}{
		{none, n[0].Tokens, n[1].Tokens},
		{model.Padding{Mode: model.PadLongest}, n[1].Tokens, n[1].Tokens},
		{model.Padding{Mode: model.PadMax}, 512, 512},
		{model.Padding{}, 512, 512}, // published weights say nothing and mean max_length
		{model.Padding{Mode: model.PadToLength, Length: 20}, 20, n[1].Tokens},
	} {
		r := embed(t, e, Options{Padding: c.padding}, Texts(short, long)...)
		if r[0].Length != c.short || r[1].Length != c.long {
			t.Errorf("padding %q ran %d and %d tokens, want %d and %d", c.padding, r[0].Length, r[1].Length, c.short, c.long)
		}
	}
	if _, err := e.Embed(context.Background(), Texts("x"), Options{Padding: model.Padding{Mode: model.PadToLength, Length: 513}}); err == nil {
		t.Error("padding beyond the maximum was accepted")
	}
	// Cutting texts shorter does not change what they are padded to: a text that
	// needs no cutting keeps its vector. Only a length asked for by name does.
	whole := embed(t, e, Options{}, Texts(short)...)[0]
	for _, padding := range []model.Padding{{}, {Mode: model.PadMax}} {
		r := embed(t, e, Options{Padding: padding, MaxLength: 128}, Texts(short, long)...)
		if r[0].Length != 512 || r[1].Length != 512 || !slices.Equal(r[0].Vector, whole.Vector) {
			t.Errorf("padding %q, texts cut at 128: ran at %d, want the vector of 512", padding, r[0].Length)
		}
	}
	if r := embed(t, e, Options{Padding: model.Padding{Mode: model.PadToLength, Length: 128}, MaxLength: 128}, Texts(short)...)[0]; r.Length != 128 {
		t.Errorf("padding to 128 ran at %d", r.Length)
	}
}

func TestTruncation(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	long := text(400, 1)
	r := embed(t, e, Options{Padding: none}, Texts(long)...)[0]
	if !r.Truncated || r.Length != 512 || r.Tokens <= 512 {
		t.Errorf("truncated %v, ran %d of %d tokens, want 512", r.Truncated, r.Length, r.Tokens)
	}
	r = embed(t, e, Options{Padding: none, MaxLength: 16}, Texts(long)...)[0]
	if !r.Truncated || r.Length != 16 {
		t.Errorf("truncated %v at %d tokens, want 16", r.Truncated, r.Length)
	}
	if _, err := e.Embed(context.Background(), Texts(long), Options{Truncation: tokenizer.Refuse}); err == nil {
		t.Error("a text beyond the maximum was accepted under Refuse")
	}
	if _, err := e.Embed(context.Background(), Texts(long), Options{MaxLength: 1}); err == nil {
		t.Error("a maximum length of 1 was accepted")
	}
}

func TestIDs(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	in := text(9, 3)
	ids, _, err := e.Tokenizer().AppendIDs(nil, in, tokenizer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := embed(t, e, Options{Padding: none}, Input{Text: in}, Input{IDs: ids})
	if !slices.Equal(a[0].Vector, a[1].Vector) {
		t.Error("a text and its ids have different vectors")
	}
	for _, bad := range [][]int32{{}, {-1}, {1000}, make([]int32, 513)} {
		if _, err := e.Embed(context.Background(), []Input{{IDs: bad}}, Options{}); err == nil {
			t.Errorf("%d ids beginning %v were accepted", len(bad), bad[:min(len(bad), 1)])
		}
	}
}

func TestNormalize(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	raw := embed(t, e, Options{Padding: none}, Texts("a b")...)[0].Vector
	unit := embed(t, e, Options{Padding: none, Normalize: Yes}, Texts("a b")...)[0].Vector
	var length float64
	for _, v := range unit {
		length += float64(v) * float64(v)
	}
	if math.Abs(length-1) > 1e-6 {
		t.Errorf("unit vector of squared length %g", length)
	}
	model.Normalize(raw)
	if !slices.Equal(raw, unit) {
		t.Error("normalising afterwards gives another vector")
	}
}

func TestProgress(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 1})
	j, err := e.Start(Texts(text(300, 1), text(20, 2), "x"), Options{Padding: none})
	if err != nil {
		t.Fatal(err)
	}
	before := 0.0
	for {
		done, err := j.Step()
		if err != nil {
			t.Fatal(err)
		}
		now, total := j.Progress()
		if now < before-1e-6 || now > total+1e-6 {
			t.Fatalf("progress went from %g to %g of %g", before, now, total)
		}
		before = now
		if done {
			if math.Abs(now-total) > 1e-6 {
				t.Fatalf("done at %g of %g", now, total)
			}
			return
		}
	}
}

// TestCancel: a job given up in the middle leaves nothing behind that changes
// later results.
func TestCancel(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 1, FilterBudget: -1})
	want := embed(t, e, Options{Padding: none}, Texts("a b c")...)[0].Vector
	for steps := range 12 {
		j, err := e.Start(Texts(text(200, steps), "q"), Options{Padding: none})
		if err != nil {
			t.Fatal(err)
		}
		for range steps {
			if _, err := j.Step(); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
		if got := embed(t, e, Options{Padding: none}, Texts("a b c")...)[0].Vector; !slices.Equal(got, want) {
			t.Fatalf("after a job closed at step %d the vector is another", steps)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 2})
	want := embed(t, e, Options{Padding: none}, Texts(text(50, 1))...)[0].Vector
	failures := make(chan error, 8)
	for range 8 {
		go func() {
			var err error
			for i := range 10 {
				r, e := e.Embed(context.Background(), Texts(text(50, 1), text(5*i, 2)), Options{Padding: none})
				if e != nil {
					err = e
				} else if !slices.Equal(r[0].Vector, want) {
					err = fmt.Errorf("call %d has other bits", i)
				}
			}
			failures <- err
		}()
	}
	for range 8 {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
}

// TestTrim: nothing is kept after it, and the next call has the same bits, also
// while others trim.
func TestTrim(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 2})
	in := Input{Text: text(60, 1)}
	want := embed(t, e, Options{}, in)[0].Vector
	if e.Model().FilterBytes() == 0 || len(e.runs) == 0 {
		t.Fatal("nothing was kept")
	}
	e.Trim()
	if bytes, runs := e.Model().FilterBytes(), len(e.runs); bytes != 0 || runs != 0 {
		t.Errorf("%d bytes of filters and %d runs are kept", bytes, runs)
	}
	trimmed := Options{Progress: func(_, _ float64) error { e.Trim(); return nil }}
	for _, o := range []Options{{}, trimmed, trimmed} {
		if got := embed(t, e, o, in)[0].Vector; !slices.Equal(got, want) {
			t.Error("other bits")
		}
	}
}

// TestNoAllocation: the forward pass allocates nothing once it is warm.
func TestNoAllocation(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 1})
	m := e.Model()
	r := m.NewRun()
	ids := make([]int32, 100)
	for i := range ids {
		ids[i] = int32(i + 5)
	}
	s := []model.Sequence{{IDs: ids, Length: 100}, {IDs: ids[:70], Length: 90}}
	pass := func() {
		r.Start(s, model.PoolClass, true)
		for !r.Step() {
		}
	}
	pass()
	if n := testing.AllocsPerRun(10, pass); n != 0 {
		t.Errorf("%v allocations in a forward pass, want none", n)
	}
}

// flawed replaces one tensor's values.
type flawed struct {
	Weights
	name  string
	value float32
}

func (f flawed) Tensor(name string) (checkpoint.Tensor, error) {
	x, err := f.Weights.Tensor(name)
	if name == f.name {
		v, _ := x.Float32(nil)
		v = append([]float32{f.value}, v[1:]...)
		x.Data = nil
		for _, number := range v {
			x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(number))
		}
	}
	return x, err
}

func TestNotFinite(t *testing.T) {
	w, err := checkpoint.OpenBytes(read(t, "tiny/model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	bad := flawed{w, "encoder.layer.1.attention.in_linear.weight", float32(math.NaN())}
	e, err := Open(read(t, "tiny/config.json"), read(t, "tiny/vocab.txt"), bad, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Embed(context.Background(), Texts("a"), Options{Padding: none}); err == nil || !strings.Contains(err.Error(), "finite") {
		t.Errorf("NaN weights gave error %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	w, err := checkpoint.OpenBytes(read(t, "tiny/model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(read(t, "tiny/config.json"))
	change := func(old, new string) string {
		if !strings.Contains(config, old) {
			t.Fatalf("config.json has no %s", old)
		}
		return strings.Replace(config, old, new, 1)
	}
	for _, c := range []struct {
		config string
		words  []string // that the error must contain
	}{
		{change(`"hidden_size": 64`, `"hidden_size": 1792`), []string{"hidden_size", "1792", "64", "config.json"}},
		{change(`"num_hidden_layers": 2`, `"num_hidden_layers": 12`), []string{"num_hidden_layers", "12", "2"}},
		{change(`"vocab_size": 1000`, `"vocab_size": 30522`), []string{"vocab_size", "30528", "1000"}},
		{change(`"long_conv_l_max": 512`, `"long_conv_l_max": 2048`), []string{"long_conv_l_max", "2048", "512"}},
		{change(`"max_position_embeddings": 512`, `"max_position_embeddings": 128`), []string{"max_position_embeddings", "128", "512"}},
		{change(`"hyena_filter_order": 32`, `"hyena_filter_order": 128`), []string{"hyena_filter_order", "128", "32"}},
		{change(`"hyena_emb_dim": 5`, `"hyena_emb_dim": 4`), []string{"hyena_emb_dim", "4", "odd"}},
		{change(`"intermediate_size": 256`, `"intermediate_size": 3072`), []string{"intermediate_size", "3072", "256"}},
		{change(`"monarch_mlp_nblocks": 4`, `"monarch_mlp_nblocks": 8`), []string{"monarch_mlp_nblocks", "8", "4"}},
		{change(`"monarch_mixer_sequence_mixing": true`, `"monarch_mixer_sequence_mixing": false`), []string{"monarch_mixer_sequence_mixing", "attention"}},
		{change(`"sequence_token_planting": false`, `"sequence_token_planting": true`), []string{"sequence_token_planting"}},
		{change(`"use_flash_fft": false`, `"use_flash_mm": true`), []string{"use_flash_mm"}},
		{change(`"hidden_size": 64`, `"hidden_size": "64"`), []string{"hidden_size", "whole number"}},
		{change(`"hidden_size": 64`, `"hidden_size": 0`), []string{"hidden_size", "0"}},
		{change(`"pool_all": false`, `"pooling": "max"`), []string{"pooling", "max", "mean_hidden"}},
		{change(`"pool_all": false`, `"padding": "left"`), []string{"padding", "left"}},
		{`{"hidden_size": 64}`, []string{"long_conv_l_max"}},
		{`[]`, []string{"object"}}, {``, []string{"object"}}, {`{`, nil}, {config + "{}", nil}, {"\xff", nil},
	} {
		_, err := Open([]byte(c.config), nil, w, OpenOptions{})
		if err == nil {
			t.Errorf("config.json %.60q was accepted", c.config)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("error %q does not name %q", err, word)
			}
		}
	}
}

// TestConfigFromWeights: sizes come from the weights where config.json is wrong.
func TestConfigFromWeights(t *testing.T) {
	w, err := checkpoint.OpenBytes(read(t, "tiny/model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(read(t, "tiny/config.json"))
	for _, r := range [][2]string{{`"hidden_size": 64`, `"hidden_size": 1792`}, {`"num_hidden_layers": 2`, `"num_hidden_layers": 12`},
		{`"intermediate_size": 256`, `"intermediate_size": 99`}, {`"monarch_mlp_nblocks": 4`, `"monarch_mlp_nblocks": 7`},
		{`"use_glu_mlp": true`, `"use_glu_mlp": false`}, {`"residual_long_conv": true`, `"residual_long_conv": false`},
		{`"use_monarch_mlp": true`, `"use_monarch_mlp": false`}, {`"vocab_size": 1000`, `"vocab_size": 30522`}} {
		config = strings.Replace(config, r[0], r[1], 1)
	}
	e, err := Open([]byte(config), read(t, "tiny/vocab.txt"), w, OpenOptions{ConfigFromWeights: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := embed(t, openTiny(t, OpenOptions{}), Options{Padding: none}, Texts("a b")...)[0].Vector
	if got := embed(t, e, Options{Padding: none}, Texts("a b")...)[0].Vector; !slices.Equal(got, want) {
		t.Error("sizes taken from the weights give another vector")
	}
}

// FuzzConfig varies config.json over the weights of the tiny model: a
// configuration is refused, or the model embeds with it, finite and within the
// lengths that it says.
func FuzzConfig(f *testing.F) {
	config := string(read(f, "tiny/config.json"))
	f.Add(config)
	f.Add("\ufeff" + config)
	f.Add(strings.Replace(config, `"hidden_size": 64`, `"hidden_size": 63`, 1))
	f.Add(strings.Replace(config, `"long_conv_l_max"`, `"padding":7,"long_conv_l_max"`, 1))
	f.Add(`{"long_conv_l_max":1e3,"hyena_emb_dim":3,"padding":7,"x":[{}]}`)
	weights, vocabulary := openTinyWeights(f), read(f, "tiny/vocab.txt")
	f.Fuzz(func(t *testing.T, data string) {
		c, err := model.ParseConfig([]byte(data))
		if err != nil {
			return
		}
		if n := c.MaxLength(); n < 1 || n > c.LongConvLMax {
			t.Fatalf("a maximum length of %d, long_conv_l_max %d", n, c.LongConvLMax)
		}
		e, err := Open([]byte(data), vocabulary, weights, OpenOptions{Threads: 1})
		if err != nil {
			return
		}
		defer e.Close()
		if e.Config().HiddenSize != 64 || e.Config().NumHiddenLayers > 2 {
			t.Fatalf("opened as %+v", e.Config())
		}
		if c.MaxLength() < 4 {
			return // no room for the special tokens and a word
		}
		for _, out := range embed(t, e, Options{Padding: none, MaxLength: 4}, Texts("a b c")...) {
			if len(out.Vector) != 64 || slices.ContainsFunc(out.Vector, func(v float32) bool { return v != v || v-v != 0 }) {
				t.Fatalf("vector %v", out.Vector)
			}
		}
	})
}

// TestByteOrderMark: what some editors put before a configuration is passed over.
func TestByteOrderMark(t *testing.T) {
	config := append([]byte("\ufeff"), read(t, "tiny/config.json")...)
	e, err := Open(config, read(t, "tiny/vocab.txt"), openTinyWeights(t), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if _, err := Open(append([]byte("\ufeff"), config...), read(t, "tiny/vocab.txt"), openTinyWeights(t), OpenOptions{}); err == nil {
		t.Error("two marks were accepted")
	}
}

// TestImpossibleOptions: choices that are none are refused, not taken for another.
func TestImpossibleOptions(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	for want, o := range map[string]Options{
		"pooling 99":            {Pooling: 99},
		"normalize is 9":        {Normalize: 9},
		"padding of mode 99":    {Padding: model.Padding{Mode: 99}},
		"to 0 tokens":           {Padding: model.Padding{Mode: model.PadToLength}},
		"to -1 tokens":          {Padding: model.Padding{Mode: model.PadToLength, Length: -1}},
		"unknown truncation 99": {Truncation: 99},
	} {
		if _, err := e.Embed(t.Context(), Texts("a b"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
}
