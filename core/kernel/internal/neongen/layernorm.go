package main

// shortFilter writes Set.ShortFilter.
func shortFilter(g *generator) {
	f := g.text("shortFilterNEON", "func(x *float32, rows int, taps *float32)", "is Set.ShortFilter.")
	x, rows, taps := f.load("x"), f.load("rows"), f.load("taps")
	const vectors = rowBytes / 16
	before, last := f.vecs(vectors), f.vecs(vectors)
	for i := range vectors {
		f.zero(before[i])
		f.zero(last[i])
	}
	f.countDown(rows, 1, func() {
		for i := range vectors {
			f.scope(func() {
				value, sum := f.loadVector(4, x, 16*i), f.loadVector(4, taps, 3*rowBytes+16*i)
				f.s4("VFMLA", f.loadVector(4, taps, 16*i), before[i], sum)
				f.s4("VFMLA", f.loadVector(4, taps, rowBytes+16*i), last[i], sum)
				f.s4("VFMLA", f.loadVector(4, taps, 2*rowBytes+16*i), value, sum)
				f.store(4, sum, x, 16*i)
				f.copy(last[i], before[i])
				f.copy(value, last[i])
			})
		}
		f.advance(rowBytes, x)
	})
	f.op("RET")
}

// eachEight emits loops over n values: eights, whose four registers of doubles
// are avogen's two sums of four, then one at a time.
func (f *function) eachEight(n general, pointers []general, eight, one func()) {
	f.countDown(n, 8, func() {
		eight()
		f.advance(32, pointers...)
	})
	f.countDown(n, 1, func() {
		one()
		f.advance(4, pointers...)
	})
}

// widen gives the lower or the upper two values as doubles.
func (f *function) widen(s vector, upper bool) vector {
	d := f.vec()
	if upper {
		f.op("VFCVTL2", arranged(s, "S4"), arranged(d, "D2"))
	} else {
		f.op("VFCVTL", arranged(s, "S2"), arranged(d, "D2"))
	}
	return d
}

// total folds sums of eight places and of the rest in avogen's order.
func (f *function) total(sums []vector, rest vector) {
	f.d2("VFADD", sums[2], sums[0], sums[0])
	f.d2("VFADD", sums[3], sums[1], sums[1])
	f.d2("VFADD", sums[1], sums[0], sums[0])
	f.d2("VFADDP", sums[0], sums[0], sums[0])
	f.op("FADDD", rest, sums[0], sums[0])
	f.op("FMOVD", sums[0], f.param("sum"))
	f.op("RET")
}

// layerNorm writes its three passes; sums run in float64, in a fixed order.
func layerNorm(g *generator) {
	for _, residual := range []bool{false, true} {
		name, signature, names := "layerNormSumNEON", "func(dst *float32, x *float32, n int) (sum float64)", []string{"dst", "x"}
		if residual {
			name, signature, names = "layerNormAddNEON", "func(dst *float32, x *float32, residual *float32, n int) (sum float64)", append(names, "residual")
		}
		f := g.text(name, signature, "copies x, plus residual if there is one, to dst and returns its sum.")
		pointers, n := f.loads(names...), f.load("n")
		sums, rest := f.vecs(4), f.vec()
		for _, s := range append(sums, rest) {
			f.zero(s)
		}
		take := func(w width, disp int) vector {
			s := f.loadVector(w, pointers[1], disp)
			if residual {
				f.s4("VFADD", f.loadVector(w, pointers[2], disp), s, s)
			}
			f.store(w, s, pointers[0], disp)
			return s
		}
		f.eachEight(n, pointers, func() {
			for i := range 2 {
				s := take(4, 16*i)
				f.d2("VFADD", f.widen(s, false), sums[2*i], sums[2*i])
				f.d2("VFADD", f.widen(s, true), sums[2*i+1], sums[2*i+1])
			}
		}, func() {
			f.d2("VFADD", f.widen(take(1, 0), false), rest, rest)
		})
		f.total(sums, rest)
	}

	f := g.text("layerNormSquaresNEON", "func(x *float32, n int, mean float64) (sum float64)", "returns the sum of (x-mean)².")
	x, n, mean := f.load("x"), f.load("n"), f.broadcast("mean")
	sums, rest := f.vecs(4), f.vec()
	for _, s := range append(sums, rest) {
		f.zero(s)
	}
	square := func(s vector, upper bool, sum vector) {
		d := f.widen(s, upper)
		f.d2("VFSUB", mean, d, d)
		f.d2("VFMLA", d, d, sum)
	}
	f.eachEight(n, []general{x}, func() {
		for i := range 2 {
			s := f.loadVector(4, x, 16*i)
			square(s, false, sums[2*i])
			square(s, true, sums[2*i+1])
		}
	}, func() { square(f.loadVector(1, x, 0), false, rest) })
	f.total(sums, rest)

	f = g.text("layerNormScaleNEON", "func(x *float32, n int, mean float64, inverse float64, weight *float32, bias *float32)",
		"replaces x by (x-mean)·inverse·weight + bias.")
	pointers := f.loads("x", "weight", "bias")
	n = f.load("n")
	mean = f.broadcast("mean")
	inverse := f.broadcast("inverse")
	f.eachValue(n, pointers, func(w width) {
		x, s := f.loadVector(w, pointers[0], 0), f.vec()
		scaled := func(upper bool) string {
			d := f.widen(x, upper)
			f.d2("VFSUB", mean, d, d)
			f.d2("VFMUL", inverse, d, d)
			return arranged(d, "D2")
		}
		f.op("VFCVTN", scaled(false), arranged(s, "S2"))
		if w == 4 {
			f.op("VFCVTN2", scaled(true), arranged(s, "S4"))
		}
		f.s4("VFMUL", f.loadVector(w, pointers[1], 0), s, s)
		f.s4("VFADD", f.loadVector(w, pointers[2], 0), s, s)
		f.store(w, s, pointers[0], 0)
	})
	f.op("RET")
}
