package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mostIndexing is what indexing may take beside the weights.
const mostIndexing = 300e6

// TestIndexMemory indexes files that claim or hold a lot, each in a process of its own,
// whose memory stays bounded.
func TestIndexMemory(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, parts ...string) {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range parts {
			if _, err := io.WriteString(f, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	const many = 1 << 20
	for _, c := range []struct {
		name string
		make func(name string)
	}{
		{"sparse.txt", func(name string) { // 10 GB
			write(name, "The ferry leaves at seven.\n")
			if err := os.Truncate(filepath.Join(folder, name), 10e9); err != nil {
				t.Skip(err)
			}
		}},
		{"deep.json", func(name string) { write(name, strings.Repeat("[", 1e6), strings.Repeat("]", 1e6)) }},
		{"bold.html", func(name string) { write(name, strings.Repeat("<b>", 600_000), "text") }},
		{"wide.csv", func(name string) { write(name, strings.Repeat("a,", 3e6), "b\n", strings.Repeat("c,", 3e6), "d\n") }},
		{"line.txt", func(name string) { write(name, strings.Repeat("x", 8*many)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.make(c.name)
			path := filepath.Join(folder, c.name)
			defer os.Remove(path)
			peak, said := indexProcess(t, "index", path, "--largest", "20000", "--into", filepath.Join(t.TempDir(), "x.db"))
			t.Logf("%.0f MB: %s", peak/1e6, excerpt(said, 200))
			if peak > mostIndexing+20e6 { // the program and its weights
				t.Errorf("%.0f MB, want at most %.0f beside the weights: %s", peak/1e6, mostIndexing/1e6, said)
			}
		})
	}
}

// indexProcess runs the command in a process of its own, this program, and returns the
// most memory that it had, in bytes, and what it said.
func indexProcess(t *testing.T, args ...string) (peak float64, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run", "^TestIndexChild$")
	child.Env = append(os.Environ(), "M2EMBED_TEST_INDEX="+strings.Join(args, "\n"))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, status, _ := strings.Cut(string(out), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(status + " none")[0], 64)
	if err != nil {
		t.Fatalf("no peak in %s", out)
	}
	return kb * 1024, said
}

// TestIndexChild is the process of indexProcess.
func TestIndexChild(t *testing.T) {
	args := os.Getenv("M2EMBED_TEST_INDEX")
	if args == "" {
		return
	}
	run(t.Context(), strings.Split(args, "\n"), nil, io.Discard, os.Stderr)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	os.Stderr.WriteString("VmHWM:" + rest)
}
