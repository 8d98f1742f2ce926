package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/tokenizer"
	"m2embed/webgpu/native"
	"m2embed/webgpu/plan"

	coremodel "m2embed/core/model"
)

// gpu is a GPU by way of a WebGPU library. Texts are tokenized, cut and padded
// by core; the GPU runs the forward pass.
type gpu struct {
	embedder *core.Embedder
	weights  *checkpoint.File

	mu       sync.Mutex // the device belongs to one call at a time
	device   *native.Device
	executor *native.Executor
	loaded   []*loadedPlan // the one that was used last comes first
}

type loadedPlan struct {
	shape plan.Shape
	*native.Loaded
}

// keptPlans is how many shapes stay on the GPU: their working memory is.
const keptPlans = 4

// passTokens is how many positions of short texts run together.
const passTokens = 2048

func (m *Model) startGPU(o Options, config []byte) error {
	o.Embedder.Overwrite = m.files.Writable // which core does when it runs a pass, so never here
	e, err := core.Open(config, m.files.Tokenizer, m.Weights, o.Embedder)
	if err != nil {
		return err
	}
	device, err := native.OpenDevice()
	if err != nil {
		e.Close()
		return err
	}
	m.Engine = &gpu{embedder: e, weights: m.Weights, device: device, executor: native.NewExecutor(device)}
	m.Config, m.Tokenizer = e.Config(), e.Tokenizer()
	return nil
}

func (g *gpu) Name() string {
	info := g.device.Info
	name := info.Description
	if name == "" {
		name = info.Device + " " + info.Vendor
	}
	return "webgpu (" + name + ")"
}

func (g *gpu) Close() error {
	for _, l := range g.loaded {
		g.executor.Unload(l.Loaded)
	}
	g.executor.Close()
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
	job.Close()
	ids, err := g.ids(inputs, o)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(inputs))
	total := 0
	for i := range order {
		order[i] = i
		total += results[i].Length
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(results[a].Length, results[b].Length) })
	g.mu.Lock()
	defer g.mu.Unlock()
	done := 0
	for len(order) > 0 {
		pass := order[:passSize(order, results)]
		if err := g.run(ctx, pass, ids, results, o); err != nil {
			if ctx.Err() == nil {
				err = &Fault{err}
			}
			return nil, err
		}
		order = order[len(pass):]
		done += len(pass) * results[pass[0]].Length
		if between != nil && len(order) > 0 {
			if err := between(float64(done), float64(total)); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// ids tokenizes the inputs as core.Embedder.Start does.
func (g *gpu) ids(inputs []core.Input, o core.Options) ([][]int32, error) {
	limit := g.embedder.MaxLength()
	if o.MaxLength > 0 {
		limit = min(limit, o.MaxLength)
	}
	all := make([][]int32, len(inputs))
	for i, in := range inputs {
		if all[i] = in.IDs; in.IDs != nil {
			continue
		}
		var err error
		if all[i], _, err = g.embedder.Tokenizer().AppendIDs(nil, in.Text, tokenizer.Options{MaxLength: limit, Truncation: o.Truncation}); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	return all, nil
}

// passSize is how many of the first texts, sorted by length, run together: a
// power of two of equal lengths, so that few shapes occur.
func passSize(order []int, results []core.Embedding) int {
	length := results[order[0]].Length
	same := 1
	for same < len(order) && results[order[same]].Length == length {
		same++
	}
	size := 1
	for 2*size <= same && 2*size*length <= passTokens {
		size *= 2
	}
	return size
}

// run makes the vectors of texts of one length.
func (g *gpu) run(ctx context.Context, texts []int, ids [][]int32, results []core.Embedding, o core.Options) error {
	c := g.embedder.Config()
	length := results[texts[0]].Length
	shape := plan.Shape{
		Texts: len(texts), Length: length, Pooling: cmp.Or(o.Pooling, c.Pooling),
		Normalize: o.Normalize == core.Yes || o.Normalize == core.ModelDefault && c.Normalize,
	}
	loaded, err := g.load(ctx, c, shape)
	if err != nil {
		return err
	}
	rows := make([]int32, 0, len(texts)*length)
	mask := make([]uint32, len(texts)*length)
	for k, i := range texts {
		rows = append(rows, ids[i]...)
		for range length - len(ids[i]) {
			rows = append(rows, int32(c.PadTokenID))
		}
		for j := range ids[i] {
			mask[k*length+j] = 1
		}
	}
	vectors, err := g.executor.Run(ctx, loaded.Loaded, rows, mask)
	if err != nil {
		return err
	}
	for k, i := range texts {
		v := vectors[k*c.HiddenSize : (k+1)*c.HiddenSize]
		for _, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("input %d: the vector is not finite: the weights hold NaN or infinite values, or values too large for them", i)
			}
		}
		results[i].Vector = slices.Clone(v)
	}
	return nil
}

// load finds or makes the plan of a shape.
func (g *gpu) load(ctx context.Context, c coremodel.Config, shape plan.Shape) (*loadedPlan, error) {
	at := slices.IndexFunc(g.loaded, func(l *loadedPlan) bool { return l.shape == shape })
	if at >= 0 {
		l := g.loaded[at]
		g.loaded = slices.Insert(slices.Delete(g.loaded, at, at+1), 0, l)
		return l, nil
	}
	for len(g.loaded) >= keptPlans {
		last := len(g.loaded) - 1
		g.executor.Unload(g.loaded[last].Loaded)
		g.loaded = g.loaded[:last]
	}
	p, err := plan.New(c, shape, g.device.Limits(), plan.Options{})
	if err != nil {
		return nil, err
	}
	loaded, err := g.executor.Load(ctx, p, g.weights)
	if err != nil {
		return nil, err
	}
	l := &loadedPlan{shape, loaded}
	g.loaded = slices.Insert(g.loaded, 0, l)
	return l, nil
}
