package native

import (
	"context"

	"m2embed/core/model"
	"m2embed/webgpu/plan"
)

// OpenOn opens a model on a device that others use, too: a software adapter takes
// seconds to compile what they share.
func OpenOn(d *Device, c model.Config, tensors plan.Tensors, o Options) *Model {
	return openOn(d, c, tensors, o)
}

// Leave closes a model of OpenOn.
func (m *Model) Leave() { m.leave() }

// Economize does what running out of memory does.
func (m *Model) Economize() { m.device.economize() }

// SpectraBytes is what the filters' spectra of all models take on the GPU.
func (m *Model) SpectraBytes() int { return m.device.spectraBytes(nil, nil) }

// Device is what the model runs on.
func (m *Model) Device() *Device { return m.device }

// ProcessDevice is the device that models of Open share, nil where none is open.
func ProcessDevice() *Device { return process.device }

// Hold runs work while the model has the turn on its device.
func (m *Model) Hold(work func()) {
	m.device.turn <- struct{}{}
	defer func() { <-m.device.turn }()
	work()
}

// BreakSetup loads the plan of a shape and lets the device refuse what fills its
// spectra, until mend is called.
func (m *Model) BreakSetup(shape plan.Shape) (mend func(), err error) {
	l, err := m.load(context.Background(), shape)
	if err != nil {
		return nil, err
	}
	first := &l.setup[0][0]
	groups := first.groups
	first.groups = [3]int{1 << 20, 1, 1} // more than any device takes
	return func() { first.groups = groups }, nil
}
