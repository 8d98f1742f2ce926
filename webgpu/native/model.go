package native

import (
	"context"
	"errors"
	"fmt"

	"m2embed/core/model"
	"m2embed/webgpu/plan"
)

// Model embeds token sequences on a GPU. It belongs to one goroutine at a time.
type Model struct {
	config   model.Config
	tensors  plan.Tensors
	options  Options
	device   *Device
	executor *Executor
	loaded   []*loadedShape // most recently used last
}

// Options are choices of Open; the zero value is usable.
type Options struct {
	Plan plan.Options
	// BatchTokens bounds the tokens of one pass; 0 stands for 65,536.
	BatchTokens int
	// Plans bounds the shapes whose buffers are kept; 0 stands for 2.
	Plans int
	// Progress, if set, is called after each pass with the texts done so far.
	Progress func(done, total int)
}

type loadedShape struct {
	shape  plan.Shape
	loaded *Loaded
}

// Open opens the best GPU for a model. Weights are uploaded when the first
// text needs them, so tensors has to stay readable until Close.
//
// # Errors
//
// *Error of kind Unsupported where there is no usable GPU.
func Open(c model.Config, tensors plan.Tensors, o Options) (*Model, error) {
	d, err := OpenDevice()
	if err != nil {
		return nil, err
	}
	if o.BatchTokens <= 0 {
		o.BatchTokens = 65536
	}
	if o.Plans <= 0 {
		o.Plans = 2
	}
	return &Model{config: c, tensors: tensors, options: o, device: d, executor: NewExecutor(d)}, nil
}

// Info describes the GPU.
func (m *Model) Info() Info { return m.device.Info }

// Close frees the GPU.
func (m *Model) Close() {
	for _, l := range m.loaded {
		m.executor.Unload(l.loaded)
	}
	m.executor.Close()
	m.device.Close()
}

// Embed returns a vector (D) for each sequence, in order. Sequences of equal
// length run together; they never influence each other.
//
// # Errors
//
// A sequence that the model does not take; *plan.TooLargeError for a length
// that does not fit the GPU; *Error; the context's.
func (m *Model) Embed(ctx context.Context, sequences []model.Sequence, pooling model.Pooling, normalize bool) ([][]float32, error) {
	groups := map[int][]int{}
	var lengths []int
	for i, s := range sequences {
		if err := m.check(s); err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
		if groups[s.Length] == nil {
			lengths = append(lengths, s.Length)
		}
		groups[s.Length] = append(groups[s.Length], i)
	}
	vectors := make([][]float32, len(sequences))
	done := 0
	for _, length := range lengths {
		rest := groups[length]
		most := max(1, m.options.BatchTokens/length)
		for len(rest) > 0 {
			n := min(most, len(rest))
			shape := plan.Shape{Texts: n, Length: length, Pooling: pooling, Normalize: normalize}
			err := m.pass(ctx, shape, sequences, rest[:n], vectors)
			if n > 1 && tooLarge(err) {
				most = n / 2
				continue
			}
			if err != nil {
				return nil, err
			}
			rest = rest[n:]
			if done += n; m.options.Progress != nil {
				m.options.Progress(done, len(sequences))
			}
		}
	}
	return vectors, nil
}

// tooLarge says that a smaller batch may work.
func tooLarge(err error) bool {
	var buffer *plan.TooLargeError
	var gpu *Error
	return errors.As(err, &buffer) || errors.As(err, &gpu) && gpu.Kind == OutOfMemory
}

// check is model.CheckSequence without a loaded model.
func (m *Model) check(s model.Sequence) error {
	switch limit := m.config.MaxLength(); {
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
	return nil
}

// pass runs the sequences with the given indices, all of one length.
func (m *Model) pass(ctx context.Context, shape plan.Shape, sequences []model.Sequence, indices []int, vectors [][]float32) error {
	l, err := m.load(ctx, shape)
	if err != nil {
		return err
	}
	ids, mask := make([]int32, shape.Texts*shape.Length), make([]uint32, shape.Texts*shape.Length)
	for i, index := range indices {
		row := i * shape.Length
		for t := range shape.Length {
			ids[row+t] = int32(m.config.PadTokenID)
		}
		copy(ids[row:], sequences[index].IDs)
		for t := range sequences[index].IDs {
			mask[row+t] = 1
		}
	}
	out, err := m.executor.Run(ctx, l, ids, mask)
	if err != nil {
		return err
	}
	for i, index := range indices {
		d := m.config.HiddenSize
		vectors[index] = out[i*d : (i+1)*d : (i+1)*d]
	}
	return nil
}

// load returns the plan of a shape, from the few that are kept or anew.
func (m *Model) load(ctx context.Context, shape plan.Shape) (*Loaded, error) {
	for i, l := range m.loaded {
		if l.shape == shape {
			m.loaded = append(append(m.loaded[:i:i], m.loaded[i+1:]...), l)
			return l.loaded, nil
		}
	}
	p, err := plan.New(m.config, shape, m.device.Limits(), m.options.Plan)
	if err != nil {
		return nil, err
	}
	for len(m.loaded) >= m.options.Plans {
		m.executor.Unload(m.loaded[0].loaded)
		m.loaded = m.loaded[1:]
	}
	l, err := m.executor.Load(ctx, p, m.tensors)
	if err != nil {
		return nil, err
	}
	m.loaded = append(m.loaded, &loadedShape{shape, l})
	return l, nil
}
