package core

import (
	"fmt"
	"slices"
	"sort"

	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// Span is a piece of an input, from Start up to but not including End: bytes of
// a text, positions of a row of ids.
type Span = tokenizer.Span

// spans turns an input's spans into spans of the tokens that are run. places are
// the bytes of a text's tokens behind a prompt of so many bytes, nil for a row of
// ids; n tokens are run.
//
// A byte span has the tokens that begin in it, so that spans that divide a text
// divide its tokens; [CLS] and [SEP] begin nowhere, and what begins in the prompt
// outside of the text. What was cut off counts for nothing.
func (in Input) spans(places []tokenizer.Span, prompt, n int) ([]model.Span, error) {
	if len(in.Spans) == 0 {
		return nil, nil
	}
	size, what := len(in.IDs), "tokens"
	if in.IDs == nil {
		size, what = len(in.Text), "bytes"
	}
	// Special tokens stand at the ends and have no place.
	first, last := 0, len(places)
	for first < last && places[first].End == 0 {
		first++
	}
	for first < last && places[last-1].End == 0 {
		last--
	}
	begins := func(b int) int {
		return first + sort.Search(last-first, func(i int) bool { return places[first+i].Start >= prompt+b })
	}
	found := make([]model.Span, len(in.Spans))
	for i, s := range in.Spans {
		if s.Start < 0 || s.End < s.Start || s.End > size {
			return nil, fmt.Errorf("span %d is of %s %d to %d, want an ascending range within 0 to %d", i, what, s.Start, s.End, size)
		}
		if in.IDs == nil {
			found[i] = model.Span{First: begins(s.Start), Last: begins(s.End)}
		} else {
			found[i] = model.Span{First: min(s.Start, n), Last: min(s.End, n)}
		}
	}
	return found, nil
}

// keepSpans stores the vectors of input i's spans. One without tokens has none.
func (j *Job) keepSpans(i int, vectors []float32) error {
	spans := j.sequences[i].Spans
	if len(spans) == 0 {
		return nil
	}
	d := j.embedder.Dimension()
	j.results[i].Spans = make([]SpanEmbedding, len(spans))
	for k, s := range spans {
		if s.Last == s.First {
			continue
		}
		v := vectors[k*d : (k+1)*d : (k+1)*d]
		if err := finite(i, v); err != nil {
			return err
		}
		if n := j.options.Dimensions; n < d {
			v = slices.Clone(v[:n])
			model.Normalize(v)
		}
		j.results[i].Spans[k] = SpanEmbedding{Vector: v, Tokens: s.Last - s.First}
	}
	return nil
}

// spanVectors makes the vectors of input i's spans (spans, D) of the last hidden
// states of its text (L, D).
func (j *Job) spanVectors(i int, states []float32) []float32 {
	d, spans := j.embedder.Dimension(), j.sequences[i].Spans
	vectors := make([]float32, len(spans)*d)
	for k, s := range spans {
		if s.Last > s.First {
			model.SpanVector(vectors[k*d:(k+1)*d], states[s.First*d:s.Last*d])
		}
	}
	return vectors
}
