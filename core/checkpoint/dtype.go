package checkpoint

import (
	"fmt"

	"m2embed/core/short"
)

// DType is the type of a tensor's elements.
type DType uint8

// The element types that a checkpoint may hold.
const (
	F32 DType = iota
	F16
	BF16
	F64
	I64
	I32
	I16
	I8
	U8
	Bool
)

// dtypes lists name and size in bytes of every DType, in its order.
var dtypes = [...]struct {
	name string
	size int
}{
	F32: {"F32", 4}, F16: {"F16", 2}, BF16: {"BF16", 2}, F64: {"F64", 8},
	I64: {"I64", 8}, I32: {"I32", 4}, I16: {"I16", 2}, I8: {"I8", 1},
	U8: {"U8", 1}, Bool: {"BOOL", 1},
}

// String returns the name that safetensors headers use, such as "BF16".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Quantized says whether a type's integers stand for numbers: as many steps of
// their row's scale.
func (d DType) Quantized() bool { return d == I8 || d == I16 }

// Size returns the bytes of one element, or 0 for an unknown type.
func (d DType) Size() int {
	if int(d) < len(dtypes) {
		return dtypes[d].size
	}
	return 0
}

// ParseDType returns the DType with the given safetensors name.
func ParseDType(name string) (DType, error) {
	for d, t := range dtypes {
		if t.name == name {
			return DType(d), nil
		}
	}
	return 0, fmt.Errorf("dtype %s is not one of F32, F16, BF16, F64, I64, I32, I16, I8, U8, BOOL", short.Quote(name))
}
