// Package linear is the memory of WebAssembly modules, outside of Go's heap where the
// system can reserve address space.
package linear

// sliceMemory is linear memory that is copied as it grows, for systems and
// limits where no address space can be reserved.
type sliceMemory struct{ b []byte }

func (m *sliceMemory) Reallocate(size uint64) []byte {
	if size > uint64(cap(m.b)) {
		grown := make([]byte, size, size+size/8)
		copy(grown, m.b)
		m.b = grown
	}
	m.b = m.b[:size]
	return m.b
}

func (m *sliceMemory) Free() { m.b = nil }
