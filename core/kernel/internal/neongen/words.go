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
