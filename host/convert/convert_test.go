package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/hosttest"
)

const tiny = "../../testdata/tiny/"

// TestConvertGolden converts each golden file to f32 and compares all tensors
// with model.safetensors.
func TestConvertGolden(t *testing.T) {
	reference := hosttest.OpenFile(t, tiny+"model.safetensors")
	for _, name := range []string{
		"model.safetensors", "model.dedup.safetensors", "pytorch_model.bin", "pytorch_model.torch113.bin",
		"pytorch_model.legacy.bin", "pytorch_model.bf16.bin", "pytorch_model.f16.bin", "composer.pt",
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "new", "folder")
			var done, total int64
			err := Model(t.Context(), tiny+name, out, Options{Progress: func(d, t int64) {
				if d < done {
					panic("progress goes back")
				}
				done, total = d, t
			}})
			if err != nil {
				t.Fatal(err)
			}
			if done != total || total == 0 {
				t.Errorf("progress ends at %d of %d", done, total)
			}
			if got := hosttest.FolderNames(t, out); !slices.Equal(got, []string{"config.json", "model.safetensors", "tokenizer.json"}) {
				t.Errorf("files %v", got)
			}
			f := hosttest.OpenFile(t, filepath.Join(out, "model.safetensors"))
			for _, tensor := range reference.Names() {
				if strings.HasSuffix(tensor, "position_ids") || name == "composer.pt" && strings.HasPrefix(tensor, "pooler.") {
					continue
				}
				info, ok := f.Info(tensor)
				if !ok || info.DType != checkpoint.F32 || info.Original != "bert."+tensor {
					t.Errorf("%s: %+v", tensor, info)
					continue
				}
				if name != "model.safetensors" && info.Alias == "" == (strings.HasSuffix(tensor, ".freq") && !strings.HasSuffix(tensor, "filter.1.freq")) {
					t.Errorf("%s: alias %q", tensor, info.Alias)
				}
				got, want := hosttest.Floats(t, f, tensor), hosttest.Floats(t, reference, tensor)
				for i := range want {
					w := want[i]
					switch {
					case strings.Contains(name, "bf16"):
						w = checkpoint.BFloat16ToFloat32(checkpoint.Float32ToBFloat16(w))
					case strings.Contains(name, ".f16"):
						w = checkpoint.Float16ToFloat32(checkpoint.Float32ToFloat16(w))
					}
					if got[i] != w {
						t.Errorf("%s[%d] = %v, want %v", tensor, i, got[i], w)
						break
					}
				}
			}
			for _, tensor := range f.Names() {
				if !model.InEncoder(tensor) {
					t.Errorf("%s was not dropped", tensor)
				}
			}
		})
	}
}

// TestConvertTypes checks which tensors are narrowed, and how.
func TestConvertTypes(t *testing.T) {
	reference := hosttest.OpenFile(t, tiny+"model.safetensors")
	for dtype, want := range map[string]checkpoint.DType{"f16": checkpoint.F16, "bf16": checkpoint.BF16, "int8": checkpoint.I8} {
		out := filepath.Join(t.TempDir(), "x.safetensors")
		if err := Model(t.Context(), tiny, out, Options{DType: dtype}); err != nil {
			t.Fatal(err)
		}
		f := hosttest.OpenFile(t, out)
		narrowed := map[checkpoint.DType]int{}
		for _, name := range f.Names() {
			info, _ := f.Info(name)
			if strings.HasSuffix(name, "_scale") {
				continue
			}
			c := tensorConverter{target: want, layers: 2}
			target, limit := c.narrowed(info)
			if info.DType != target {
				t.Errorf("%s: %s became %s", dtype, name, info.DType)
			}
			if target == checkpoint.F32 {
				continue
			}
			narrowed[target]++
			if limit > 0 {
				checkIntegers(t, f, reference, name, limit)
				continue
			}
			got, source := hosttest.Floats(t, f, name), hosttest.Floats(t, reference, name)
			for i := range source {
				if math.Abs(float64(got[i]-source[i])) > math.Abs(float64(source[i]))/250+1e-7 {
					t.Fatalf("%s[%d] = %v, want %v", name, i, got[i], source[i])
				}
			}
		}
		// 2 layers with in_linear, out_linear, gated_layers, wo and 4 filter
		// networks, which int8 leaves out; 2 tables, 1 pooler.
		expected := map[checkpoint.DType]int{want: 2*8 + 3}
		if want == checkpoint.I8 {
			expected = map[checkpoint.DType]int{checkpoint.I8: 1 + 3, checkpoint.I16: 2*4 - 1}
		}
		if !maps.Equal(narrowed, expected) {
			t.Errorf("%s: %v tensors were narrowed, want %v", dtype, narrowed, expected)
		}
	}
}

