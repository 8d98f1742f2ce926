package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
)

// ConvertOptions say what Convert writes. The zero value keeps every number:
// f32, and the padding that published checkpoints expect.
type ConvertOptions struct {
	// DType is "f32" (also for ""), "f16", "bf16" or "int8", the type of the
	// matrices and tables: in_linear, out_linear, gated_layers, wo,
	// pooler.dense, word_embeddings, position_embeddings and, except for int8,
	// the last layer of the filter networks. All else is written as f32. An
	// int8 matrix NAME is symmetric, with one f32 scale for each output row in
	// NAME_scale.
	DType string
	// Config and Tokenizer are paths, for files that do not lie beside the
	// checkpoint. Config may be a YAML.
	Config, Tokenizer string
	// Padding is written into config.json: "none", "longest", "max_length" or
	// a number. If it is empty, a config.json that has no padding gets
	// "max_length", with which the published checkpoints were trained.
	Padding string
	// Progress is told how many of the checkpoint's bytes are done.
	Progress func(done, total int64)

	metadata map[string]string // added to the file's
}

// Convert writes a checkpoint as safetensors. in is a folder or a checkpoint
// file of any format that package checkpoint reads. out is a file whose name
// ends in ".safetensors", or else a folder that gets model.safetensors. The
// configuration, as config.json, and the tokenizer go beside it, if in has
// them or the options name them.
//
// One tensor is read and written at a time, in pieces, so memory does not
// grow with the file. Heads, position_ids and the tables of the CUDA
// transform are dropped. Tensors that share their data are written once; the
// metadata map the dropped names to the kept one.
//
// # Errors
//
// A tensor with a NaN or an infinity is refused by name, and so is one with a
// number that the target type cannot hold. After any error, and when the
// context ends, no file is left behind and none is changed.
func Convert(ctx context.Context, in, out string, o ConvertOptions) error {
	if err := convert(ctx, in, out, o); err != nil {
		return fmt.Errorf("convert %s: %w", in, err)
	}
	return nil
}

func convert(ctx context.Context, in, out string, o ConvertOptions) error {
	source, err := locateModel(in, o.Config, o.Tokenizer)
	if err != nil {
		return err
	}
	weights := out
	if !strings.HasSuffix(out, ".safetensors") {
		weights = filepath.Join(out, "model.safetensors")
	}
	if sameFile(source.weights, weights) {
		return fmt.Errorf("%s is both input and output", weights)
	}
	folder := filepath.Dir(weights)
	made, err := makeFolder(folder)
	published := false
	defer func() {
		if !published {
			for _, folder := range made {
				os.Remove(folder) // nothing happens to one that is not empty
			}
		}
	}()
	if err != nil {
		return asDestinationError(err)
	}

	// The weights come last, so that a folder with weights is complete.
	var staged []*stagedFile
	defer func() {
		if !published {
			for _, s := range staged {
				s.discard()
			}
		}
	}()
	stage := func(target string, write func(s *stagedFile) error) error {
		s, err := stageFile(target)
		if err != nil {
			return err
		}
		staged = append(staged, s)
		if err := write(s); err != nil {
			return err
		}
		return s.finish()
	}
	config, err := source.readConfig()
	if err != nil {
		return err
	}
	if config != nil {
		if config, err = withPadding(config, o.Padding); err != nil {
			return err
		}
		if err := stage(filepath.Join(folder, "config.json"), writeAll(config)); err != nil {
			return err
		}
	}
	if target := filepath.Join(folder, filepath.Base(source.tokenizer)); source.tokenizer != "" && !sameFile(source.tokenizer, target) {
		data, err := readLimited(source.tokenizer, maxTokenizerSize)
		if err != nil {
			return err
		}
		name := "tokenizer.json"
		if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			name = "vocab.txt"
		}
		if err := stage(filepath.Join(folder, name), writeAll(data)); err != nil {
			return err
		}
	}
	if err := stage(weights, func(s *stagedFile) error { return convertWeights(ctx, s, source.weights, o) }); err != nil {
		return err
	}
	for _, s := range staged {
		if err := s.publish(); err != nil {
			return err
		}
	}
	published = true
	return nil
}

func writeAll(data []byte) func(s *stagedFile) error {
	return func(s *stagedFile) error { _, err := s.Write(data); return err }
}

// makeFolder makes a folder with its parents and returns the new ones, the
// innermost first.
func makeFolder(folder string) (made []string, err error) {
	for f := folder; ; f = filepath.Dir(f) {
		if _, err := os.Stat(f); err == nil || f == filepath.Dir(f) {
			break
		}
		made = append(made, f)
	}
	return made, os.MkdirAll(folder, 0o777)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// targetTypes are the values of ConvertOptions.DType.
var targetTypes = map[string]checkpoint.DType{
	"": checkpoint.F32, "f32": checkpoint.F32, "f16": checkpoint.F16, "bf16": checkpoint.BF16, "int8": checkpoint.I8,
}

// convertWeights writes the tensors of one checkpoint file.
func convertWeights(ctx context.Context, w *stagedFile, in string, o ConvertOptions) error {
	target, ok := targetTypes[strings.ToLower(o.DType)]
	if !ok {
		return fmt.Errorf("dtype %q, want f32, f16, bf16 or int8", o.DType)
	}
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	file, err := checkpoint.Open(f, stat.Size())
	if err != nil {
		return err
	}
	c := tensorConverter{context: ctx, source: file, target: target, progress: o.Progress}
	outputs, metadata, err := c.outputs()
	if err != nil {
		return err
	}
	for key, value := range o.metadata {
		metadata[key] = value
	}
	buffered := bufio.NewWriterSize(w, 1<<18)
	if err := checkpoint.WriteSafetensors(buffered, metadata, outputs); err != nil {
		return err
	}
	return buffered.Flush()
}

// withPadding returns a config.json with the given padding, or with
// max_length if it has none.
func withPadding(config []byte, padding string) ([]byte, error) {
	config = bytes.TrimPrefix(config, []byte("\ufeff")) // of an editor; JSON knows no byte order mark
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	var settings map[string]any
	if err := d.Decode(&settings); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	if settings == nil {
		return nil, errors.New("config.json: null, want an object")
	}
	_, has := settings["padding"]
	parsed, err := model.ParsePadding(padding)
	switch {
	case err != nil:
		return nil, err
	case parsed.Mode == model.PadToLength:
		settings["padding"] = parsed.Length
	case padding != "":
		settings["padding"] = padding
	case has:
		return config, nil
	default:
		settings["padding"] = "max_length"
	}
	out, err := json.MarshalIndent(settings, "", "  ")
	return append(out, '\n'), err
}
