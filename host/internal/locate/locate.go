// Package locate finds the files of a model: in a folder as the Hugging Face hub
// has them, or beside a checkpoint.
package locate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m2embed/host/internal/yamlconfig"
)

// Files larger than these are no configuration and no tokenizer.
const (
	MaxConfigSize    = 1 << 20
	MaxTokenizerSize = 64 << 20
)

// CacheSuffix ends the names of converted files that stand beside the checkpoint
// that they were made from, so that a folder's own checkpoints can be told from
// them.
const CacheSuffix = ".m2embed.safetensors"

// Paths are the files of a model; a part that is missing is "".
type Paths struct {
	Weights, Config, Tokenizer string
}

// otherCheckpoints are files of training code that hold no model.
var otherCheckpoints = []string{"training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth"}

// Model finds the files of a model in a folder, or beside a checkpoint
// file. config and tokenizer name those parts, if not empty.
func Model(path, config, tokenizer string) (Paths, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return Paths{}, err
	}
	p := Paths{Weights: path, Config: config, Tokenizer: tokenizer}
	folder := filepath.Dir(path)
	if stat.IsDir() {
		folder = path
		if p.Weights, err = findWeights(folder); err != nil {
			return p, err
		}
	}
	for _, named := range []string{config, tokenizer} {
		if named == "" {
			continue
		}
		if _, err := os.Stat(named); err != nil {
			return p, err
		}
	}
	if p.Config == "" {
		if p.Config, err = findConfig(folder); err != nil && stat.IsDir() {
			return p, err
		}
	}
	if p.Tokenizer == "" {
		p.Tokenizer = firstFile(folder, "tokenizer.json", "vocab.txt")
	}
	return p, nil
}

// firstFile returns the first of the names that a folder has, or "".
func firstFile(folder string, names ...string) string {
	for _, name := range names {
		path := filepath.Join(folder, name)
		if stat, err := os.Stat(path); err == nil && stat.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// findWeights returns the checkpoint of a folder.
func findWeights(folder string) (string, error) {
	if path := firstFile(folder, "model.safetensors", "pytorch_model.bin", "model.bin"); path != "" {
		return path, nil
	}
	if index := firstFile(folder, "model.safetensors.index.json", "pytorch_model.bin.index.json"); index != "" {
		return "", fmt.Errorf("%s: checkpoints of several files are not supported", index)
	}
	candidates, err := filesWith(folder, ".safetensors", ".pt", ".pth", ".bin")
	if err != nil {
		return "", err
	}
	candidates = slices.DeleteFunc(candidates, func(name string) bool {
		return strings.HasSuffix(name, CacheSuffix) || slices.Contains(otherCheckpoints, name)
	})
	switch len(candidates) {
	case 0:
		return "", fmt.Errorf("no checkpoint in %s; want model.safetensors, pytorch_model.bin or one *.safetensors, *.pt or *.bin", folder)
	case 1:
		return filepath.Join(folder, candidates[0]), nil
	}
	return "", fmt.Errorf("several checkpoints in %s (%s); name one of them", folder, strings.Join(candidates, ", "))
}

// findConfig returns config.json or the only retrieval YAML of a folder. The
// error tells why there is none.
func findConfig(folder string) (string, error) {
	if path := firstFile(folder, "config.json"); path != "" {
		return path, nil
	}
	candidates, err := filesWith(folder, ".yaml", ".yml")
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range candidates {
		data, err := ReadLimited(filepath.Join(folder, name), MaxConfigSize)
		if err == nil && bytes.Contains(data, []byte("model_config:")) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no configuration in %s; want config.json or a retrieval YAML", folder)
	case 1:
		return filepath.Join(folder, found[0]), nil
	}
	return "", fmt.Errorf("several YAML configurations in %s (%s); name one of them", folder, strings.Join(found, ", "))
}

// filesWith lists the regular files of a folder with the given endings.
func filesWith(folder string, endings ...string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if slices.Contains(endings, filepath.Ext(e.Name())) && firstFile(folder, e.Name()) != "" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ReadConfig returns the configuration as the bytes of a config.json, or nil.
func (p Paths) ReadConfig() ([]byte, error) {
	if p.Config == "" {
		return nil, nil
	}
	data, err := ReadLimited(p.Config, MaxConfigSize)
	if err != nil {
		return nil, err
	}
	if isYAML(p.Config) {
		if data, err = yamlconfig.JSON(data); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Config, err)
		}
	}
	return data, nil
}

// ReadLimited reads a whole file of at most limit bytes.
func ReadLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errors.New(path + " is larger than " + fmt.Sprint(limit) + " bytes")
	}
	return data, nil
}

// isYAML goes by the name.
func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
