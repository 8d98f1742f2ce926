package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed peer/peer.py
var peerFiles embed.FS

// venv has what peer.py imports, made if it is not there: PyTorch from PyPI is 5 GB.
func venv(folder string) (python string, err error) {
	if folder, err = filepath.Abs(folder); err != nil {
		return "", err
	}
	python = filepath.Join(folder, "bin", "python")
	if _, err := os.Stat(filepath.Join(folder, "bin", "ray")); err == nil {
		return python, nil
	}
	for _, c := range [][]string{{"python3", "-m", "venv", folder}, {python, "-m", "pip", "install", "-q", "sentence-transformers==6.2.0", "ray[data]==2.60.0"}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%.2000s", strings.Join(c, " "), err, out)
		}
	}
	return python, nil
}

// marker is in the environment of all processes of a way, and of their children.
const marker = "M2EMBED_BENCH_WAY=1"

// held is the memory of all marked processes in MB, each page counted once.
func held() float64 {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	total := 0.0
	for _, name := range all {
		environ, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(environ, []byte(marker+"\x00")) {
			continue
		}
		data, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "smaps_rollup"))
		_, rest, _ := strings.Cut(string(data), "\nPss:")
		if fields := strings.Fields(rest); len(fields) > 0 {
			kb, _ := strconv.ParseFloat(fields[0], 64)
			total += kb * 1024 / 1e6
		}
	}
	return total
}

// watched runs a command and returns its seconds and the most memory that all its
// processes held at a time.
func watched(command ...string) (seconds, peak float64, err error) {
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), marker, "TOKENIZERS_PARALLELISM=false", "HF_HUB_OFFLINE=1", "RAY_USAGE_STATS_ENABLED=0")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	start := time.Now()
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w\n%.3000s", strings.Join(command, " "), err, &out)
			}
			return time.Since(start).Seconds(), peak, err
		case <-time.After(200 * time.Millisecond):
			peak = max(peak, held())
		}
	}
}

// peers runs the same texts through other ways to embed many documents.
func (b *bench) peers() (string, error) {
	python, err := venv(*environment)
	if err != nil {
		return "", err
	}
	script := filepath.Join(b.folder, "peer.py")
	data, err := peerFiles.ReadFile("peer/peer.py")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(script, data, 0o600); err != nil {
		return "", err
	}
	tokenizer, err := filepath.Abs("testdata/tokenizer/bert-base-uncased.json")
	if err != nil {
		return "", err
	}
	model := filepath.Join(b.folder, "minilm")
	if _, _, err := watched(python, script, "make", "", "", tokenizer, model); err != nil {
		return "", err
	}
	const few = 32
	small := filepath.Join(b.folder, "few.jsonl")
	if err := writeDocuments(small, b.list[:few]); err != nil {
		return "", err
	}
	r := &strings.Builder{}
	fmt.Fprintf(r, `The same %d documents of 128 tokens from JSON lines to Parquet on two processors. m2-bert-small has less to multiply than
MiniLM's shape (6 layers, 384, 1,536, 12 heads), which has random weights here. Memory is that of all processes together.

| way | in all | to the end of %d documents | documents/s beyond these | peak memory |
| --- | ---: | ---: | ---: | ---: |
`, len(b.list), few)
	for _, way := range []struct {
		name    string
		command func(input, output string) []string
	}{
		{"m2embed batch, m2-bert-small", func(input, output string) []string {
			return []string{"bin/m2embed", "batch", "--quiet", "--input", input, "--output", output}
		}},
		{"sentence-transformers 6.2, MiniLM's shape, its pool of 2 processes", func(input, output string) []string {
			return []string{python, script, "pool", input, output, tokenizer, model}
		}},
		{"Ray Data 2.60, the same with 2 actors", func(input, output string) []string {
			return []string{python, script, "ray", input, output, tokenizer, model}
		}},
	} {
		begin, _, err := watched(way.command(small, filepath.Join(b.folder, "few-"+way.name[:3]))...)
		if err != nil {
			return "", err
		}
		took, peak, err := watched(way.command(b.input(), filepath.Join(b.folder, "all-"+way.name[:3]))...)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(r, "| %s | %.1f s | %.1f s | %.0f | %.0f MB |\n", way.name, took, begin, float64(len(b.list)-few)/(took-begin), peak)
	}
	return r.String(), nil
}
