// Package convert writes checkpoints as safetensors, in 32, 16 or 8 bits.
package convert

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"m2embed/core/checkpoint"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/configjson"
	"m2embed/host/internal/locate"
)

// Options say what is written. The zero value keeps every number:
// f32, and the padding that published checkpoints expect.
type Options struct {
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

	// Metadata is added to the file's.
	Metadata map[string]string
}

// Model writes a checkpoint as safetensors. in is a folder or a checkpoint
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
func Model(ctx context.Context, in, out string, o Options) error {
	if err := convert(ctx, in, out, o); err != nil {
		return fmt.Errorf("convert %s: %w", in, locate.Reason(in, err))
	}
	return nil
}

func convert(ctx context.Context, in, out string, o Options) error {
	source, err := locate.Model(in, o.Config, o.Tokenizer)
	if err != nil {
		return err
	}
	weights := out
	if !strings.HasSuffix(out, ".safetensors") {
		weights = filepath.Join(out, "model.safetensors")
	}
	if sameFile(source.Weights, weights) {
		return fmt.Errorf("%s is both input and output", weights)
	}
	folder := filepath.Dir(weights)
	made, err := MakeFolder(folder)
	published := false
	defer func() {
		if !published {
			for _, folder := range made {
				os.Remove(folder) // nothing happens to one that is not empty
			}
		}
	}()
	if err != nil {
		return atomicfile.WriteError(err)
	}

	// The weights come last, so that a folder with weights is complete.
	var staged []*atomicfile.File
	defer func() {
		if !published {
			for _, s := range staged {
				s.Discard()
			}
		}
	}()
	stage := func(target string, write func(s *atomicfile.File) error) error {
		s, err := atomicfile.Create(target)
		if err != nil {
			return err
		}
		staged = append(staged, s)
		if err := write(s); err != nil {
			return err
		}
		return s.Sync()
	}
	config, err := source.ReadConfig()
	if err != nil {
		return err
	}
	if config != nil {
		if config, err = configjson.SetPadding(config, o.Padding); err != nil {
			return err
		}
		if err := stage(filepath.Join(folder, "config.json"), writeAll(config)); err != nil {
			return err
		}
	}
	if target := filepath.Join(folder, filepath.Base(source.Tokenizer)); source.Tokenizer != "" && !sameFile(source.Tokenizer, target) {
		data, err := source.ReadTokenizer()
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
	if err := stage(weights, func(s *atomicfile.File) error { return Weights(ctx, s, source.Weights, o) }); err != nil {
		return err
	}
	for _, s := range staged {
		if err := s.Publish(); err != nil {
			return err
		}
	}
	published = true
	return nil
}

func writeAll(data []byte) func(s *atomicfile.File) error {
	return func(s *atomicfile.File) error { _, err := s.Write(data); return err }
}

// MakeFolder makes a folder with its parents and returns the new ones, the
// innermost first.
func MakeFolder(folder string) (made []string, err error) {
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

// targetTypes are the values of Options.DType.
var targetTypes = map[string]checkpoint.DType{
	"": checkpoint.F32, "f32": checkpoint.F32, "f16": checkpoint.F16, "bf16": checkpoint.BF16, "int8": checkpoint.I8,
}

func targetType(name string) (checkpoint.DType, error) {
	t, ok := targetTypes[strings.ToLower(name)]
	if !ok {
		return t, fmt.Errorf("dtype %q, want f32, f16, bf16 or int8", name)
	}
	return t, nil
}

// CheckDType says why a name is none for Options.DType, or nil.
func CheckDType(name string) error {
	_, err := targetType(name)
	return err
}

// Weights writes the tensors of one checkpoint file as a safetensors file.
//
// # Errors
//
// Those of Model.
func Weights(ctx context.Context, w io.Writer, in string, o Options) error {
	target, err := targetType(o.DType)
	if err != nil {
		return err
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
	for key, value := range o.Metadata {
		metadata[key] = value
	}
	buffered := bufio.NewWriterSize(w, 1<<18)
	if err := checkpoint.WriteSafetensors(buffered, metadata, outputs); err != nil {
		return err
	}
	return buffered.Flush()
}
