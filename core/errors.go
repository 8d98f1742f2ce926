package core

import (
	"errors"
	"fmt"
)

// InputError is an error of one input of a batch. errors.As finds it in whatever
// embedding a batch fails with.
type InputError struct {
	Index int // of the input in the batch
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("input %d: %v", e.Index, e.Err) }
func (e *InputError) Unwrap() error { return e.Err }

// Fault is an error that no input is to blame for: damaged weights, or an engine
// that failed. Where it showed at one input, it holds an [InputError].
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// ErrNotFinite is the [Fault] of a vector that cannot be used.
var ErrNotFinite = errors.New("the vector is not finite: the weights hold NaN or infinite values, or values too large for them")

var errNoTokenizer = errors.New("no tokenizer: this model was opened for token ids only")
