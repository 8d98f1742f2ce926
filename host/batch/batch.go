package batch

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"m2embed/core"
	"m2embed/core/passage"
	"m2embed/core/tokenizer"
)

// Document is a text to embed.
type Document struct {
	ID   string `json:"id"`
	Text string `json:"text"` // UTF-8
}

// Result is what became of a document.
type Result struct {
	ID        string    `json:"id"`
	Vector    []float32 `json:"vector"` // (D)
	Tokens    int       `json:"tokens"` // special tokens included, before the text was cut
	Length    int       `json:"length"` // tokens that were run, pads included
	Truncated bool      `json:"truncated"`
	Passages  []Passage `json:"passages,omitempty"` // in the order of the text, where Options ask for them
}

// Passage is a piece of a document with a vector of its own.
type Passage struct {
	Start  int       `json:"start"` // bytes of the text
	End    int       `json:"end"`
	Tokens int       `json:"tokens"`
	Vector []float32 `json:"vector"` // (D), of unit length
}

// Reasons for which documents are rejected.
const (
	ReasonEmpty       = "empty"        // nothing but white space
	ReasonInvalidUTF8 = "invalid-utf8" // bytes that are no text
	ReasonTooLarge    = "too-large"    // more bytes than Options.MaxBytes
	ReasonTooLong     = "too-long"     // more tokens than allowed, under truncation refuse
	ReasonMalformed   = "malformed"    // a record without a readable text, see Job
	ReasonRefused     = "refused"      // by the model, for anything else
)

// Rejected is a document that has no vector.
type Rejected struct {
	ID     string `json:"id"`
	Reason string `json:"reason"` // one of the Reason constants
	Detail string `json:"detail"` // one sentence
}

// Outcome is a result, or why there is none.
type Outcome struct {
	Document Document
	Result   Result
	Rejected *Rejected // nil for a result
}

// Batch collects documents until about Options.TokenBudget tokens are together.
// It belongs to one goroutine.
type Batch struct {
	embedder *Embedder
	pending  []entry
	cost     int // tokens, estimated
	bytes    int // of texts
}

// mostBytes is how much text waits at most, and one more: many long texts may be
// cut to a few tokens each.
const mostBytes = 16 << 20

// entry is a document that waits, with the rows of the batch that are its own.
type entry struct {
	document Document
	rejected *Rejected
	passages []passage.Passage
	windows  []window // for passages
}

// window is a range of a document's passages that is run as one text.
type window struct{ from, to int } // of entry.passages

// NewBatch begins a batch.
func (e *Embedder) NewBatch() *Batch { return &Batch{embedder: e} }

// Add takes a document. When enough are together, all that wait are embedded,
// and yield gets their outcomes in the order in which they were added. Vectors do
// not depend on what is together.
//
// # Errors
//
// Those of ctx, of yield, and a failing engine or damaged weights. Documents that
// cannot be embedded are outcomes, not errors.
func (b *Batch) Add(ctx context.Context, d Document, yield func(Outcome) error) error {
	e := b.embedder
	n := entry{document: d, rejected: e.refuse(d)}
	if n.rejected == nil {
		b.cost += e.cost(d.Text)
		if e.options.Passages > 0 {
			n.cut(e)
		}
	}
	b.pending = append(b.pending, n)
	b.bytes += len(d.Text)
	if b.cost < e.options.TokenBudget && b.bytes < mostBytes && len(b.pending) < e.options.TokenBudget {
		return nil
	}
	return b.Flush(ctx, yield)
}

// refuse looks at a text before it is tokenized.
func (e *Embedder) refuse(d Document) *Rejected {
	switch {
	case len(d.Text) > e.options.MaxBytes:
		return &Rejected{d.ID, ReasonTooLarge, fmt.Sprintf("%d bytes, at most %d are allowed", len(d.Text), e.options.MaxBytes)}
	case !utf8.ValidString(d.Text):
		return &Rejected{d.ID, ReasonInvalidUTF8, fmt.Sprintf("the bytes from %d are not UTF-8", invalidAt(d.Text))}
	case strings.TrimSpace(d.Text) == "":
		return &Rejected{d.ID, ReasonEmpty, "nothing but white space"}
	}
	return nil
}

// invalidAt is the first byte that is not UTF-8.
func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return len(text)
}

