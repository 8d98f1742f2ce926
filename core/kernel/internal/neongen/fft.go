package main

// A complex row is 16 real parts, then 16 imaginary parts: 128 bytes.
const (
	rowBytes  = 128
	imaginary = 64
)

// complexVector is four complex lanes.
type complexVector struct{ re, im vector }

func (f *function) loadComplex(base general, disp int) complexVector {
	return complexVector{f.loadVector(4, base, disp), f.loadVector(4, base, disp+imaginary)}
}

func (f *function) storeComplex(c complexVector, base general, disp int) {
	f.store(4, c.re, base, disp)
	f.store(4, c.im, base, disp+imaginary)
}

func (f *function) addComplex(a, b complexVector) complexVector {
	return complexVector{f.add(a.re, b.re), f.add(a.im, b.im)}
}

func (f *function) subtractComplex(a, b complexVector) complexVector {
	return complexVector{f.subtract(a.re, b.re), f.subtract(a.im, b.im)}
}

// addTurned is a + i·b, subtractTurned a - i·b.
func (f *function) addTurned(a, b complexVector) complexVector {
	return complexVector{f.subtract(a.re, b.im), f.add(a.im, b.re)}
}

func (f *function) subtractTurned(a, b complexVector) complexVector {
	return complexVector{f.add(a.re, b.im), f.subtract(a.im, b.re)}
}

// multiplyComplex is a·b. A difference of products is a fused sum with the
// negated product, which rounds as avogen's fused difference does.
func (f *function) multiplyComplex(a, b complexVector) complexVector {
	c := complexVector{f.vec(), f.vec()}
	f.s4("VFNEG", b.im, c.re)
	f.s4("VFMUL", a.im, c.re, c.re)
	f.s4("VFMUL", a.re, b.im, c.im)
	f.s4("VFMLA", a.re, b.re, c.re)
	f.s4("VFMLA", a.im, b.re, c.im)
	return c
}

// twiddles holds the six numbers of a row, Re and Im of w, w², w³, and their
// negatives: four lanes and two.
type twiddles struct{ plain, negated [2]vector }

func (f *function) loadTwiddles(w general) *twiddles {
	t := &twiddles{}
	t.plain[0] = f.loadVector(4, w, 0)
	t.plain[1] = f.vec()
	f.op("FMOVD", at(w, 16), t.plain[1])
	for i, p := range t.plain {
		t.negated[i] = f.negated(p)
	}
	return t
}

// turn is c·w^e, or c·conj w^e; no twiddles stand for ones.
func (f *function) turn(c complexVector, t *twiddles, e int, conjugate bool) complexVector {
	if t == nil {
		return c
	}
	i, re := (e-1)/2, 2*(e-1)%4
	forRe, forIm := t.negated[i], t.plain[i]
	if conjugate {
		forRe, forIm = forIm, forRe
	}
	p := complexVector{f.vec(), f.vec()}
	f.fmulLane(forRe, re+1, c.im, p.re)
	f.fmulLane(forIm, re+1, c.re, p.im)
	f.fmlaLane(t.plain[i], re, c.re, p.re)
	f.fmlaLane(t.plain[i], re, c.im, p.im)
	return p
}

// butterfly transforms four lanes of four rows in place.
func (f *function) butterfly(row func(i int) (general, int), t *twiddles, inverse bool) {
	load := func(i int) complexVector { return f.loadComplex(row(i)) }
	store := func(i int, c func() complexVector) {
		f.scope(func() {
			base, disp := row(i)
			f.storeComplex(c(), base, disp)
		})
	}
	if inverse {
		a, b := load(0), f.turn(load(1), t, 2, true)
		s0, s2 := f.addComplex(a, b), f.subtractComplex(a, b)
		s1, s3 := complexVector{f.vec(), f.vec()}, complexVector{f.vec(), f.vec()}
		f.scope(func() {
			c, d := f.turn(load(2), t, 1, true), f.turn(load(3), t, 3, true)
			f.s4("VFADD", d.re, c.re, s1.re)
			f.s4("VFADD", d.im, c.im, s1.im)
			f.s4("VFSUB", d.re, c.re, s3.re)
			f.s4("VFSUB", d.im, c.im, s3.im)
		})
		store(0, func() complexVector { return f.addComplex(s0, s1) })
		store(2, func() complexVector { return f.subtractComplex(s0, s1) })
		store(1, func() complexVector { return f.addTurned(s2, s3) })
		store(3, func() complexVector { return f.subtractTurned(s2, s3) })
		return
	}
	a, c := load(0), load(2)
	s0, s1 := f.addComplex(a, c), f.subtractComplex(a, c)
	b, d := load(1), load(3)
	s2, s3 := f.addComplex(b, d), f.subtractComplex(b, d)
	store(0, func() complexVector { return f.addComplex(s0, s2) })
	store(1, func() complexVector { return f.turn(f.subtractComplex(s0, s2), t, 2, false) })
	store(2, func() complexVector { return f.turn(f.subtractTurned(s1, s3), t, 1, false) })
	store(3, func() complexVector { return f.turn(f.addTurned(s1, s3), t, 3, false) })
}

