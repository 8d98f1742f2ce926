// Package hosttest has what the tests of host and the packages below share:
// the golden model's files, and short ways to read and write.
package hosttest

import (
	"os"
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
