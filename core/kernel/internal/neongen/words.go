package main

import "fmt"

// Instructions that Go's assembler doesn't know stand as words, with their
// usual mnemonic beside them: words_test.go has GNU as translate those and
// compares.

func (f *function) word(w uint32, mnemonic string, operands ...any) {
	fmt.Fprintf(&f.body, "\tWORD $%#08x // %s\n", w, fmt.Sprintf(mnemonic, operands...))
}

// registers places the operands of a three-register instruction.
func registers(m, n, d vector) uint32 { return uint32(m)<<16 | uint32(n)<<5 | uint32(d) }

// laneOf4 places the number of a 32-bit lane.
func laneOf4(lane int) uint32 { return uint32(lane&1)<<21 | uint32(lane>>1)<<11 }

// fmlaLane adds n times one lane of m to d, fused.
func (f *function) fmlaLane(m vector, lane int, n, d vector) {
	f.word(0x4f801000|laneOf4(lane)|registers(m, n, d), "fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

// fmulLane makes d of n times one lane of m.
func (f *function) fmulLane(m vector, lane int, n, d vector) {
	f.word(0x4f809000|laneOf4(lane)|registers(m, n, d), "fmul v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

// sdotLane adds to each 32-bit lane of d the products of its four signed bytes
// of n with the four of one lane of m.
func (f *function) sdotLane(m vector, lane int, n, d vector) {
	f.word(0x4f80e000|laneOf4(lane)|registers(m, n, d), "sdot v%d.4s, v%d.16b, v%d.4b[%d]", d, n, m, lane)
}

// smlalLane adds the lower four (or upper four) 16-bit integers of n times one
// 16-bit lane of m to d. m is one of the first sixteen registers.
func (f *function) smlalLane(upper bool, m vector, lane int, n, d vector) {
	if m > 15 {
		panic("smlal by lane takes the lane from v0 to v15")
	}
	place := uint32(lane&1)<<20 | uint32(lane>>1&1)<<21 | uint32(lane>>2)<<11
	if upper {
		f.word(0x4f402000|place|registers(m, n, d), "smlal2 v%d.4s, v%d.8h, v%d.h[%d]", d, n, m, lane)
		return
	}
	f.word(0x0f402000|place|registers(m, n, d), "smlal v%d.4s, v%d.4h, v%d.h[%d]", d, n, m, lane)
}
