package model

import (
	"fmt"

	"m2embed/core/kernel"
)

// Model is a loaded M2-BERT. It is safe for concurrent use.
type Model struct {
	config  Config
	weights weights
	set     *kernel.Set
	spectra *spectra
	workers *workers
	made    positions
}

// LoadOptions are the choices at loading; the zero value is good.
type LoadOptions struct {
	// Kernels is the back end; nil means kernel.Active().
	Kernels *kernel.Set
	// Overwrite says that the tensors' memory belongs to the model and may be
	// reordered in place, so that float32 weights are held once. Without it
	// matrices that alias the file are copied.
	Overwrite bool
	// Threads is the number of threads of a forward pass, at most [MaxThreads]; 0 means
	// one a processor.
	Threads int
	// FilterBudget bounds the bytes of filter spectra kept between runs; 0
	// means DefaultFilterBudget, negative none.
	FilterBudget int
	// Filters is a budget that is shared with other models; nil means one of
	// FilterBudget for this model alone.
	Filters *FilterPool
}

// MaxThreads is the most threads of a model: each keeps memory of its own.
const MaxThreads = 1024

// DefaultFilterBudget holds all filters of the 80M shape for texts of up to
// 2,048 tokens.
const DefaultFilterBudget = 320 << 20

// Load builds a model from its configuration and weights. Matrices are packed
// at their first use, so nothing but shapes is looked at here when the weights
// are mapped.
//
// # Errors
//
// A size in which configuration and weights differ is named with both numbers
// and both sources; a switch that leaves tensors unused or wants tensors that
// are missing by its key and theirs; a missing or misshapen tensor by its name;
// a pad_token_id outside the word table by its value and the range. So is a
// number of threads that cannot be.
func Load(c Config, w Weights, o LoadOptions) (*Model, error) {
	if o.Threads < 0 || o.Threads > MaxThreads {
		return nil, fmt.Errorf("%d threads, want 1 to %d, or 0 for one a processor", o.Threads, MaxThreads)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	// A table of exactly the tokenizer's entries, not padded to eights, is fine.
	if shape, ok := shapeOf(w, WordTable); ok && len(shape) == 2 && (shape[0]+7)/8*8 == c.VocabSize {
		c.VocabSize = shape[0]
	}
	if err := checkSwitches(c, w); err != nil {
		return nil, err
	}
	if err := checkSizes(c, w); err != nil {
		return nil, err
	}
	if c.PadTokenID < 0 || c.PadTokenID >= c.VocabSize {
		return nil, fmt.Errorf("config.json: pad_token_id is %d, want 0 to %d: a row of the word table", c.PadTokenID, c.VocabSize-1)
	}
	set := o.Kernels
	if set == nil {
		set = kernel.Active()
	}
	l := loader{config: c, weights: w, names: w.Names(), set: set, overwrite: o.Overwrite}
	loaded := l.load()
	if l.err != nil {
		return nil, l.err
	}
	if err := loaded.checkPooling(c.Pooling); err != nil {
		return nil, err
	}
	if o.Filters == nil {
		o.Filters = NewFilterPool(o.FilterBudget)
	}
	return &Model{
		config: c, weights: loaded, set: set,
		spectra: newSpectra(set, o.Filters), workers: newWorkers(o.Threads),
		made: positions{lmax: c.LongConvLMax, e: c.HyenaEmbDim},
	}, nil
}

// Config returns the configuration that the model runs with.
func (m *Model) Config() Config { return m.config }

// Kernels names the back end.
func (m *Model) Kernels() string { return m.set.Name }

// FilterBytes is the memory that kept filter spectra take at the moment.
func (m *Model) FilterBytes() int { return m.spectra.bytes() }

// Trim gives up the filter spectra that are kept for later runs, which make them
// again.
func (m *Model) Trim() { m.spectra.trim() }

// Close ends the model's threads and gives up its filter spectra. Runs must
// have ended.
func (m *Model) Close() {
	m.workers.close()
	m.spectra.leave()
}

// Sequence is one text as the model runs it.
type Sequence struct {
	IDs    []int32 // token ids, special tokens included
	Length int     // L: tokens to run, pads included; at least len(IDs)
	Spans  []Span  // pieces that get vectors of their own; they may overlap
}

// Span is a range of a sequence's tokens, from First up to but not including
// Last; one of no tokens has no vector.
type Span struct{ First, Last int }

// CheckSequence says why a sequence cannot run, or nil.
func (m *Model) CheckSequence(s Sequence) error {
	limit := m.config.MaxLength()
	switch {
	case len(s.IDs) == 0:
		return fmt.Errorf("no tokens, want 1 to %d", limit)
	case s.Length < len(s.IDs):
		return fmt.Errorf("%d tokens to run at length %d", len(s.IDs), s.Length)
	case s.Length > limit:
		return fmt.Errorf("%d tokens, but the model takes at most %d", s.Length, limit)
	}
	for i, id := range s.IDs {
		if id < 0 || int(id) >= m.config.VocabSize {
			return fmt.Errorf("token %d is id %d, want 0 to %d", i, id, m.config.VocabSize-1)
		}
	}
	for i, p := range s.Spans {
		if p.First < 0 || p.Last < p.First || p.Last > len(s.IDs) {
			return fmt.Errorf("span %d is of tokens %d to %d, want an ascending range within 0 to %d", i, p.First, p.Last, len(s.IDs))
		}
	}
	return nil
}
