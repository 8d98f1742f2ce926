package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/host/convert"
	"m2embed/wasm/internal/goldenfiles"
)

// modelFiles are paths below the root.
type modelFiles struct {
	Config    string `json:"config"`
	Tokenizer string `json:"tokenizer"`
	Weights   string `json:"weights"`
}

// testCase is a model, inputs (texts or lists of ids) and options.
type testCase struct {
	Name    string     `json:"name"`
	Model   modelFiles `json:"model"`
	Inputs  []any      `json:"inputs"`
	Options struct {
		Padding   string `json:"padding"`
		Normalize bool   `json:"normalize"`
	} `json:"options"`

	truth [][]float64 // (B, D), or nil where there is none
}

func (c testCase) coreInputs() []core.Input {
	inputs := make([]core.Input, len(c.Inputs))
	for i, in := range c.Inputs {
		switch v := in.(type) {
		case string:
			inputs[i].Text = v
		case []int32:
			inputs[i].IDs = v
		}
	}
	return inputs
}

func (c testCase) coreOptions() (core.Options, error) {
	p, err := model.ParsePadding(c.Options.Padding)
	return core.Options{Padding: p, Normalize: core.Yes}, err
}

var tiny = modelFiles{"testdata/tiny/config.json", "testdata/tiny/tokenizer.json", "testdata/tiny/model.safetensors"}

var small = modelFiles{"host/small/config.json", "host/small/tokenizer.json", "host/small/model.safetensors"}

// texts reach every part of the tokenizer and odd lengths of the convolution.
var texts = []string{
	"", "a", "Long-context text embeddings that run anywhere.",
	"Ünïcödé, 東京 and \u202eright to left\u202c, \U0001F600 \u200b\x00 done",
	strings.Repeat("the quick brown fox jumps over the lazy dog. ", 9),
	strings.Repeat("word ", 600), // cut at the model's maximum
}

func makeCases(root, build string, short bool) ([]testCase, error) {
	golden, err := goldenCase(root, "golden ids", tiny, "testdata/tiny/outputs.safetensors", "testdata/tiny/truth_f64.safetensors", "/pooled_cls_l2", 1<<30)
	if err != nil {
		return nil, err
	}
	cases := []testCase{golden}
	for _, padding := range []string{"none", "max_length"} {
		c := testCase{Name: "texts, padding " + padding, Model: tiny}
		for _, text := range texts {
			c.Inputs = append(c.Inputs, text)
		}
		c.Options.Padding, c.Options.Normalize = padding, true
		cases = append(cases, c)
	}
	small := testCase{Name: "m2-bert-small, 8-bit weights", Model: small}
	for _, text := range append(texts, strings.Repeat("A longer document keeps its place. ", 300)) {
		small.Inputs = append(small.Inputs, text)
	}
	small.Options.Padding, small.Options.Normalize = "none", true
	cases = append(cases, small)
	integers, err := integerCase(root, build)
	if err != nil {
		return nil, err
	}
	cases = append(cases, integers)
	if short {
		return cases, nil
	}
	big, err := bigCase(root, build)
	return append(cases, big), err
}

// integerCase is the tiny model as convert --dtype int8 writes it, with weights
// of 8 and of 12 bits.
func integerCase(root, build string) (testCase, error) {
	c := testCase{Name: "8- and 12-bit weights"}
	folder := filepath.Join(build, "int8")
	if err := convert.Model(context.Background(), filepath.Join(root, "testdata/tiny"), folder, convert.Options{DType: "int8", Padding: "none"}); err != nil {
		return c, err
	}
	below, err := filepath.Rel(root, folder)
	if err != nil {
		return c, err
	}
	c.Model = modelFiles{filepath.Join(below, "config.json"), tiny.Tokenizer, filepath.Join(below, "model.safetensors")}
	for _, text := range texts {
		c.Inputs = append(c.Inputs, text)
	}
	c.Options.Padding, c.Options.Normalize = "none", true
	return c, nil
}

// goldenCase takes ids and their true vectors from the golden files.
func goldenCase(root, name string, files modelFiles, ids, truth, vector string, longest int) (testCase, error) {
	c := testCase{Name: name, Model: files}
	c.Options.Padding, c.Options.Normalize = "none", true
	in, err := open(filepath.Join(root, ids))
	if err != nil {
		return c, err
	}
	want, err := open(filepath.Join(root, truth))
	if err != nil {
		return c, err
	}
	for _, name := range in.Names() {
		prefix, ok := strings.CutSuffix(name, "/input_ids")
		if !ok {
			continue
		}
		v, err := want.Tensor(prefix + vector)
		if err != nil {
			continue
		}
		t, err := in.Tensor(name)
		if err != nil {
			return c, err
		}
		var row []int32
		for at := 0; at < len(t.Data); at += t.DType.Size() {
			row = append(row, int32(binary.LittleEndian.Uint32(t.Data[at:])))
		}
		if len(row) > longest {
			continue
		}
		var x []float64
		for at := 0; at < len(v.Data); at += 8 {
			x = append(x, math.Float64frombits(binary.LittleEndian.Uint64(v.Data[at:])))
		}
		c.Inputs = append(c.Inputs, row)
		c.truth = append(c.truth, x)
	}
	if len(c.Inputs) == 0 {
		return c, fmt.Errorf("no golden cases in %s", ids)
	}
	return c, nil
}

// bigCase is the 80M shape with the golden generator's weights, written once.
func bigCase(root, build string) (testCase, error) {
	files, err := goldenfiles.Write(filepath.Join(root, "testdata", "tiny", "config.json"), build, 32768)
	if err != nil {
		return testCase{}, err
	}
	m := modelFiles{Tokenizer: "testdata/tokenizer/bert-base-uncased.json"}
	for from, to := range map[string]*string{files.Config: &m.Config, files.Weights: &m.Weights} {
		rel, err := filepath.Rel(root, from)
		if err != nil {
			return testCase{}, err
		}
		*to = filepath.ToSlash(rel)
	}
	const outputs = "testdata/golden/m2-80m-32k/outputs.safetensors"
	return goldenCase(root, "80M shape, golden ids", m, outputs, outputs, "/f64/pooled_cls_l2", 2049)
}

func open(name string) (*checkpoint.File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return checkpoint.OpenBytes(b)
}
