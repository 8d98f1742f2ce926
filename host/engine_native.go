package host

import (
	"context"

	"m2embed/core"
)

// Engines are the names of the engines: this processor, m2embed.wasm under
// wazero, and a GPU.
var Engines = []string{"native", "wasm", "webgpu"}

// engine turns texts into vectors. It is safe for concurrent use.
type engine interface {
	// embed makes one vector for each input, in order, as core's Embedder.Embed
	// does, errors included.
	embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error)
	// name says what runs the model, such as "native (avx512)".
	name() string
	// close ends the engine; no call may be under way.
	close() error
}

// processor is core in this process.
type processor struct{ embedder *core.Embedder }

func (m *Model) startNative(o Options, config []byte) error {
	e, err := core.Open(config, m.files.Tokenizer, m.files.Weights, o.core(m.files))
	if err != nil {
		return err
	}
	m.engine, m.config, m.tokenizer, m.space = processor{e}, e.Config(), e.Tokenizer(), e.Space()
	return nil
}

func (p processor) embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	return p.embedder.Embed(ctx, inputs, o)
}

func (p processor) name() string { return "native (" + p.embedder.Model().Kernels() + ")" }

func (p processor) close() error {
	p.embedder.Close()
	return nil
}
