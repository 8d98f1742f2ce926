package checkpoint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"m2embed/core/short"
)

// maxDimensions is the most sizes that a shape may have; torch allows 64.
const maxDimensions = 64

// place checks a tensor's description against the bytes that are there and
// fills in its elements, span and strides. available is the number of bytes
// from e.offset to the end of what holds the tensor. Strides may be 0 or
// overlap, as those of an expanded tensor do: what the tensor then takes when
// it is read is bounded by limitCopies.
func (e *entry) place(strides []int, available int64) error {
	n, ok := product(e.shape)
	size := e.dtype.Size()
	if !ok || n > math.MaxInt/size {
		return fmt.Errorf("shape %s is too large", short.List(e.shape))
	}
	e.elements = n
	if strides == nil || n == 0 || isContiguous(e.shape, strides) {
		if int64(n) > available/int64(size) {
			return fmt.Errorf("shape %s of %s takes %d bytes, but %d are there", short.List(e.shape), e.dtype, int64(n)*int64(size), max(available, 0))
		}
		e.span = int64(n) * int64(size)
		return nil
	}
	held := available / int64(size) // whole elements
	last := int64(0)
	for axis, s := range strides {
		if s < 0 {
			return fmt.Errorf("negative stride in %s", short.List(strides))
		}
		steps := int64(e.shape[axis] - 1)
		if held < 1 || steps > 0 && int64(s) > (held-1-last)/steps {
			return fmt.Errorf("shape %s with strides %s reaches past its %d bytes", short.List(e.shape), short.List(strides), max(available, 0))
		}
		last += steps * int64(s)
	}
	e.strides = strides
	e.span = (last + 1) * int64(size)
	return nil
}

// isContiguous reports whether strides are those of row-major order. Axes of
// size 1 may have any.
func isContiguous(shape, strides []int) bool {
	want := 1
	for axis := len(shape) - 1; axis >= 0; axis-- {
		if shape[axis] == 1 {
			continue
		}
		if strides[axis] != want {
			return false
		}
		want *= shape[axis]
	}
	return true
}

// copied reports whether reading the tensor makes bytes that the file does not
// hold as they are.
func (e *entry) copied() bool { return e.strides != nil || e.negative }

// maxExpansion is what a file's strided tensors may take beyond its own size.
const maxExpansion = 16 << 20

// limitCopies bounds what strided tensors take when they are read, all of them
// together, by the file's size and 16 MB, the small ones first: a few bytes can
// be expanded to any shape. Those over the bound are refused when they are
// asked for.
func limitCopies(entries []*entry, size int64) {
	var copied []*entry
	for _, e := range entries {
		if e.refused == nil && e.copied() {
			copied = append(copied, e)
		}
	}
	slices.SortStableFunc(copied, func(a, b *entry) int { return int(min(max(a.bytes()-b.bytes(), -1), 1)) })
	room := size + maxExpansion
	for _, e := range copied {
		if e.bytes() > room {
			e.refused = fmt.Errorf("shape %s with strides %s makes %d bytes out of %d; a file of %d bytes may expand to %d",
				short.List(e.shape), short.List(e.strides), e.bytes(), e.span, size, size+maxExpansion)
			continue
		}
		room -= e.bytes()
	}
}

// limitShared bounds how often the file's bytes may serve several tensors, all
// of them together, as limitCopies does: whoever reads them may need a copy for
// each.
func (f *File) limitShared() {
	entries := slices.SortedFunc(maps.Values(f.tensors), func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), strings.Compare(a.name, b.name))
	})
	room, end := f.size+maxExpansion, int64(0)
	for _, e := range entries {
		if e.copied() {
			continue
		}
		shared := min(end, e.offset+e.span) - e.offset
		end = max(end, e.offset+e.span)
		if shared <= 0 {
			continue
		}
		if shared > room {
			delete(f.tensors, e.name)
			f.refused[e.name] = fmt.Errorf("it shares %d bytes with other tensors; those of a file of %d bytes may share %d in all", shared, f.size, f.size+maxExpansion)
			continue
		}
		room -= shared
	}
}

// gather copies strided elements into row-major order.
func gather(data []byte, e *entry) []byte {
	size := e.dtype.Size()
	out := make([]byte, 0, e.elements*size)
	index := make([]int, len(e.shape))
	position := 0 // of the current element, in elements
	for range e.elements {
		out = append(out, data[position*size:position*size+size]...)
		for axis := len(index) - 1; axis >= 0; axis-- {
			index[axis]++
			position += e.strides[axis]
			if index[axis] < e.shape[axis] {
				break
			}
			position -= e.strides[axis] * e.shape[axis]
			index[axis] = 0
		}
	}
	return out
}

// negate changes the sign of every element in place: torch may save a tensor
// as the negative of its bytes.
func negate(d DType, data []byte) {
	size := d.Size()
	for ; len(data) >= size; data = data[size:] {
		switch d {
		case F32, F16, BF16, F64:
			data[size-1] ^= 0x80 // the sign is the highest bit
		case I64:
			binary.LittleEndian.PutUint64(data, -binary.LittleEndian.Uint64(data))
		case I32:
			binary.LittleEndian.PutUint32(data, -binary.LittleEndian.Uint32(data))
		case I16:
			binary.LittleEndian.PutUint16(data, -binary.LittleEndian.Uint16(data))
		case I8, U8:
			data[0] = -data[0]
		case Bool: // torch has no negative of it
		}
	}
}

// sortByOffset orders entries by their place in the file, those of no bytes
// before others at the same place.
func sortByOffset(entries []*entry) {
	slices.SortStableFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.span, b.span))
	})
}
