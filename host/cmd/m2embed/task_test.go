package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/core"
)

// prompts is a model with prompts and vectors that may be cut.
func prompts(t *testing.T) []string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(tiny, "config.prompts.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, "config.json", bytes.Replace(config, []byte("{"), []byte(`{"matryoshka_dimensions": [8, 16],`), 1))
	return []string{"--model", filepath.Join(tiny, "model.safetensors"), "--config", path}
}

func TestTask(t *testing.T) {
	model := prompts(t)
	vectors := func(args ...string) [][]float32 {
		t.Helper()
		var all [][]float32
		for _, l := range parseLines(t, succeed(t, append(append([]string{"embed"}, args...), model...)...).stdout) {
			all = append(all, l.Embedding)
		}
		return all
	}
	whole := vectors("ask for: a parcel", "a parcel")
	if got := vectors("a parcel", "--task", "query"); !slices.Equal(got[0], whole[0]) {
		t.Error("the task query is not the prompt and the text")
	}
	if got := vectors("a parcel", "--task", "document"); !slices.Equal(got[0], whole[1]) {
		t.Error("the task document changes the text")
	}
	if got := vectors("a parcel", "--dimensions", "8"); len(got[0]) != 8 || math.Abs(core.Cosine(got[0], whole[1][:8])-1) > 1e-6 {
		t.Errorf("a vector of %d values, want the first 8", len(got[0]))
	}
	file := filepath.Join(t.TempDir(), "v.npy")
	succeed(t, append([]string{"embed", "a parcel", "--dimensions", "16", "--output", file}, model...)...)
	if got := readOutput(t, file); len(got) != 1 || len(got[0]) != 16 {
		t.Errorf("a file of %d vectors", len(got))
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailure, `--task "Query", want one of "query", "document", "title of"`, []string{"--task", "Query"}},
		{exitFailure, "9 dimensions, want 64 or one of the model's matryoshka_dimensions [8 16]", []string{"--dimensions", "9"}},
		{exitUsage, "--dimensions 0, want 1 or more", []string{"--dimensions", "0"}},
	} {
		m2embed(append(append([]string{"embed", "x"}, c.args...), model...)...).fail(t, c.code, c.want)
	}

	// A search has the query's prompt, the texts have the documents'.
	line := func(args ...string) float64 {
		t.Helper()
		var h hit
		if err := json.Unmarshal([]byte(succeed(t, append(append([]string{"search", "a parcel", "--text", "a parcel", "--json"}, args...), model...)...).stdout), &h); err != nil {
			t.Fatal(err)
		}
		return h.Similarity
	}
	want := core.Cosine(whole[0], whole[1])
	if got := line(); math.Abs(got-want) > 1e-6 {
		t.Errorf("cosine %v, want %v", got, want)
	}
	if got := line("--task", "document"); math.Abs(got-1) > 1e-6 {
		t.Errorf("cosine %v of a text with itself", got)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a.txt"), []byte("a parcel"), 0o666); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(folder, "i.db")
	succeed(t, append([]string{"index", filepath.Join(folder, "a.txt"), "--into", db}, model...)...)
	var m match
	var out bytes.Buffer
	if code := run(context.Background(), append([]string{"search", "a parcel", "--in", db, "--json", "--all"}, model...), nil, &out, &bytes.Buffer{}); code != exitOK {
		t.Fatal(code)
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil || math.Abs(m.Cosine-want) > 0.02 {
		t.Errorf("cosine %v in the index, want %v, %v", m.Cosine, want, err)
	}
	if got := succeed(t, append([]string{"inspect"}, model...)...).stdout; !strings.Contains(got, `task query: prompt "ask for: "`) {
		t.Errorf("inspect says %.400s", got)
	}
}
