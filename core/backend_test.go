package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"m2embed/core/model"
)

// processorBackend runs passes with core's own model.
type processorBackend struct {
	embedder *Embedder
	most     int // positions of a pass
	passes   int
	err      error
}

func (b *processorBackend) RunPass(_ context.Context, p Pass) ([]float32, error) {
	if b.err != nil {
		return nil, b.err
	}
	if p.Texts*p.Length > b.most {
		return nil, fmt.Errorf("%d positions: %w", p.Texts*p.Length, ErrPassTooLarge)
	}
	b.passes++
	var sequences []model.Sequence
	for i := range p.Texts {
		s := model.Sequence{Length: p.Length}
		for t := range p.Length {
			if p.Mask[i*p.Length+t] == 1 {
				s.IDs = append(s.IDs, int32(p.IDs[i*p.Length+t]))
			}
		}
		sequences = append(sequences, s)
	}
	r := b.embedder.model.NewRun()
	r.Start(sequences, p.Pooling, p.Normalize)
	for !r.Step() {
	}
	var vectors []float32
	for i := range sequences {
		vectors = append(vectors, r.Vector(i)...)
	}
	return vectors, nil
}

// TestEmbedOn: a back end gets passes that fit, and the vectors are Embed's.
func TestEmbedOn(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	inputs := Texts("a", "b c", "d e", "f g", strings.Repeat("long ", 90), "h i")
	o := Options{Padding: none, Normalize: Yes}
	want := embed(t, e, o, inputs...)
	for _, most := range []int{100, 1 << 20} {
		b := &processorBackend{embedder: e, most: most}
		told := 0.0
		o.Progress = func(done, total float64) error {
			if done < told || done > total {
				t.Errorf("%v of %v after %v", done, total, told)
			}
			told = done
			return nil
		}
		got, err := e.EmbedOn(t.Context(), b, inputs, o)
		if err != nil {
			t.Fatal(err)
		}
		if b.passes < 3 || told == 0 {
			t.Errorf("%d passes, %v positions", b.passes, told)
		}
		for i := range want {
			if !slices.Equal(got[i].Vector, want[i].Vector) || got[i].Tokens != want[i].Tokens {
				t.Errorf("text %d: another result", i)
			}
		}
	}

	var fault *Fault
	broken := errors.New("broken")
	if _, err := e.EmbedOn(t.Context(), &processorBackend{err: broken}, inputs, Options{}); !errors.As(err, &fault) || !errors.Is(err, broken) {
		t.Errorf("a broken back end: %v", err)
	}
	if _, err := e.EmbedOn(t.Context(), &processorBackend{most: 1}, Texts("a b"), Options{}); !errors.Is(err, ErrPassTooLarge) {
		t.Errorf("one text too large: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.EmbedOn(ctx, &processorBackend{}, inputs, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestInputErrors: the input to blame is told, and damaged weights are a fault.
func TestInputErrors(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	for name, bad := range map[string]Input{"id": {IDs: []int32{1000}}, "none": {IDs: []int32{}}, "long": {IDs: make([]int32, 513)}} {
		_, err := e.Embed(t.Context(), append(Texts("a", "b"), bad), Options{})
		var input *InputError
		var fault *Fault
		if !errors.As(err, &input) || input.Index != 2 || errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProgressOfEmbed: Progress may end the work, in tokenizing and later.
func TestProgressOfEmbed(t *testing.T) {
	e := openTiny(t, OpenOptions{})
	stop := errors.New("stop")
	for _, c := range []struct {
		text  string
		total bool
	}{{strings.Repeat("word ", 100_000), false}, {"a text", true}} {
		calls := 0
		_, err := e.Embed(t.Context(), Texts(c.text), Options{Padding: none, Progress: func(_, total float64) error {
			calls++
			if (total > 0) != c.total {
				t.Errorf("%d bytes: total %v", len(c.text), total)
			}
			return stop
		}})
		if calls != 1 || err != stop {
			t.Errorf("%d bytes: %d calls, %v", len(c.text), calls, err)
		}
	}
}
