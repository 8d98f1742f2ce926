//go:build wasip1

package main

import (
	"fmt"
	"runtime"
	"unsafe"
)

// buffers is the memory that hosts hold, by address.
var buffers = map[uint32][]byte{}

// limit is the most bytes of linear memory to use.
var limit uint64 = 1<<32 - 1<<16

// allocate makes a buffer of n bytes that bytesAt accepts. One of zero bytes
// has an address too.
func allocate(n uint32) (uint32, []byte, error) {
	if err := room(uint64(n)); err != nil {
		return 0, nil, err
	}
	// float64 elements: every tensor type is aligned in it.
	words := make([]float64, max(1, (uint64(n)+7)/8))
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
	at := uint32(uintptr(unsafe.Pointer(&words[0])))
	buffers[at] = b
	return at, b, nil
}

// giveBack takes a buffer back.
func giveBack(at uint32) error {
	if _, ok := buffers[at]; !ok {
		return fail(BadArgument, "free address %#x: not allocated, or freed before", at)
	}
	delete(buffers, at)
	return nil
}

// bytesAt returns the n bytes at an address that a host handed over.
func bytesAt(what string, at, n uint32) ([]byte, error) {
	if b, ok := buffers[at]; ok {
		if uint64(n) <= uint64(len(b)) {
			return b[:n:n], nil
		}
		return nil, fail(BadArgument, "%s: %d bytes at %#x, but only %d were allocated there", what, n, at, len(b))
	}
	for start, b := range buffers {
		if at >= start && uint64(at)+uint64(n) <= uint64(start)+uint64(len(b)) {
			from := at - start
			return b[from : from+n : from+n], nil
		}
	}
	if n == 0 {
		return nil, nil
	}
	return nil, fail(BadArgument, "%s: %d bytes at %#x: not allocated, or freed before", what, n, at)
}

// room fails when n more bytes would pass the limit.
func room(n uint64) error {
	if n < 1<<16 {
		return nil
	}
	if used := inUse(); used+n+reserve > limit {
		runtime.GC()
		if used = inUse(); used+n+reserve > limit {
			return fail(OutOfMemory, "%s more needed, %s in use, limit %s", size(n), size(used), size(limit))
		}
	}
	return nil
}

// reserve is what small things and the runtime itself may still take.
const reserve = 2 << 20

// inUse is the memory that cannot be given to something new.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapIdle
}

func size(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
