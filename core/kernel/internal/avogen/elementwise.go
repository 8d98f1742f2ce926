package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise writes the products of gating and the short filter.
func elementwise(v vector) {
	for _, add := range []bool{false, true} {
		name, signature := "multiply", "func(dst *float32, a *float32, b *float32, n int)"
		if add {
			name, signature = "multiplyAdd", "func(dst *float32, a *float32, b *float32, c *float32, n int)"
		}
		text(name+v.name, signature, "takes n values. A sum is not fused with its product.")
		dst, a, b, n := pointer("dst"), pointer("a"), pointer("b"), pointer("n")
		pointers := []reg.Register{dst, a, b}
		if add {
			pointers = append(pointers, pointer("c"))
		}
		body := func(v vector, disp int) {
			x := v.load(at(a, disp))
			VMULPS(v.load(at(b, disp)), x, x)
			if add {
				VADDPS(v.load(at(pointers[3], disp)), x, x)
			}
			v.store(x, at(dst, disp))
		}
		countDown("loop4", n, 4*v.lanes, func() {
			for u := range 4 {
				body(v, u*v.bytes)
			}
			for _, p := range pointers {
				ADDQ(operand.I32(4*v.bytes), p)
			}
		})
		eachValue("loop", v, n, pointers, func(v vector) { body(v, 0) })
		VZEROUPPER()
		RET()
	}

	text("shortFilter"+v.name, "func(x *float32, rows int, taps *float32)",
		"is Set.ShortFilter.")
	x, rows, taps := pointer("x"), pointer("rows"), pointer("taps")
	vecs := rowBytes / v.bytes
	before, last := make([]reg.VecVirtual, vecs), make([]reg.VecVirtual, vecs)
	for i := range before {
		before[i], last[i] = v.reg(), v.reg()
		VXORPS(before[i].AsX(), before[i].AsX(), before[i].AsX())
		VXORPS(last[i].AsX(), last[i].AsX(), last[i].AsX())
	}
	countDown("row", rows, 1, func() {
		for i := range vecs {
			sum, value := v.reg(), v.reg()
			VMOVUPS(at(x, i*v.bytes), value)
			VMOVUPS(at(taps, 3*rowBytes+i*v.bytes), sum)
			VFMADD231PS(at(taps, i*v.bytes), before[i], sum)
			VFMADD231PS(at(taps, rowBytes+i*v.bytes), last[i], sum)
			VFMADD231PS(at(taps, 2*rowBytes+i*v.bytes), value, sum)
			VMOVUPS(sum, at(x, i*v.bytes))
			VMOVAPS(last[i], before[i])
			VMOVAPS(value, last[i])
		}
		ADDQ(operand.I32(rowBytes), x)
	})
	VZEROUPPER()
	RET()
}

