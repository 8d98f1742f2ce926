// Command bench measures speed and memory, and writes what it found to
// testdata/bench: bench.json, bench.md and speed.svg. It takes turns between
// the things that it compares, so that a busy machine slows all of them, and
// reports medians and ratios.
//
//	go run ./host/bench          everything: about 10 minutes on two idle cores
//	go run ./host/bench -quick   up to 2,048 tokens, fewer rounds: about 2
//
// Peers are onnxruntime (npm onnxruntime-node, or with -peer python3 what that
// Python has) on a BERT-base-shaped encoder with random weights, and the Rust
// tokenizers library. Where they cannot be had, their rows are missing and the
// reason is printed.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"m2embed/host/bench/share"
)

func main() {
	b := bench{lengths: numbers{128, 512, 2048, 8192, longest}}
	flag.BoolVar(&b.quick, "quick", false, "up to 2,048 tokens and fewer rounds")
	flag.DurationVar(&b.budget, "budget", 45*time.Second, "`time` in which rounds begin, for each length")
	flag.StringVar(&b.peer, "peer", "node", "`program` that runs onnxruntime: node or a Python")
	flag.StringVar(&b.kernels, "kernels", "", "`set` of kernels that the models run on, avx2 say; empty: the fastest")
	flag.Var(&b.lengths, "lengths", "`tokens` of the texts, separated by commas")
	out := flag.String("out", "testdata/bench", "`folder` of the results")
	cache := flag.String("cache", ".cache/bench", "`folder` for generated weights, 1.6 GB")
	flag.Var(&b.threads, "threads", "`counts` of threads of the part threads, separated by commas; empty: 1, 2, 4, 8, … up to the processors")
	only := flag.String("only", "", "run one `part` again (kernels, tokenizer, memory, share, model, threads or latency) and keep the results of the others")
	render := flag.Bool("render", false, "measure nothing; write bench.md and speed.svg again from bench.json")
	child := flag.String("child", "", "for the program itself: what a child process measures")
	flag.Parse()
	var err error
	switch {
	case *child != "":
		err = runChild(*child, flag.Args())
	case *render:
		err = b.render(*out)
	default:
		b.cache = *cache
		if b.quick {
			b.budget /= 4
			b.lengths = slices.DeleteFunc(b.lengths, func(length int) bool { return length > 2048 })
		}
		err = b.run(*out, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	quick   bool
	lengths numbers       // tokens of the texts
	budget  time.Duration // in which rounds begin, for each length
	peer    string        // program that runs onnxruntime
	kernels string        // name of the models' set of kernels; empty: the fastest
	threads numbers       // counts that the part threads compares
	cache   string        // folder of generated weights
	out     string        // folder of the results; empty: write none
	start   time.Time
	result  result
}

// numbers is a flag that lists integers.
type numbers []int

func (n *numbers) String() string { return strings.Trim(fmt.Sprint(*n), "[]") }

func (n *numbers) Set(text string) error {
	*n = nil
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(part)
		if err != nil || v < 1 {
			return fmt.Errorf("%q, want a positive number", part)
		}
		*n = append(*n, v)
	}
	return nil
}

func (b *bench) run(out, only string) error {
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	b.start, b.out = time.Now(), out
	if only != "" {
		if err := b.read(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if only != "" && b.result.Machine.Cores > 0 {
		b.result.Notes = append(b.result.Notes, fmt.Sprintf("The part %q was run again by itself.", only))
	} else {
		b.result.Machine, b.result.Quick = machine(), b.quick
	}
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"kernels", b.operations},
		{"tokenizer", b.tokenizers},
		{"memory", b.memory},
		{"share", b.shares},
		{"model", b.models},
		{"threads", b.scaling},
		{"latency", b.latency},
	} {
		if only != "" && only != part.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "== %s (%.0f s)\n", part.name, time.Since(b.start).Seconds())
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if err := b.save(); err != nil {
			return err
		}
	}
	fmt.Print(b.result.markdown())
	return nil
}

// shares measures what part of a pass the long convolution is.
func (b *bench) shares() (err error) {
	b.result.Kept, b.result.Anew, err = share.Measure(b.lengths)
	return err
}

// render writes the reports again from earlier results.
func (b *bench) render(out string) error {
	if err := b.read(out); err != nil {
		return err
	}
	b.out = out
	return b.write()
}

// read takes the results of an earlier run.
func (b *bench) read(folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, "bench.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &b.result); err != nil {
		return fmt.Errorf("read %s/bench.json: %w", folder, err)
	}
	return nil
}

// save writes what there is so far: a long run that is ended keeps its results.
func (b *bench) save() error {
	if b.result.Seconds == 0 || time.Since(b.start).Seconds() > b.result.Seconds {
		b.result.Seconds = time.Since(b.start).Seconds()
	}
	return b.write()
}

func (b *bench) write() error {
	if b.out == "" {
		return nil
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"bench.json": b.result.json(),
		"bench.md":   []byte(b.result.markdown()),
		"speed.svg":  []byte(b.result.plot()),
	} {
		if err := os.WriteFile(filepath.Join(b.out, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// note records why something is missing.
func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, "bench:", text)
	b.result.Notes = append(b.result.Notes, text)
}
