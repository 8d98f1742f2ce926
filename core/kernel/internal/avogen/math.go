package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Constants stand in memory sixteen times, so that an instruction of either
// width takes them as an operand.
var (
	table   operand.Mem
	offsets = map[string]int{}
)

// split returns the float32 nearest to x and the float32 nearest to the rest.
func split(x float64) (high, low float32) {
	high = float32(x)
	return high, float32(x - float64(high))
}

func constants() {
	table = GLOBL("constants", NOPTR|RODATA)
	define := func(name string, bits uint32) {
		at := 64 * len(offsets)
		offsets[name] = at
		for i := range 16 {
			DATA(at+4*i, operand.U32(bits))
		}
	}
	number := func(name string, x float32) { define(name, math.Float32bits(x)) }
	define("magnitude", 0x7fffffff)
	define("exponent one", 127<<23)
	number("zero", 0)
	number("half", 0.5)
	number("one", 1)
	// Adding 3·2^22 rounds to an integer, which then stands in the low bits.
	number("round", 3<<22)

	// sin(r) = r + r³(s0 + r²(s1 + …)), |r| ≤ π/2: off by 5e-9 (fit.py).
	number("s0", -0.16666656732559204)
	number("s1", 0.008333017118275166)
	number("s2", -0.00019806614727713168)
	number("s3", 2.600054585855105e-06)
	number("1/pi", 1/math.Pi)
	piHigh, piLow := split(math.Pi)
	number("pi high", piHigh)
	number("pi low", piLow)
	// Above this the rows are left to the plain twin: up to here the product
	// of the multiple and "pi high" leaves an exact difference.
	number("sine limit", sineLimit)

	// e^x = 1 + x + x²(e0 + x(e1 + …)), |x| ≤ ln2/2: off by 3e-9 (fit.py).
	number("e0", 0.4999999403953552)
	number("e1", 0.1666652113199234)
	number("e2", 0.04166838899254799)
	number("e3", 0.008368710055947304)
	number("e4", 0.001381461275741458)
	number("log2 e", math.Log2E)
	ln2High, ln2Low := split(math.Ln2)
	number("ln2 high", ln2High)
	number("ln2 low", ln2Low)
	number("least exponent", 87)

	// gelu(x) = max(x, 0) - u e^{-u²/2} Q(t), u = |x|, t = 1/(1 + 0.4u),
	// Q = t(q1 + t(q2 + …)): off by 6e-9 (fit.py).
	number("gelu scale", 0.4)
	number("q1", 0.1565212905406952)
	number("q2", 0.1900457888841629)
	number("q3", 0.00934688188135624)
	number("q4", 0.3451390564441681)
	number("q5", -0.2584839165210724)
	number("q6", 0.05743132904171944)
	// From here on u e^{-u²/2} is below 1e-35.
	number("gelu limit", 13)
}

const sineLimit = 2000

func constant(name string) operand.Mem {
	at, ok := offsets[name]
	if !ok {
		panic("no constant " + name)
	}
	return table.Offset(at)
}

func (v vector) constant(name string) reg.VecVirtual {
	r := v.reg()
	VMOVUPS(constant(name), r)
	return r
}

func (v vector) magnitude(x reg.VecVirtual) reg.VecVirtual {
	r := v.reg()
	if v.lanes == 16 {
		VPANDD(constant("magnitude"), x, r)
	} else {
		VPAND(constant("magnitude"), x, r)
	}
	return r
}

// polynomial evaluates names[0] + x(names[1] + …).
func (v vector) polynomial(x reg.VecVirtual, names ...string) reg.VecVirtual {
	p := v.constant(names[len(names)-1])
	for i := len(names) - 2; i >= 0; i-- {
		VFMADD213PS(constant(names[i]), x, p)
	}
	return p
}

// expNegative computes e^-(y + rest) for 0 ≤ y; rest is small, or nil. From
// y = 87 on the result stays at e^-87.
func (v vector) expNegative(y, rest reg.VecVirtual) reg.VecVirtual {
	limited, n, r := v.reg(), v.reg(), v.reg()
	VMOVUPS(constant("least exponent"), limited)
	VMINPS(y, limited, limited) // a NaN in y passes
	// n = -y/ln2 rounded; x = -y - n·ln2.
	VMOVUPS(constant("round"), n)
	VFNMADD231PS(constant("log2 e"), limited, n)
	shift := v.reg()
	VPSLLD(operand.U8(23), n, shift)
	VSUBPS(constant("round"), n, n)
	VMOVAPS(n, r)
	VFMADD213PS(limited, v.constant("ln2 high"), r) // y + n·ln2
	low := v.reg()
	if rest != nil {
		VMOVAPS(rest, low)
		VFMADD231PS(constant("ln2 low"), n, low)
	} else {
		VMULPS(constant("ln2 low"), n, low)
	}
	x := v.reg()
	VADDPS(low, r, x)
	VSUBPS(x, v.zero(), x)
	square := v.reg()
	VMULPS(x, x, square)
	p := v.polynomial(x, "e0", "e1", "e2", "e3", "e4")
	VFMADD213PS(x, square, p)
	VADDPS(constant("one"), p, p)
	// Times 2^n through the exponent's bits.
	VPADDD(shift, p, p)
	return p
}

func (v vector) zero() reg.VecVirtual {
	z := v.reg()
	VXORPS(z.AsX(), z.AsX(), z.AsX())
	return z
}

// functions writes the loops with transcendental functions.
func functions(v vector) {
	gelu(v)
	sine(v)
	decay(v)
}

