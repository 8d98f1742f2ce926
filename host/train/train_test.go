// Package train_test runs the tests of the training programs, which are in Python.
package train_test

import (
	"os"
	"os/exec"
	"testing"
)

// python is M2EMBED_PYTHON or python3, if it has the modules named.
func python(t *testing.T, modules string) string {
	t.Helper()
	name := os.Getenv("M2EMBED_PYTHON")
	if name == "" {
		name = "python3"
	}
	if out, err := exec.Command(name, "-c", "import "+modules).CombinedOutput(); err != nil {
		t.Skipf("no %s with %s: %s", name, modules, out)
	}
	return name
}

func unittest(t *testing.T, python, module string) {
	t.Helper()
	c := exec.Command(python, "-B", "-W", "ignore", "-m", "unittest", module)
	c.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTexts: the programs that make texts need nothing but Python.
func TestTexts(t *testing.T) {
	unittest(t, python(t, "json, lzma"), "test_texts")
}

// TestStages: preparing, labelling, training with every option, growing in two
// processes, rounding, mixing and scoring, on few words and with a made-up teacher.
func TestStages(t *testing.T) {
	unittest(t, python(t, "torch, numpy, safetensors, tokenizers"), "test_train")
}
