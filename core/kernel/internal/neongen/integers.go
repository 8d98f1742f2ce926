package main

import "fmt"

const integerSignature = "func(rows int, c *float32, ldc int, q *byte, stride int, steps int, panel *byte, rowScales *float32, columnScales *float32, bias *float32)"

// integerTile writes the products of up to six quantised rows with 16 columns.
func integerTile(f *function, s steps) {
	f.dispatch(tileRows, func(rows int) {
		t := f.newTile(rows)
		q, stride, steps, panel := f.load("q"), f.load("stride"), f.load("steps"), f.load("panel")
		for _, sums := range t.sums {
			for _, sum := range sums {
				f.zero(sum)
			}
		}
		t.in = f.rowPointers(q, stride, rows)
		t.scope(func() { t.run(s, steps, panel) })
		t.finishIntegers()
	})
}

// finishIntegers scales the integer sums as the plain twin does, without fusing:
// c = bias + float(sum)·(rowScale·columnScale). The tile's other registers are free.
func (t *tile) finishIntegers() {
	f := t.function
	f.generals = 1
	c, ldc, rowScales := f.load("c"), f.load("ldc"), f.load("rowScales")
	columnScales, bias := f.load("columnScales"), f.load("bias")
	f.op("LSL", number(2), ldc)
	scale := t.rows[0]
	for r, sums := range t.sums {
		f.op("FMOVS", at(rowScales, 4*r), scale)
		for j, s := range sums {
			f.scope(func() {
				factor, start := f.loadVector(4, columnScales, 16*j), f.loadVector(4, bias, 16*j)
				f.fmulLane(scale, 0, factor, factor)
				f.s4("VSCVTF", s, s)
				f.s4("VFMUL", factor, s, s)
				f.s4("VFADD", start, s, s)
				f.store(4, s, c, 16*j)
			})
		}
		if r+1 < len(t.sums) {
			f.op("ADD", ldc, c)
		}
	}
}

// gemmI8Dot multiplies four signed bytes at a time. A row of q is K bytes, a
// panel step four inputs of 16 columns: 64 bytes.
func gemmI8Dot(g *generator) {
	f := g.text("gemmI8DotNEON", integerSignature, "computes 1 to 6 rows and 16 columns; a step is four inputs.")
	integerTile(f, steps{
		loadRow4: func(from general, to vector) { f.op("FMOVQ.P", at(from, 16), to) },
		loadRow1: func(from general, to vector) { f.op("FMOVS.P", at(from, 4), to) },
		groups:   tileVectors,
		multiply: func(t *tile, u, group int, weights vector, row int) {
			f.sdotLane(t.rows[row], u, weights, t.sums[row][group])
		},
	})
}

// gemmIntegersLong multiplies 16-bit integers to 32-bit products. A row of q is
// K 16-bit integers, a panel step one input of 16 columns: 16 bytes of 8-bit
// weights or 32 of 16-bit ones.
func gemmIntegersLong(g *generator) {
	for _, bits := range []int{8, 16} {
		f := g.text(fmt.Sprintf("gemmI%dLongNEON", bits), integerSignature, "computes 1 to 6 rows and 16 columns; a step is one input.")
		integerTile(f, steps{
			loadRow4: func(from general, to vector) { f.op("FMOVD.P", at(from, 8), to) },
			loadRow1: func(from general, to vector) { f.op("VLD1.P", at(from, 2), fmt.Sprintf("V%d.H[0]", to)) },
			groups:   2,
			bytes:    bits == 8,
			multiply: func(t *tile, u, group int, weights vector, row int) {
				for half, sum := range t.sums[row][2*group : 2*group+2] {
					t.smlalLane(half == 1, t.rows[row], u, weights, sum)
				}
			},
		})
	}
}

// quantize writes the two passes over a row of activations.
func quantize(g *generator) {
	f := g.text("largestMagnitudeNEON", "func(x *float32, n int) (largest float32)", "returns max |x| of n values.")
	x, n := f.load("x"), f.load("n")
	largest := f.vec()
	f.zero(largest)
	f.eachValue(n, []general{x}, func(w width) {
		v := f.loadVector(w, x, 0)
		f.s4("VFABS", v, v)
		f.s4("VFMAX", v, largest, largest)
	})
	f.op("VFMAXV", arranged(largest, "S4"), fmt.Sprintf("V%d", largest))
	f.op("FMOVS", largest, f.param("largest"))
	f.op("RET")

	for _, bits := range []int{16, 8} {
		f := g.text(fmt.Sprintf("quantizeRow%dNEON", bits), "func(q *byte, x *float32, n int, inverse float32) (sum int32)",
			fmt.Sprintf("rounds n values times inverse to %d-bit integers and returns their sum.", bits))
		q, x, n := f.load("q"), f.load("x"), f.load("n")
		inverse, sum := f.vec(), f.vec()
		f.op("FMOVS", f.param("inverse"), inverse)
		f.zero(sum)
		// round takes a register with w values as 32-bit integers.
		round := func(w width, disp int) vector {
			v := f.loadVector(w, x, disp)
			f.fmulLane(inverse, 0, v, v)
			f.s4("VFRINTN", v, v)
			f.s4("VFCVTZS", v, v)
			f.s4("VADD", v, sum, sum)
			return v
		}
		f.countDown(n, 8, func() {
			low, high := round(4, 0), round(4, 16)
			f.op("VXTN", arranged(low, "S4"), arranged(low, "H4"))
			f.op("VXTN2", arranged(high, "S4"), arranged(low, "H8"))
			if bits == 16 {
				f.store(4, low, q, 0)
			} else {
				f.op("VXTN", arranged(low, "H8"), arranged(low, "B8"))
				f.op("FMOVD", low, at(q, 0))
			}
			f.advance(32, x)
			f.advance(bits, q)
		})
		f.countDown(n, 1, func() {
			v, value := round(1, 0), f.gen()
			f.op("FMOVS", v, value)
			f.op(map[int]string{16: "MOVH", 8: "MOVB"}[bits], value, at(q, 0))
			f.advance(4, x)
			f.advance(bits/8, q)
		})
		f.op("VADDV", arranged(sum, "S4"), fmt.Sprintf("V%d", sum))
		f.op("FMOVS", sum, f.param("sum"))
		f.op("RET")
	}
}
