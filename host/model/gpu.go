package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"m2embed/core"
	"m2embed/core/tokenizer"
	"m2embed/webgpu/native"

	coremodel "m2embed/core/model"
)

// gpu is a GPU by way of a WebGPU library. Texts are tokenized, cut and padded
// by core; the GPU runs the forward pass.
type gpu struct {
	embedder *core.Embedder

	mu     sync.Mutex // the device belongs to one goroutine at a time
	device *native.Model
}

// turnTokens is how many positions run before others may have a turn.
const turnTokens = 1 << 15

func (m *Model) startGPU(o Options, config []byte) error {
	o.Embedder.Overwrite = m.files.Writable // which core does when it runs a pass, so never here
	e, err := core.Open(config, m.files.Tokenizer, m.Weights, o.Embedder)
	if err != nil {
		return err
	}
	g := &gpu{embedder: e}
	g.device, err = native.Open(e.Config(), m.Weights, native.Options{})
	if err != nil {
		e.Close()
		return err
	}
	m.Engine, m.Config, m.Tokenizer = g, e.Config(), e.Tokenizer()
	return nil
}

func (g *gpu) Name() string {
	info := g.device.Info()
	return "webgpu (" + cmp.Or(info.Description, info.Device, info.Vendor, "unnamed") + ")"
}

func (g *gpu) Close() error {
	g.device.Close()
	g.embedder.Close()
	return nil
}

func (g *gpu) Embed(ctx context.Context, inputs []core.Input, o core.Options, between func(done, total float64) error) ([]core.Embedding, error) {
	job, err := g.embedder.Start(inputs, o) // for its checks and lengths
	if err != nil {
		return nil, err
	}
	results := job.Results()
	_, total := job.Progress()
	job.Close()
	sequences, err := g.sequences(inputs, results, o)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(inputs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(results[a].Length, results[b].Length) })
	done := 0
	for first := 0; first < len(order); {
		last, tokens := first, 0
		for last < len(order) && (last == first || tokens+results[order[last]].Length <= turnTokens) {
			tokens += results[order[last]].Length
			last++
		}
		if err := g.run(ctx, order[first:last], sequences, results, o); err != nil {
			return nil, err
		}
		first, done = last, done+tokens
		if between != nil && first < len(order) {
			if err := between(float64(done), total); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// run makes the vectors of the texts with the given indices.
func (g *gpu) run(ctx context.Context, texts []int, sequences []coremodel.Sequence, results []core.Embedding, o core.Options) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.embedder.Config()
	chosen := make([]coremodel.Sequence, len(texts))
	for k, i := range texts {
		chosen[k] = sequences[i]
	}
	vectors, err := g.device.Embed(ctx, chosen, cmp.Or(o.Pooling, c.Pooling), o.Normalize == core.Yes || o.Normalize == core.ModelDefault && c.Normalize)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &Fault{err}
	}
	for k, i := range texts {
		for _, x := range vectors[k] {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return &Fault{fmt.Errorf("input %d: the vector is not finite: the weights hold NaN or infinite values, or values too large for them", i)}
			}
		}
		results[i].Vector = vectors[k]
	}
	return nil
}

// sequences tokenizes the inputs as core.Embedder.Start did.
func (g *gpu) sequences(inputs []core.Input, results []core.Embedding, o core.Options) ([]coremodel.Sequence, error) {
	limit := g.embedder.MaxLength()
	if o.MaxLength > 0 {
		limit = min(limit, o.MaxLength)
	}
	all := make([]coremodel.Sequence, len(inputs))
	for i, in := range inputs {
		all[i] = coremodel.Sequence{IDs: in.IDs, Length: results[i].Length}
		if in.IDs != nil {
			continue
		}
		var err error
		all[i].IDs, _, err = g.embedder.Tokenizer().AppendIDs(nil, in.Text, tokenizer.Options{MaxLength: limit, Truncation: o.Truncation})
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	return all, nil
}
