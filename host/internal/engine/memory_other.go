//go:build !linux && !darwin && !freebsd

package engine

import "github.com/tetratelabs/wazero/experimental"

func allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return &sliceMemory{} })
}
