package core

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

func openPrompts(t testing.TB, o OpenOptions) *Embedder {
	t.Helper()
	e, err := Open(read(t, "tiny/config.prompts.json"), read(t, "tiny/vocab.txt"), openTinyWeights(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestPrompts: a prompt and a text have the bits of one text that is both, however
// they are cut and padded, and whether a word reaches over the prompt's end.
func TestPrompts(t *testing.T) {
	e := openPrompts(t, OpenOptions{Threads: 1})
	texts := []string{"", "x", " \u0301x", "ending", "ask for: it", text(40, 1), text(700, 2)}
	for _, c := range []struct{ task, prompt string }{
		{"", ""}, {"document", ""}, {"query", "ask for: "}, {"title of", "Title, un"},
	} {
		for _, o := range []Options{
			{}, {MaxLength: 9}, {MaxLength: 9, Truncation: tokenizer.DropSeparator}, {Padding: model.Padding{Mode: model.PadToLength, Length: 60}},
			{Padding: model.Padding{Mode: model.PadLongest}}, {Pooling: model.PoolNone}, {Pooling: model.PoolClass, Normalize: No},
		} {
			var whole []string
			for _, in := range texts {
				whole = append(whole, c.prompt+in)
			}
			want := embed(t, e, o, Texts(whole...)...)
			o.Task = c.task
			for i, got := range embed(t, e, o, Texts(texts...)...) {
				if !slices.Equal(got.Vector, want[i].Vector) || got.Tokens != want[i].Tokens || got.Length != want[i].Length || got.Truncated != want[i].Truncated {
					t.Errorf("task %q, %q: %d tokens at %d, want those of %q, %d at %d, and their bits", c.task, texts[i], got.Tokens, got.Length, whole[i], want[i].Tokens, want[i].Length)
				}
			}
		}
	}
	ids, _, err := e.Tokenizer().AppendIDs(nil, "x", tokenizer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plain, asked := embed(t, e, Options{}, Input{IDs: ids})[0], embed(t, e, Options{Task: "query"}, Input{IDs: ids})[0]
	if !slices.Equal(plain.Vector, asked.Vector) {
		t.Error("a prompt came before token ids")
	}
	_, err = e.Embed(context.Background(), Texts("x"), Options{Task: "query", MaxLength: 5, Truncation: tokenizer.Refuse})
	if !errors.Is(err, tokenizer.ErrTooLong) {
		t.Errorf("a text that is too long with its prompt: %v", err)
	}
}

// TestPromptSpans: spans count the bytes of the text, and no token of the prompt is
// in one.
func TestPromptSpans(t *testing.T) {
	e := openPrompts(t, OpenOptions{Threads: 1})
	in := text(30, 4)
	for _, c := range []struct{ task, prompt string }{{"query", "ask for: "}, {"title of", "Title, un"}} {
		n := len(c.prompt)
		spans := []Span{{Start: 0, End: len(in)}, {Start: 3, End: 9}, {Start: 0, End: 1}, {Start: len(in), End: len(in)}}
		moved := make([]Span, len(spans))
		for i, s := range spans {
			moved[i] = Span{Start: s.Start + n, End: s.End + n}
		}
		for _, most := range []int{0, 12} {
			got := embed(t, e, Options{Task: c.task, MaxLength: most}, Input{Text: in, Spans: spans})[0]
			want := embed(t, e, Options{MaxLength: most}, Input{Text: c.prompt + in, Spans: moved})[0]
			for i := range spans {
				if got.Spans[i].Tokens != want.Spans[i].Tokens || !slices.Equal(got.Spans[i].Vector, want.Spans[i].Vector) {
					t.Errorf("task %q, at most %d: span %v of %d tokens, want %d and their bits", c.task, most, spans[i], got.Spans[i].Tokens, want.Spans[i].Tokens)
				}
			}
			if !slices.Equal(got.Vector, want.Vector) {
				t.Errorf("task %q: spans change the vector", c.task)
			}
		}
		_, err := e.Embed(t.Context(), []Input{{Text: in, Spans: []Span{{Start: 0, End: len(in) + 1}}}}, Options{Task: c.task})
		if err == nil {
			t.Errorf("task %q: a span beyond the text was accepted", c.task)
		}
	}
}

// TestUnknownTask: what a model does not know is refused with what it does, and
// query and document are known to all.
func TestUnknownTask(t *testing.T) {
	e := openPrompts(t, OpenOptions{Threads: 1})
	for _, task := range []string{"Query", "title", "passage", " ", strings.Repeat("x", 1<<20)} {
		_, err := e.Embed(t.Context(), Texts("x"), Options{Task: task})
		if err == nil || !strings.HasSuffix(err.Error(), `want one of "query", "document", "title of"`) || len(err.Error()) > 300 {
			t.Errorf("task %.20q: %.400v", task, err)
		}
	}
	without := openTiny(t, OpenOptions{Threads: 1})
	want := embed(t, without, Options{Padding: none}, Texts("x")...)[0].Vector
	for _, task := range []string{"query", "document"} {
		if got := embed(t, without, Options{Padding: none, Task: task}, Texts("x")...)[0].Vector; !slices.Equal(got, want) {
			t.Errorf("task %q changes the vector of a model without prompts", task)
		}
	}
	if _, err := without.Embed(t.Context(), nil, Options{Task: "passage"}); err == nil {
		t.Error("an unknown task was accepted")
	}
}
