package core

import (
	"context"
	"fmt"

	"m2embed/core/kernel"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// Weights gives tensors by name; *checkpoint.File is one.
type Weights = model.Weights

// OpenOptions are the choices at opening; the zero value is good.
type OpenOptions struct {
	// Overwrite says that the weights' memory belongs to the embedder, which
	// then packs float32 matrices in place instead of copying them.
	Overwrite bool
	// ConfigFromWeights takes sizes from the weights where config.json
	// disagrees with them.
	ConfigFromWeights bool
	// Tokenizer, if given, is used in place of the vocabulary, which may then be
	// nil: one that was parsed before.
	Tokenizer *tokenizer.Tokenizer
	// AnyTokenizer accepts a tokenizer that does not look like
	// bert-base-uncased's.
	AnyTokenizer bool
	// Threads of a forward pass, at most [model.MaxThreads]; 0 means one a processor.
	Threads int
	// FilterBudget bounds the bytes of filter spectra kept between calls; 0
	// means model.DefaultFilterBudget, negative none.
	FilterBudget int
	// Filters is a budget that is shared with other embedders; nil means one of
	// FilterBudget for this one alone.
	Filters *model.FilterPool
	// Kernels is the back end; nil means the fastest.
	Kernels *kernel.Set
}

// Embedder turns texts into vectors. It is safe for concurrent use.
type Embedder struct {
	model     *model.Model
	tokenizer *tokenizer.Tokenizer // nil: token ids only
	runs      chan *model.Run      // kept for reuse
	space     string
}

// Open builds an embedder from a config.json, a tokenizer.json or vocab.txt
// (nil for one that takes token ids only) and weights.
//
// # Errors
//
// Whatever config, tokenizer and weights are refused for: see
// [model.ParseConfig], [tokenizer.Parse] and [model.Load]; and a tokenizer with
// cased or foreign entries, which would feed wrong ids to M2-BERT's weights.
func Open(config, vocabulary []byte, weights Weights, o OpenOptions) (*Embedder, error) {
	c, err := model.ParseConfig(config)
	if err != nil {
		return nil, err
	}
	if o.ConfigFromWeights {
		if c, err = model.ConfigFromWeights(c, weights); err != nil {
			return nil, err
		}
	}
	t := o.Tokenizer
	if t == nil && vocabulary != nil {
		if t, err = tokenizer.Parse(vocabulary); err != nil {
			return nil, err
		}
	}
	if t != nil {
		if !o.AnyTokenizer {
			if err := t.CheckUncased(c.VocabSize); err != nil {
				return nil, err
			}
		}
		if t.VocabularySize() > c.VocabSize {
			return nil, fmt.Errorf("the tokenizer has %d entries, but the word table has %d rows", t.VocabularySize(), c.VocabSize)
		}
	}
	sampled := sampledWeights{weights, map[string][]byte{}}
	m, err := model.Load(c, sampled, model.LoadOptions{Kernels: o.Kernels, Overwrite: o.Overwrite, Threads: o.Threads, FilterBudget: o.FilterBudget, Filters: o.Filters})
	if err != nil {
		return nil, err
	}
	return &Embedder{model: m, tokenizer: t, runs: make(chan *model.Run, 2), space: space(m.Config(), t, sampled.samples)}, nil
}

// Close ends the embedder's threads; no call may be under way.
func (e *Embedder) Close() { e.model.Close() }

// Trim gives up memory that is kept to make later calls faster. The next call
// makes it again; calls under way are not disturbed.
func (e *Embedder) Trim() {
	for range cap(e.runs) {
		select {
		case <-e.runs:
		default:
		}
	}
	e.model.Trim()
}

// Dimension is the length D of a vector.
func (e *Embedder) Dimension() int { return e.model.Config().HiddenSize }

// MaxLength is the most tokens of one text that the model runs, special
// tokens included.
func (e *Embedder) MaxLength() int { return e.model.Config().MaxLength() }

// Config returns the model's configuration.
func (e *Embedder) Config() model.Config { return e.model.Config() }

// Space names the vector space: vectors of two embedders may be compared if
// their spaces are equal. Equal files with equal options have equal spaces in
// every engine and runtime. It is made of the configuration, the tokenizer and,
// of each tensor that the model uses, name, stored type, shape and some samples
// of its bytes: enough to tell models, their sizes and float32 from integers, no
// proof that two files are equal.
func (e *Embedder) Space() string { return e.space }

// Tokenizer returns the tokenizer, nil if there is none.
func (e *Embedder) Tokenizer() *tokenizer.Tokenizer { return e.tokenizer }

// Model returns the model beneath.
func (e *Embedder) Model() *model.Model { return e.model }

// Choice is a switch whose zero value leaves the decision to the model.
type Choice uint8

// The choices.
const (
	ModelDefault Choice = iota
	Yes
	No
)

// Options say how vectors are made. The zero value is the model's own way:
// texts cut at its maximum with [SEP] kept, its padding, pooling and
// normalisation.
type Options struct {
	MaxLength  int                  // tokens at which a text is cut, whatever it is padded to; 0 is the model's maximum
	Truncation tokenizer.Truncation // how a text is cut, or that it is refused
	Padding    model.Padding        // pads are input: see model.Padding
	Pooling    model.Pooling        // model.PoolNone keeps the hidden states of all tokens
	Normalize  Choice               // to unit length

	// Task is what texts are for: "query", "document" (the same as ""), or the name
	// of another prompt of the model. The model's prompt for it is put before each
	// text, and what runs, is cut and is pooled is prompt and text together, as in
	// sentence-transformers. Token ids are taken as they are. See
	// [model.Config.Prompt].
	Task string

	// Dimensions cuts vectors to their first values, before they are scaled to
	// unit length; 0 leaves them whole. It is one of the lengths that
	// the configuration names (matryoshka_dimensions) or D.
	Dimensions int

	// Progress, unless it is nil, is told every few milliseconds how many of the
	// tokens to run are done, in parts of a token; total is 0 while texts are
	// still being tokenized. It is called by the goroutine that embeds and may
	// wait, for its turn say. Its error ends the work and is returned as it is.
	Progress func(done, total float64) error
}

// Input is one text, as a string or, where IDs is set, as token ids with
// their special tokens.
type Input struct {
	Text string
	IDs  []int32
	// Spans are pieces that get vectors of their own out of the same forward
	// pass: bytes of Text, or positions of IDs. They may overlap and come in any
	// order. A vector is the mean of the last hidden states of the span's tokens,
	// scaled to unit length, whatever Options say about pooling; its bits depend
	// neither on other spans nor on the batch. A token belongs to the span of
	// bytes that it begins in; [CLS], [SEP] and those of a prompt to none. A span costs the memory of
	// its vector; the text's own vector has the same bits as without spans.
	Spans []Span
}

// Texts makes inputs of strings.
func Texts(texts ...string) []Input {
	in := make([]Input, len(texts))
	for i, t := range texts {
		in[i].Text = t
	}
	return in
}

// Embedding is the result for one input.
type Embedding struct {
	// Vector is of D values or Options.Dimensions, called N here. With
	// model.PoolNone it has a row for each token that was run, special tokens and
	// prompt included and pads left out: (tokens, N), each row normalised by itself.
	Vector    []float32
	Tokens    int  // tokens of the input, special tokens and prompt included, before it was cut
	Length    int  // L: tokens that were run, pads included
	Truncated bool // the input was cut

	Spans []SpanEmbedding // of the input's Spans, in their order
}

// SpanEmbedding is the result for one span. One of no tokens, because it is of
// white space or was cut off, has no vector.
type SpanEmbedding struct {
	Vector []float32 // (N), of unit length; nil without tokens
	Tokens int       // tokens whose hidden states are in it
}

// Embed makes one vector for each input, in order. Cancelling ctx stops the work
// within some tens of milliseconds, tokenizing included.
//
// # Errors
//
//   - an [InputError]: an input that cannot run (a token id outside the
//     vocabulary, ids beyond the maximum length, a text too long under
//     tokenizer.Refuse)
//   - a [Fault]: a vector that is not finite, which means damaged weights
//   - options that the model cannot follow
//   - ctx's and that of Progress
func (e *Embedder) Embed(ctx context.Context, inputs []Input, o Options) ([]Embedding, error) {
	j, err := e.start(ctx.Err, inputs, o)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		done, err := j.Step()
		if err != nil {
			return nil, err
		}
		if done {
			return j.Results(), nil
		}
		if o.Progress != nil {
			if err := o.Progress(j.Progress()); err != nil {
				return nil, err
			}
		}
	}
}
