package yamlconfig

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"m2embed/core/model"
)

// TestTinyYAML compares the YAML with the config.json of the golden model,
// both as text and as the model reads them.
func TestTinyYAML(t *testing.T) {
	source, err := os.ReadFile("../../../testdata/tiny/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile("../../../testdata/tiny/config.json")
	if err != nil {
		t.Fatal(err)
	}
	converted, err := JSON(source)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := json.Unmarshal(converted, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &want); err != nil {
		t.Fatal(err)
	}
	shared := 0
	for key, v := range want {
		if g, ok := got[key]; ok {
			shared++
			if g != v {
				t.Errorf("%s: %v, want %v", key, g, v)
			}
		}
	}
	if shared < 20 {
		t.Errorf("only %d keys in common: %s", shared, converted)
	}
	if got["tokenizer_name"] != "tiny" || got["max_seq_len"] != 512.0 || got["evaluation_max_seq_len"] != 512.0 {
		t.Errorf("%s", converted)
	}
	a, err := model.ParseConfig(converted)
	if err != nil {
		t.Fatal(err)
	}
	b, err := model.ParseConfig(plain)
	if err != nil {
		t.Fatal(err)
	}
	a.MaxSeqLen = b.MaxSeqLen // the config.json leaves it to the tables
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\nwant\n%+v", a, b)
	}
}

func TestYAMLReferences(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"number", "n: 5\nmodel: {model_config: {x: '${n}'}}", `"x": 5`},
		{"exponent without a point", "n: 1e-3\nmodel: {model_config: {x: '${n}'}}", `"x": 0.001`},
		{"tiny exponent", "model: {model_config: {layer_norm_eps: 1e-12}}", `"layer_norm_eps": 1e-12`},
		{"boolean", "n: False\nmodel: {model_config: {x: '${n}'}}", `"x": false`},
		{"null", "n: null\nmodel: {model_config: {x: '${n}'}}", `"x": null`},
		{"chain", "a: 7\nb: ${a}\nc: ${b}\nmodel: {model_config: {x: '${c}'}}", `"x": 7`},
		{"inside a text", "a: 2\nb: k\nmodel: {model_config: {x: 'm2-${a}${b}!'}}", `"x": "m2-2k!"`},
		{"reference in a reference", "size: a\nlen_a: 9\nmodel: {model_config: {x: '${len_${size}}'}}", `"x": 9`},
		{"dotted", "p: {q: {r: 3}}\nmodel: {model_config: {x: '${p.q.r}'}}", `"x": 3`},
		{"spaces", "a: 3\nmodel: {model_config: {x: '${ a }'}}", `"x": 3`},
		{"list", "a: 3\nl: [1, '${a}']\nmodel: {model_config: {x: '${l}'}}", "\"x\": [\n    1,\n    3\n  ]"},
		{"model section", "model: {pool: yes, model_config: {x: 1}}", `"pool"`},
		{"network before model", "model: {x: 1, model_config: {x: 2}}", `"x": 2`},
		{"top level lengths", "max_seq_len: 128\nmodel: {model_config: {x: 2}}", `"max_seq_len": 128`},
		{"model's length before", "max_seq_len: 128\nmodel: {max_seq_len: 64, model_config: {x: 2}}", `"max_seq_len": 64`},
		{"rounding", "model: {model_config: {vocab_size: 30522}}", `"vocab_size": 30528`},
		{"anchors", "a: &a {x: 4}\nmodel: {model_config: {<<: *a}}", `"x": 4`},
		{"circle", "a: ${b}\nb: ${a}\nmodel: {model_config: {x: '${a}'}}", "!circle: a -> b -> a"},
		{"itself", "model: {model_config: {x: '${model.model_config.x}'}}", "!circle"},
		{"its own section", "model: {model_config: {x: '${model}'}}", "!circle"},
		{"missing", "model: {model_config: {x: '${nothing}'}}", "!x: ${nothing} refers to nothing"},
		{"missing below", "a: 3\nmodel: {model_config: {x: '${a.b}'}}", "!refers to nothing"},
		{"open", "model: {model_config: {x: '${a'}}", "!closing brace"},
		{"section in a text", "model: {model_config: {x: 'a${p}'}}\np: {}", "!no single value"},
		{"environment", "model: {model_config: {x: '${oc.env:HOME}'}}", "!refers to nothing"},
		{"growing", "a: " + strings.Repeat("x", 300) + "\nb: '" + strings.Repeat("${a}", 300) + "'\nmodel: {model_config: {x: '${b}'}}", "!more than 65536 bytes"},
		{"laughs", "a: [1,1,1,1,1,1,1,1,1,1]\nb: ['${a}','${a}','${a}','${a}','${a}','${a}','${a}','${a}','${a}']\n" +
			"c: ['${b}','${b}','${b}','${b}','${b}','${b}','${b}','${b}','${b}']\nd: ['${c}','${c}','${c}','${c}','${c}','${c}','${c}','${c}','${c}']\n" +
			"e: ['${d}','${d}','${d}','${d}','${d}','${d}','${d}','${d}','${d}']\nf: ['${e}','${e}','${e}','${e}','${e}','${e}','${e}','${e}','${e}']\n" +
			"model: {model_config: {x: '${f}'}}", "!more than 100000 values"},
		{"infinite", "model: {model_config: {x: .inf}}", "!not a number"},
		{"no model", "a: 3", "!no section"},
		{"no network", "model: {a: 3}", "!model.model_config"},
		{"a list", "- a", "!read YAML"},
		{"empty", "", "!no section"},
		{"broken", "a: [", "!read YAML"},
		{"two equal keys", "a: 1\na: 2\nmodel: {model_config: {x: 1}}", "!read YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := JSON([]byte(c.yaml))
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got), c.want) || !json.Valid(got) {
				t.Errorf("%s lacks %s", got, c.want)
			}
		})
	}
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("n: 5\nmodel: {name: x, pad: 1, model_config: {vocab_size: 30522, max: '${n}'}}"))
	f.Add([]byte("a: ${b}\nb: ${a}\nmodel: {model_config: {x: '${a}'}}"))
	f.Add([]byte("model:\n  model_config:\n    x: [1.5, true, ~]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := JSON(data); err == nil && !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
	})
}
