package host

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"m2embed/core"
	"m2embed/host/internal/hosttest"
)

// TestOpenPrompts: prompts come from config.json or, where it has none, from
// sentence-transformers' file beside the weights.
func TestOpenPrompts(t *testing.T) {
	parts := map[string][]byte{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		parts[name] = hosttest.ReadFile(t, tiny+name)
	}
	want := func(prompt string) []float32 {
		m := openModel(t, tiny, Options{})
		v, err := m.Embed(t.Context(), prompt+"parcel")
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	for _, c := range []struct{ config, others, want string }{
		{"", `{"prompts": {"query": "ask for: ", "document": ""}, "default_prompt_name": null}`, "ask for: "},
		{"", "\ufeff{\"prompts\": {\"query\": \"ask for: \"}}", "ask for: "},
		{`"prompts": {"query": "own "},`, `{"prompts": {"query": "ask for: "}}`, "own "},
		{`"prompts": {"other": "own "},`, `{"prompts": {"query": "ask for: "}}`, ""},
		{`"prompts": null,`, `{"prompts": {"query": "ask for: "}}`, "ask for: "},
		{"", `{"prompts": null}`, ""},
		{"", `{"similarity_fn_name": "cosine"}`, ""},
		{"", `{"prompts": {"query": 7}}`, `!config_sentence_transformers.json: prompts: "query" is no text`},
		{"", `[]`, "!config_sentence_transformers.json: json: cannot unmarshal"},
		{"", ``, "!config_sentence_transformers.json: unexpected end"},
		{`"prompts": [1],`, `{"prompts": {"query": "ask for: "}}`, "!prompts is not an object of texts"},
	} {
		folder, files := t.TempDir(), fstest.MapFS{}
		for name, data := range parts {
			if name == "config.json" {
				data = bytes.Replace(data, []byte("{"), []byte("{"+c.config), 1)
			}
			hosttest.WriteFile(t, filepath.Join(folder, name), data)
			files[name] = &fstest.MapFile{Data: data}
		}
		const other = "config_sentence_transformers.json"
		hosttest.WriteFile(t, filepath.Join(folder, other), []byte(c.others))
		files[other] = &fstest.MapFile{Data: []byte(c.others)}
		for place, open := range map[string]func() (*Model, error){
			"folder":      func() (*Model, error) { return Open(folder, Options{}) },
			"file":        func() (*Model, error) { return Open(filepath.Join(folder, "model.safetensors"), Options{}) },
			"file system": func() (*Model, error) { return OpenFS(files, Options{}) },
		} {
			m, err := open()
			if fault, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), fault) {
					t.Errorf("%s, %s: error %v, want %q", place, c.others, err, fault)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", place, c.others, err)
				continue
			}
			v, err := m.For("query").Embed(t.Context(), "parcel")
			if err != nil || !slices.Equal(v[0], want(c.want)) {
				t.Errorf("%s, %s %s: another vector than of %q, %v", place, c.config, c.others, c.want+"parcel", err)
			}
			if _, err := m.EmbedInputs(t.Context(), core.Texts("x"), core.Options{Task: "ask"}); err == nil {
				t.Errorf("%s: an unknown task was accepted", place)
			}
			m.Close()
		}
	}
}