func gelu(v vector) {
	for _, gated := range []bool{false, true} {
		name, signature := "gelu", "func(dst *float32, gate *float32, n int)"
		if gated {
			name, signature = "geluGate", "func(dst *float32, gate *float32, value *float32, n int)"
		}
		text(name+v.name, signature, "computes gelu(gate), times value if there is one, for n values.")
		dst, gate, n := pointer("dst"), pointer("gate"), pointer("n")
		pointers := []reg.Register{dst, gate}
		if gated {
			pointers = append(pointers, pointer("value"))
		}
		eachValue("loop", v, n, pointers, func(v vector) {
			x := v.load(at(gate, 0))
			u, limited := v.magnitude(x), v.constant("gelu limit")
			VMINPS(u, limited, limited) // a NaN in u passes
			t, one := v.constant("one"), v.constant("one")
			VFMADD231PS(constant("gelu scale"), limited, t)
			VDIVPS(t, one, t)
			q := v.polynomial(t, "q1", "q2", "q3", "q4", "q5", "q6")
			VMULPS(t, q, q)
			VMULPS(limited, q, q)
			y := v.reg()
			VMULPS(constant("half"), limited, y)
			VMULPS(limited, y, y)
			e := v.expNegative(y, nil)
			VMAXPS(constant("zero"), x, x)
			VFNMADD231PS(e, q, x)
			if gated {
				VMULPS(v.load(at(pointers[2], 0)), x, x)
			}
			v.store(x, at(dst, 0))
		})
		VZEROUPPER()
		RET()
	}
}

// sine reduces the product p = f·x by multiples of π, with the product's own
// rounding error carried along (Cody and Waite with fused operations).
func sine(v vector) {
	text("sine"+v.name, "func(x *float32, frequency *float32, n int) bool",
		"replaces n values by sin(frequency·x), or does nothing and returns false if an argument is beyond the reduction's range.")
	x, frequency, n := pointer("x"), pointer("frequency"), pointer("n")
	scanX, scanF, left := GP64(), GP64(), GP64()
	MOVQ(x, scanX)
	MOVQ(frequency, scanF)
	MOVQ(n, left)
	largest, rest := v.zero(), scalar.zero()
	eachValue("scan", v, left, []reg.Register{scanX, scanF}, func(v vector) {
		p := v.load(at(scanX, 0))
		VMULPS(v.load(at(scanF, 0)), p, p)
		sum := largest
		if v.lanes == 1 {
			sum = rest
		}
		VMAXPS(sum, v.magnitude(p), sum)
	})
	bits := GP32()
	const lessOrEqual = 0x12 // false for NaN
	if v.lanes == 16 {
		mask := K()
		VCMPPS(operand.U8(lessOrEqual), constant("sine limit"), largest, mask)
		KMOVW(mask, bits)
		CMPL(bits, operand.I32(0xffff))
	} else {
		mask := v.reg()
		VCMPPS(operand.U8(lessOrEqual), constant("sine limit"), largest, mask)
		VMOVMSKPS(mask, bits)
		CMPL(bits, operand.I32(0xff))
	}
	JNE(operand.LabelRef("beyond"))
	VUCOMISS(constant("sine limit"), rest)
	JHI(operand.LabelRef("beyond"))
	eachValue("loop", v, n, []reg.Register{x, frequency}, func(v vector) {
		a, f, p, e := v.load(at(x, 0)), v.load(at(frequency, 0)), v.reg(), v.reg()
		VMULPS(f, a, p)
		VMOVAPS(p, e)
		VFMSUB231PS(f, a, e) // the product's rounding error
		k := v.constant("round")
		VFMADD231PS(constant("1/pi"), p, k)
		sign := v.reg()
		VPSLLD(operand.U8(31), k, sign)
		VSUBPS(constant("round"), k, k)
		VFNMADD231PS(constant("pi high"), k, p)
		VFNMADD231PS(constant("pi low"), k, e)
		r, square := v.reg(), v.reg()
		VADDPS(e, p, r)
		VMULPS(r, r, square)
		s := v.polynomial(square, "s0", "s1", "s2", "s3")
		VMULPS(square, s, s)
		VFMADD213PS(r, r, s)
		if v.lanes == 16 {
			VPXORD(sign, s, s)
		} else {
			VPXOR(sign, s, s)
		}
		v.store(s, at(x, 0))
	})
	for i, label := range []string{"", "beyond"} {
		if label != "" {
			Label(label)
		}
		done := GP8()
		MOVB(operand.U8(1-i), done)
		Store(done, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}
}

func decay(v vector) {
	text("decay"+v.name, "func(k *float32, t *float32, rows int, deltas *float32)", "is Set.Decay.")
	k, t, rows, deltas := pointer("k"), pointer("t"), pointer("rows"), pointer("deltas")
	countDown("row", rows, 1, func() {
		for part := 0; part < rowBytes; part += v.bytes {
			time, d := v.reg(), v.reg()
			VBROADCASTSS(at(t, 0), time)
			VMOVUPS(at(deltas, part), d)
			magnitude := v.magnitude(d)
			y := v.reg()
			VMULPS(magnitude, time, y)
			VMOVAPS(y, d)
			VFMSUB231PS(magnitude, time, d) // the product's rounding error
			e := v.expNegative(y, d)
			VMULPS(at(k, part), e, e)
			VMOVUPS(e, at(k, part))
		}
		ADDQ(operand.I32(4), t)
		ADDQ(operand.I32(rowBytes), k)
	})
	VZEROUPPER()
	RET()
}
