package main

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// wordTable makes averaged word vectors of a model's own word embeddings: what
// is left of the model without its layers.
type wordTable struct {
	tokenizer *tokenizer.Tokenizer
	values    []float32 // (V, D)
	d         int
}

func newWordTable(weights core.Weights, t *tokenizer.Tokenizer) (*wordTable, error) {
	const name = model.WordTable
	table, err := weights.Tensor(name)
	if err != nil {
		return nil, err
	}
	w := &wordTable{tokenizer: t, d: table.Shape[1]}
	if !table.Quantized() {
		w.values, err = table.Float32(nil)
		return w, err
	}
	scales, err := weights.Tensor(name + checkpoint.ScaleSuffix)
	if err != nil {
		return nil, err
	}
	w.values, err = table.Dequantize(scales)
	return w, err
}

// vector is the mean of the word vectors of a text, (D), of length 1.
func (w *wordTable) vector(text string) ([]float32, error) {
	ids, _, err := w.tokenizer.AppendIDs(nil, text, tokenizer.Options{WithoutSpecialTokens: true})
	if err != nil {
		return nil, fmt.Errorf("tokenize: %w", err)
	}
	sum := make([]float64, w.d)
	for _, id := range ids {
		for c, v := range w.values[int(id)*w.d : (int(id)+1)*w.d] {
			sum[c] += float64(v)
		}
	}
	var norm float64
	for _, v := range sum {
		norm += v * v
	}
	norm = max(math.Sqrt(norm), 1e-12)
	out := make([]float32, w.d)
	for c, v := range sum {
		out[c] = float32(v / norm)
	}
	return out, nil
}

// index ranks documents by BM25 (Robertson and Zaragoza 2009, k1 = 1.2,
// b = 0.75) over lower-cased runs of letters and digits.
type index struct {
	counts  []map[string]int // of each document
	lengths []float64
	mean    float64
	holding map[string]int // documents with a word
}

func newIndex(documents []string) *index {
	x := &index{holding: map[string]int{}}
	for _, d := range documents {
		words := wordsOf(d)
		counts := map[string]int{}
		for _, w := range words {
			counts[w]++
		}
		for w := range counts {
			x.holding[w]++
		}
		x.counts = append(x.counts, counts)
		x.lengths = append(x.lengths, float64(len(words)))
		x.mean += float64(len(words)) / float64(len(documents))
	}
	return x
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// scores returns the score of each document.
func (x *index) scores(query string) []float64 {
	const k1, b = 1.2, 0.75
	out := make([]float64, len(x.counts))
	for _, w := range wordsOf(query) {
		n := float64(x.holding[w])
		weight := math.Log(1 + (float64(len(x.counts))-n+0.5)/(n+0.5))
		for d, counts := range x.counts {
			if f := float64(counts[w]); f > 0 {
				out[d] += weight * f * (k1 + 1) / (f + k1*(1-b+b*x.lengths[d]/x.mean))
			}
		}
	}
	return out
}