// checkIntegers checks that each number is within half a step of the source, and
// that the largest of each row is the limit.
func checkIntegers(t *testing.T, f, reference *checkpoint.File, name string, limit int) {
	t.Helper()
	q, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	scale, err := f.Tensor(name + "_scale")
	if err != nil {
		t.Fatal(err)
	}
	if rows := q.Shape[:len(q.Shape)-1]; scale.DType != checkpoint.F32 || !slices.Equal(scale.Shape, rows) {
		t.Fatalf("%s: scales %s %v, want F32 %v", name, scale.DType, scale.Shape, rows)
	}
	scales, _ := scale.Float32(nil)
	source := hosttest.Floats(t, reference, name)
	columns := q.Shape[len(q.Shape)-1]
	for r, s := range scales {
		largest := 0
		for c := range columns {
			x := int(int8(q.Data[r*columns+c]))
			if q.DType == checkpoint.I16 {
				x = int(int16(binary.LittleEndian.Uint16(q.Data[2*(r*columns+c):])))
			}
			largest = max(largest, x, -x)
			if d := math.Abs(float64(x)*float64(s) - float64(source[r*columns+c])); d > float64(s)*0.5001 {
				t.Fatalf("%s row %d: %d * %v is not %v", name, r, x, s, source[r*columns+c])
			}
		}
		if largest != limit {
			t.Fatalf("%s row %d: largest magnitude %d", name, r, largest)
		}
	}
}

