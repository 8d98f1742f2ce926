package model

import (
	"context"

	"m2embed/core"
)

// Engines are the names of the engines: this processor, m2embed.wasm under
// wazero, and a GPU.
var Engines = []string{"native", "wasm", "webgpu"}

// Engine turns texts into vectors. It is safe for concurrent use.
type Engine interface {
	// Embed makes one vector for each input, in order, as core's
	// Embedder.Embed does, and ends early with the context's error when that is
	// cancelled. What is not the inputs' fault is a *Fault. between, if not nil, is told every few milliseconds, as far as
	// the engine works in steps, how much is done; it may wait, and its error
	// ends the work.
	Embed(ctx context.Context, inputs []core.Input, o core.Options, between func(done, total float64) error) ([]core.Embedding, error)
	// Name says what runs the model, such as "native (avx512)".
	Name() string
	// Close ends the engine; no call may be under way.
	Close() error
}

// Fault is an error of an engine or of a model's weights.
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// processor is core in this process.
type processor struct{ embedder *core.Embedder }

func (m *Model) startNative(o Options, config []byte) error {
	o.Embedder.Overwrite = m.files.Writable
	e, err := core.Open(config, m.files.Tokenizer, m.Weights, o.Embedder)
	if err != nil {
		return err
	}
	m.Engine, m.Config, m.Tokenizer = processor{e}, e.Config(), e.Tokenizer()
	return nil
}

func (p processor) Embed(ctx context.Context, inputs []core.Input, o core.Options, between func(done, total float64) error) ([]core.Embedding, error) {
	job, err := p.embedder.Start(inputs, o)
	if err != nil {
		return nil, err
	}
	defer job.Close()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		done, err := job.Step()
		if err != nil {
			return nil, &Fault{err}
		}
		if done {
			return job.Results(), nil
		}
		if between != nil {
			if err := between(job.Progress()); err != nil {
				return nil, err
			}
		}
	}
}

func (p processor) Name() string { return "native (" + p.embedder.Model().Kernels() + ")" }

func (p processor) Close() error {
	p.embedder.Close()
	return nil
}
