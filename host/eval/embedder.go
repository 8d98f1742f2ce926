package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// embedder is another model, in a process of its own: it reads a JSON array of texts
// a line and answers each by a line, the JSON array of their vectors.
type embedder struct {
	name    string
	process *exec.Cmd
	texts   io.WriteCloser
	vectors *bufio.Reader
	known   map[string][]float32 // by text: sets share documents
}

// startEmbedder runs NAME=COMMAND, a command line whose words have no spaces.
func startEmbedder(named string) (*embedder, error) {
	name, command, _ := strings.Cut(named, "=")
	words := strings.Fields(command)
	if name == "" || len(words) == 0 {
		return nil, fmt.Errorf("--embedder %q, want NAME=COMMAND", named)
	}
	e := &embedder{name: name, process: exec.Command(words[0], words[1:]...), known: map[string][]float32{}}
	e.process.Stderr = os.Stderr
	var err error
	if e.texts, err = e.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.vectors = bufio.NewReader(out)
	return e, e.process.Start()
}

// embed returns the vectors (N, D) of N texts, of unit length.
func (e *embedder) embed(texts []string) ([][]float32, error) {
	var fresh []string
	for _, text := range texts {
		if _, ok := e.known[text]; !ok {
			e.known[text] = nil
			fresh = append(fresh, text)
		}
	}
	for some := range slices.Chunk(fresh, 64) {
		found, err := e.ask(some)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		for i, text := range some {
			e.known[text] = found[i]
		}
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = e.known[text]
	}
	return vectors, nil
}

func (e *embedder) ask(texts []string) (vectors [][]float32, err error) {
	if err := json.NewEncoder(e.texts).Encode(texts); err != nil {
		return nil, err
	}
	line, err := e.vectors.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &vectors); err != nil {
		return nil, err
	}
	if len(vectors) != len(texts) {
		return nil, fmt.Errorf("%d vectors of %d texts", len(vectors), len(texts))
	}
	return vectors, nil
}

func (e *embedder) close() error {
	e.texts.Close()
	return e.process.Wait()
}
