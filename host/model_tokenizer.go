package host

import (
	"context"
	"errors"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host/internal/rusttokenizer"
)

// Tokenizers are the names of the tokenizers: core's own, and the Hugging Face
// library as a second opinion.
var Tokenizers = []string{"core", "rust"}

// foreign is an engine that gets its texts as another tokenizer's ids.
type foreign struct {
	engine
	texts  rusttokenizer.Text
	config model.Config
}

// errRustSpans: the places of bytes are core's to find.
var errRustSpans = errors.New("spans of a text need core's tokenizer; the Rust tokenizer takes spans of token ids alone")

// useRust puts the Rust tokenizer before the engine.
func (m *Model) useRust() error {
	if m.files.Tokenizer == nil {
		return errors.New("the Rust tokenizer needs a tokenizer.json; name one with --tokenizer")
	}
	texts, err := rusttokenizer.Open(m.files.Tokenizer)
	if err != nil {
		return err
	}
	m.foreign, m.engine = texts, foreign{m.engine, texts, m.config}
	return nil
}

func (f foreign) name() string { return f.engine.name() + ", Rust tokenizer" }

func (f foreign) close() error { return errors.Join(f.engine.close(), f.texts.Close()) }

func (f foreign) embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	prompt, err := f.config.Prompt(o.Task)
	if err != nil {
		return nil, err
	}
	limit := f.config.MaxLength()
	if o.MaxLength > 0 {
		limit = min(limit, o.MaxLength)
	}
	ids := make([]core.Input, len(inputs))
	encoded := make([]tokenizer.Encoding, len(inputs))
	for i, in := range inputs {
		ids[i] = in
		if in.IDs != nil {
			continue
		}
		if len(in.Spans) > 0 {
			return nil, &core.InputError{Index: i, Err: errRustSpans}
		}
		err := ctx.Err()
		if err != nil {
			return nil, err
		}
		if encoded[i], err = f.texts.Encode(prompt+in.Text, tokenizer.Options{MaxLength: limit, Truncation: o.Truncation}); err != nil {
			return nil, &core.InputError{Index: i, Err: err}
		}
		ids[i] = core.Input{IDs: encoded[i].IDs}
	}
	results, err := f.engine.embed(ctx, ids, o)
	for i := range results {
		if inputs[i].IDs == nil {
			results[i].Tokens, results[i].Truncated = encoded[i].Length, encoded[i].Truncated
		}
	}
	return results, err
}
