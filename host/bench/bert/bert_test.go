package bert

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSize writes the model and compares its size with its weights'.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 186 MB")
	}
	path := filepath.Join(t.TempDir(), "bert.onnx")
	if err := Write(path, true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	const matrices = Layers * (4*Hidden*Hidden + 2*Hidden*Inner)
	const tables = 4 * (Vocabulary + Positions) * Hidden
	if extra := info.Size() - matrices - tables; extra < 0 || extra > 1<<20 {
		t.Errorf("%d bytes, want a little more than %d", info.Size(), matrices+tables)
	}
}
