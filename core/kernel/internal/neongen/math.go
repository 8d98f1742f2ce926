package main

import (
	"fmt"
	"math"
)

const sineLimit = 2000

type namedConstant struct {
	name string
	bits uint32
}

// constants are avogen's, where each is explained.
var constants = func() []namedConstant {
	piHigh, piLow := split(math.Pi)
	ln2High, ln2Low := split(math.Ln2)
	numbers := []struct {
		name string
		x    float32
	}{
		{"half", 0.5}, {"one", 1}, {"round", 3 << 22},
		{"s0", -0.16666656732559204}, {"s1", 0.008333017118275166}, {"s2", -0.00019806614727713168}, {"s3", 2.600054585855105e-06},
		{"1/pi", 1 / math.Pi}, {"pi high", piHigh}, {"pi low", piLow}, {"sine limit", sineLimit},
		{"e0", 0.4999999403953552}, {"e1", 0.1666652113199234}, {"e2", 0.04166838899254799}, {"e3", 0.008368710055947304}, {"e4", 0.001381461275741458},
		{"log2 e", math.Log2E}, {"ln2 high", ln2High}, {"ln2 low", ln2Low}, {"least exponent", 87},
		{"gelu scale", 0.4}, {"q1", 0.1565212905406952}, {"q2", 0.1900457888841629}, {"q3", 0.00934688188135624},
		{"q4", 0.3451390564441681}, {"q5", -0.2584839165210724}, {"q6", 0.05743132904171944}, {"gelu limit", 13},
	}
	var all []namedConstant
	for _, n := range numbers {
		all = append(all, namedConstant{n.name, math.Float32bits(n.x)})
	}
	return all
}()

var constantPlaces = func() map[string]int {
	places := map[string]int{}
	for i, c := range constants {
		places[c.name] = i
	}
	return places
}()

// expNegative computes e^-(y + rest) for 0 ≤ y; rest is small, or nil. From
// y = 87 on the result stays at e^-87. A NaN in y passes.
func (f *function) expNegative(y vector, rest *vector) vector {
	limited := f.constant("least exponent")
	f.s4("VFMIN", y, limited, limited)
	// n = -y/ln2 rounded; x = -y - n·ln2.
	round, n := f.constant("round"), f.constant("round")
	f.s4("VFMLS", f.constant("log2 e"), limited, n)
	shift := f.vec()
	f.op("VSHL", number(23), arranged(n, "S4"), arranged(shift, "S4"))
	f.s4("VFSUB", round, n, n)
	f.s4("VFMLA", f.constant("ln2 high"), n, limited) // y + n·ln2
	low := f.vec()
	if rest != nil {
		f.copy(*rest, low)
		f.s4("VFMLA", f.constant("ln2 low"), n, low)
	} else {
		f.s4("VFMUL", f.constant("ln2 low"), n, low)
	}
	f.s4("VFADD", low, limited, low)
	x := f.vec()
	f.zero(x)
	f.s4("VFSUB", low, x, x)
	square := f.multiply(x, x)
	p := f.polynomial(x, "e0", "e1", "e2", "e3", "e4")
	f.s4("VFMLA", p, square, x)
	e := f.constant("one")
	f.s4("VFADD", x, e, e)
	// Times 2^n through the exponent's bits.
	f.s4("VADD", shift, e, e)
	return e
}

func gelu(g *generator) {
	for _, gated := range []bool{false, true} {
		name, signature, names := "geluNEON", "func(dst *float32, gate *float32, n int)", []string{"dst", "gate"}
		if gated {
			name, signature, names = "geluGateNEON", "func(dst *float32, gate *float32, value *float32, n int)", append(names, "value")
		}
		f := g.text(name, signature, "computes gelu(gate), times value if there is one, for n values.")
		pointers, n := f.loads(names...), f.load("n")
		f.constantTable()
		f.eachValue(n, pointers, func(w width) {
			x := f.loadVector(w, pointers[1], 0)
			limited, e := f.vec(), f.vec()
			f.scope(func() {
				f.s4("VFABS", x, limited)
				f.s4("VFMIN", f.constant("gelu limit"), limited, limited) // a NaN passes
				y := f.multiply(f.constant("half"), limited)
				f.s4("VFMUL", limited, y, y)
				f.copy(f.expNegative(y, nil), e)
			})
			t, one := f.constant("one"), f.constant("one")
			f.s4("VFMLA", f.constant("gelu scale"), limited, t)
			f.s4("VFDIV", t, one, t)
			q := f.polynomial(t, "q1", "q2", "q3", "q4", "q5", "q6")
			f.s4("VFMUL", t, q, q)
			f.s4("VFMUL", limited, q, q)
			zero := f.vec()
			f.zero(zero)
			f.s4("VFMAX", zero, x, x)
			f.s4("VFMLS", q, e, x)
			if gated {
				f.s4("VFMUL", f.loadVector(w, pointers[2], 0), x, x)
			}
			f.store(w, x, pointers[0], 0)
		})
		f.op("RET")
	}
}

