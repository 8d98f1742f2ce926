package batch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/core/passage"
	"m2embed/host"
)

// openSmall opens the embedded model.
func openSmall(t *testing.T, o Options) *Embedder {
	t.Helper()
	e, err := Open("", host.Options{}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// embedAll runs documents through a batch.
func embedAll(t *testing.T, e *Embedder, documents []Document) []Outcome {
	t.Helper()
	var all []Outcome
	keep := func(o Outcome) error { all = append(all, o); return nil }
	b := e.NewBatch()
	for _, d := range documents {
		if err := b.Add(context.Background(), d, keep); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(context.Background(), keep); err != nil {
		t.Fatal(err)
	}
	return all
}

// story is a text of about n words.
func story(seed, n int) string {
	words := strings.Fields("river stone light carries the old bridge over water while people talk about bread and rain")
	var b strings.Builder
	for i := range n {
		b.WriteString(words[(i*7+seed*3+i*i%5)%len(words)])
		if i%9 == 8 {
			b.WriteString(". ")
		} else {
			b.WriteString(" ")
		}
	}
	return b.String()
}

func TestBatchOutcomes(t *testing.T) {
	documents := []Document{
		{"a", story(1, 20)}, {"empty", ""}, {"white", " \n\t "}, {"b", story(2, 300)},
		{"bytes", "good until \xff here"}, {"large", strings.Repeat("x ", 3000)}, {"c", "One."},
		{"long", story(3, 400)}, {"d", story(4, 5)}, {"sign", "a real \ufffd is text"},
	}
	want := map[string]string{
		"empty": ReasonEmpty, "white": ReasonEmpty, "bytes": ReasonInvalidUTF8, "large": ReasonTooLarge, "long": ReasonTooLong,
	}
	for _, budget := range []int{1, 200, 0} {
		e := openSmall(t, Options{Truncation: "refuse", MaxLength: 380, MaxBytes: 5000, TokenBudget: budget})
		all := embedAll(t, e, documents)
		if len(all) != len(documents) {
			t.Fatalf("budget %d: %d outcomes of %d documents", budget, len(all), len(documents))
		}
		for i, o := range all {
			d := documents[i]
			if o.Document != d {
				t.Fatalf("budget %d: outcome %d is of %q, want %q", budget, i, o.Document.ID, d.ID)
			}
			if reason := want[d.ID]; reason != "" {
				if o.Rejected == nil || o.Rejected.Reason != reason || o.Rejected.ID != d.ID || o.Rejected.Detail == "" || len(o.Rejected.Detail) > 200 {
					t.Errorf("budget %d: %s: rejected %+v, want %s", budget, d.ID, o.Rejected, reason)
				}
				continue
			}
			if o.Rejected != nil {
				t.Errorf("budget %d: %s is rejected: %+v", budget, d.ID, o.Rejected)
				continue
			}
			alone, err := e.Model().EmbedInputs(context.Background(), core.Texts(d.Text), core.Options{MaxLength: 380})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(o.Result.Vector, alone[0].Vector) || o.Result.Tokens != alone[0].Tokens || o.Result.Length != alone[0].Length || o.Result.ID != d.ID {
				t.Errorf("budget %d: %s differs from the text alone", budget, d.ID)
			}
		}
	}
}

// TestPassages demands of a document longer than the model's maximum that all
// its passages have vectors, and the same as from a whole pass where it fits.
func TestPassages(t *testing.T) {
	e := openSmall(t, Options{Passages: 40, MaxLength: 150})
	documents := []Document{{"short", story(1, 60)}, {"long", story(2, 900)}, {"none", "  "}}
	all := embedAll(t, e, documents)
	for i, o := range all[:2] {
		text := documents[i].Text
		at := 0
		for _, p := range o.Result.Passages {
			if strings.TrimSpace(text[at:p.Start]) != "" {
				t.Errorf("%s: %q is in no passage", o.Document.ID, text[at:p.Start])
			}
			at = p.End
			if len(p.Vector) != len(o.Result.Vector) || p.Tokens < 1 || p.Tokens > 60 {
				t.Errorf("%s: passage %d to %d has %d values and %d tokens", o.Document.ID, p.Start, p.End, len(p.Vector), p.Tokens)
			}
		}
		if strings.TrimSpace(text[at:]) != "" || o.Result.Truncated {
			t.Errorf("%s: %d bytes at the end are in no passage, truncated %t", o.Document.ID, len(text)-at, o.Result.Truncated)
		}
		alone, err := e.Model().EmbedInputs(context.Background(), core.Texts(text), core.Options{MaxLength: 150})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(alone[0].Vector, o.Result.Vector) {
			t.Errorf("%s: passages change the document's vector", o.Document.ID)
		}
	}
	if n := len(all[1].Result.Passages); n < 15 {
		t.Errorf("%d passages of 900 words", n)
	}
	if r := all[2].Rejected; r == nil || r.Reason != ReasonEmpty {
		t.Errorf("rejected %+v, want %s", r, ReasonEmpty)
	}
}

// TestTask: a document's prompt comes before it and before each window of its
// passages, none of which is cut for it.
func TestTask(t *testing.T) {
	const tiny = "../../testdata/tiny/"
	o := Options{Passages: 20, MaxLength: 60, Task: "query", Dimensions: 64}
	e, err := Open(tiny+"model.safetensors", host.Options{Config: tiny + "config.prompts.json"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	text := story(3, 200)
	got := embedAll(t, e, []Document{{"a", text}})[0]
	if got.Rejected != nil || got.Result.Truncated {
		t.Fatalf("rejected %+v, truncated %t", got.Rejected, got.Result.Truncated)
	}
	whole, err := e.Model().EmbedInputs(context.Background(), core.Texts("ask for: "+text), core.Options{MaxLength: 60})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Result.Vector, whole[0].Vector) {
		t.Error("the vector is not that of the prompt and the text")
	}
	tokens := 0
	for _, p := range got.Result.Passages {
		tokens += p.Tokens
	}
	if want := len(passage.Tokens(e.Model().Tokenizer(), text)); tokens != want {
		t.Errorf("passages have %d tokens, want the text's %d", tokens, want)
	}
}

// TestBatchBytes: long texts do not wait until there are tokens enough, which cut
// or refused ones never come to.
func TestBatchBytes(t *testing.T) {
	b := openSmall(t, Options{}).NewBatch()
	out := 0
	for i := range 9 {
		d := Document{fmt.Sprint(i), strings.Repeat(" ", mostBytes/4)}
		if err := b.Add(context.Background(), d, func(Outcome) error { out++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if out != 8 {
		t.Errorf("%d of 9 texts of %d bytes are out, want 8", out, mostBytes/4)
	}
}

func TestBatchEnds(t *testing.T) {
	e := openSmall(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := e.NewBatch()
	keep := func(Outcome) error { return nil }
	if err := b.Add(ctx, Document{"a", "text"}, keep); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(ctx, keep); !errors.Is(err, context.Canceled) {
		t.Errorf("flush after the end is %v", err)
	}
	stop := errors.New("stop")
	b = e.NewBatch()
	b.Add(context.Background(), Document{"a", "text"}, keep)
	if err := b.Flush(context.Background(), func(Outcome) error { return stop }); err != stop {
		t.Errorf("flush is %v, want yield's error", err)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{
		{Padding: "longest"}, {Padding: "wide"}, {Pooling: "max"}, {Truncation: "some"}, {Normalize: "maybe"},
		{MaxLength: 1}, {MaxLength: -3}, {MaxLength: 1 << 22}, {Padding: "999999"}, {Passages: -1}, {MaxBytes: -1}, {Task: "ask"}, {Dimensions: 7}, {Dimensions: -1},
	} {
		if e, err := Open("", host.Options{}, o); err == nil {
			e.Close()
			t.Errorf("%+v was accepted", o)
		} else if len(fmt.Sprint(err)) > 300 {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
