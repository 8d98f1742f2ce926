package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowPointers addresses the rows of a matrix with one base register for every
// three rows: base, base + stride, base + 2·stride.
type rowPointers struct {
	bases  []reg.Register
	stride reg.Register // bytes
}

func newRowPointers(first, stride reg.Register, rows int) rowPointers {
	p := rowPointers{bases: []reg.Register{first}, stride: stride}
	for len(p.bases)*3 < rows {
		last := p.bases[len(p.bases)-1]
		next := GP64()
		LEAQ(operand.Mem{Base: last, Index: stride, Scale: 2}, next)
		ADDQ(stride, next)
		p.bases = append(p.bases, next)
	}
	return p
}

func (p rowPointers) at(row, disp int) operand.Mem {
	m := operand.Mem{Base: p.bases[row/3], Disp: disp}
	if row%3 > 0 {
		m.Index, m.Scale = p.stride, uint8(row%3)
	}
	return m
}

func (p rowPointers) advance(bytes int) {
	for _, b := range p.bases {
		ADDQ(operand.I32(bytes), b)
	}
}

// gemmF32 writes a register tile of rows × two vectors: each element is one
// chain of fused operations over k in order, whatever the number of rows.
func gemmF32(v vector, rows int) {
	text(fmt.Sprintf("gemmF32Rows%d%s", rows, v.name),
		"func(c *float32, ldc int, a *float32, lda int, k int, panel *float32, start *float32, startStride int, ahead uintptr)",
		fmt.Sprintf("computes c = start + a·panel for %d rows and %d columns.", rows, 2*v.lanes))
	const vecs = 2
	a, lda, k, panel := pointer("a"), pointer("lda"), pointer("k"), pointer("panel")
	start, startStride, ahead := pointer("start"), pointer("startStride"), pointer("ahead")
	SHLQ(operand.U8(2), lda)
	SHLQ(operand.U8(2), startStride)
	sums := make([][]reg.VecVirtual, rows)
	for r := range sums {
		for j := range vecs {
			s := v.reg()
			VMOVUPS(at(start, j*v.bytes), s)
			sums[r] = append(sums[r], s)
		}
		if r+1 < rows {
			ADDQ(startStride, start)
		}
	}
	p := newRowPointers(a, lda, rows)
	step := func(u int) {
		b := make([]reg.VecVirtual, vecs)
		for j := range b {
			b[j] = v.reg()
			VMOVUPS(at(panel, (u*vecs+j)*v.bytes), b[j])
		}
		for r := range rows {
			x := v.reg()
			VBROADCASTSS(p.at(r, 4*u), x)
			for j := range b {
				VFMADD231PS(b[j], x, sums[r][j])
			}
		}
	}
	for _, unroll := range []int{4, 1} {
		countDown(fmt.Sprintf("loop%d", unroll), k, unroll, func() {
			if unroll > 1 {
				// A cache line of what comes next.
				PREFETCHT0(at(ahead, 0))
				ADDQ(operand.I32(64), ahead)
			}
			for u := range unroll {
				step(u)
			}
			p.advance(4 * unroll)
			ADDQ(operand.I32(unroll*vecs*v.bytes), panel)
		})
	}
	c, ldc := pointer("c"), pointer("ldc")
	SHLQ(operand.U8(2), ldc)
	for r := range rows {
		for j := range vecs {
			VMOVUPS(sums[r][j], at(c, j*v.bytes))
		}
		if r+1 < rows {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// gemmF32Masked writes rows × up to 16 columns, for the last panel of a matrix
// whose outputs don't fill it. mask holds 16 int32: -1 for a column that exists.
func gemmF32Masked(rows int) {
	v := avx2
	text(fmt.Sprintf("gemmF32MaskedRows%d", rows),
		"func(c *float32, ldc int, a *float32, lda int, k int, panel *float32, panelStride int, bias *float32, mask *int32)",
		fmt.Sprintf("computes c = bias + a·panel for %d rows and the columns under the mask.", rows))
	a, lda, k, panel, panelStride := pointer("a"), pointer("lda"), pointer("k"), pointer("panel"), pointer("panelStride")
	bias, maskAt := pointer("bias"), pointer("mask")
	SHLQ(operand.U8(2), lda)
	SHLQ(operand.U8(2), panelStride)
	mask := []reg.VecVirtual{v.reg(), v.reg()}
	sums := make([][]reg.VecVirtual, rows)
	for j := range mask {
		VMOVDQU(at(maskAt, j*v.bytes), mask[j])
	}
	for r := range sums {
		for j := range mask {
			s := v.reg()
			VMASKMOVPS(at(bias, j*v.bytes), mask[j], s)
			sums[r] = append(sums[r], s)
		}
	}
	p := newRowPointers(a, lda, rows)
	countDown("loop", k, 1, func() {
		for j := range mask {
			b := v.reg()
			VMASKMOVPS(at(panel, j*v.bytes), mask[j], b)
			for r := range rows {
				x := v.reg()
				VBROADCASTSS(p.at(r, 0), x)
				VFMADD231PS(b, x, sums[r][j])
			}
		}
		p.advance(4)
		ADDQ(panelStride, panel)
	})
	c, ldc := pointer("c"), pointer("ldc")
	SHLQ(operand.U8(2), ldc)
	for r := range rows {
		for j := range mask {
			VMASKMOVPS(sums[r][j], mask[j], at(c, j*v.bytes))
		}
		if r+1 < rows {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// prefetch asks for cache lines ahead of their use.
func prefetch() {
	text("prefetchLines", "func(ahead uintptr, lines int)", "asks for consecutive cache lines.")
	ahead, lines := pointer("ahead"), pointer("lines")
	countDown("loop", lines, 1, func() {
		PREFETCHT0(at(ahead, 0))
		ADDQ(operand.I32(64), ahead)
	})
	RET()
}