// sine reduces the product p = f·x by multiples of π, with the product's own
// rounding error carried along.
func sine(g *generator) {
	f := g.text("sineNEON", "func(x *float32, frequency *float32, n int) (done bool)",
		"replaces n values by sin(frequency·x), or does nothing and returns false if an argument is beyond the reduction's range.")
	pointers, n := f.loads("x", "frequency"), f.load("n")
	f.constantTable()
	scan, left := []general{f.gen(), f.gen()}, f.gen()
	for i, p := range pointers {
		f.op("MOVD", p, scan[i])
	}
	f.op("MOVD", n, left)
	limit, largest := f.constant("sine limit"), f.vec()
	f.zero(largest)
	f.eachValue(left, scan, func(w width) {
		p := f.multiply(f.loadVector(w, scan[0], 0), f.loadVector(w, scan[1], 0))
		f.s4("VFABS", p, p)
		f.s4("VFMAXNM", p, largest, largest) // a NaN is left out: it passes through
	})
	f.op("VFMAXNMV", arranged(largest, "S4"), fmt.Sprintf("V%d", largest))
	f.op("FCMPS", limit, largest)
	f.op("BGT", "beyond")
	f.eachValue(n, pointers, func(w width) {
		a, b := f.loadVector(w, pointers[0], 0), f.loadVector(w, pointers[1], 0)
		p := f.multiply(a, b)
		e := f.productError(a, b, p)
		round, k := f.constant("round"), f.constant("round")
		f.s4("VFMLA", f.constant("1/pi"), p, k)
		sign := f.vec()
		f.op("VSHL", number(31), arranged(k, "S4"), arranged(sign, "S4"))
		f.s4("VFSUB", round, k, k)
		f.s4("VFMLS", f.constant("pi high"), k, p)
		f.s4("VFMLS", f.constant("pi low"), k, e)
		r := f.add(p, e)
		square := f.multiply(r, r)
		s := f.polynomial(square, "s0", "s1", "s2", "s3")
		f.s4("VFMUL", square, s, s)
		f.s4("VFMLA", r, s, r)
		f.same("VEOR", "B16", sign, r, r)
		f.store(w, r, pointers[0], 0)
	})
	done := f.gen()
	f.op("MOVD", number(1), done)
	f.op("MOVB", done, f.param("done"))
	f.op("RET")
	f.label("beyond")
	f.op("MOVB", "ZR", f.param("done"))
	f.op("RET")
}

func decay(g *generator) {
	f := g.text("decayNEON", "func(k *float32, t *float32, rows int, deltas *float32)", "is Set.Decay.")
	k, t, rows, deltas := f.load("k"), f.load("t"), f.load("rows"), f.load("deltas")
	f.constantTable()
	f.countDown(rows, 1, func() {
		time := f.loadVector(1, t, 0)
		f.op("VDUP", fmt.Sprintf("V%d.S[0]", time), arranged(time, "S4"))
		for part := 0; part < rowBytes; part += 16 {
			f.scope(func() {
				d := f.loadVector(4, deltas, part)
				f.s4("VFABS", d, d)
				y := f.multiply(d, time)
				rest := f.productError(d, time, y)
				e := f.expNegative(y, &rest)
				f.s4("VFMUL", f.loadVector(4, k, part), e, e)
				f.store(4, e, k, part)
			})
		}
		f.advance(4, t)
		f.advance(rowBytes, k)
	})
	f.op("RET")
}
