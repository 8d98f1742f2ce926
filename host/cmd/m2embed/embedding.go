package main

import (
	"errors"
	"fmt"
	"m2embed/host"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/model"
)

// embedding is a walk over a source: batch by batch, so that neither texts
// nor vectors are ever all in memory.
type embedding struct {
	call   *call
	source *source
	model  *host.Model
	vector *vectorFlags
	quiet  bool

	texts, tokens, cut int
	shortest, longest  int // lengths that ran
	began              time.Time
}

// openEmbedding checks the flags that say how texts are embedded, and opens the
// texts and the model.
func openEmbedding(c *call, texts []string, in *inputFlags, which *modelFlags, how *vectorFlags) (*embedding, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	which.options.Pooling = how.options.Pooling
	source, err := in.open(texts)
	if err != nil {
		return nil, err
	}
	w := &embedding{call: c, source: source, vector: how}
	if w.model, err = which.open(); err != nil {
		w.close()
		return nil, err
	}
	if err := how.checkModel(w.model); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *embedding) close() {
	w.source.close()
	if w.model != nil {
		w.model.Close()
	}
}

// run embeds all of a source; yield gets the results in order.
func (w *embedding) run(s *source, most int, yield func(index int, in item, e core.Embedding) error) error {
	var bar *progress
	if !w.quiet {
		bar = newProgress(w.call, "embedding")
	}
	defer bar.finish()
	w.began = time.Now()
	var b batch
	var read int64
	for {
		if err := w.call.ctx.Err(); err != nil {
			return err
		}
		if err := s.fill(&b, most); err != nil {
			return err
		}
		if len(b.inputs) == 0 {
			return nil
		}
		results, err := w.batch(s, &b, read, bar)
		if err != nil {
			return err
		}
		for i, e := range results {
			w.count(e)
			if err := yield(w.texts-1, b.items[i], e); err != nil {
				return err
			}
		}
		read += int64(b.bytes)
	}
}

// batch embeds one batch.
func (w *embedding) batch(s *source, b *batch, read int64, bar *progress) ([]core.Embedding, error) {
	o := w.vector.options
	o.Progress = func(done, total float64) error {
		part := -1.0
		if s.total > 0 {
			part = (float64(read) + float64(b.bytes)*done/max(total, 1)) / float64(s.total)
		}
		bar.setTokens(part, w.texts, w.tokens+int(done), w.began)
		return nil
	}
	results, err := w.model.EmbedInputs(w.call.ctx, b.inputs, o)
	if err != nil {
		return nil, located(err, s, b)
	}
	return results, nil
}

// located puts the place of an input before its error, instead of its number in
// the batch.
func located(err error, s *source, b *batch) error {
	var input *core.InputError
	if errors.As(err, &input) && input.Index < len(b.items) {
		where := b.items[input.Index].name
		if where == "" {
			where = s.where(b.items[input.Index].place)
		}
		return fmt.Errorf("%s: %w", where, input.Err)
	}
	return err
}

func (w *embedding) count(e core.Embedding) {
	if w.texts == 0 {
		w.shortest, w.longest = e.Length, e.Length
	}
	w.texts++
	w.tokens += e.Tokens
	w.shortest, w.longest = min(w.shortest, e.Length), max(w.longest, e.Length)
	if e.Truncated {
		w.cut++
	}
}

// summary says what was run, in one line.
func (w *embedding) summary() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%s, %s, run at %s", counted(w.texts, "text"), counted(w.tokens, "token"), thousands(int64(w.shortest)))
	if w.longest != w.shortest {
		fmt.Fprintf(b, " to %s", thousands(int64(w.longest)))
	}
	padding := w.vector.paddingOf(w.model)
	switch padding.Mode {
	case model.PadNone:
		b.WriteString(" (no padding)")
	case model.PadToLength:
		fmt.Fprintf(b, " (padded to %d)", padding.Length)
	default:
		fmt.Fprintf(b, " (%v)", padding)
	}
	if w.cut > 0 {
		fmt.Fprintf(b, ", %s cut", thousands(int64(w.cut)))
	}
	fmt.Fprintf(b, ", %s, %s", w.model.Info().Engine, time.Since(w.began).Round(time.Millisecond))
	return b.String()
}

// errNoTexts tells an empty source.
func errNoTexts(f *inputFlags) error {
	if name := f.file + f.ids; name != "" && name != "-" {
		return fmt.Errorf("%s holds no texts", name)
	}
	return fmt.Errorf("standard input holds no texts")
}
