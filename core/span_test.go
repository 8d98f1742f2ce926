package core

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"reflect"
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
}

// TestStates: with PoolNone a text keeps the hidden states of its tokens, of the
// same bits beside others and with pads behind it, and their means are the
// vectors of spans and of mean_hidden.
func TestStates(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 2})
	d := e.Dimension()
	a, b := text(70, 2), text(200, 3)
	o := Options{Padding: none, Pooling: model.PoolNone}
	alone := embed(t, e, o, Input{Text: a})[0]
	if len(alone.Vector) != alone.Tokens*d || alone.Length != alone.Tokens {
		t.Fatalf("%d values for %d tokens of %d", len(alone.Vector), alone.Tokens, d)
	}
	n := alone.Tokens
	beside := embed(t, e, o, Input{Text: b}, Input{Text: a, Spans: []Span{{Start: 0, End: len(a)}}}, Input{Text: "x"})
	if !slices.Equal(beside[1].Vector, alone.Vector) || len(beside[2].Vector) != 3*d {
		t.Error("states depend on the batch or on spans")
	}
	vector := make([]float32, d)
	model.SpanVector(vector, alone.Vector[d:(n-1)*d])
	if !slices.Equal(vector, beside[1].Spans[0].Vector) {
		t.Error("the vector of a span is not the mean of its states")
	}
	model.SpanVector(vector, alone.Vector)
	if mean := embed(t, e, Options{Padding: none, Pooling: model.PoolMeanHidden, Normalize: Yes}, Input{Text: a})[0].Vector; !slices.Equal(mean, vector) {
		t.Error("mean_hidden is not the mean of the states")
	}
	padded := embed(t, e, Options{Padding: model.Padding{Mode: model.PadToLength, Length: 300}, Pooling: model.PoolNone}, Input{Text: a})[0]
	if padded.Length != 300 || len(padded.Vector) != n*d {
		t.Errorf("padded to %d: %d values, want those of %d tokens", padded.Length, len(padded.Vector), n)
	}
	o.Normalize = Yes
	for row := range slices.Chunk(embed(t, e, o, Input{Text: a})[0].Vector, d) {
		if math.Abs(float64(unitProduct(row, row)-1)) > 1e-6 {
			t.Fatal("a normalised state is not of unit length")
		}
	}
}

// TestStatesElsewhere: what a back end's states become is what core's own become.
func TestStatesElsewhere(t *testing.T) {
	e := openNested(t, 8, 16)
	a := text(70, 2)
	inputs := []Input{{Text: a, Spans: []Span{{Start: 3, End: 60}, {Start: 2, End: 2}, {Start: 0, End: len(a)}}}, {Text: text(70, 4)}, {Text: "x"}}
	for _, pooling := range []model.Pooling{model.PoolDefault, model.PoolClassHidden, model.PoolNone} {
		for _, o := range []Options{{}, {Padding: none, Normalize: Yes}, {Padding: model.Padding{Mode: model.PadLongest}, Normalize: Yes, Dimensions: 8}} {
			o.Pooling = pooling
			want := embed(t, e, o, inputs...)
			got, err := e.EmbedOn(t.Context(), backend(func(p Pass) []float32 { return elsewhere(t, e, p) }), inputs, o)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v, %+v: other results than core's own", pooling, o)
			}
		}
	}
}

type backend func(Pass) []float32

func (b backend) RunPass(_ context.Context, p Pass) ([]float32, error) { return b(p), nil }

// TestDimensions: vectors are cut, then scaled, and only to lengths that the
// configuration names.
func TestDimensions(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	d := e.Dimension()
	in := Input{Text: text(30, 1), Spans: []Span{{Start: 0, End: 20}}}
	if _, err := e.Embed(t.Context(), []Input{in}, Options{Dimensions: 8}); err == nil || !strings.Contains(err.Error(), "matryoshka_dimensions") {
		t.Errorf("cut without the configuration's word: %v", err)
	}
	e = openNested(t, 8, 16)
	for _, n := range []int{-1, 1, 7, d - 1, d + 1} {
		if _, err := e.Embed(t.Context(), []Input{in}, Options{Dimensions: n}); err == nil || !strings.Contains(err.Error(), "[8 16]") {
			t.Errorf("%d dimensions: %v", n, err)
		}
	}
	whole := embed(t, e, Options{Normalize: No}, in)[0]
	for _, n := range []int{8, 16, d} {
		cut := embed(t, e, Options{Normalize: No, Dimensions: n}, in)[0]
		if !slices.Equal(cut.Vector, whole.Vector[:n]) {
			t.Errorf("%d dimensions are not the first of the vector", n)
		}
		unit := embed(t, e, Options{Normalize: Yes, Dimensions: n}, in)[0]
		model.Normalize(cut.Vector)
		if !slices.Equal(unit.Vector, cut.Vector) {
			t.Errorf("%d dimensions are not scaled after they were cut", n)
		}
		if s := unit.Spans[0].Vector; len(s) != n || math.Abs(float64(unitProduct(s, s)-1)) > 1e-6 {
			t.Errorf("a span of %d dimensions has %d", n, len(s))
		}
	}
	if plain := openTiny(t, OpenOptions{}).Space(); plain != e.Space() {
		t.Error("the lengths to which vectors may be cut change the space")
	}
	for _, list := range []string{"[0]", "[65]", "[1.5]", "16", `"16"`, "[1e99]"} {
		config := bytes.Replace(read(t, "tiny/config.json"), []byte("{"), []byte(`{"matryoshka_dimensions": `+list+`, `), 1)
		if _, err := model.ParseConfig(config); err == nil || !strings.Contains(err.Error(), "matryoshka_dimensions") {
			t.Errorf("matryoshka_dimensions %s: %v", list, err)
		}
	}
}

// openNested is openTiny with vectors that may be cut.
func openNested(t testing.TB, dimensions ...int) *Embedder {
	t.Helper()
	list := strings.ReplaceAll(fmt.Sprint(dimensions), " ", ", ")
	config := bytes.Replace(read(t, "tiny/config.json"), []byte("{"), []byte(`{"matryoshka_dimensions": `+list+`, `), 1)
	e, err := Open(config, read(t, "tiny/vocab.txt"), openTinyWeights(t), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}
