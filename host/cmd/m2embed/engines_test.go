package main

import (
	"os"
	"path/filepath"
	"testing"

	"m2embed/webgpu/native"
)

// engineTolerance bounds the difference between engines: each sums in an order
// of its own.
const engineTolerance = 2e-5

// TestWasm: m2embed.wasm gives the vectors of this processor.
func TestWasm(t *testing.T) {
	module := "../../../wasm/module/m2embed.wasm"
	if _, err := os.Stat(module); err != nil {
		t.Skip("no m2embed.wasm; wasm/build.sh module makes it")
	}
	compareEngine(t, "--engine", "wasm", "--module", module)
	m2embed("embed", "x", "--engine", "wasm", "--module", filepath.Join(tiny, "vocab.txt")).fail(t, exitFailure, "module")
	m2embed("embed", "x", "--engine", "wasm", "--module", "no/such/file").fail(t, exitFailure, "no/such/file")
	weights, err := os.ReadFile(filepath.Join(tiny, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	alone := write(t, "model.safetensors", weights)
	m2embed("embed", "x", "--engine", "wasm", "--module", module, "--model", alone, "--config", filepath.Join(tiny, "config.json")).fail(t, exitFailure, "text 1", "no tokenizer")
	few := write(t, "few.json", []byte("[[101,5,102],[1,2]]"))
	compare(t, []string{"--ids", few, "--model", alone, "--config", filepath.Join(tiny, "config.json")}, "--engine", "wasm", "--module", module)
	ids := write(t, "ids.json", []byte("[[1],[70000]]"))
	m2embed("embed", "--ids", ids, "--engine", "wasm", "--module", module).fail(t, exitFailure, "list 2", "70000")
}

// TestWebGPU: a GPU, or a software driver for one, gives the vectors of this
// processor.
func TestWebGPU(t *testing.T) {
	if os.Getenv(native.LibraryVariable) == "" {
		// Without a library the error says what is missing.
		m2embed("embed", "x", "--engine", "webgpu").fail(t, exitFailure, "GPU not available", native.LibraryVariable)
		t.Skip("set " + native.LibraryVariable + " to a WebGPU library")
	}
	compare(t, []string{"one", "", "two texts of other lengths", "one", "--model", tiny, "--padding", "24", "--pooling", "mean", "--normalize", "yes"}, "--engine", "webgpu")
	compare(t, []string{"a b c d e f g", "h", "--model", tiny, "--max-length", "6", "--padding", "longest", "--truncation", "drop-sep"}, "--engine", "webgpu")
}

// compareEngine compares an engine with the native one.
func compareEngine(t *testing.T, engine ...string) {
	t.Helper()
	sized := write(t, "config.json", []byte(`{"hidden_size":1792,"long_conv_l_max":512,"hyena_emb_dim":5,"use_positional_encodings":true,"residual_long_conv":true,"use_monarch_mlp":true,"padding":"none"}`))
	for _, args := range [][]string{
		{"one", "", "two texts of other lengths", "one", "--model", tiny},
		{"one", "", "two texts of other lengths", "--model", tiny, "--padding", "none", "--pooling", "mean", "--normalize", "yes"},
		{"a b c d e f g", "--model", tiny, "--max-length", "6", "--padding", "longest", "--truncation", "drop-sep", "--pooling", "mean_hidden"},
		{"one", "--model", filepath.Join(tiny, "composer.pt"), "--no-cache", "--pooling", "cls_hidden"},
		{"one", "--model", filepath.Join(tiny, "pytorch_model.f16.bin"), "--no-cache", "--config", sized, "--config-from-weights"},
	} {
		compare(t, args, engine...)
	}
}

// compare embeds with an engine and natively.
func compare(t *testing.T, args []string, engine ...string) {
	t.Helper()
	args = append([]string{"embed", "--quiet"}, args...)
	want := parseLines(t, succeed(t, args...).stdout)
	got := parseLines(t, succeed(t, append(args, engine...)...).stdout)
	if len(got) != len(want) {
		t.Fatalf("%q: %d vectors, want %d", args, len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Tokens != w.Tokens || g.Length != w.Length || g.Truncated != w.Truncated {
			t.Errorf("%q: %+v, want %+v", args, g, w)
		}
		if e := difference(g.Embedding, w.Embedding); !(e <= engineTolerance) {
			t.Errorf("%q: text %d: max abs difference %g", args, i, e)
		}
	}
}