// TestConvertInt8Rows quantizes rows that are special.
func TestConvertInt8Rows(t *testing.T) {
	rows := [][]float32{{0, 0}, {1, -1}, {127, 0.5}, {-127, 1.5}, {1e-40, 0}, {3e38, -3e38}}
	var data []byte
	for _, row := range rows {
		for _, x := range row {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	in, out := filepath.Join(t.TempDir(), "in.safetensors"), filepath.Join(t.TempDir(), "out.safetensors")
	writeTensors(t, in, map[string]checkpoint.Tensor{
		"embeddings.word_embeddings.weight": {DType: checkpoint.F32, Shape: []int{6, 2}, Data: data},
		"pooler.dense.weight":               {DType: checkpoint.F32, Shape: []int{3, 0}},
		"encoder.layer.0.counter":           {DType: checkpoint.I64, Shape: []int{1}, Data: make([]byte, 8)},
	})
	if err := Model(t.Context(), in, out, Options{DType: "int8"}); err != nil {
		t.Fatal(err)
	}
	f := hosttest.OpenFile(t, out)
	q, err := f.Tensor("embeddings.word_embeddings.weight")
	if err != nil {
		t.Fatal(err)
	}
	minus127 := byte(0x81)
	if want := []byte{0, 0, 127, minus127, 127, 0, minus127, 2, 127, 0, 127, minus127}; !bytes.Equal(q.Data[:8], want[:8]) || !bytes.Equal(q.Data[10:], want[10:]) {
		t.Errorf("%v, want %v", q.Data, want)
	}
	if scales := hosttest.Floats(t, f, "embeddings.word_embeddings.weight_scale"); scales[0] != 1 || scales[2] != 1 {
		t.Errorf("scales %v", scales)
	}
	if scales := hosttest.Floats(t, f, "pooler.dense.weight_scale"); !slices.Equal(scales, []float32{1, 1, 1}) {
		t.Errorf("scales of nothing: %v", scales)
	}
	if info, ok := f.Info("encoder.layer.0.counter"); !ok || info.DType != checkpoint.I64 {
		t.Errorf("counter: %+v", info)
	}
}

func writeTensors(t *testing.T, path string, tensors map[string]checkpoint.Tensor) {
	t.Helper()
	var outputs []checkpoint.Output
	for name, x := range tensors {
		outputs = append(outputs, checkpoint.Output{Name: "bert." + name, DType: x.DType, Shape: x.Shape, Write: func(w io.Writer) error {
			_, err := w.Write(x.Data)
			return err
		}})
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, nil, outputs); err != nil {
		t.Fatal(err)
	}
	hosttest.WriteFile(t, path, b.Bytes())
}

// TestConvertPadding checks what becomes of the padding in config.json.
func TestConvertPadding(t *testing.T) {
	for _, c := range []struct {
		config, option string
		want           any
	}{
		{`{"a": 1e-12}`, "", "max_length"},
		{`{"padding": "none"}`, "", "none"},
		{`{"padding": "none"}`, "128", 128.0},
		{`{}`, "longest", "longest"},
	} {
		in, out := t.TempDir(), t.TempDir()
		hosttest.WriteFile(t, filepath.Join(in, "pytorch_model.bin"), hosttest.ReadFile(t, tiny+"pytorch_model.bin"))
		hosttest.WriteFile(t, filepath.Join(in, "config.json"), []byte(c.config))
		if err := Model(t.Context(), in, out, Options{Padding: c.option}); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		text := hosttest.ReadFile(t, filepath.Join(out, "config.json"))
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got["padding"] != c.want {
			t.Errorf("%s with %q: %s", c.config, c.option, text)
		}
		if strings.Contains(c.config, "1e-12") && !strings.Contains(string(text), "1e-12") {
			t.Errorf("a number changed: %s", text)
		}
	}
	in, out := t.TempDir(), t.TempDir()
	hosttest.WriteFile(t, filepath.Join(in, "pytorch_model.bin"), hosttest.ReadFile(t, tiny+"pytorch_model.bin"))
	hosttest.WriteFile(t, filepath.Join(in, "retrieval.yaml"), hosttest.ReadFile(t, tiny+"config.yaml"))
	hosttest.WriteFile(t, filepath.Join(in, "vocab.txt"), hosttest.ReadFile(t, tiny+"vocab.txt"))
	if err := Model(t.Context(), in, out, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := hosttest.FolderNames(t, out); !slices.Equal(got, []string{"config.json", "model.safetensors", "vocab.txt"}) {
		t.Errorf("files %v", got)
	}
	// In place: beside the checkpoint.
	if err := Model(t.Context(), in, in, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := hosttest.FolderNames(t, in); !slices.Equal(got, []string{"config.json", "model.safetensors", "pytorch_model.bin", "retrieval.yaml", "vocab.txt"}) {
		t.Errorf("files %v", got)
	}
}

// TestConvertErrors checks that a failed conversion is clear and leaves no file.
func TestConvertErrors(t *testing.T) {
	good := hosttest.ReadFile(t, tiny+"pytorch_model.bin")
	damaged := func(value float32) []byte {
		w := map[string]checkpoint.Tensor{}
		data := make([]byte, 4*1000)
		binary.LittleEndian.PutUint32(data[4*777:], math.Float32bits(value))
		w["embeddings.word_embeddings.weight"] = checkpoint.Tensor{DType: checkpoint.F32, Shape: []int{10, 100}, Data: data}
		path := filepath.Join(t.TempDir(), "x")
		writeTensors(t, path, w)
		return hosttest.ReadFile(t, path)
	}
	var int8File []byte
	{
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := Model(t.Context(), tiny+"model.safetensors", path, Options{DType: "int8"}); err != nil {
			t.Fatal(err)
		}
		int8File = hosttest.ReadFile(t, path)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name, want string
		in         []byte
		config     string
		o          Options
	}{
		{"cut", "no zip directory", good[:len(good)-1000], "{}", Options{}},
		{"NaN", `embeddings.word_embeddings.weight": it holds NaN`, damaged(float32(math.NaN())), "{}", Options{}},
		{"NaN to int8", "it holds NaN", damaged(float32(math.NaN())), "{}", Options{DType: "int8"}},
		{"infinity", "it holds -Inf", damaged(float32(math.Inf(-1))), "{}", Options{DType: "f16"}},
		{"too large for f16", `embeddings.word_embeddings.weight": 70000 does not fit f16`, damaged(70000), "{}", Options{DType: "f16"}},
		{"too large for bf16", "does not fit bf16", damaged(math.MaxFloat32), "{}", Options{DType: "bf16"}},
		{"int8 again", "integers already", int8File, "{}", Options{}},
		{"unknown type", `dtype "f8"`, good, "{}", Options{DType: "f8"}},
		{"unknown padding", `padding "far"`, good, "{}", Options{Padding: "far"}},
		{"broken configuration", "config.json", good, "{", Options{}},
		{"null configuration", "want an object", good, "null", Options{}},
		{"another model", "not a checkpoint of M2-BERT", hosttest.ReadFile(t, tiny+"outputs.safetensors"), "{}", Options{}},
		{"no checkpoint", "unknown format", []byte("hello"), "{}", Options{}},
		{"cancelled", "context canceled", good, "{}", Options{}},
		{"missing tokenizer", "no such file", good, "{}", Options{Tokenizer: "/nowhere"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, out := t.TempDir(), t.TempDir()
			hosttest.WriteFile(t, filepath.Join(in, "pytorch_model.bin"), c.in)
			hosttest.WriteFile(t, filepath.Join(in, "config.json"), []byte(c.config))
			target := filepath.Join(out, "a", "b")
			ctx := t.Context()
			if c.name == "cancelled" {
				ctx = cancelled
			}
			err := Model(ctx, in, target, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
			if left := hosttest.FolderNames(t, out); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if left := hosttest.FolderNames(t, in); len(left) != 2 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestConvertDestinations(t *testing.T) {
	in := t.TempDir()
	model := filepath.Join(in, "model.safetensors")
	hosttest.WriteFile(t, model, hosttest.ReadFile(t, tiny+"model.dedup.safetensors"))
	hosttest.WriteFile(t, filepath.Join(in, "config.json"), []byte("{}"))
	before := hosttest.ReadFile(t, model)
	if err := Model(t.Context(), in, in, Options{DType: "int8"}); err == nil || !strings.Contains(err.Error(), "both input and output") {
		t.Errorf("error %v", err)
	}
	if err := Model(t.Context(), in, filepath.Join(model, "below"), Options{}); err == nil {
		t.Error("a folder inside a file")
	}
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, "model.safetensors"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Model(t.Context(), in, taken, Options{}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("error %v", err)
	}
	if got := hosttest.FolderNames(t, taken); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
	if !bytes.Equal(before, hosttest.ReadFile(t, model)) || len(hosttest.FolderNames(t, in)) != 2 {
		t.Error("the input changed")
	}
}

// TestConvertDiskFull fails at every file that a conversion makes: with a
// device that is always full, and with a file that cannot be made.
func TestConvertDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	for fails := range 3 {
		for name, broken := range map[string]func(string) (*os.File, error){
			"full": func(n string) (*os.File, error) { // through a link, which discarding removes
				if err := os.Symlink("/dev/full", n); err != nil {
					return nil, err
				}
				return os.OpenFile(n, os.O_WRONLY, 0)
			},
			"readonly": func(n string) (*os.File, error) { return nil, &os.PathError{Op: "open", Path: n, Err: syscall.EROFS} },
		} {
			out := t.TempDir()
			count := 0
			real := atomicfile.Make
			hosttest.FailingDisk(t, func(n string) (*os.File, error) {
				count++
				if count == fails+1 {
					return broken(n)
				}
				return real(n)
			})
			err := Model(t.Context(), tiny+"pytorch_model.bin", out, Options{})
			atomicfile.Make = real
			want := syscall.ENOSPC
			if name == "readonly" {
				want = syscall.EROFS
			}
			if !errors.Is(err, want) {
				t.Errorf("%s at file %d: error %v", name, fails, err)
			}
			if left := hosttest.FolderNames(t, out); len(left) != 0 {
				t.Errorf("%s at file %d left %v", name, fails, left)
			}
		}
	}
}

// TestConvertGoldenTorch converts a file of the weight generator.
func TestConvertGoldenTorch(t *testing.T) {
	c := goldenweights.Tiny()
	c.HiddenSize, c.IntermediateSize, c.Bidirectional = 66, 250, false
	w := goldenweights.New(c)
	in, out := filepath.Join(t.TempDir(), "x.bin"), filepath.Join(t.TempDir(), "y.safetensors")
	var b bytes.Buffer
	if err := w.WriteTorch(&b); err != nil {
		t.Fatal(err)
	}
	hosttest.WriteFile(t, in, b.Bytes())
	if err := Model(t.Context(), in, out, Options{}); err != nil {
		t.Fatal(err)
	}
	f := hosttest.OpenFile(t, out)
	for _, name := range w.Names() {
		if strings.HasSuffix(name, "position_ids") {
			continue
		}
		want, _ := w.Tensor(name)
		if got, err := f.Tensor(name); err != nil || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
}
