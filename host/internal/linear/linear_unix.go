//go:build linux || darwin || freebsd

package linear

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// Allocator reserves address space for the most that linear memory may become
// and lets it grow in place: growing never copies what is in it, and pages that
// were never touched cost nothing.
func Allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		b, err := syscall.Mmap(-1, 0, int(most), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|noReserve)
		if err != nil {
			return &sliceMemory{}
		}
		return mapped(b)
	})
}

type mapped []byte

func (m mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m)) {
		return nil
	}
	return m[:size:len(m)]
}

func (m mapped) Free() { syscall.Munmap(m) }
