package core

import (
	"math"
	"slices"
	"strings"
	"testing"

	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// elsewhere makes a pass's vectors and states by another embedder, as a GPU would.
func elsewhere(t *testing.T, e *Embedder, p Pass) (vectors []float32) {
	t.Helper()
	var states []float32
	for b := range p.Texts {
		row := make([]int32, p.Length)
		for i := range row {
			row[i] = int32(p.IDs[b*p.Length+i])
		}
		normalize := No
		if p.Normalize {
			normalize = Yes
		}
		if p.Pooling != model.PoolNone {
			found := embed(t, e, Options{Padding: none, Pooling: p.Pooling, Normalize: normalize}, Input{IDs: row})
			vectors = append(vectors, found[0].Vector...)
		}
		if p.States {
			states = append(states, embed(t, e, Options{Padding: none, Pooling: model.PoolNone}, Input{IDs: row})[0].Vector...)
		}
	}
	return append(vectors, states...)
}

// TestPasses: vectors that are made outside, pass by pass, and those that Step
// makes in between come out as Embed's.
func TestPasses(t *testing.T) {
	e, other := openTiny(t, OpenOptions{}), openTiny(t, OpenOptions{})
	inputs := Texts("one", text(9, 1), "two", "", text(300, 2), "three", text(600, 3))
	for name, o := range map[string]Options{
		"none": {Padding: none}, "a number": {Padding: model.Padding{Mode: model.PadToLength, Length: 20}, Normalize: Yes},
		"longest": {Padding: model.Padding{Mode: model.PadLongest}, MaxLength: 40, Pooling: model.PoolClassHidden},
	} {
		for _, most := range []int{0, 50, 10000} {
			for _, steps := range []bool{false, true} {
				j, err := e.Start(inputs, o)
				if err != nil {
					t.Fatal(err)
				}
				positions := 0
				for n := 0; ; n++ {
					p, more, err := j.NextPass(most)
					if err != nil {
						t.Fatal(err)
					}
					if !more {
						break
					}
					if p.Texts < 1 || p.Texts > 1 && len(p.IDs) > most || len(p.IDs) != p.Texts*p.Length || len(p.Mask) != len(p.IDs) {
						t.Fatalf("%s: a pass of %d × %d with %d ids, at most %d wanted", name, p.Texts, p.Length, len(p.IDs), most)
					}
					positions += p.Texts * p.Length
					if steps && n%2 == 1 {
						break // the rest by steps
					}
					if err := j.FinishPass(elsewhere(t, other, p)); err != nil {
						t.Fatal(err)
					}
					if done, _ := j.Progress(); done != float64(positions) {
						t.Errorf("%s: progress %g after %d positions", name, done, positions)
					}
				}
				for done := false; !done; {
					if done, err = j.Step(); err != nil {
						t.Fatal(err)
					}
				}
				for i, want := range embed(t, e, o, inputs...) {
					if got := j.Results()[i]; !slices.Equal(got.Vector, want.Vector) || got.Tokens != want.Tokens || got.Length != want.Length || got.Truncated != want.Truncated {
						t.Errorf("%s, at most %d positions: input %d differs from Embed's", name, most, i)
					}
				}
				j.Close()
			}
		}
	}
}

func TestPassMask(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	j, err := e.Start(Texts("one two"), Options{Padding: model.Padding{Mode: model.PadToLength, Length: 30}, Pooling: model.PoolMean})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	p, more, err := j.NextPass(1)
	if err != nil || !more {
		t.Fatal(more, err)
	}
	tokens := j.Results()[0].Tokens
	for i, m := range p.Mask {
		if want := i < tokens; (m == 1) != want || !want && int(p.IDs[i]) != e.Config().PadTokenID {
			t.Errorf("position %d of %d tokens: id %d, mask %d", i, tokens, p.IDs[i], m)
		}
	}
	if p.Pooling != model.PoolMean || p.Normalize {
		t.Errorf("pooling %v, normalize %v", p.Pooling, p.Normalize)
	}
}

func TestPassErrors(t *testing.T) {
	e := openTiny(t, OpenOptions{Threads: 1})
	j, err := e.Start(Texts("one", "two"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	expect := func(err error, words string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want one with %q", err, words)
		}
	}
	d := e.Dimension()
	expect(j.FinishPass(make([]float32, d)), "no pass")
	if _, _, err := j.NextPass(1); err != nil {
		t.Fatal(err)
	}
	expect(j.FinishPass(make([]float32, 3)), "3 values")
	bad := make([]float32, d)
	bad[3] = float32(math.NaN())
	expect(j.FinishPass(bad), "finite")
	if _, err := j.Step(); err != nil {
		t.Fatal(err)
	}
	_, _, err = j.NextPass(1)
	expect(err, "half done")
	expect(j.FinishPass(make([]float32, d)), "no pass")
}

// TestParsedTokenizer: one that was parsed before is as good as its bytes.
func TestParsedTokenizer(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	parsed, err := tokenizer.Parse(read(t, "tiny/vocab.txt"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(read(t, "tiny/config.json"), nil, openTinyWeights(t), OpenOptions{Tokenizer: parsed})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	in := Texts("the same text", "")
	want := embed(t, e, Options{Padding: none}, in...)
	for i, got := range embed(t, again, Options{Padding: none}, in...) {
		if !slices.Equal(got.Vector, want[i].Vector) {
			t.Errorf("input %d differs", i)
		}
	}
	tooMany := strings.Replace(string(read(t, "tiny/config.json")), `"vocab_size": `, `"vocab_size": 8, "was": `, 1)
	if _, err := Open([]byte(tooMany), nil, openTinyWeights(t), OpenOptions{Tokenizer: parsed}); err == nil {
		t.Error("a tokenizer of more entries than the word table was taken")
	}
}
