package native

import (
	"context"
	"errors"
	"fmt"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/webgpu/plan"
)

// Model runs passes on a GPU. It belongs to one goroutine at a time.
type Model struct {
	config   model.Config
	tensors  plan.Tensors
	options  Options
	device   *Device
	executor *Executor
	loaded   []*loadedShape // most recently used last
	generous bool           // the spectra's budget is more than the planner's
}

// Options are choices of Open; the zero value is usable.
type Options struct {
	// Plan is for the planner. With SpectraBytes 0 a GPU with memory of its own
	// keeps up to [Info.SpectraBytes], as long as the memory lasts.
	Plan plan.Options
	// Plans bounds the shapes whose buffers are kept; 0 stands for 2.
	Plans int
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
	return openOn(d, c, tensors, o), nil
}

// openOn is Open on a device that is open.
func openOn(d *Device, c model.Config, tensors plan.Tensors, o Options) *Model {
	if o.Plans <= 0 {
		o.Plans = 2
	}
	m := &Model{config: c, tensors: tensors, options: o, device: d, executor: NewExecutor(d)}
	if o.Plan.SpectraBytes == 0 {
		m.options.Plan.SpectraBytes = d.Info.SpectraBytes()
		m.generous = m.options.Plan.SpectraBytes > 0
	}
	return m
}

// Info describes the GPU.
func (m *Model) Info() Info { return m.device.Info }

// Close frees the GPU.
func (m *Model) Close() {
	m.leave()
	m.device.Close()
}

// leave frees what the model holds of its device.
func (m *Model) leave() {
	for _, l := range m.loaded {
		m.executor.Unload(l.loaded)
	}
	m.executor.Close()
}

// RunPass makes the vectors and hidden states of a pass of core's, for which this
// is a [core.Backend].
//
// # Errors
//
// [core.ErrPassTooLarge] for a pass that does not fit the GPU; *Error; the
// context's.
func (m *Model) RunPass(ctx context.Context, p core.Pass) ([]float32, error) {
	l, err := m.load(ctx, plan.Shape{Texts: p.Texts, Length: p.Length, Hidden: p.States, Pooling: p.Pooling, Normalize: p.Normalize})
	if err != nil {
		return nil, sized(err)
	}
	ids := make([]int32, len(p.IDs))
	for i, id := range p.IDs {
		ids[i] = int32(id)
	}
	vectors, err := m.executor.Run(ctx, l, ids, p.Mask)
	if err != nil {
		return nil, sized(err)
	}
	return vectors, nil
}

// sized marks errors after which fewer texts may work.
func sized(err error) error {
	var buffer *plan.TooLargeError
	var gpu *Error
	if errors.As(err, &buffer) || errors.As(err, &gpu) && gpu.Kind == OutOfMemory {
		return fmt.Errorf("%w: %w", core.ErrPassTooLarge, err)
	}
	return err
}

// SpectraBytes is what the filters' spectra take on the GPU at the moment.
func (m *Model) SpectraBytes() int { return m.executor.SharedBytes(nil) }

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
	most := m.options.Plans - 1
	full := p.SharedBytes() > 0 && m.executor.SharedBytes(p)+p.SharedBytes() > p.SharedLimit
	if full {
		most = 0 // the budget is the device's: other lengths give up their spectra
	}
	for len(m.loaded) > most {
		m.executor.Unload(m.loaded[0].loaded)
		m.loaded = m.loaded[1:]
	}
	if full {
		m.executor.DropShared(p)
	}
	l, err := m.executor.Load(ctx, p, m.tensors)
	var gpu *Error
	if errors.As(err, &gpu) && gpu.Kind == OutOfMemory && m.generous {
		m.economize()
		return m.load(ctx, shape)
	}
	if err != nil {
		return nil, err
	}
	m.loaded = append(m.loaded, &loadedShape{shape, l})
	return l, nil
}

// economize gives back the spectra and goes on with the planner's budget.
func (m *Model) economize() {
	m.generous, m.options.Plan.SpectraBytes = false, 0
	for _, l := range m.loaded {
		m.executor.Unload(l.loaded)
	}
	m.loaded = nil
	m.executor.DropShared(nil)
}