// layerNorm writes its three passes; sums run in float64, in a fixed order.
func layerNorm() {
	v := avx2
	widen := func(m operand.Op) reg.VecVirtual {
		d := v.reg()
		VCVTPS2PD(m, d)
		return d
	}
	// widenOne gives one value as a double beside a zero.
	widenOne := func(x reg.VecVirtual) reg.VecVirtual {
		d := XMM()
		VCVTPS2PD(x, d)
		return d
	}
	// total folds the lanes of the sums and returns them.
	total := func(a, b, rest reg.VecVirtual) {
		VADDPD(b, a, a)
		high, low := XMM(), a.AsX()
		VEXTRACTF128(operand.U8(1), a, high)
		VADDPD(high, low, low)
		VPERMILPD(operand.U8(1), low, high)
		VADDSD(high, low, low)
		VADDSD(rest, low, low)
		Store(low, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}

	for _, residual := range []bool{false, true} {
		name, signature := "layerNormSumAVX2", "func(dst *float32, x *float32, n int) float64"
		if residual {
			name, signature = "layerNormAddAVX2", "func(dst *float32, x *float32, residual *float32, n int) float64"
		}
		text(name, signature, "copies x, plus residual if there is one, to dst and returns its sum.")
		dst, x, n := pointer("dst"), pointer("x"), pointer("n")
		pointers := []reg.Register{dst, x}
		if residual {
			pointers = append(pointers, pointer("residual"))
		}
		a, b, rest := v.zero(), v.zero(), scalar.zero()
		eachValue("loop", v, n, pointers, func(v vector) {
			s := v.load(at(x, 0))
			if residual {
				VADDPS(v.load(at(pointers[2], 0)), s, s)
			}
			v.store(s, at(dst, 0))
			if v.lanes == 1 {
				VADDPD(widenOne(s), rest, rest)
				return
			}
			high := XMM()
			VEXTRACTF128(operand.U8(1), s, high)
			VADDPD(widen(s.AsX()), a, a)
			VADDPD(widen(high), b, b)
		})
		total(a, b, rest)
	}

	text("layerNormSquaresAVX2", "func(x *float32, n int, mean float64) float64", "returns the sum of (x-mean)².")
	x, n, mean := pointer("x"), pointer("n"), v.reg()
	VBROADCASTSD(param("mean"), mean)
	a, b, rest := v.zero(), v.zero(), scalar.zero()
	eachValue("loop", v, n, []reg.Register{x}, func(v vector) {
		if v.lanes == 1 {
			d := widenOne(v.load(at(x, 0)))
			VSUBSD(mean.AsX(), d, d)
			VFMADD231SD(d, d, rest)
			return
		}
		for i, sum := range []reg.VecVirtual{a, b} {
			d := widen(at(x, 16*i))
			VSUBPD(mean, d, d)
			VFMADD231PD(d, d, sum)
		}
	})
	total(a, b, rest)

	text("layerNormScaleAVX2", "func(x *float32, n int, mean float64, inverse float64, weight *float32, bias *float32)",
		"replaces x by (x-mean)·inverse·weight + bias.")
	x, n, mean = pointer("x"), pointer("n"), v.reg()
	weight, bias, inverse := pointer("weight"), pointer("bias"), v.reg()
	VBROADCASTSD(param("mean"), mean)
	VBROADCASTSD(param("inverse"), inverse)
	eachValue("loop", v, n, []reg.Register{x, weight, bias}, func(v vector) {
		if v.lanes == 1 {
			d := widenOne(v.load(at(x, 0)))
			VSUBSD(mean.AsX(), d, d)
			VMULSD(inverse.AsX(), d, d)
			VCVTPD2PSX(d, d)
			VMULPS(v.load(at(weight, 0)), d, d)
			VADDPS(v.load(at(bias, 0)), d, d)
			v.store(d, at(x, 0))
			return
		}
		for i := range 2 {
			d, s := widen(at(x, 16*i)), XMM()
			VSUBPD(mean, d, d)
			VMULPD(inverse, d, d)
			VCVTPD2PSY(d, s)
			VMULPS(at(weight, 16*i), s, s)
			VADDPS(at(bias, 16*i), s, s)
			VMOVUPS(s, at(x, 16*i))
		}
	})
	VZEROUPPER()
	RET()
}

// packing writes the transpose of eight weight rows into a panel.
func packing() {
	text("transpose8AVX2", "func(dst *float32, dstStride int, src *float32, srcStride int, n int)",
		"writes n columns (a multiple of 8) of eight rows of src as rows of eight values of dst.")
	dst, dstStride, src, srcStride, n := pointer("dst"), pointer("dstStride"), pointer("src"), pointer("srcStride"), pointer("n")
	SHLQ(operand.U8(2), dstStride)
	SHLQ(operand.U8(2), srcStride)
	in := newRowPointers(src, srcStride, 8)
	countDown("loop", n, 8, func() {
		var rows, pairs, fours [8]reg.VecVirtual
		for i := range rows {
			rows[i] = YMM()
			VMOVUPS(in.at(i, 0), rows[i])
		}
		for i := 0; i < 8; i += 2 {
			pairs[i], pairs[i+1] = YMM(), YMM()
			VUNPCKLPS(rows[i+1], rows[i], pairs[i])
			VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
		}
		for i := 0; i < 8; i += 4 {
			for j := range 2 {
				low, high := YMM(), YMM()
				VSHUFPS(operand.U8(0x44), pairs[i+2+j], pairs[i+j], low)
				VSHUFPS(operand.U8(0xee), pairs[i+2+j], pairs[i+j], high)
				fours[i+2*j], fours[i+2*j+1] = low, high
			}
		}
		for i := range 8 {
			out := YMM()
			selector := operand.U8(0x20)
			if i >= 4 {
				selector = 0x31
			}
			VPERM2F128(selector, fours[4+i%4], fours[i%4], out)
			VMOVUPS(out, at(dst, 0))
			ADDQ(dstStride, dst)
		}
		in.advance(32)
	})
	VZEROUPPER()
	RET()
}
