package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"m2embed/core/tokenizer"
	"m2embed/host/internal/tokenizertest"
)

// tokenizerRow compares the tokenizers on texts of one size.
type tokenizerRow struct {
	Bytes   int     `json:"bytes"` // of a text
	Ours    float64 `json:"ours_mb_per_second"`
	Offsets float64 `json:"ours_with_offsets_mb_per_second"`
	Rust    float64 `json:"rust_mb_per_second"`      // linked into this program
	Node    float64 `json:"rust_node_mb_per_second"` // through its Node binding
}

// tokenizers takes turns between core's tokenizer and the Rust library.
func (b *bench) tokenizers() error {
	vocabulary, err := os.ReadFile("testdata/tokenizer/bert-base-uncased.json")
	if err != nil {
		return err
	}
	root, err := tokenizertest.GoRoot()
	if err != nil {
		return err
	}
	book, err := os.ReadFile(filepath.Join(root, "src/testdata/Isaac.Newton-Opticks.txt"))
	if err != nil {
		book = []byte(strings.Repeat("Every morning, I make a cup of coffee to start my day; embeddings come later. ", 14000))
	}
	text := strings.Repeat(string(book), 2)
	ours, err := tokenizer.Parse(vocabulary)
	if err != nil {
		return err
	}
	oracle, err := tokenizertest.StartOracle()
	if err == nil {
		defer oracle.Close()
		err = oracle.Load(vocabulary)
	}
	if err != nil {
		b.note("the Rust tokenizers library's Node binding is missing: %v", err)
		oracle = nil
	}
	rust, done, err := rustLibrary(vocabulary)
	if err != nil {
		b.note("the Rust tokenizers library is missing: %v", err)
	} else {
		defer done()
	}
	b.result.Tokenizers = nil
	rounds := 9
	if b.quick {
		rounds = 5
	}
	for _, size := range []int{2_000, 92_000, 1_000_000} {
		texts := make([]string, max(1, min(100, len(text)/2/size)))
		for i := range texts {
			texts[i] = text[i*size : (i+1)*size]
		}
		var times [4][]float64
		var ids []int32
		for round := range rounds + 1 {
			var seconds [4]float64
			start := time.Now()
			for _, s := range texts {
				if ids, _, err = ours.AppendIDs(ids[:0], s, tokenizer.Options{}); err != nil {
					return err
				}
			}
			middle := time.Now()
			for _, s := range texts {
				if _, err := ours.Encode(s, tokenizer.Options{Offsets: true}); err != nil {
					return err
				}
			}
			seconds[0], seconds[1] = middle.Sub(start).Seconds(), time.Since(middle).Seconds()
			if rust != nil {
				start := time.Now()
				for _, s := range texts {
					if err := rust(s); err != nil {
						return err
					}
				}
				seconds[3] = time.Since(start).Seconds()
			}
			if oracle != nil {
				t, err := oracle.Time(texts, 1)
				if err != nil {
					return err
				}
				seconds[2] = t[0]
			}
			if round > 0 {
				for i, s := range seconds {
					times[i] = append(times[i], s)
				}
			}
		}
		megabytes := float64(size*len(texts)) / 1e6
		row := tokenizerRow{Bytes: size, Ours: megabytes / median(times[0]), Offsets: megabytes / median(times[1])}
		if oracle != nil {
			row.Node = megabytes / median(times[2])
		}
		if rust != nil {
			row.Rust = megabytes / median(times[3])
		}
		b.result.Tokenizers = append(b.result.Tokenizers, row)
	}
	return nil
}
