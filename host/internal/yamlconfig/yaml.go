// Package yamlconfig reads the retrieval YAMLs of the original training code.
package yamlconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"m2embed/core/short"
)

// MaxSize is fifteen times the largest YAML of the original, in bytes: aliases take
// the square of it.
const MaxSize = 64 << 10

// JSON turns a retrieval YAML of the original into the bytes of a
// config.json. The network's settings (model.model_config) come first, then
// those of the encoder around it (model), then the lengths and the tokenizer's
// name from the top level where the others lack them. References such as
// ${max_seq_len} are resolved. vocab_size is rounded up to a multiple of 8,
// as the original rounds the rows of its word table.
//
// # Errors
//
// A file larger than MaxSize or without model.model_config, a reference to a key that is not there
// and references in a circle are refused by name.
func JSON(data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read YAML configuration: %d bytes, want at most %d", len(data), MaxSize)
	}
	var root map[string]any
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("read YAML configuration: %w", short.Error(err))
	}
	config, err := flattenConfig(root)
	if err != nil {
		return nil, fmt.Errorf("read YAML configuration: %w", short.Error(err))
	}
	out, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("read YAML configuration: %w", short.Error(err))
	}
	return append(out, '\n'), nil
}

// flattenConfig gathers the settings of all levels, resolved.
func flattenConfig(root map[string]any) (map[string]any, error) {
	model, ok := root["model"].(map[string]any)
	if !ok {
		return nil, errors.New("no section \"model\"")
	}
	network, ok := model["model_config"].(map[string]any)
	if !ok {
		return nil, errors.New("no section \"model.model_config\"")
	}
	config := map[string]any{"model_type": "m2_bert"}
	for _, key := range []string{"max_seq_len", "evaluation_max_seq_len", "tokenizer_name"} {
		if v, ok := root[key]; ok {
			config[key] = v
		}
	}
	for key, v := range model {
		if key != "model_config" && key != "name" {
			config[key] = v
		}
	}
	maps.Copy(config, network)
	r := resolver{root: root, left: maxYAMLValues}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		v, err := r.resolve(config[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return nil, fmt.Errorf("%s: %v is not a number for JSON", key, f)
		}
		config[key] = v
	}
	if n, ok := config["vocab_size"].(int); ok && n > 0 && n < math.MaxInt-8 {
		config["vocab_size"] = (n + 7) / 8 * 8
	}
	return config, nil
}

// The bounds of what references may expand to.
const (
	maxYAMLValues = 100_000
	maxYAMLText   = 1 << 16
	maxYAMLMade   = 16 << 20 // of all texts, one for each reference
)

// resolver replaces references by the values that they name.
type resolver struct {
	root map[string]any
	path []string // references that are being resolved
	left int      // values that may still be made
	made int      // bytes of texts
}

// resolve returns a value with all references in it replaced.
func (r *resolver) resolve(v any) (any, error) {
	if r.left--; r.left < 0 {
		return nil, fmt.Errorf("references expand to more than %d values", maxYAMLValues)
	}
	switch v := v.(type) {
	case string:
		return r.text(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, x := range v {
			y, err := r.resolve(x)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			out[key] = y
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			y, err := r.resolve(x)
			if err != nil {
				return nil, err
			}
			out[i] = y
		}
		return out, nil
	}
	return v, nil
}

// text replaces the references of a text, the innermost first. A text that is
// one reference takes the value's own type.
func (r *resolver) text(s string) (any, error) {
	for {
		end := -1
		start := strings.LastIndex(s, "${")
		if start >= 0 {
			end = strings.IndexByte(s[start:], '}')
		}
		if start < 0 {
			return s, nil
		}
		if end < 0 {
			return nil, fmt.Errorf("%.80q: a reference without its closing brace", s)
		}
		name := strings.TrimSpace(s[start+2 : start+end])
		v, err := r.reference(name)
		if err != nil {
			return nil, err
		}
		if start == 0 && end == len(s)-1 {
			return v, nil
		}
		switch v.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("${%s} is no single value, but stands inside a text", name)
		}
		s = s[:start] + fmt.Sprint(v) + s[start+end+1:]
		if r.made += len(s); len(s) > maxYAMLText || r.made > maxYAMLMade {
			return nil, fmt.Errorf("references expand to more than %d bytes", maxYAMLText)
		}
	}
}

// reference returns the resolved value that a dotted name stands for.
func (r *resolver) reference(name string) (any, error) {
	if slices.Contains(r.path, name) {
		return nil, fmt.Errorf("references in a circle: %s", strings.Join(append(slices.Clone(r.path), name), " -> "))
	}
	var v any = r.root
	for key := range strings.SplitSeq(name, ".") {
		section, ok := v.(map[string]any)
		if ok {
			v, ok = section[key]
		}
		if !ok {
			return nil, fmt.Errorf("${%s} refers to nothing", name)
		}
	}
	r.path = append(r.path, name)
	v, err := r.resolve(v)
	r.path = r.path[:len(r.path)-1]
	return v, err
}
