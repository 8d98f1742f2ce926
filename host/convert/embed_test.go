package convert_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tolerance"
	"m2embed/host"
	"m2embed/host/convert"
	"m2embed/host/internal/hosttest"
)

// TestConvertedEmbeddings runs converted models and compares their vectors
// with the golden ones.
func TestConvertedEmbeddings(t *testing.T) {
	golden := hosttest.OpenFile(t, "../../testdata/tiny/"+"outputs.safetensors")
	for _, c := range []struct {
		in, dtype string
		least     float64 // cosine
		why       string
	}{
		{"pytorch_model.bin", "f32", tolerance.OtherOrder, "rounding of another order of sums"},
		{"pytorch_model.legacy.bin", "f32", tolerance.OtherOrder, "the same"},
		{"model.dedup.safetensors", "f16", 1 - 1e-5, "11 bits a weight"},
		{"pytorch_model.bin", "bf16", 0.9995, "8 bits a weight"},
		{"pytorch_model.bin", "int8", 0.9995, "12 bits a weight, 8 in the tables and half of in_linear, one scale a row"},
	} {
		t.Run(c.in+" "+c.dtype, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "m")
			if err := convert.Model(t.Context(), "../../testdata/tiny/"+c.in, out, convert.Options{DType: c.dtype, Padding: "none"}); err != nil {
				t.Fatal(err)
			}
			files, err := host.OpenFiles(out, host.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			e, err := core.Open(files.ConfigJSON, files.Tokenizer, files.Weights, core.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for _, n := range []int{1, 5, 17, 100} {
				tensor, err := golden.Tensor(fmt.Sprintf("L%d/input_ids", n))
				if err != nil {
					t.Fatal(err)
				}
				ids := make([]int32, n)
				for i := range ids {
					ids[i] = int32(binary.LittleEndian.Uint64(tensor.Data[8*i:]))
				}
				got, err := e.Embed(t.Context(), []core.Input{{IDs: ids}}, core.Options{Padding: model.Padding{Mode: model.PadNone}})
				if err != nil {
					t.Fatal(err)
				}
				want := hosttest.Floats(t, golden, fmt.Sprintf("L%d/pooled_cls", n))
				if x := core.Cosine(got[0].Vector, want); !(x >= c.least) {
					t.Errorf("%d tokens: cosine %.9f, want at least %v: %s", n, x, c.least, c.why)
				} else {
					t.Logf("%d tokens: cosine %.9f", n, x)
				}
			}
		})
	}
}