// cost estimates the tokens that a text will run at. An estimate will do: it
// decides what runs together, which no vector depends on.
func (e *Embedder) cost(text string) int {
	n := len(text)/4 + 2
	if e.options.Passages == 0 {
		n = min(n, e.most)
	}
	return max(n, e.padded)
}

// cut finds a document's passages and the windows they run in.
func (n *entry) cut(e *Embedder) {
	var starts []int
	n.passages, starts = e.passages(n.document.Text)
	for i := 0; i < len(n.passages); {
		first := sort.SearchInts(starts, n.passages[i].Start)
		if i == 0 {
			first = 0 // the first window is the whole text, cut
		}
		k := i + 1
		for k < len(n.passages) && sort.SearchInts(starts, n.passages[k].End)-first <= e.room {
			k++
		}
		n.windows = append(n.windows, window{i, k})
		i = k
	}
}

// inputs appends the rows of a document. The first is the whole text, so that
// the document's own vector is that of a run without passages.
func (n *entry) inputs(rows []core.Input) []core.Input {
	if len(n.windows) == 0 {
		return append(rows, core.Input{Text: n.document.Text})
	}
	for i, w := range n.windows {
		text, offset := n.document.Text, 0
		if i > 0 {
			offset = n.passages[w.from].Start
			text = text[offset:n.passages[w.to-1].End]
		}
		row := core.Input{Text: text}
		for _, p := range n.passages[w.from:w.to] {
			row.Spans = append(row.Spans, core.Span{Start: p.Start - offset, End: p.End - offset})
		}
		rows = append(rows, row)
	}
	return rows
}

// Flush embeds all that wait; see Add.
func (b *Batch) Flush(ctx context.Context, yield func(Outcome) error) error {
	pending := b.pending
	b.pending, b.cost, b.bytes = nil, 0, 0
	var rows []core.Input
	var owner []int // of a row, in pending
	for i := range pending {
		if pending[i].rejected == nil {
			rows = pending[i].inputs(rows)
			for len(owner) < len(rows) {
				owner = append(owner, i)
			}
		}
	}
	results, owner, err := b.embedder.run(ctx, rows, owner, pending)
	if err != nil {
		return err
	}
	at := 0
	for i := range pending {
		n := &pending[i]
		out := Outcome{Document: n.document, Rejected: n.rejected}
		if n.rejected == nil {
			first := at
			for at < len(owner) && owner[at] == i {
				at++
			}
			out.Result = n.result(results[first:at])
		}
		if err := yield(out); err != nil {
			return err
		}
	}
	return nil
}

// run embeds rows. A document that the model refuses is marked as rejected, and
// the others run without it.
func (e *Embedder) run(ctx context.Context, rows []core.Input, owner []int, pending []entry) ([]core.Embedding, []int, error) {
	e.running.Lock()
	defer e.running.Unlock()
	for len(rows) > 0 {
		results, err := e.model.EmbedInputs(ctx, rows, e.core)
		var fault *core.Fault
		var blamed *core.InputError
		if err == nil {
			return results, owner, nil
		}
		if errors.As(err, &fault) || !errors.As(err, &blamed) || blamed.Index < 0 || blamed.Index >= len(rows) {
			return nil, nil, err
		}
		out := owner[blamed.Index]
		reason := ReasonRefused
		if errors.Is(err, tokenizer.ErrTooLong) {
			reason = ReasonTooLong
		}
		pending[out].rejected = &Rejected{pending[out].document.ID, reason, blamed.Err.Error()}
		var keptRows []core.Input
		var keptOwner []int
		for i, o := range owner {
			if o != out {
				keptRows, keptOwner = append(keptRows, rows[i]), append(keptOwner, o)
			}
		}
		rows, owner = keptRows, keptOwner
	}
	return nil, nil, ctx.Err()
}

// result puts a document's rows together.
func (n *entry) result(rows []core.Embedding) Result {
	whole := rows[0]
	r := Result{ID: n.document.ID, Vector: whole.Vector, Tokens: whole.Tokens, Length: whole.Length, Truncated: whole.Truncated}
	for i, w := range n.windows {
		if i > 0 {
			r.Length += rows[i].Length
		}
		for k, p := range n.passages[w.from:w.to] {
			if s := rows[i].Spans[k]; s.Vector != nil {
				r.Passages = append(r.Passages, Passage{p.Start, p.End, s.Tokens, s.Vector})
			}
		}
	}
	if len(n.windows) > 0 {
		// What the first window cut off has run in the others.
		r.Truncated = len(r.Passages) < len(n.passages)
	}
	return r
}
