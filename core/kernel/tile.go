//go:build (amd64 || arm64) && !noasm

package kernel

import "unsafe"

// zeros stands for a missing bias.
var zeros [32]float32

func at[T any](s []T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), uintptr(i)*unsafe.Sizeof(*new(T))))
}

// nextTile is how many rows the next register tile takes when `left` are left:
// as many as fit, but rather two tiles of about half than one very small one.
func nextTile(left, most int) int {
	if left <= most {
		return left
	}
	if left < 2*most {
		return (left + 1) / 2
	}
	return most
}
