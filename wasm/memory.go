//go:build wasip1

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// buffers is the memory that hosts hold, by address.
var buffers = map[uint32][]byte{}

// limit is the most bytes of linear memory to use.
var limit uint64 = 1<<32 - 1<<16

// spare is a large buffer that came back last, for the next of its size.
var spare []byte

// allocate makes a buffer of n bytes that bytesAt accepts. One of zero bytes
// has an address too.
func allocate(n uint32) (uint32, []byte, error) {
	b := spare
	if b == nil || int(n) > cap(b) || int(n) < cap(b)/2 {
		if err := room(uint64(n)); err != nil {
			return 0, nil, err
		}
		// float64 elements: every tensor type is aligned in it.
		words := make([]float64, max(1, (uint64(n)+7)/8))
		b = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
	} else {
		spare = nil
	}
	at := addressOf(b)
	buffers[at] = b[:n]
	return at, b[:n], nil
}

// giveBack takes a buffer back.
func giveBack(at uint32) error {
	b, ok := buffers[at]
	if !ok {
		return fail(BadArgument, "free address %#x: not allocated, or freed before", at)
	}
	for _, m := range models.live {
		if m.weights != nil && m.at == at {
			return fail(BadArgument, "free address %#x: it is reserved for a model's weights", at)
		}
	}
	delete(buffers, at)
	if cap(b) < 1<<20 {
		return nil
	}
	if r := preparing(at); r != nil {
		r.returned = b
	} else {
		spare = b
	}
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

// textOf is a host's bytes as a string, for the time of a call: no copy.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// room fails when n more bytes in one piece would pass the limit.
func room(n uint64) error { return roomFor(n, n) }

// roomFor fails when n more bytes would pass the limit, of which no piece is
// larger than the one given.
func roomFor(n, piece uint64) error {
	if fits(n, piece) {
		return nil
	}
	spare = nil
	runtime.GC()
	if fits(n, piece) {
		return nil
	}
	used := inUse() + promised()
	return fail(OutOfMemory, "%s more needed, %s in use and %s free in pieces, limit %s", size(n), size(used), size(linear()-inUse()), size(limit))
}

// fits says whether n more bytes stay below the limit. Freed memory lies in
// pieces, so it must be more than what is needed by the largest one.
func fits(n, piece uint64) bool {
	whole, most := linear(), limit-min(limit, promised()+reserve)
	if whole+n+growth <= most {
		return true
	}
	used := inUse()
	return used+n <= most && (whole+n+growth <= limit || whole-used >= n+piece)
}

// promised is the memory that open models may still fill with filters.
func promised() (bytes uint64) {
	for _, m := range models.live {
		if m.embedder != nil {
			bytes += uint64(max(0, m.filters-m.embedder.Model().FilterBytes()))
		}
	}
	return bytes
}

const (
	// reserve is what small things and the runtime itself may still take.
	reserve = 2 << 20
	// growth is the step in which the runtime lets linear memory grow.
	growth = 512 << 10
)

// setLimit bounds linear memory, and so the garbage that waits in it.
func setLimit(bytes uint64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	limit = bytes
	debug.SetMemoryLimit(int64(limit - (linear() - m.Sys) - reserve))
}

// inUse is the memory that cannot be given to something new.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return linear() - m.HeapIdle
}

// linear is the size of linear memory, the module's constants included.
func linear() uint64 { return uint64(pages()) << 16 }

// pages is the instruction memory.size.
func pages() uint32

func size(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
