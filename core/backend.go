package core

import (
	"context"
	"errors"
)

// Backend runs passes elsewhere than in core: on a GPU. What becomes of texts
// before and after a pass is core's all the same.
type Backend interface {
	// RunPass makes the vectors (B, D) of a pass, and its hidden states behind them
	// where it asks for them: [Pass.Values] numbers. An error that wraps
	// [ErrPassTooLarge] says that fewer texts may fit.
	RunPass(ctx context.Context, p Pass) ([]float32, error)
}

// ErrPassTooLarge says that a back end has no room for a pass.
var ErrPassTooLarge = errors.New("the pass is too large")

// backendPositions is how many positions a pass of a back end has at most, more
// texts than one given: enough to fill a GPU, few enough that others get their
// turn and a cancelled context ends it soon.
const backendPositions = 1 << 15

// EmbedOn is [Embedder.Embed] with the passes run by a back end. Errors of the
// back end are [Fault]s.
func (e *Embedder) EmbedOn(ctx context.Context, b Backend, inputs []Input, o Options) ([]Embedding, error) {
	j, err := e.start(ctx.Err, inputs, o)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	most := backendPositions
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, more, err := j.NextPass(most)
		if err != nil {
			return nil, err
		}
		if !more {
			return j.Results(), nil
		}
		vectors, err := b.RunPass(ctx, p)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case p.Texts > 1 && errors.Is(err, ErrPassTooLarge):
			most = p.Texts / 2 * p.Length
			continue
		default:
			return nil, &Fault{err}
		}
		if err := j.FinishPass(vectors); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			if err := o.Progress(j.Progress()); err != nil {
				return nil, err
			}
		}
	}
}
