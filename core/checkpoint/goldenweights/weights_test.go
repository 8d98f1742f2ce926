package goldenweights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"m2embed/core/checkpoint"
)

func floats(t *testing.T, tensor checkpoint.Tensor) []float32 {
	t.Helper()
	f, err := tensor.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestBigWeightChecks compares with the values that the golden run recorded.
func TestBigWeightChecks(t *testing.T) {
	data, err := os.ReadFile("../../../testdata/golden/info.json")
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Checks map[string]struct {
			Shape  []int
			Seed   string
			First4 []float64
			Last   float64
			Sum    float64
			AbsSum float64 `json:"abs_sum"`
		} `json:"big_weight_checks"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Checks) == 0 {
		t.Fatal("no checks in info.json")
	}
	w := New(Base80M(32768))
	for name, want := range info.Checks {
		if got := fmt.Sprintf("%#x", Seed(name)); got != want.Seed {
			t.Errorf("seed of %s: %s, want %s", name, got, want.Seed)
		}
		tensor, err := w.Tensor(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(tensor.Shape, want.Shape) {
			t.Errorf("%s: shape %v, want %v", name, tensor.Shape, want.Shape)
			continue
		}
		f := floats(t, tensor)
		for i, v := range want.First4 {
			if float64(f[i]) != v {
				t.Errorf("%s[%d] = %v, want %v", name, i, f[i], v)
			}
		}
		if last := float64(f[len(f)-1]); last != want.Last {
			t.Errorf("%s: last = %v, want %v", name, last, want.Last)
		}
		sum, absSum := 0.0, 0.0
		for _, v := range f {
			sum += float64(v)
			absSum += math.Abs(float64(v))
		}
		// The order of summation differs from the recorded one.
		if math.Abs(sum-want.Sum) > 1e-9*want.AbsSum || math.Abs(absSum-want.AbsSum) > 1e-9*want.AbsSum {
			t.Errorf("%s: sums %v and %v, want %v and %v", name, sum, absSum, want.Sum, want.AbsSum)
		}
	}
}

// TestParameters compares the 32k model's size with the golden run's.
func TestParameters(t *testing.T) {
	w := New(Base80M(32768))
	total := 0
	for _, name := range w.names {
		if keptName(name) == name && w.dtype(name) == checkpoint.F32 {
			n := 1
			for _, s := range w.shapes[name] {
				n *= s
			}
			total += n
		}
	}
	// The checkpoint counts parameters and the two buffers t and deltas.
	const parameters, buffers = 109219584, 24 * (32768 + 768)
	if total != parameters+buffers {
		t.Errorf("%d numbers, want %d", total, parameters+buffers)
	}
}

// TestTinyFile compares every tensor with the golden file, to the bit.
func TestTinyFile(t *testing.T) {
	data, err := os.ReadFile("../../../testdata/tiny/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	equalTensors(t, New(Tiny()), f)
}

type source interface {
	Names() []string
	Tensor(string) (checkpoint.Tensor, error)
}

func equalTensors(t *testing.T, want, got source) {
	t.Helper()
	if !slices.Equal(want.Names(), got.Names()) {
		t.Errorf("names differ:\n%v\nwant\n%v", got.Names(), want.Names())
	}
	for _, name := range want.Names() {
		a, err := want.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := got.Tensor(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
			t.Errorf("%s: %s %v differs from %s %v", name, b.DType, b.Shape, a.DType, a.Shape)
		}
	}
}

// TestWrittenFiles reads both kinds of written file back.
func TestWrittenFiles(t *testing.T) {
	ragged := Tiny()
	ragged.HiddenSize, ragged.IntermediateSize, ragged.NoPooler, ragged.Bidirectional = 66, 250, true, false
	for i, c := range []Config{Tiny(), ragged} {
		w := New(c)
		for kind, write := range map[string]func(*bytes.Buffer) error{
			"safetensors": func(b *bytes.Buffer) error { return w.WriteSafetensors(b) },
			"pytorch zip": func(b *bytes.Buffer) error { return w.WriteTorch(b) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			f, err := checkpoint.OpenBytes(b.Bytes())
			if err != nil {
				t.Fatalf("case %d: %v", i, err)
			}
			if f.Format() != kind {
				t.Errorf("format %s, want %s", f.Format(), kind)
			}
			equalTensors(t, w, f)
		}
	}
}

func TestInputIDs(t *testing.T) {
	data, err := os.ReadFile("../../../testdata/tiny/outputs.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 5, 17, 64, 100, 512} {
		tensor, err := f.Tensor(fmt.Sprintf("L%d/input_ids", n))
		if err != nil {
			t.Fatal(err)
		}
		ids := InputIDs(fmt.Sprintf("tiny.%d", n), n, 104, 893)
		for i, id := range ids {
			if tensor.Data[8*i] != byte(id) || tensor.Data[8*i+1] != byte(id>>8) {
				t.Fatalf("L %d: id %d is %d", n, i, id)
			}
		}
	}
}

func BenchmarkWordTable(b *testing.B) {
	w := New(Base80M(32768))
	b.SetBytes(30528 * 768 * 4)
	for b.Loop() {
		if _, err := w.Tensor("embeddings.word_embeddings.weight"); err != nil {
			b.Fatal(err)
		}
	}
}
