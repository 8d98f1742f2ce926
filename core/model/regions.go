package model

import (
	"cmp"
	"slices"
	"unsafe"

	"m2embed/core/kernel"
)

// region is where a tensor's bytes lie, and the matrices that may be packed in
// them.
type region struct {
	start, end uintptr
	packed     []*kernel.Matrix
}

func regionOf(data []byte) region {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	return region{start: start, end: start + uintptr(len(data))}
}

// packs notes that the tensor taken last is packed as matrices.
func (l *loader) packs(matrices []*kernel.Matrix) { l.regions[len(l.regions)-1].packed = matrices }

// separate gives matrices a copy of their weights where other tensors share the
// bytes, as those of layers that were tied do: packed in place, they would be
// something else to whoever reads them there.
func separate(regions []region) {
	slices.SortFunc(regions, func(a, b region) int { return cmp.Compare(a.start, b.start) })
	end := uintptr(0) // of all before
	for i, r := range regions {
		shared := r.start < end || i+1 < len(regions) && regions[i+1].start < r.end
		if shared && r.start < r.end {
			for _, m := range r.packed {
				m.Detach()
			}
		}
		end = max(end, r.end)
	}
}
