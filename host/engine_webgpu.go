package host

import (
	"cmp"
	"context"

	"m2embed/core"
	"m2embed/webgpu/native"
)

// gpu is a GPU by way of a WebGPU library. Texts are tokenized, cut and padded
// by core; the GPU runs the forward pass.
type gpu struct {
	embedder *core.Embedder
	device   *native.Model
}

func (m *Model) startGPU(o Options, config []byte) error {
	// Core overwrites weights when it runs a pass, so never here.
	e, err := core.Open(config, m.files.Tokenizer, m.files.Weights, o.core(m.files))
	if err != nil {
		return err
	}
	g := &gpu{embedder: e}
	g.device, err = native.Open(e.Config(), m.files.Weights, native.Options{})
	if err != nil {
		e.Close()
		return err
	}
	m.engine, m.config, m.tokenizer, m.space = g, e.Config(), e.Tokenizer(), e.Space()
	return nil
}

func (g *gpu) name() string {
	info := g.device.Info()
	return "webgpu (" + cmp.Or(info.Description, info.Device, info.Vendor, "unnamed") + ")"
}

func (g *gpu) close() error {
	g.device.Close()
	g.embedder.Close()
	return nil
}

func (g *gpu) embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	return g.embedder.EmbedOn(ctx, g.device, inputs, o)
}
