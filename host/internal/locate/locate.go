// Package locate finds the files of a model: in a folder as the Hugging Face hub
// has them, or beside a checkpoint.
package locate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m2embed/host/internal/configjson"
	"m2embed/host/internal/yamlconfig"
)

// Files larger than these are no configuration and no tokenizer of a BERT: one of
// 500,000 tokens has 13 MB.
const (
	MaxConfigSize    = 1 << 20
	MaxTokenizerSize = 16 << 20
)

// CacheSuffix ends the names of converted files that stand beside the checkpoint
// that they were made from, so that a folder's own checkpoints can be told from
// them.
const CacheSuffix = ".m2embed.safetensors"

// Paths are the files of a model; a part that is missing is "".
type Paths struct {
	Weights, Config, Tokenizer string

	prompts string // sentence-transformers' file, beside the weights
	fsys    fs.FS  // where they are
}

// PromptsFile is where sentence-transformers keeps a model's prompts.
const PromptsFile = "config_sentence_transformers.json"

// otherCheckpoints are files of training code that hold no model.
var otherCheckpoints = []string{"training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth"}

// system opens files by their paths in the operating system.
type system struct{}

func (system) Open(path string) (fs.File, error) { return os.Open(path) }

// folder is where a model's files lie side by side.
type folder struct {
	fs.FS
	path string // of it, for messages and in front of the files' names
}

// Model finds the files of a model in a folder, or beside a checkpoint
// file. config and tokenizer name those parts, if not empty.
func Model(path, config, tokenizer string) (Paths, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return Paths{}, err
	}
	for _, named := range []string{config, tokenizer} {
		if named == "" {
			continue
		}
		if _, err := os.Stat(named); err != nil {
			return Paths{}, err
		}
	}
	p := Paths{Config: config, Tokenizer: tokenizer, fsys: system{}}
	if !stat.IsDir() {
		p.Weights, path = path, filepath.Dir(path)
	}
	return folder{os.DirFS(path), path}.locate(p)
}

// In finds the files of a model in a file system. config and tokenizer name
// those parts, if not empty.
func In(fsys fs.FS, config, tokenizer string) (Paths, error) {
	if fsys == nil {
		return Paths{}, errors.New("there is no file system")
	}
	return folder{FS: fsys}.locate(Paths{Config: config, Tokenizer: tokenizer, fsys: fsys})
}

// locate finds the parts of a model that are not named yet. A checkpoint that is
// named can be inspected without a configuration, so that it is missed only where
// a whole folder is asked for.
func (f folder) locate(p Paths) (Paths, error) {
	whole := p.Weights == ""
	var err error
	if whole {
		if p.Weights, err = f.findWeights(); err != nil {
			return p, err
		}
	}
	if p.Config == "" {
		if p.Config, err = f.findConfig(); err != nil && whole {
			return p, err
		}
	}
	if p.Tokenizer == "" {
		p.Tokenizer = f.first("tokenizer.json", "vocab.txt")
	}
	p.prompts = f.first(PromptsFile)
	return p, nil
}

// join is the path of a file of the folder.
func (f folder) join(name string) string { return filepath.Join(f.path, name) }

// String is the folder's path, for messages.
func (f folder) String() string {
	if f.path == "" {
		return "the file system"
	}
	return f.path
}

// first returns the path of the first of the names that the folder has, or "".
func (f folder) first(names ...string) string {
	for _, name := range names {
		if stat, err := fs.Stat(f, name); err == nil && stat.Mode().IsRegular() {
			return f.join(name)
		}
	}
	return ""
}

// findWeights returns the checkpoint of the folder.
func (f folder) findWeights() (string, error) {
	if path := f.first("model.safetensors", "pytorch_model.bin", "model.bin"); path != "" {
		return path, nil
	}
	if index := f.first("model.safetensors.index.json", "pytorch_model.bin.index.json"); index != "" {
		return "", fmt.Errorf("%s: checkpoints of several files are not supported", index)
	}
	candidates, err := f.filesWith(".safetensors", ".pt", ".pth", ".bin")
	if err != nil {
		return "", err
	}
	candidates = slices.DeleteFunc(candidates, func(name string) bool {
		return strings.HasSuffix(name, CacheSuffix) || slices.Contains(otherCheckpoints, name)
	})
	switch len(candidates) {
	case 0:
		return "", fmt.Errorf("no checkpoint in %s; want model.safetensors, pytorch_model.bin or one *.safetensors, *.pt or *.bin", f)
	case 1:
		return f.join(candidates[0]), nil
	}
	return "", fmt.Errorf("several checkpoints in %s (%s); name one of them", f, strings.Join(candidates, ", "))
}

// findConfig returns config.json or the only retrieval YAML of the folder. The
// error tells why there is none.
func (f folder) findConfig() (string, error) {
	if path := f.first("config.json"); path != "" {
		return path, nil
	}
	candidates, err := f.filesWith(".yaml", ".yml")
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range candidates {
		data, err := readLimited(f, name, MaxConfigSize)
		if err == nil && bytes.Contains(data, []byte("model_config:")) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no configuration in %s; want config.json or a retrieval YAML", f)
	case 1:
		return f.join(found[0]), nil
	}
	return "", fmt.Errorf("several YAML configurations in %s (%s); name one of them", f, strings.Join(found, ", "))
}

// filesWith lists the regular files of the folder with the given endings.
func (f folder) filesWith(endings ...string) ([]string, error) {
	entries, err := fs.ReadDir(f, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if slices.Contains(endings, filepath.Ext(e.Name())) && f.first(e.Name()) != "" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ReadConfig returns the configuration as the bytes of a config.json, or nil. Where
// it has no prompts, those of a [PromptsFile] beside the weights are put in.
func (p Paths) ReadConfig() ([]byte, error) {
	if p.Config == "" {
		return nil, nil
	}
	data, err := readLimited(p.fsys, p.Config, MaxConfigSize)
	if err != nil {
		return nil, err
	}
	if isYAML(p.Config) {
		if data, err = yamlconfig.JSON(data); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Config, err)
		}
	}
	if p.prompts != "" {
		prompts, err := readLimited(p.fsys, p.prompts, MaxConfigSize)
		if err != nil {
			return nil, err
		}
		if data, err = configjson.AddPrompts(data, prompts); err != nil {
			return nil, fmt.Errorf("%s: %w", p.prompts, err)
		}
	}
	return data, nil
}

// ReadTokenizer returns the bytes of the tokenizer, or nil.
func (p Paths) ReadTokenizer() ([]byte, error) {
	if p.Tokenizer == "" {
		return nil, nil
	}
	return readLimited(p.fsys, p.Tokenizer, MaxTokenizerSize)
}

// ReadLimited reads a whole file of at most limit bytes.
func ReadLimited(path string, limit int64) ([]byte, error) {
	return readLimited(system{}, path, limit)
}

func readLimited(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// Reason is why a file could not be used, for a message that names its path
// already: a system's error about that path without it.
func Reason(path string, err error) error {
	if system, ok := err.(*fs.PathError); ok && system.Path == path {
		return system.Err
	}
	return err
}

// isYAML goes by the name.
func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}
