package core

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
)

// TestSpace: what decides vectors decides the space, and nothing else does.
func TestSpace(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../testdata/tiny/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	config, vocabulary, weights := read("config.json"), read("tokenizer.json"), read("model.safetensors")
	spaceOf := func(config, vocabulary, weights []byte, o OpenOptions) string {
		t.Helper()
		f, err := checkpoint.OpenBytes(bytes.Clone(weights))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Open(config, vocabulary, f, o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		before := e.Space()
		embed(t, e, Options{Padding: none}, Input{IDs: []int32{5, 6}})
		if e.Space() != before {
			t.Error("the space changed as the model ran")
		}
		return before
	}
	want := spaceOf(config, vocabulary, weights, OpenOptions{})
	if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(want) {
		t.Errorf("space %q", want)
	}
	for name, got := range map[string]string{
		"overwritten":     spaceOf(config, vocabulary, weights, OpenOptions{Overwrite: true}),
		"other threads":   spaceOf(config, vocabulary, weights, OpenOptions{Threads: 3, FilterBudget: -1}),
		"PyTorch":         spaceOf(config, vocabulary, read("pytorch_model.bin"), OpenOptions{}),
		"legacy":          spaceOf(config, vocabulary, read("pytorch_model.legacy.bin"), OpenOptions{}),
		"more in config":  spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"comment": "x", `), 1), vocabulary, weights, OpenOptions{}),
		"max_seq_len":     spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"max_seq_len": 512, `), 1), vocabulary, weights, OpenOptions{}),
		"empty prompts":   spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"prompts": {"query": "", "document": ""}, `), 1), vocabulary, weights, OpenOptions{}),
		"default padding": spaceOf(bytes.Replace(config, []byte(`"padding"`), []byte(`"padding_was"`), 1), vocabulary, weights, OpenOptions{}),
	} {
		if name == "default padding" && bytes.Contains(config, []byte(`"padding"`)) {
			continue
		}
		if got != want {
			t.Errorf("%s: space %s, want %s", name, got, want)
		}
	}
	changed := bytes.Clone(weights)
	f, err := checkpoint.OpenBytes(changed)
	if err != nil {
		t.Fatal(err)
	}
	tensor, err := f.Tensor("encoder.layer.0.mlp.wo.weight")
	if err != nil {
		t.Fatal(err)
	}
	tensor.Data[len(tensor.Data)-2] ^= 1
	seen := map[string]string{want: "the model itself"}
	for name, got := range map[string]string{
		"weights":      spaceOf(config, vocabulary, changed, OpenOptions{}),
		"float16":      spaceOf(config, vocabulary, read("pytorch_model.f16.bin"), OpenOptions{}),
		"pooling":      spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"pooling": "mean_hidden", `), 1), vocabulary, weights, OpenOptions{}),
		"padding":      spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"padding": 77, `), 1), vocabulary, weights, OpenOptions{}),
		"prompts":      spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"prompts": {"query": "query: "}, `), 1), vocabulary, weights, OpenOptions{}),
		"others":       spaceOf(bytes.Replace(config, []byte("{"), []byte(`{"prompts": {"query": "q: "}, `), 1), vocabulary, weights, OpenOptions{}),
		"no tokenizer": spaceOf(config, nil, weights, OpenOptions{}),
		"a token":      spaceOf(config, bytes.Replace(vocabulary, []byte(`"##s":`), []byte(`"##sß":`), 1), weights, OpenOptions{}),
	} {
		if other, ok := seen[got]; ok {
			t.Errorf("%s: the space of %s", name, other)
		}
		seen[got] = name
	}
}

// TestSpaceOf: options that make other vectors make another space, and those that
// say what the model does anyway do not.
func TestSpaceOf(t *testing.T) {
	c := model.Config{MaxSeqLen: 512, LongConvLMax: 512, MaxPositionEmbeddings: 512, UsePositionalEncodings: true, Pooling: model.PoolClass}
	padding := func(mode model.PaddingMode, n int) Options {
		return Options{Padding: model.Padding{Mode: mode, Length: n}}
	}
	for name, o := range map[string]Options{
		"nothing": {}, "a cut": {MaxLength: 7}, "its padding": padding(model.PadMax, 0), "its length": padding(model.PadToLength, 512),
		"its pooling": {Pooling: model.PoolClass}, "its scale": {Normalize: No},
	} {
		if got := SpaceOf("model", c, o); got != "model" {
			t.Errorf("%s: %s", name, got)
		}
	}
	seen := map[string]string{}
	for name, o := range map[string]Options{
		"none": padding(model.PadNone, 0), "longest": padding(model.PadLongest, 0), "a length": padding(model.PadToLength, 64), "another": padding(model.PadToLength, 65),
		"pooling": {Pooling: model.PoolMean}, "unit": {Normalize: Yes}, "unit, none": {Normalize: Yes, Padding: model.Padding{Mode: model.PadNone}},
	} {
		got := SpaceOf("model", c, o)
		if !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(got) || seen[got] != "" || got == SpaceOf("another model", c, o) {
			t.Errorf("%s: %s, also that of %q", name, got, seen[got])
		}
		seen[got] = name
	}
}

// TestSum128: the sum is the one that hash/fnv makes.
func TestSum128(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		h, want := newSum(), fnv.New128a()
		h.write(b[:n/2])
		h.write(b[n/2:])
		want.Write(b)
		var got [16]byte
		binary.BigEndian.PutUint64(got[:], h.high)
		binary.BigEndian.PutUint64(got[8:], h.low)
		if !bytes.Equal(got[:], want.Sum(nil)) {
			t.Fatalf("the sum of %d bytes is %x, want %x", n, got, want.Sum(nil))
		}
	}
}
