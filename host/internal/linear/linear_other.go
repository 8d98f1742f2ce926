//go:build !linux && !darwin && !freebsd

package linear

import "github.com/tetratelabs/wazero/experimental"

// Allocator gives memory that is copied as it grows.
func Allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return &sliceMemory{} })
}
