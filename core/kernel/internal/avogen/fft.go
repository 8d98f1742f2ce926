package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A complex row is 16 real parts, then 16 imaginary parts: 128 bytes.
const (
	rowBytes  = 128
	imaginary = 64
)

// complexVector is one vector of complex lanes.
type complexVector struct{ re, im reg.VecVirtual }

func (v vector) complex() complexVector { return complexVector{v.reg(), v.reg()} }

func (v vector) loadComplex(re, im operand.Mem) complexVector {
	c := v.complex()
	VMOVUPS(re, c.re)
	VMOVUPS(im, c.im)
	return c
}

func (c complexVector) store(re, im operand.Mem) {
	VMOVUPS(c.re, re)
	VMOVUPS(c.im, im)
}

func (v vector) add(a, b complexVector) complexVector {
	c := v.complex()
	VADDPS(b.re, a.re, c.re)
	VADDPS(b.im, a.im, c.im)
	return c
}

func (v vector) subtract(a, b complexVector) complexVector {
	c := v.complex()
	VSUBPS(b.re, a.re, c.re)
	VSUBPS(b.im, a.im, c.im)
	return c
}

// addTurned is a + i·b, subtractTurned a - i·b.
func (v vector) addTurned(a, b complexVector) complexVector {
	c := v.complex()
	VSUBPS(b.im, a.re, c.re)
	VADDPS(b.re, a.im, c.im)
	return c
}

func (v vector) subtractTurned(a, b complexVector) complexVector {
	c := v.complex()
	VADDPS(b.im, a.re, c.re)
	VSUBPS(b.re, a.im, c.im)
	return c
}

// multiply is a·b, or a·conj b.
func (v vector) multiply(a, b complexVector, conjugate bool) complexVector {
	c := v.complex()
	VMULPS(b.im, a.im, c.re)
	VMULPS(b.im, a.re, c.im)
	if conjugate {
		VFMADD231PS(b.re, a.re, c.re)
		VFMSUB231PS(b.re, a.im, c.im)
	} else {
		VFMSUB231PS(b.re, a.re, c.re)
		VFMADD231PS(b.re, a.im, c.im)
	}
	return c
}

// quarters addresses row j of the four quarters of a block.
type quarters struct {
	first, second reg.Register // row j of quarter 0 and of quarter 1
	quarter       reg.Register // bytes
}

func (q quarters) at(i, disp int) operand.Mem {
	switch i {
	case 0:
		return operand.Mem{Base: q.first, Disp: disp}
	case 1:
		return operand.Mem{Base: q.first, Index: q.quarter, Scale: 1, Disp: disp}
	case 2:
		return operand.Mem{Base: q.first, Index: q.quarter, Scale: 2, Disp: disp}
	}
	return operand.Mem{Base: q.second, Index: q.quarter, Scale: 2, Disp: disp}
}

// butterfly transforms one vector of lanes of four rows in place. twiddle
// gives w^e, or nil where all are one.
func butterfly(v vector, row func(i, disp int) operand.Mem, disp int, twiddle func(e int) complexVector, inverse bool) {
	load := func(i int) complexVector { return v.loadComplex(row(i, disp), row(i, disp+imaginary)) }
	store := func(i int, c complexVector) { c.store(row(i, disp), row(i, disp+imaginary)) }
	turn := func(c complexVector, e int) complexVector {
		if twiddle == nil {
			return c
		}
		return v.multiply(c, twiddle(e), inverse)
	}
	if inverse {
		a, b := load(0), turn(load(1), 2)
		s0, s2 := v.add(a, b), v.subtract(a, b)
		c, d := turn(load(2), 1), turn(load(3), 3)
		s1, s3 := v.add(c, d), v.subtract(c, d)
		store(0, v.add(s0, s1))
		store(2, v.subtract(s0, s1))
		store(1, v.addTurned(s2, s3))
		store(3, v.subtractTurned(s2, s3))
		return
	}
	a, c := load(0), load(2)
	s0, s1 := v.add(a, c), v.subtract(a, c)
	b, d := load(1), load(3)
	s2, s3 := v.add(b, d), v.subtract(b, d)
	store(0, v.add(s0, s2))
	store(1, turn(v.subtract(s0, s2), 2))
	store(2, turn(v.subtractTurned(s1, s3), 1))
	store(3, turn(v.addTurned(s1, s3), 3))
}

