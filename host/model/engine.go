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
	// Embed makes one vector for each input, in order, as core's Embedder.Embed
	// does, errors included.
	Embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error)
	// Name says what runs the model, such as "native (avx512)".
	Name() string
	// Close ends the engine; no call may be under way.
	Close() error
}

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

func (p processor) Embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	return p.embedder.Embed(ctx, inputs, o)
}

func (p processor) Name() string { return "native (" + p.embedder.Model().Kernels() + ")" }

func (p processor) Close() error {
	p.embedder.Close()
	return nil
}
