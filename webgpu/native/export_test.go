package native

import (
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
func (m *Model) Economize() { m.economize() }