func transforms(g *generator) {
	for _, inverse := range []bool{false, true} {
		name := "radix4Forward"
		if inverse {
			name = "radix4Inverse"
		}
		f := g.text(name+"NEON", "func(x *float32, quarter int, blocks int, twiddles *float32)",
			"does one pass over blocks of 4·quarter complex rows.")
		x, quarter, blocks, table := f.load("x"), f.load("quarter"), f.load("blocks"), f.load("twiddles")
		bytes, w, left := f.gen(), f.gen(), f.gen()
		f.op("LSL", number(7), quarter, bytes)
		rows := f.rowPointers(x, bytes, 4)
		f.countDown(blocks, 1, func() {
			f.op("MOVD", table, w)
			f.op("MOVD", quarter, left)
			f.countDown(left, 1, func() {
				t := f.loadTwiddles(w)
				for part := 0; part < imaginary; part += 16 {
					f.scope(func() {
						f.butterfly(func(i int) (general, int) { return rows[i], part }, t, inverse)
					})
				}
				f.advance(24, w)
				f.advance(rowBytes, rows...)
			})
			// Each pointer stands at the next quarter; the next block is three on.
			for _, r := range rows {
				f.op("ADD", bytes, r)
				f.op("ADD", bytes.String()+"<<1", r)
			}
		})
		f.op("RET")

		f = g.text(name+"LastNEON", "func(x *float32, blocks int)",
			"does the pass over blocks of four complex rows, whose twiddles are one.")
		x, blocks = f.load("x"), f.load("blocks")
		f.countDown(blocks, 1, func() {
			for part := 0; part < imaginary; part += 16 {
				f.scope(func() {
					f.butterfly(func(i int) (general, int) { return x, i*rowBytes + part }, nil, inverse)
				})
			}
			f.advance(4*rowBytes, x)
		})
		f.op("RET")
	}

	f := g.text("radix2NEON", "func(x *float32, blocks int)", "replaces pairs of rows by their sum and difference.")
	x, blocks := f.load("x"), f.load("blocks")
	f.countDown(blocks, 1, func() {
		for part := 0; part < rowBytes; part += 16 {
			f.scope(func() {
				a, b := f.loadVector(4, x, part), f.loadVector(4, x, rowBytes+part)
				f.store(4, f.add(a, b), x, part)
				f.store(4, f.subtract(a, b), x, rowBytes+part)
			})
		}
		f.advance(2*rowBytes, x)
	})
	f.op("RET")
}

// splitPair gives the spectra of a pair's two channels, times two.
func (f *function) splitPair(x, y general, disp int) (a, b complexVector) {
	p, q := f.loadComplex(x, disp), f.loadComplex(y, disp)
	a = complexVector{f.add(p.re, q.re), f.subtract(p.im, q.im)}
	b = complexVector{f.add(p.im, q.im), f.subtract(q.re, p.re)}
	return a, b
}

// spectrum writes the product of packed spectra and the split of filters. y
// and ky are walked backwards from their last row.
func spectrum(g *generator) {
	f := g.text("spectrumProductNEON", "func(x *float32, y *float32, kx *float32, ky *float32, pairs int)",
		"is Set.SpectrumProduct; y and ky point at their last row.")
	x, y, kx, ky, pairs := f.load("x"), f.load("y"), f.load("kx"), f.load("ky"), f.load("pairs")
	f.countDown(pairs, 1, func() {
		for part := 0; part < imaginary; part += 16 {
			f.scope(func() {
				a, b := f.splitPair(x, y, part)
				p := f.multiplyComplex(a, f.loadComplex(kx, part))
				q := f.multiplyComplex(b, f.loadComplex(ky, part))
				f.storeComplex(f.addTurned(p, q), x, part)
				// conj p + i·conj q
				f.storeComplex(complexVector{f.add(p.re, q.im), f.subtract(q.re, p.im)}, y, part)
			})
		}
		f.advance(rowBytes, x, kx)
		f.op("SUB", number(rowBytes), y)
		f.op("SUB", number(rowBytes), ky)
	})
	f.op("RET")

	f = g.text("spectrumSplitNEON", "func(x *float32, y *float32, pairs int, scale float32)",
		"is Set.SpectrumSplit; y points at its last row.")
	x, y, pairs = f.load("x"), f.load("y"), f.load("pairs")
	scale := f.vec()
	f.op("FMOVS", f.param("scale"), scale)
	f.countDown(pairs, 1, func() {
		for part := 0; part < imaginary; part += 16 {
			f.scope(func() {
				a, b := f.splitPair(x, y, part)
				for _, r := range []vector{a.re, a.im, b.re, b.im} {
					f.fmulLane(scale, 0, r, r)
				}
				f.storeComplex(a, x, part)
				f.storeComplex(b, y, part)
			})
		}
		f.advance(rowBytes, x)
		f.op("SUB", number(rowBytes), y)
	})
	f.op("RET")
}
