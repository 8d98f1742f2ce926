package core

import (
	"math"
	"slices"
	"strings"
	"testing"

	"m2embed/core/kernel"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// TestSpansAreMeans: a span of all tokens is the mean of all hidden states, and
// the mean of two halves is too.
func TestSpansAreMeans(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	in := text(30, 1)
	ids, _, err := e.Tokenizer().AppendIDs(nil, in, tokenizer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := len(ids)
	for _, pooling := range []model.Pooling{model.PoolClass, model.PoolClassHidden, model.PoolMean, model.PoolMeanHidden} {
		o := Options{Padding: none, Pooling: pooling}
		want := embed(t, e, Options{Padding: none, Pooling: model.PoolMeanHidden, Normalize: Yes}, Input{IDs: ids})[0].Vector
		got := embed(t, e, o, Input{IDs: ids, Spans: []Span{{Start: 0, End: n}, {Start: 3, End: 4}, {Start: 2, End: 2}}})[0]
		if !slices.Equal(got.Spans[0].Vector, want) || got.Spans[0].Tokens != n {
			t.Errorf("pooling %v: the span of all tokens is not their mean", pooling)
		}
		if s := got.Spans[1]; s.Tokens != 1 || math.Abs(float64(unitProduct(s.Vector, s.Vector)-1)) > 1e-6 {
			t.Errorf("pooling %v: a span of one token has %d and is not of unit length", pooling, s.Tokens)
		}
		if s := got.Spans[2]; s.Tokens != 0 || s.Vector != nil {
			t.Errorf("pooling %v: a span of no tokens has a vector", pooling)
		}
		if plain := embed(t, e, o, Input{IDs: ids})[0]; !slices.Equal(plain.Vector, got.Vector) {
			t.Errorf("pooling %v: spans change the text's own vector", pooling)
		}
	}
}

// unitProduct is the product of two vectors of unit length.
func unitProduct(a, b []float32) (sum float32) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// TestSpanBits: a span's bits depend on nothing but its text and its place.
func TestSpanBits(t *testing.T) {
	a, b := text(70, 2), text(200, 3)
	for _, set := range kernel.Sets() {
		e := openTiny(t, OpenOptions{Threads: 2, Kernels: set})
		for _, padding := range []model.Padding{none, {Mode: model.PadToLength, Length: 300}} {
			o := Options{Padding: padding}
			alone := embed(t, e, o, Input{Text: a, Spans: []Span{{Start: 9, End: 90}}})[0]
			many := embed(t, e, o, Input{Text: b}, Input{Text: b, Spans: []Span{{Start: 0, End: 7}}}, Input{Text: "x"},
				Input{Text: a, Spans: []Span{{Start: 0, End: len(a)}, {Start: 9, End: 90}, {Start: 9, End: 91}, {Start: 9, End: 90}}})[3]
			for _, k := range []int{1, 3} {
				if !slices.Equal(many.Spans[k].Vector, alone.Spans[0].Vector) {
					t.Errorf("%s, padding %v: span %d has other bits beside others", set.Name, padding, k)
				}
			}
			if plain := embed(t, e, o, Input{Text: a})[0]; !slices.Equal(plain.Vector, alone.Vector) || !slices.Equal(plain.Vector, many.Vector) {
				t.Errorf("%s, padding %v: spans change the text's own vector", set.Name, padding)
			}
		}
	}
}

// TestByteSpans: tokens belong to the span that they begin in, and what was cut
// off to none.
func TestByteSpans(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	in := text(40, 5)
	whole, err := e.Tokenizer().Encode(in, tokenizer.Options{Offsets: true})
	if err != nil {
		t.Fatal(err)
	}
	all := embed(t, e, Options{Padding: none}, Input{Text: in, Spans: []Span{{Start: 0, End: len(in)}}})[0]
	if all.Spans[0].Tokens != whole.Length-2 {
		t.Errorf("all bytes have %d tokens, want %d", all.Spans[0].Tokens, whole.Length-2)
	}
	place := whole.Offsets[5]
	for _, c := range []struct{ start, end, want int }{
		{place.Start, place.Start + 1, 1}, {place.Start + 1, place.End, 0}, {place.Start, whole.Offsets[8].Start, 3},
		{0, 0, 0}, {len(in), len(in), 0}, {len(in) - 1, len(in), 0}, // white space
	} {
		byBytes := embed(t, e, Options{Padding: none}, Input{Text: in, Spans: []Span{{Start: c.start, End: c.end}}})[0].Spans[0]
		if byBytes.Tokens != c.want {
			t.Errorf("bytes %d to %d have %d tokens, want %d", c.start, c.end, byBytes.Tokens, c.want)
		}
		if c.want == 3 {
			byTokens := embed(t, e, Options{Padding: none}, Input{IDs: whole.IDs, Spans: []Span{{Start: 5, End: 8}}})[0].Spans[0]
			if !slices.Equal(byBytes.Vector, byTokens.Vector) {
				t.Error("a span of bytes and its tokens have different vectors")
			}
		}
	}
	cut := embed(t, e, Options{Padding: none, MaxLength: 8}, Input{Text: in, Spans: []Span{{Start: 0, End: len(in)}, {Start: place.Start, End: len(in)}, {Start: 90, End: len(in)}}})[0]
	if got := []int{cut.Spans[0].Tokens, cut.Spans[1].Tokens, cut.Spans[2].Tokens}; !slices.Equal(got, []int{6, 2, 0}) {
		t.Errorf("spans of a text cut at 8 tokens have %v", got)
	}
	if empty := embed(t, e, Options{Padding: none}, Input{Spans: []Span{{}}})[0]; empty.Spans[0].Vector != nil {
		t.Error("a span of nothing has a vector")
	}
}

func TestSpanErrors(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	for _, s := range []Span{{Start: -1, End: 1}, {Start: 2, End: 1}, {Start: 0, End: 4}, {Start: 4, End: 4}, {Start: math.MinInt, End: math.MaxInt}} {
		for _, in := range []Input{{Text: "a b"}, {IDs: []int32{1, 2, 3}}} {
			in.Spans = []Span{{Start: 0, End: 1}, s}
			_, err := e.Embed(t.Context(), []Input{{Text: "x"}, in}, Options{})
			if err == nil || !strings.Contains(err.Error(), "input 1") || !strings.Contains(err.Error(), "span 1") || !strings.Contains(err.Error(), "within 0 to 3") {
				t.Errorf("span %v of %v: %v", s, in, err)
			}
		}
	}
	j, err := e.Start(t.Context(), []Input{{Text: "a", Spans: []Span{{Start: 0, End: 1}}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, _, err := j.NextPass(1000); err == nil || !strings.Contains(err.Error(), "spans") {
		t.Errorf("a pass outside with spans: %v", err)
	}
}