func transforms(v vector) {
	for _, inverse := range []bool{false, true} {
		name := "radix4Forward"
		if inverse {
			name = "radix4Inverse"
		}
		text(name+v.name, "func(x *float32, quarter int, blocks int, twiddles *float32)",
			"does one pass over blocks of 4·quarter complex rows.")
		x, quarter, blocks, twiddles := pointer("x"), pointer("quarter"), pointer("blocks"), pointer("twiddles")
		bytes, w, left := GP64(), GP64(), GP64()
		MOVQ(quarter, bytes)
		SHLQ(operand.U8(7), bytes)
		second := GP64()
		countDown("block", blocks, 1, func() {
			MOVQ(twiddles, w)
			MOVQ(quarter, left)
			LEAQ(operand.Mem{Base: x, Index: bytes, Scale: 1}, second)
			rows := quarters{x, second, bytes}
			countDown("row", left, 1, func() {
				for part := 0; part < 16; part += v.lanes {
					butterfly(v, rows.at, part*4, func(e int) complexVector {
						c := v.complex()
						VBROADCASTSS(at(w, 8*(e-1)), c.re)
						VBROADCASTSS(at(w, 8*(e-1)+4), c.im)
						return c
					}, inverse)
				}
				ADDQ(operand.I32(24), w)
				ADDQ(operand.I32(rowBytes), x)
				ADDQ(operand.I32(rowBytes), second)
			})
			// x stands at quarter 1; the next block is three quarters on.
			LEAQ(operand.Mem{Base: x, Index: bytes, Scale: 2}, x)
			ADDQ(bytes, x)
		})
		VZEROUPPER()
		RET()

		text(name+"Last"+v.name, "func(x *float32, blocks int)",
			"does the pass over blocks of four complex rows, whose twiddles are one.")
		x, blocks = pointer("x"), pointer("blocks")
		countDown("block", blocks, 1, func() {
			for part := 0; part < 16; part += v.lanes {
				butterfly(v, func(i, disp int) operand.Mem { return at(x, i*rowBytes+disp) }, part*4, nil, inverse)
			}
			ADDQ(operand.I32(4*rowBytes), x)
		})
		VZEROUPPER()
		RET()
	}

	text("radix2"+v.name, "func(x *float32, blocks int)",
		"replaces pairs of rows by their sum and difference.")
	x, blocks := pointer("x"), pointer("blocks")
	countDown("block", blocks, 1, func() {
		for part := 0; part < rowBytes; part += v.bytes {
			a, b, s := v.reg(), v.reg(), v.reg()
			VMOVUPS(at(x, part), a)
			VMOVUPS(at(x, rowBytes+part), b)
			VADDPS(b, a, s)
			VSUBPS(b, a, b)
			VMOVUPS(s, at(x, part))
			VMOVUPS(b, at(x, rowBytes+part))
		}
		ADDQ(operand.I32(2*rowBytes), x)
	})
	VZEROUPPER()
	RET()

	spectrum(v)
}

// spectrum writes the product of packed spectra and the split of filters. y
// and ky are walked backwards from their last row.
func spectrum(v vector) {
	split := func(x, y reg.Register, disp int) (a, b complexVector) {
		p := v.loadComplex(at(x, disp), at(x, disp+imaginary))
		q := v.loadComplex(at(y, disp), at(y, disp+imaginary))
		a, b = v.complex(), v.complex()
		VADDPS(q.re, p.re, a.re)
		VSUBPS(q.im, p.im, a.im)
		VADDPS(q.im, p.im, b.re)
		VSUBPS(p.re, q.re, b.im)
		return a, b
	}

	text("spectrumProduct"+v.name, "func(x *float32, y *float32, kx *float32, ky *float32, pairs int)",
		"is Set.SpectrumProduct; y and ky point at their last row.")
	x, y, kx, ky, pairs := pointer("x"), pointer("y"), pointer("kx"), pointer("ky"), pointer("pairs")
	countDown("pair", pairs, 1, func() {
		for part := 0; part < 64; part += v.bytes {
			a, b := split(x, y, part)
			p := v.multiply(a, v.loadComplex(at(kx, part), at(kx, part+imaginary)), false)
			q := v.multiply(b, v.loadComplex(at(ky, part), at(ky, part+imaginary)), false)
			v.addTurned(p, q).store(at(x, part), at(x, part+imaginary))
			r := v.complex() // conj p + i·conj q
			VADDPS(q.im, p.re, r.re)
			VSUBPS(p.im, q.re, r.im)
			r.store(at(y, part), at(y, part+imaginary))
		}
		ADDQ(operand.I32(rowBytes), x)
		ADDQ(operand.I32(rowBytes), kx)
		SUBQ(operand.I32(rowBytes), y)
		SUBQ(operand.I32(rowBytes), ky)
	})
	VZEROUPPER()
	RET()

	text("spectrumSplit"+v.name, "func(x *float32, y *float32, pairs int, scale float32)",
		"is Set.SpectrumSplit; y points at its last row.")
	x, y, pairs = pointer("x"), pointer("y"), pointer("pairs")
	scale := v.reg()
	VBROADCASTSS(param("scale"), scale)
	countDown("pair", pairs, 1, func() {
		for part := 0; part < 64; part += v.bytes {
			a, b := split(x, y, part)
			for _, r := range []reg.VecVirtual{a.re, a.im, b.re, b.im} {
				VMULPS(scale, r, r)
			}
			a.store(at(x, part), at(x, part+imaginary))
			b.store(at(y, part), at(y, part+imaginary))
		}
		ADDQ(operand.I32(rowBytes), x)
		SUBQ(operand.I32(rowBytes), y)
	})
	VZEROUPPER()
	RET()
}

// param is the memory of a parameter.
func param(name string) operand.Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}
