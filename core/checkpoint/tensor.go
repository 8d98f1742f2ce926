package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"m2embed/core/short"
)

// Tensor is one named array of numbers.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	// Data holds the elements in row-major order, little-endian:
	// len(Data) = product(Shape) * DType.Size(). It may alias the memory
	// that the checkpoint was opened over.
	Data []byte
}

// Elements returns the product of the shape: 1 for a scalar.
func (t Tensor) Elements() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// Float32 converts F32, F16, BF16 or F64 elements to float32, row-major. All
// but F64 convert exactly; F64 is rounded to nearest. dst is reused when its
// capacity suffices and is otherwise replaced.
//
// # Errors
//
// Integer types are refused, and so is Data whose length does not fit Shape.
func (t Tensor) Float32(dst []float32) ([]float32, error) {
	n := t.Elements()
	if n < 0 || len(t.Data) != n*t.DType.Size() {
		return nil, fmt.Errorf("tensor %s: %d bytes, want %s elements of %s", short.Quote(t.Name), len(t.Data), short.List(t.Shape), t.DType)
	}
	if cap(dst) < n {
		dst = make([]float32, n)
	}
	dst = dst[:n]
	if err := decodeFloat32(dst, t.DType, t.Data); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", short.Quote(t.Name), err)
	}
	return dst, nil
}

// ScaleSuffix ends the name of the tensor that holds the scales of a quantised
// one: one for each row of the last axis.
const ScaleSuffix = "_scale"

// Quantized says whether the tensor is of a quantised type.
func (t Tensor) Quantized() bool { return t.DType.Quantized() }

// Dequantize multiplies the integers of a quantised tensor with their scales, a
// tensor of the same shape without the last axis.
//
// # Errors
//
// Types other than I8 and I16, and scales of another shape.
func (t Tensor) Dequantize(scales Tensor) ([]float32, error) {
	n := t.Elements()
	if !t.Quantized() || n < 0 || len(t.Data) != n*t.DType.Size() {
		return nil, fmt.Errorf("tensor %s: %d bytes of %s, want %s elements of I8 or I16", short.Quote(t.Name), len(t.Data), t.DType, short.List(t.Shape))
	}
	if len(t.Shape) == 0 || !slices.Equal(scales.Shape, t.Shape[:len(t.Shape)-1]) {
		return nil, fmt.Errorf("tensor %s: shape %s, want the scales of the rows of %s", short.Quote(scales.Name), short.List(scales.Shape), short.List(t.Shape))
	}
	steps, err := scales.Float32(nil)
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	columns := t.Shape[len(t.Shape)-1]
	for i := range out {
		step := steps[i/columns]
		if t.DType == I8 {
			out[i] = float32(int8(t.Data[i])) * step
		} else {
			out[i] = float32(int16(binary.LittleEndian.Uint16(t.Data[2*i:]))) * step
		}
	}
	return out, nil
}

// Float32View returns the elements without a copy: they alias Data. It
// reports false unless the type is F32, Data is aligned to 4 bytes and the
// machine is little-endian.
func (t Tensor) Float32View() ([]float32, bool) {
	if t.DType != F32 || len(t.Data)%4 != 0 {
		return nil, false
	}
	return float32View(t.Data)
}

// littleEndian tells whether the machine stores numbers as checkpoints do.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// float32View reinterprets b, if alignment and byte order allow.
func float32View(b []byte) ([]float32, bool) {
	if !littleEndian {
		return nil, false
	}
	if len(b) == 0 {
		return []float32{}, true
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%4 != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(p), len(b)/4), true
}

// decodeFloat32 converts len(dst) elements of data.
func decodeFloat32(dst []float32, d DType, data []byte) error {
	switch d {
	case F32:
		if view, ok := float32View(data); ok {
			copy(dst, view)
			return nil
		}
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = Float16ToFloat32(binary.LittleEndian.Uint16(data[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = BFloat16ToFloat32(binary.LittleEndian.Uint16(data[2*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:])))
		}
	default:
		return fmt.Errorf("dtype %s, want F32, F16, BF16 or F64", d)
	}
	return nil
}

// product multiplies the sizes of a shape. It reports false for a negative
// size and for a product that does not fit an int.
func product(shape []int) (int, bool) {
	n := 1
	for _, s := range shape {
		switch {
		case s < 0:
			return 0, false
		case s == 0:
			n = 0
		case n > math.MaxInt/s:
			return 0, false
		default:
			n *= s
		}
	}
	return n, true
}
