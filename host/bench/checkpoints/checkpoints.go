// Package checkpoints makes the models that the benchmarks run: the 80M shape
// with generated weights.
package checkpoints

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"m2embed/core/checkpoint/goldenweights"
	"m2embed/host/bench/share"
	"m2embed/host/convert"
	"m2embed/host/internal/atomicfile"
)

// Longest is the most tokens of a text.
const Longest = 32768

// Make writes the weights once, into folders of the one that is given: torch, as
// PyTorch would save them, f32 and int8, converted. The tokenizer lies beside
// them. It is run in the repository's root.
func Make(folder string) error {
	vocabulary, err := os.ReadFile("testdata/tokenizer/bert-base-uncased.json")
	if err != nil {
		return fmt.Errorf("run this from the repository's root: %w", err)
	}
	torch := filepath.Join(folder, "torch")
	if _, err := os.Stat(filepath.Join(torch, "pytorch_model.bin")); err != nil {
		fmt.Fprintln(os.Stderr, "making an 80M checkpoint")
		if err := os.MkdirAll(torch, 0o755); err != nil {
			return err
		}
		f, err := atomicfile.Create(filepath.Join(torch, "pytorch_model.bin"))
		if err != nil {
			return err
		}
		defer f.Discard()
		if err := goldenweights.New(goldenweights.Base80M(Longest)).WriteTorch(f); err != nil {
			return err
		}
		for name, data := range map[string][]byte{"config.json": share.ConfigJSON(12, Longest), "tokenizer.json": vocabulary} {
			if err := atomicfile.Write(filepath.Join(torch, name), data); err != nil {
				return err
			}
		}
		if err := f.Publish(); err != nil {
			return err
		}
	}
	for _, dtype := range []string{"f32", "int8"} {
		if _, err := os.Stat(filepath.Join(folder, dtype, "model.safetensors")); err == nil {
			continue
		}
		if err := convert.Model(context.Background(), torch, filepath.Join(folder, dtype), convert.Options{DType: dtype, Padding: "none"}); err != nil {
			return err
		}
	}
	return nil
}
