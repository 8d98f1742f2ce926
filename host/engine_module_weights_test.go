package host

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"

	"m2embed/core/checkpoint"
)

// TestStream: the file that exists nowhere is a safetensors file with the
// model's tensors, from wherever it is read.
func TestStream(t *testing.T) {
	for _, name := range []string{"model.safetensors", "pytorch_model.f16.bin", "composer.pt"} {
		data, err := os.ReadFile("../testdata/tiny/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := checkpoint.OpenBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newStream(f)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(io.NewSectionReader(s, 0, s.size))
		if err != nil || int64(len(whole)) != s.size {
			t.Fatalf("%s: %d of %d bytes: %v", name, len(whole), s.size, err)
		}
		got, err := checkpoint.OpenBytes(whole)
		if err != nil {
			t.Fatal(err)
		}
		tensors := 0
		for _, name := range got.Names() {
			a, err := got.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			b, err := f.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%s is another tensor", name)
			}
			tensors++
		}
		if tensors < 50 {
			t.Errorf("%s: %d tensors", name, tensors)
		}
		for _, at := range []int64{1000, 0, 5, s.size - 7, 3} { // forth and back
			piece := make([]byte, 7)
			if n, err := s.ReadAt(piece, at); n != 7 || err != nil && err != io.EOF || !bytes.Equal(piece, whole[at:at+7]) {
				t.Errorf("at %d: %d bytes, %v", at, n, err)
			}
		}
		if n, err := s.ReadAt(make([]byte, 10), s.size-3); n != 3 || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n, err := s.ReadAt(make([]byte, 4), 8); n != 4 || err != nil {
			t.Errorf("after Close: %d bytes, %v", n, err)
		}
		s.Close()
	}
}
