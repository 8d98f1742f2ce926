package native

// Economize does what running out of memory does.
func (m *Model) Economize() { m.economize() }
