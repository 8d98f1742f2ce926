package checkpoint

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const tiny = "../../testdata/tiny/"

// goldenFiles are all checkpoint files of the tiny golden model.
var goldenFiles = []struct {
	name, format string
	weights      DType // of the floating-point weights
}{
	{"model.safetensors", "safetensors", F32},
	{"model.dedup.safetensors", "safetensors", F32},
	{"pytorch_model.bin", "pytorch zip", F32},
	{"pytorch_model.torch113.bin", "pytorch zip", F32},
	{"pytorch_model.legacy.bin", "pytorch legacy", F32},
	{"pytorch_model.bf16.bin", "pytorch zip", BF16},
	{"pytorch_model.f16.bin", "pytorch zip", F16},
	{"composer.pt", "pytorch zip", F32},
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openBytes(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := OpenBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// openReader opens a file over a reader, not over memory.
func openReader(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// openAndRead opens a file and reads one tensor: the first error of the two.
func openAndRead(b []byte, name string) (*File, error) {
	f, err := OpenBytes(b)
	if err == nil {
		_, err = f.Tensor(name)
	}
	return f, err
}

func floatsOf(t testing.TB, f *File, name string) []float32 {
	t.Helper()
	tensor, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tensor.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestGoldenFiles loads every golden file, over memory and over a reader, and
// compares each tensor with model.safetensors to the bit.
func TestGoldenFiles(t *testing.T) {
	reference := openBytes(t, read(t, tiny+"model.safetensors"))
	if n := len(reference.Names()); n != 126 {
		t.Fatalf("%d names, want 126", n)
	}
	for _, g := range goldenFiles {
		t.Run(g.name, func(t *testing.T) {
			data := read(t, tiny+g.name)
			over := openBytes(t, data)
			r, err := Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []*File{over, r} {
				if f.Format() != g.format {
					t.Errorf("format %q, want %q", f.Format(), g.format)
				}
				for _, name := range reference.Names() {
					if g.name == "composer.pt" && strings.HasPrefix(name, "pooler.") {
						if _, err := f.Tensor(name); err == nil {
							t.Error("a Composer checkpoint with a pooler")
						}
						continue
					}
					sameTensor(t, reference, f, name, g.weights)
				}
			}
		})
	}
}

func sameTensor(t *testing.T, reference, f *File, name string, weights DType) {
	t.Helper()
	want, err := reference.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Tensor(name)
	if err != nil {
		t.Error(err)
		return
	}
	if !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("%s: shape %v, want %v", name, got.Shape, want.Shape)
		return
	}
	if want.DType == I64 {
		if got.DType != I64 || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s differs", name)
		}
		return
	}
	if got.DType != weights {
		t.Errorf("%s: %s, want %s", name, got.DType, weights)
		return
	}
	a, err := want.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range a {
		switch weights {
		case F16:
			x = Float16ToFloat32(Float32ToFloat16(x))
		case BF16:
			x = BFloat16ToFloat32(Float32ToBFloat16(x))
		}
		if math.Float32bits(x) != math.Float32bits(b[i]) {
			t.Errorf("%s[%d] = %v, want %v", name, i, b[i], x)
			return
		}
	}
}

// TestGoldenAliases checks which tensors share data.
func TestGoldenAliases(t *testing.T) {
	const filter = "encoder.layer.1.attention.filter_fn2."
	for _, g := range goldenFiles {
		f := openBytes(t, read(t, tiny+g.name))
		shared := g.name == "model.dedup.safetensors" || g.name == "pytorch_model.bin" ||
			g.name == "pytorch_model.torch113.bin" || g.name == "pytorch_model.legacy.bin" || g.name == "composer.pt"
		info, ok := f.Info(filter + "implicit_filter_rev.5.freq")
		if !ok {
			t.Errorf("%s: no frequency", g.name)
			continue
		}
		if want := filter + "implicit_filter.1.freq"; shared && info.Alias != want {
			t.Errorf("%s: alias %q, want %q", g.name, info.Alias, want)
		}
		if info, _ := f.Info(filter + "implicit_filter.1.freq"); info.Alias != "" {
			t.Errorf("%s: the kept name is an alias of %q", g.name, info.Alias)
		}
		if info, _ := f.Info("encoder.layer.0.attention.in_linear.weight"); info.Bytes != int64(192*64*info.DType.Size()) ||
			!strings.HasSuffix(info.Original, "bert.encoder.layer.0.attention.in_linear.weight") {
			t.Errorf("%s: %+v", g.name, info)
		}
	}
	f := openBytes(t, read(t, tiny+"composer.pt"))
	if info, ok := f.Info("cls.predictions.decoder.weight"); !ok || info.Alias != "embeddings.word_embeddings.weight" ||
		info.Original != "model.cls.predictions.decoder.weight" {
		t.Errorf("the tied decoder: %+v", info)
	}
}

// TestGoldenViews checks that nothing is copied where nothing needs to be.
func TestGoldenViews(t *testing.T) {
	for _, g := range goldenFiles {
		if g.weights != F32 || g.format == "pytorch legacy" {
			continue
		}
		data := read(t, tiny+g.name)
		f := openBytes(t, data)
		const name = "embeddings.word_embeddings.weight"
		tensor, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		view, ok := tensor.Float32View()
		if !ok {
			t.Errorf("%s: no view", g.name)
			continue
		}
		before := floatsOf(t, f, name)
		tensor.Data[3] ^= 0x80 // the sign of the first number
		if after := floatsOf(t, f, name); after[0] != -before[0] || view[0] != after[0] {
			t.Errorf("%s: the tensor does not alias the file", g.name)
		}
	}
}

// TestStream reads tensors piece by piece, strided ones too.
func TestStream(t *testing.T) {
	for _, file := range []string{"composer.pt", "model.dedup.safetensors", "pytorch_model.bf16.bin"} {
		data := read(t, tiny+file)
		f, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range f.Names() {
			want, err := f.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			if err := f.Stream(name, make([]byte, 1001), func(p []byte) error {
				if len(p)%want.DType.Size() != 0 {
					t.Fatalf("%s: piece of %d bytes", name, len(p))
				}
				got = append(got, p...)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Data) {
				t.Errorf("%s: %s differs when streamed", file, name)
			}
		}
	}
	f := openBytes(t, read(t, tiny+"composer.pt"))
	if err := f.Stream("nothing", make([]byte, 8), nil); err == nil {
		t.Error("an unknown tensor was streamed")
	}
	if err := f.Stream("embeddings.position_ids", make([]byte, 7), nil); err == nil {
		t.Error("a buffer of 7 bytes was accepted for I64")
	}
}

// TestCutFiles cuts each golden file at every 1,000th byte. No cut may panic
// or load as if it were whole.
func TestCutFiles(t *testing.T) {
	for _, g := range goldenFiles {
		data := read(t, tiny+g.name)
		for n := 0; n < len(data); n += 1000 {
			cut := data[:n:n]
			if _, err := OpenBytes(cut); err == nil {
				t.Errorf("%s, cut at %d of %d bytes, was opened", g.name, n, len(data))
			} else if !strings.Contains(err.Error(), "checkpoint") {
				t.Errorf("%s at %d: unclear error %q", g.name, n, err)
			}
		}
	}
}

// TestAllGoldenSafetensors opens the value files too: every dtype and many names.
func TestAllGoldenSafetensors(t *testing.T) {
	files, err := filepath.Glob("../../testdata/*/*.safetensors")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "../../host/small/model.safetensors") {
		f := openBytes(t, read(t, file))
		for _, name := range f.Names() {
			tensor, err := f.Tensor(name)
			if err != nil {
				t.Error(file, err)
				continue
			}
			_, err = tensor.Float32(nil)
			if isInteger := tensor.DType >= I64; isInteger == (err == nil) {
				t.Errorf("%s: %s of %s: %v", file, name, tensor.DType, err)
			}
		}
	}
}

func TestCanonicalName(t *testing.T) {
	for name, want := range map[string]string{
		"bert.encoder.layer.0.x":             "encoder.layer.0.x",
		"module.bert.x":                      "x",
		"model.bert.x":                       "x",
		"model.module.bert.x":                "x",
		"module.model.bert.x":                "x",
		"module.module.x":                    "x",
		"bert.module.encoder.module.x":       "encoder.x",
		"model.cls.predictions.decoder.bias": "cls.predictions.decoder.bias",
		"submodule.x":                        "submodule.x",
		"bert.submodule.x":                   "submodule.x",
		"classifier.weight":                  "classifier.weight",
		"bert.bert.x":                        "bert.x",
		"":                                   "",
		"module.":                            "",
		"encoder.flashfft.f_16_fft":          "encoder.flashfft.f_16_fft",
		"L5/layer0.in_linear":                "L5/layer0.in_linear",
		"bert.pooler.dense.weight":           "pooler.dense.weight",
		"_orig_mod.bert.x":                   "x",
		"model._orig_mod.bert.x":             "x",
		"_orig_mod.model.bert.x":             "x",
		"_orig_mod.module.x":                 "x",
		"module._orig_mod.model.bert.x":      "x",
		"_fsdp_wrapped_module.bert.x":        "x",
		"0.auto_model.x":                     "x",
		"0.auto_model.bert.x":                "x",
		"0._orig_mod.auto_model.bert.x":      "x",
		"model.0.auto_model.x":               "x",
		"model.model.bert.x":                 "x",
		"bert._orig_mod.x":                   "x",
		"1.linear.weight":                    "1.linear.weight",
		"0.x":                                "0.x",
		"_orig_mod":                          "_orig_mod",
		"encoder._orig_mod":                  "encoder._orig_mod",
		"x_orig_mod.y":                       "x_orig_mod.y",
		"_fsdp_wrapped_module.encoder.layer.0._fsdp_wrapped_module._checkpoint_wrapped_module.mlp._fpw_module.wo": "encoder.layer.0.mlp.wo",
		"bert.embeddings.model.bert.LayerNorm": "embeddings.model.bert.LayerNorm",
	} {
		if got := CanonicalName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

func ExampleOpenBytes() {
	data, err := os.ReadFile("../../testdata/tiny/pytorch_model.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := OpenBytes(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := f.Tensor("embeddings.LayerNorm.weight")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Format(), t.DType, t.Shape)
	// Output: pytorch zip F32 [64]
}
