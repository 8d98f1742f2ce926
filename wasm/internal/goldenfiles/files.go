// Package goldenfiles writes the 80M shape with the golden generator's weights
// as model files, for programs that load files.
package goldenfiles

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"m2embed/core/checkpoint/goldenweights"
)

// Files are the paths of a written model.
type Files struct{ Config, Weights string }

// Write writes config and weights of the 80M shape for a trained length into
// folder, unless they are there. base is a config.json to take everything but
// the sizes from.
func Write(base, folder string, length int) (Files, error) {
	files := Files{
		Config:  filepath.Join(folder, fmt.Sprintf("80m-%d.json", length)),
		Weights: filepath.Join(folder, fmt.Sprintf("80m-%d.safetensors", length)),
	}
	if _, err := os.Stat(files.Weights); err == nil {
		return files, nil
	}
	b, err := os.ReadFile(base)
	if err != nil {
		return files, err
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		return files, fmt.Errorf("read %s: %w", base, err)
	}
	shape := goldenweights.Base80M(length)
	for key, value := range map[string]int{
		"vocab_size": shape.VocabSize, "hidden_size": shape.HiddenSize, "num_hidden_layers": shape.NumHiddenLayers,
		"intermediate_size": shape.IntermediateSize, "max_position_embeddings": shape.MaxPositionEmbeddings,
		"long_conv_l_max": shape.LongConvLMax, "hyena_filter_order": shape.HyenaFilterOrder,
	} {
		config[key] = value
	}
	if b, err = json.MarshalIndent(config, "", " "); err != nil {
		return files, err
	}
	if err := os.WriteFile(files.Config, b, 0o644); err != nil {
		return files, err
	}
	return files, writeWeights(files.Weights, goldenweights.New(shape))
}

// writeWeights leaves the file whole or not at all.
func writeWeights(path string, w *goldenweights.Weights) (err error) {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := w.WriteSafetensors(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
