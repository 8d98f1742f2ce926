package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/webgpu/plan"
)

// Model runs passes on a GPU. It is safe for concurrent use: the passes of all
// models of a device take turns.
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

// process is the device that the models of Open share: one budget for their
// spectra, and kernels that are compiled once.
var process struct {
	sync.Mutex
	device *Device
}

// Open opens the best GPU for a model; all models of a process share it. Weights
// are uploaded when the first text needs them, so tensors has to stay readable
// until Close.
//
// # Errors
//
// *Error of kind Unsupported where there is no usable GPU.
func Open(c model.Config, tensors plan.Tensors, o Options) (*Model, error) {
	process.Lock()
	defer process.Unlock()
	if d := process.device; d == nil || d.isLost() {
		var err error
		if d, err = OpenDevice(); err != nil {
			return nil, err
		}
		process.device = d
	}
	return openOn(process.device, c, tensors, o), nil
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
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.models = append(d.models, m)
	return m
}

// Info describes the GPU.
func (m *Model) Info() Info { return m.device.Info }

// Close frees what the model holds of the GPU, and the GPU with its last model.
func (m *Model) Close() {
	process.Lock()
	defer process.Unlock()
	if m.leave() > 0 {
		return
	}
	m.device.Close()
	if process.device == m.device {
		process.device = nil
	}
}

// leave frees what the model holds of its device, and says how many models are left on it.
func (m *Model) leave() int {
	d := m.device
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	m.forget(0)
	m.executor.Close()
	d.models = slices.DeleteFunc(d.models, func(other *Model) bool { return other == m })
	return len(d.models)
}

// RunPass makes the vectors and hidden states of a pass of core's, for which this
// is a [core.Backend].
//
// # Errors
//
// [core.ErrPassTooLarge] for a pass that does not fit the GPU; *Error; the
// context's.
func (m *Model) RunPass(ctx context.Context, p core.Pass) ([]float32, error) {
	select {
	case m.device.turn <- struct{}{}:
		defer func() { <-m.device.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
	if own := p.SharedBytes(); own > 0 && m.device.spectraBytes(m, p)+own > p.SharedLimit {
		// The budget is the device's: other lengths and other models give up their spectra.
		for _, other := range m.device.models {
			if other == m {
				m.forget(0)
				m.executor.DropShared(p)
			} else {
				other.dropSpectra()
			}
		}
	}
	m.forget(m.options.Plans - 1)
	l, err := m.executor.Load(ctx, p, m.tensors)
	var gpu *Error
	if errors.As(err, &gpu) && gpu.Kind == OutOfMemory && m.device.economize() {
		return m.load(ctx, shape)
	}
	if err != nil {
		return nil, err
	}
	m.loaded = append(m.loaded, &loadedShape{shape, l})
	return l, nil
}

// forget unloads plans, those not used for longest first, until so many are left.
func (m *Model) forget(most int) {
	for len(m.loaded) > most {
		m.executor.Unload(m.loaded[0].loaded)
		m.loaded = m.loaded[1:]
	}
}

// dropSpectra gives up the spectra, and the plans that use them.
func (m *Model) dropSpectra() {
	if m.executor.SharedBytes(nil) > 0 {
		m.forget(0)
		m.executor.DropShared(nil)
	}
}

// spectraBytes is what the filters' spectra of all models take on the device, those
// of a plan of one of them left out; both may be nil.
func (d *Device) spectraBytes(m *Model, but *plan.Plan) (bytes int) {
	for _, other := range d.models {
		if other == m {
			bytes += other.executor.SharedBytes(but)
		} else {
			bytes += other.executor.SharedBytes(nil)
		}
	}
	return bytes
}

// economize gives back what all models keep between passes but their weights, goes
// on with the planner's budget for spectra, and says whether there was any of it.
func (d *Device) economize() (some bool) {
	for _, m := range d.models {
		some = some || m.generous || len(m.loaded) > 0 || m.executor.SharedBytes(nil) > 0
		if m.generous {
			m.generous, m.options.Plan.SpectraBytes = false, 0
		}
		m.forget(0)
		m.executor.DropShared(nil)
	}
	return some
}
