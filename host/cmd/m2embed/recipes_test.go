package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecipes runs the Python of the README. It installs what that needs, so it is
// among the long tests; M2EMBED_PYTHON may name a Python that has it.
func TestRecipes(t *testing.T) {
	python := os.Getenv("M2EMBED_PYTHON")
	if python == "" {
		if os.Getenv("M2EMBED_SOAK") == "" {
			t.Skip("installs Python packages: M2EMBED_SOAK=1")
		}
		folder := t.TempDir()
		if out, err := exec.Command("python3", "-m", "venv", folder).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		python = filepath.Join(folder, "bin", "python")
		if out, err := exec.Command(python, "-m", "pip", "install", "-q", "duckdb", "pandas", "pyarrow", "qdrant-client").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	table := filepath.Join(folder, "faq.csv")
	if err := os.WriteFile(table, []byte("question,answer\nWhen?,The ferry leaves at noon\nWhere?,The key lies under the mat\nWhat?,A boat at twelve\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	succeed(t, "embed", "--input", table, "--field", "answer", "--output", filepath.Join(folder, "faq.parquet"))
	recipes := strings.Split(string(readme), "```python\n")[1:]
	if len(recipes) != 4 {
		t.Fatalf("%d recipes", len(recipes))
	}
	for _, r := range recipes {
		code, _, _ := strings.Cut(r, "```")
		c := exec.Command(python, "-c", code)
		c.Dir = folder
		out, err := c.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("faq.csv#")) {
			t.Errorf("%s\n%v: %s", code, err, out)
		}
	}
	bulk, err := os.ReadFile(filepath.Join(folder, "faq.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(bulk)), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines of bulk JSON", len(lines))
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON: %.100s", l)
		}
	}
}
