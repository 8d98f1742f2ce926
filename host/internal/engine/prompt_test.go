package engine

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// TestPrompts: the module puts the prompts before texts that core does.
func TestPrompts(t *testing.T) {
	m := tiny(t, "model.safetensors")
	m.Config = read(t, filepath.Join(testdata, "tiny", "config.prompts.json"))
	e := open(t, m, Options{})
	native := natively(t, m)
	if p := e.Info().Prompts; len(p) != 3 || p["title of"] != "Title, un" || e.Info().Space != native.Space() {
		t.Errorf("%+v, want the space %s", e.Info(), native.Space())
	}
	inputs := []core.Input{{Text: "ending"}, {}, {Text: strings.Repeat("long é ", 200), Spans: []core.Span{{Start: 0, End: 6}, {Start: 300, End: 1000}}}, {IDs: []int32{5, 6}}}
	for _, task := range []string{"", "query", "document", "title of"} {
		for _, o := range []core.Options{{Task: task}, {Task: task, MaxLength: 9}, {Task: task, Pooling: model.PoolNone, MaxLength: 20}} {
			got, err := e.Embed(t.Context(), inputs, o)
			if err != nil {
				t.Fatal(err)
			}
			want, err := native.Embed(t.Context(), inputs, o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if g, w := got[i], want[i]; g.Tokens != w.Tokens || g.Length != w.Length || g.Truncated != w.Truncated || distance(g.Vector, w.Vector) > 1e-5 {
					t.Errorf("task %q, text %d: %d tokens at %d, %g away, want %d at %d", task, i, g.Tokens, g.Length, distance(g.Vector, w.Vector), w.Tokens, w.Length)
				}
				for k, w := range want[i].Spans {
					if g := got[i].Spans[k]; g.Tokens != w.Tokens || distance(g.Vector, w.Vector) > 1e-5 {
						t.Errorf("task %q, text %d, span %d: %d tokens, want %d", task, i, k, g.Tokens, w.Tokens)
					}
				}
			}
		}
	}
	_, err := e.Embed(t.Context(), inputs, core.Options{Task: "tasks"})
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != BadArgument || !strings.Contains(err.Error(), `"query", "document", "title of"`) {
		t.Errorf("an unknown task: %v", err)
	}
	if _, err = e.Embed(t.Context(), inputs, core.Options{Task: "query", MaxLength: 4, Truncation: tokenizer.Refuse}); !errors.Is(err, tokenizer.ErrTooLong) {
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != TooLong {
			t.Errorf("a text that is too long with its prompt: %v", err)
		}
	}
}

// TestTaskInTime: run_task comes before run_prepare, and for batches alone.
func TestTaskInTime(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	err := use(t.Context(), e, func(i *instance) error {
		ctx := context.Background()
		return i.with(ctx, []byte("query"), func(name uint64) error {
			r, err := i.start(ctx, core.Texts("x"), core.Options{})
			if err != nil {
				return err
			}
			defer r.free(ctx)
			task := func(run, length uint64) error {
				_, err := i.status(ctx, "run_task", run, name, length)
				return err
			}
			code := func(err error) Code {
				var of *Error
				errors.As(err, &of)
				if of == nil {
					return 0
				}
				return of.Code
			}
			got := []Code{code(task(r.handle, 5)), code(task(r.handle, 0)), code(task(r.handle, 4)), code(task(r.handle, 6)), code(task(99, 5))}
			if want := []Code{0, 0, BadArgument, BadArgument, BadHandle}; !slices.Equal(got, want) {
				t.Errorf("codes %v, want %v", got, want)
			}
			if _, err := r.prepare(ctx); err != nil {
				return err
			}
			if c := code(task(r.handle, 5)); c != NotReady {
				t.Errorf("a task after run_prepare: code %d", c)
			}
			words, err := i.status(ctx, "tokenize", i.model, name, 5)
			if err != nil {
				return err
			}
			if c := code(task(uint64(words), 5)); c != NotReady {
				t.Errorf("a task of a text's tokens: code %d", c)
			}
			_, err = i.status(ctx, "run_free", uint64(words))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// distance is the largest difference of two vectors' values.
func distance(a, b []float32) (most float32) {
	if len(a) != len(b) {
		return 1
	}
	for i := range a {
		most = max(most, max(a[i]-b[i], b[i]-a[i]))
	}
	return most
}
