package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const integerSignature = "func(c *float32, ldc int, q *byte, stride int, steps int, panel *byte, rowScales *float32, columnScales *float32, bias *float32"

// finishIntegers scales the integer sums as the plain twin does, without fusing:
// c = bias + float(sum)·(rowScale·columnScale).
func finishIntegers(v vector, sums [][]reg.VecVirtual) {
	c, ldc, rowScales, columnScales, bias := pointer("c"), pointer("ldc"), pointer("rowScales"), pointer("columnScales"), pointer("bias")
	SHLQ(operand.U8(2), ldc)
	for r := range sums {
		scale := v.reg()
		VBROADCASTSS(at(rowScales, 4*r), scale)
		for j, s := range sums[r] {
			f := v.reg()
			VCVTDQ2PS(s, s)
			VMULPS(at(columnScales, j*v.bytes), scale, f)
			VMULPS(f, s, s)
			VADDPS(at(bias, j*v.bytes), s, s)
			VMOVUPS(s, at(c, j*v.bytes))
		}
		if r+1 < len(sums) {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

func zeroSums(v vector, rows, vecs int) [][]reg.VecVirtual {
	sums := make([][]reg.VecVirtual, rows)
	for r := range sums {
		for range vecs {
			s := v.reg()
			if v.lanes == 16 {
				VPXORD(s, s, s)
			} else {
				VPXOR(s, s, s)
			}
			sums[r] = append(sums[r], s)
		}
	}
	return sums
}

// gemmPairsAVX2 multiplies pairs of 16-bit values, so nothing can saturate. A
// row of q is K 16-bit integers, a panel step two inputs of 16 columns: 32 bytes
// of 8-bit weights or 64 of 16-bit ones.
func gemmPairsAVX2(bits, rows int) {
	v, step := avx2, 4*bits
	text(fmt.Sprintf("gemmI%dRows%dAVX2", bits, rows), integerSignature+")", fmt.Sprintf("computes %d rows and 16 columns; a step is two inputs.", rows))
	q, stride, steps, panel := pointer("q"), pointer("stride"), pointer("steps"), pointer("panel")
	sums := zeroSums(v, rows, 2)
	p := newRowPointers(q, stride, rows)
	for _, unroll := range []int{4, 1} {
		countDown(fmt.Sprintf("loop%d", unroll), steps, unroll, func() {
			for u := range unroll {
				b := []reg.VecVirtual{v.reg(), v.reg()}
				for j := range b {
					if from := at(panel, step*u+step/2*j); bits == 8 {
						VPMOVSXBW(from, b[j])
					} else {
						VMOVDQU(from, b[j])
					}
				}
				for r := range rows {
					// Both products, then both sums: a processor spreads them
					// over its units better than in turns.
					x, t := v.reg(), v.reg()
					VPBROADCASTD(p.at(r, 4*u), x)
					VPMADDWD(b[0], x, t)
					VPMADDWD(b[1], x, x)
					VPADDD(t, sums[r][0], sums[r][0])
					VPADDD(x, sums[r][1], sums[r][1])
				}
			}
			p.advance(4 * unroll)
			ADDQ(operand.I32(step*unroll), panel)
		})
	}
	finishIntegers(v, sums)
}

// gemmI8VNNI multiplies unsigned weights (the 8-bit weight plus 128) with
// signed activations, four at a time, and takes 128·Σq off at the end. A row of
// q is K bytes, a panel step four inputs of 32 columns: 128 bytes.
func gemmI8VNNI(rows int) {
	v := avx512
	text(fmt.Sprintf("gemmI8Rows%dVNNI", rows), integerSignature+", rowSums *int32)", fmt.Sprintf("computes %d rows and 32 columns; a step is four inputs.", rows))
	rowSums := pointer("rowSums")
	sums := make([][]reg.VecVirtual, rows)
	for r := range sums {
		s, t := v.reg(), v.reg()
		VPBROADCASTD(at(rowSums, 4*r), s)
		VPSLLD(operand.U8(7), s, s)
		VPXORD(t, t, t)
		VPSUBD(s, t, s)
		VMOVDQA32(s, t)
		sums[r] = []reg.VecVirtual{s, t}
	}
	dotSteps(v, sums, "VPDPBUSD")
	finishIntegers(v, sums)
}

// gemmI16VNNI multiplies pairs of 16-bit values. A row of q is K 16-bit
// integers, a panel step two inputs of 32 columns: 128 bytes.
func gemmI16VNNI(rows int) {
	v := avx512
	text(fmt.Sprintf("gemmI16Rows%dVNNI", rows), integerSignature+")", fmt.Sprintf("computes %d rows and 32 columns; a step is two inputs.", rows))
	sums := zeroSums(v, rows, 2)
	dotSteps(v, sums, "VPDPWSSD")
	finishIntegers(v, sums)
}

// dotSteps adds the products of all steps: 4 bytes of each row with 4 bytes of
// 32 columns.
func dotSteps(v vector, sums [][]reg.VecVirtual, instruction string) {
	q, stride, steps, panel := pointer("q"), pointer("stride"), pointer("steps"), pointer("panel")
	p := newRowPointers(q, stride, len(sums))
	for _, unroll := range []int{4, 1} {
		countDown(fmt.Sprintf("loop%d", unroll), steps, unroll, func() {
			for u := range unroll {
				b := []reg.VecVirtual{v.reg(), v.reg()}
				for j := range b {
					VMOVDQU32(at(panel, 128*u+64*j), b[j])
				}
				for r := range sums {
					x := v.reg()
					VPBROADCASTD(p.at(r, 4*u), x)
					for j := range b {
						dot(instruction, x, b[j], sums[r][j])
					}
				}
			}
			p.advance(4 * unroll)
			ADDQ(operand.I32(128*unroll), panel)
		})
	}
}

// dot adds to each 32-bit sum the products of four signed and unsigned bytes
// (VPDPBUSD) or of two pairs of signed 16-bit integers (VPDPWSSD). avo has no
// table entries for them.
func dot(instruction string, row, weights, sum reg.VecVirtual) {
	Instruction(&ir.Instruction{
		Opcode:   instruction,
		Operands: []operand.Op{row, weights, sum},
		Inputs:   []operand.Op{row, weights, sum},
		Outputs:  []operand.Op{sum},
		ISA:      []string{"AVX512VNNI"},
	})
}

// quantize writes the two passes over a row of activations.
func quantize() {
	v := avx2
	// Magnitudes compare as integers do, with what is no number above all: a maximum
	// of floats would lose that. Four maxima, as one would wait for itself.
	text("largestMagnitudeAVX2", "func(x *float32, n int) float32", "returns max |x| of n values.")
	x, n := pointer("x"), pointer("n")
	magnitude, rest := v.constant("magnitude"), scalar.zero()
	largest := []reg.VecVirtual{v.zero(), v.zero(), v.zero(), v.zero()}
	for _, unroll := range []int{4, 1} {
		countDown(fmt.Sprintf("loop%d", unroll), n, 8*unroll, func() {
			for u := range unroll {
				t := v.reg()
				VANDPS(at(x, 32*u), magnitude, t)
				VPMAXSD(t, largest[u], largest[u])
			}
			ADDQ(operand.I32(32*unroll), x)
		})
	}
	countDown("rest", n, 1, func() {
		t := scalar.load(at(x, 0))
		VANDPS(magnitude.AsX(), t, t)
		VPMAXSD(t, rest, rest)
		ADDQ(operand.I32(4), x)
	})
	VPMAXSD(largest[1], largest[0], largest[0])
	VPMAXSD(largest[3], largest[2], largest[2])
	VPMAXSD(largest[2], largest[0], largest[0])
	high, low := XMM(), largest[0].AsX()
	VEXTRACTI128(operand.U8(1), largest[0], high)
	VPMAXSD(high, low, low)
	VPMAXSD(rest, low, low)
	VPSHUFD(operand.U8(0x4e), low, high)
	VPMAXSD(high, low, low)
	VPSHUFD(operand.U8(0xb1), low, high)
	VPMAXSD(high, low, low)
	Store(low, ReturnIndex(0))
	VZEROUPPER()
	RET()

	// q as 16-bit integers for pairs, as bytes for fours.
	for _, bytes := range []int{2, 1} {
		text(fmt.Sprintf("quantizeRow%dAVX2", 8*bytes), "func(q *byte, x *float32, n int, inverse float32) int32",
			fmt.Sprintf("rounds n values times inverse to %d-bit integers and returns their sum.", 8*bytes))
		q, x, n := pointer("q"), pointer("x"), pointer("n")
		inverse := v.reg()
		VBROADCASTSS(param("inverse"), inverse)
		sum, rest := v.zero(), GP32()
		XORL(rest, rest)
		countDown("loop", n, 8, func() {
			t, high := v.reg(), XMM()
			VMULPS(at(x, 0), inverse, t)
			VCVTPS2DQ(t, t)
			VPADDD(t, sum, sum)
			VEXTRACTI128(operand.U8(1), t, high)
			low := t.AsX()
			VPACKSSDW(high, low, low)
			if bytes == 2 {
				VMOVDQU(low, at(q, 0))
			} else {
				VPACKSSWB(low, low, low)
				VMOVQ(low, at(q, 0))
			}
			ADDQ(operand.I32(32), x)
			ADDQ(operand.I32(8*bytes), q)
		})
		countDown("rest", n, 1, func() {
			t, value := scalar.load(at(x, 0)), GP32()
			VMULPS(inverse.AsX(), t, t)
			VCVTPS2DQ(t, t)
			VMOVD(t, value)
			ADDL(value, rest)
			if bytes == 2 {
				MOVW(value.As16(), at(q, 0))
			} else {
				MOVB(value.As8(), at(q, 0))
			}
			ADDQ(operand.I32(4), x)
			ADDQ(operand.I32(bytes), q)
		})
		high, low := XMM(), sum.AsX()
		VEXTRACTI128(operand.U8(1), sum, high)
		VPADDD(high, low, low)
		VPSHUFD(operand.U8(0x4e), low, high)
		VPADDD(high, low, low)
		VPSHUFD(operand.U8(0xb1), low, high)
		VPADDD(high, low, low)
		result := GP32()
		VMOVD(low, result)
		ADDL(rest, result)
		Store(result, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}
}
