package batch

import (
	"errors"
	"fmt"
	"sync"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/passage"
	"m2embed/core/tokenizer"
	"m2embed/host"
)

// Options say how documents become vectors. The zero value is the model's own
// way. They are plain values, so that they travel to other processes as JSON.
type Options struct {
	Padding    string `json:"padding,omitempty"`    // none, max_length or a number of tokens; empty is the model's own
	Pooling    string `json:"pooling,omitempty"`    // cls, mean, cls_hidden or mean_hidden; empty is the model's own
	Truncation string `json:"truncation,omitempty"` // keep-sep (also if empty), drop-sep or refuse
	Normalize  string `json:"normalize,omitempty"`  // yes, no, or empty for the model's own
	MaxLength  int    `json:"max_length,omitempty"` // tokens at which a text is cut; 0 is the model's maximum
	Dimensions int    `json:"dimensions,omitempty"` // to which vectors are cut; 0 leaves them whole
	Task       string `json:"task,omitempty"`       // what texts are for, see core's Options; empty is document

	// Passages, unless it is 0, is the number of tokens that passages aim at:
	// each document is cut, and its passages get vectors out of the document's own
	// forward pass. A document longer than the model's maximum is run in several.
	Passages int `json:"passages,omitempty"`

	// MaxBytes bounds a document's text; a longer one is rejected. 0 means
	// DefaultMaxBytes.
	MaxBytes int `json:"max_bytes,omitempty"`
	// TokenBudget is about how many tokens are run together, a matter of speed
	// and memory. 0 means DefaultTokenBudget.
	TokenBudget int `json:"token_budget,omitempty"`
}

// Defaults of Options.
const (
	DefaultMaxBytes    = 16 << 20
	DefaultTokenBudget = 16384
)

// Truncations are the names of the ways to cut a text that is too long.
var Truncations = map[string]tokenizer.Truncation{
	"": tokenizer.KeepSeparator, "keep-sep": tokenizer.KeepSeparator,
	"drop-sep": tokenizer.DropSeparator, "refuse": tokenizer.Refuse,
}

// core are the options of a call of the embedder.
func (o Options) core() (c core.Options, err error) {
	if c.Padding, err = model.ParsePadding(o.Padding); err != nil {
		return c, err
	}
	if c.Padding.Mode == model.PadLongest {
		return c, errors.New("padding longest makes vectors depend on the batch, want none, max_length or a number of tokens")
	}
	if c.Pooling, err = model.ParsePooling(o.Pooling); err != nil {
		return c, err
	}
	var ok bool
	if c.Truncation, ok = Truncations[o.Truncation]; !ok {
		return c, fmt.Errorf("truncation %q, want keep-sep, drop-sep or refuse", o.Truncation)
	}
	switch o.Normalize {
	case "":
	case "yes":
		c.Normalize = core.Yes
	case "no":
		c.Normalize = core.No
	default:
		return c, fmt.Errorf("normalize %q, want yes, no or nothing", o.Normalize)
	}
	switch {
	case o.MaxLength < 0 || o.MaxLength == 1:
		return c, fmt.Errorf("maximum length %d, want at least 2: a text has two special tokens", o.MaxLength)
	case o.Passages < 0 || o.Passages > 1<<20:
		return c, fmt.Errorf("passages of %d tokens, want 1 to %d", o.Passages, 1<<20)
	case o.MaxBytes < 0 || o.TokenBudget < 0:
		return c, fmt.Errorf("limits of %d bytes and %d tokens, want none below 0", o.MaxBytes, o.TokenBudget)
	}
	c.MaxLength, c.Dimensions, c.Task = o.MaxLength, o.Dimensions, o.Task
	return c, nil
}

// Embedder is a model with settled options. It is safe for concurrent use, but
// runs one batch at a time, with all threads of the model: two at once would take
// twice the memory and no less time.
type Embedder struct {
	model   *host.Model
	options Options
	core    core.Options
	most    int // tokens of a text, special ones included
	room    int // tokens of a text beside special tokens and prompt
	padded  int // tokens to which every text is padded at least

	running sync.Mutex
}

// Open opens a model, as [host.Open] does, for the given options.
//
// # Errors
//
// Those of host.Open and of [New].
func Open(path string, how host.Options, o Options) (*Embedder, error) {
	c, err := o.core()
	if err != nil {
		return nil, err
	}
	how.Pooling = c.Pooling
	m, err := host.Open(path, how)
	if err != nil {
		return nil, err
	}
	e, err := New(m, o)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return e, nil
}

// New is an embedder with an opened model.
//
// # Errors
//
// Options that are refused or that the model cannot follow, and a model without a
// tokenizer.
func New(m *host.Model, o Options) (*Embedder, error) {
	c, err := o.core()
	if err != nil {
		return nil, err
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.TokenBudget == 0 {
		o.TokenBudget = DefaultTokenBudget
	}
	e := &Embedder{model: m, options: o, core: c, most: m.Info().MaxLength}
	if m.Tokenizer() == nil {
		return nil, fmt.Errorf("model %s has no tokenizer", m.Info().Name)
	}
	if o.MaxLength > e.most {
		return nil, fmt.Errorf("maximum length %d, but model %s takes at most %d tokens", o.MaxLength, m.Info().Name, e.most)
	}
	padding := c.Padding
	if padding.Mode == model.PadDefault {
		padding = m.Info().Padding
	}
	switch padding.Mode {
	case model.PadLongest:
		return nil, fmt.Errorf("model %s pads to the longest text, which makes vectors depend on the batch; give a padding", m.Info().Name)
	case model.PadToLength:
		if e.padded = padding.Length; e.padded > e.most {
			return nil, fmt.Errorf("padding %d, but model %s takes at most %d tokens", e.padded, m.Info().Name, e.most)
		}
	case model.PadMax:
		e.padded = e.most
	}
	if o.MaxLength > 0 {
		e.most = o.MaxLength
	}
	if err := m.Config().CheckDimensions(o.Dimensions); err != nil {
		return nil, fmt.Errorf("model %s: %w", m.Info().Name, err)
	}
	prompt, err := m.Config().Prompt(o.Task)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.Info().Name, err)
	}
	e.room = max(e.most-2-len(passage.Tokens(m.Tokenizer(), prompt)), 1)
	return e, nil
}

// Model is the model beneath.
func (e *Embedder) Model() *host.Model { return e.model }

// Close releases the model.
func (e *Embedder) Close() error { return e.model.Close() }

// passages cuts a text.
func (e *Embedder) passages(text string) (cut []passage.Passage, starts []int) {
	starts = passage.Tokens(e.model.Tokenizer(), text)
	return passage.Cut(text, starts, passage.Options{
		// A passage must fit into one pass.
		Target: min(e.options.Passages, e.room),
		Max:    min(e.options.Passages+e.options.Passages/2, e.room),
	}), starts
}
