// Command bench compares the speed of core/tokenizer with that of the Rust
// tokenizer library, in one run, one core each, taking turns. It prints a
// Markdown table of medians.
//
//	go run ./host/internal/tokenizertest/bench
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"m2embed/core/tokenizer"
	"m2embed/host/internal/tokenizertest"
)

func main() {
	file := flag.String("tokenizer", "testdata/tokenizer/bert-base-uncased.json", "`file` of the tokenizer")
	rounds := flag.Int("rounds", 9, "how often to take turns")
	flag.Parse()
	if err := run(*file, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(file string, rounds int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	root, err := tokenizertest.GoRoot()
	if err != nil {
		return err
	}
	book, err := os.ReadFile(filepath.Join(root, "src/testdata/Isaac.Newton-Opticks.txt"))
	if err != nil {
		return fmt.Errorf("the text is a book that comes with Go: %w", err)
	}
	ours, err := tokenizer.Parse(data)
	if err != nil {
		return err
	}
	oracle, err := tokenizertest.StartOracle()
	if err != nil {
		return err
	}
	defer oracle.Close()
	if err := oracle.Load(data); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)

	load := make([]float64, rounds)
	for i := range load {
		start := time.Now()
		if _, err := tokenizer.Parse(data); err != nil {
			return err
		}
		load[i] = time.Since(start).Seconds()
	}

	text := strings.Repeat(string(book), 2) // 1.1 MB
	fmt.Printf("English text, one core of: %s; medians of %d rounds, taken in turns.\n\n", processor(), rounds)
	fmt.Println("| text | tokens | Rust library (Node binding), MB/s | ours, ids, MB/s | ours, ids and offsets, MB/s | ratio |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, size := range []struct {
		name  string
		bytes int
		count int // texts a round
	}{{"2 KB", 2_000, 100}, {"92 KB", 92_000, 6}, {"1 MB", 1_000_000, 1}} {
		texts := make([]string, size.count)
		for i := range texts {
			texts[i] = text[i*size.bytes : (i+1)*size.bytes]
		}
		if err := measure(ours, oracle, size.name, texts, rounds); err != nil {
			return err
		}
	}
	fmt.Printf("\nLoading the %d KB tokenizer.json: %.1f ms.\n", len(data)/1000, 1000*median(load))
	return nil
}

func measure(ours *tokenizer.Tokenizer, oracle *tokenizertest.Oracle, name string, texts []string, rounds int) error {
	var theirs, ids, offsets []float64
	var row []int32
	tokens, size := 0, 0
	for round := range rounds + 1 {
		seconds, err := oracle.Time(texts, 1)
		if err != nil {
			return err
		}
		start := time.Now()
		tokens, size = 0, 0
		for _, text := range texts {
			if row, _, err = ours.AppendIDs(row[:0], text, tokenizer.Options{}); err != nil {
				return err
			}
			tokens += len(row)
			size += len(text)
		}
		middle := time.Now()
		for _, text := range texts {
			if _, err := ours.Encode(text, tokenizer.Options{Offsets: true}); err != nil {
				return err
			}
		}
		if round == 0 {
			continue // to warm up
		}
		theirs = append(theirs, seconds[0])
		ids = append(ids, middle.Sub(start).Seconds())
		offsets = append(offsets, time.Since(middle).Seconds())
	}
	speed := func(seconds []float64) float64 { return float64(size) / 1e6 / median(seconds) }
	fmt.Printf("| %s | %d | %.2f | %.1f | %.1f | %.1f× |\n", name, tokens, speed(theirs), speed(ids), speed(offsets), median(theirs)/median(ids))
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// processor names the machine.
func processor() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return name
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value) + ", " + name
		}
	}
	return name
}
