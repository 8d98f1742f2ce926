// Package hosttest has what the tests of host and the packages below share:
// the golden model's files, and short ways to read and write.
package hosttest

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/host/internal/atomicfile"
)

// SomeTensor is a tensor that the golden model has.
const SomeTensor = "encoder.layer.1.mlp.wo.weight"

// ReadFile returns a file's bytes.
func ReadFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// WriteFile makes a file.
func WriteFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// OpenFile opens a checkpoint.
func OpenFile(t testing.TB, path string) *checkpoint.File {
	t.Helper()
	f, err := checkpoint.OpenBytes(ReadFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Floats returns a tensor's values.
func Floats(t testing.TB, f *checkpoint.File, name string) []float32 {
	t.Helper()
	tensor, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	x, err := tensor.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// FolderNames lists what a folder holds.
func FolderNames(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// FailingDisk makes files by another function until the test ends.
func FailingDisk(t *testing.T, make func(name string) (*os.File, error)) {
	t.Helper()
	before := atomicfile.Make
	atomicfile.Make = make
	t.Cleanup(func() { atomicfile.Make = before })
}

// HeldOut reads the titles and texts of testdata/eval, 303 of manuals, laws, news
// and novels; root is the path to the top of the repository.
func HeldOut(t testing.TB, root string) (titles, texts []string) {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "testdata", "eval", "heldout.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var h struct {
		Texts []struct{ Title, Text string }
	}
	if err := json.NewDecoder(z).Decode(&h); err != nil {
		t.Fatal(err)
	}
	for _, one := range h.Texts {
		titles, texts = append(titles, one.Title), append(texts, one.Text)
	}
	return titles, texts
}
