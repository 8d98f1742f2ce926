package configjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"m2embed/core/model"
)

// TestSet: what is set is set, what is not keeps its text, and what is no
// object is refused.
func TestSet(t *testing.T) {
	for _, mark := range []string{"", "\ufeff"} {
		got, err := Set([]byte(mark+`{"layer_norm_eps": 1e-12, "big": 123456789012345678901, "padding": "none"}`), map[string]any{"padding": 7, "x": "a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"layer_norm_eps": 1e-12`, `"big": 123456789012345678901`, `"padding": 7`, `"x": "a"`} {
			if !strings.Contains(string(got), part) || !json.Valid(got) {
				t.Errorf("%s lacks %s", got, part)
			}
		}
	}
	for _, bad := range []string{"", "null", "[", "[1]", "7", `{"a":`} {
		if got, err := Set([]byte(bad), nil); err == nil || !strings.Contains(err.Error(), "config.json") {
			t.Errorf("%q becomes %q, error %v", bad, got, err)
		}
	}
}

func TestSetPooling(t *testing.T) {
	for in, want := range map[string]model.Pooling{`{}`: model.PoolMean, `{"pooling": "cls"}`: model.PoolMeanHidden} {
		got, err := SetPooling([]byte(in), want)
		if err != nil || !strings.Contains(string(got), `"pooling": "`+want.String()+`"`) {
			t.Errorf("%s becomes %s (%v)", in, got, err)
		}
		if got, err := SetPooling([]byte(in), model.PoolDefault); err != nil || string(got) != in {
			t.Errorf("%s becomes %s (%v) without a pooling", in, got, err)
		}
	}
}

// TestSetPaddingKept: a configuration with a padding of its own stays as it is,
// but for a byte order mark.
func TestSetPaddingKept(t *testing.T) {
	got, err := SetPadding([]byte("\ufeff{\"padding\": 7}"), "")
	if err != nil || string(got) != `{"padding": 7}` {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSetSizes: a configuration that is written reads as the one that was meant.
func TestSetSizes(t *testing.T) {
	c := model.Config{VocabSize: 96, HiddenSize: 12, NumHiddenLayers: 3, IntermediateSize: 20, MaxPositionEmbeddings: 40, TypeVocabSize: 2, LongConvLMax: 40,
		HyenaEmbDim: 3, HyenaFilterOrder: 8, UsePositionalEncodings: true, ResidualLongConv: true, Bidirectional: true, UseGLUMLP: true, UseMonarchMLP: true, MonarchMLPNBlocks: 2, Pooling: model.PoolMean}
	text, err := SetSizes([]byte("{}"), c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := model.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	got.LayerNormEps, got.HyenaWMod, got.MaxSeqLen, got.PadTokenID, got.Padding, got.Normalize = c.LayerNormEps, c.HyenaWMod, c.MaxSeqLen, c.PadTokenID, c.Padding, c.Normalize
	if !reflect.DeepEqual(got, c) {
		t.Errorf("%+v\nwant\n%+v", got, c)
	}
}

// FuzzAddPrompts: what becomes of a configuration is one, and one that has prompts
// keeps its bytes.
func FuzzAddPrompts(f *testing.F) {
	f.Add([]byte(`{"padding": 7}`), []byte(`{"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": null}`))
	f.Add([]byte("\ufeff{}"), []byte("\ufeff{\"prompts\": null}"))
	f.Add([]byte(`{"prompts": {"a": "b"}}`), []byte(`{"prompts": {"query": 7}}`))
	f.Fuzz(func(t *testing.T, config, others []byte) {
		got, err := AddPrompts(config, others)
		if err != nil {
			return
		}
		members, err := Read(got)
		if err != nil {
			t.Fatalf("%q and %q become %q: %v", config, others, got, err)
		}
		if _, err := model.ParsePrompts(members["prompts"]); members["prompts"] != nil && err != nil && string(got) != string(config) {
			t.Fatalf("%q and %q become %q: %v", config, others, got, err)
		}
	})
}

func FuzzSetPadding(f *testing.F) {
	f.Add([]byte(`{"padding": 7, "x": [1, {"a": null}]}`), "none")
	f.Add([]byte("\ufeff{}"), "")
	f.Fuzz(func(t *testing.T, config []byte, padding string) {
		if got, err := SetPadding(config, padding); err == nil && !json.Valid(got) {
			t.Fatalf("%q becomes %q", config, got)
		}
	})
}
