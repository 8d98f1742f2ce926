package main

import "fmt"

// A register tile is rows × 16 columns, up to six rows: 24 registers of sums,
// one a row for four inputs of activations, two for weights. Sums are chains over
// the inputs in order, whatever the number of rows.
const (
	tileRows    = 6
	tileVectors = 4 // of 4 columns each
)

// tile is what the products of all number formats share.
type tile struct {
	*function
	sums [][]vector
	rows []vector  // four inputs of each row
	in   []general // where each row is read
}

// loadRow4 and loadRow1 read the next four inputs of a row, or one.
type steps struct {
	loadRow4, loadRow1 func(from general, to vector)
	// groups is the number of registers of weights for one input.
	groups int
	// bytes says that a register holds 16 columns of bytes, to be widened to two
	// of 16-bit integers.
	bytes bool
	// multiply adds the products of lane u of a row with register `group`.
	multiply func(t *tile, u, group int, weights vector, row int)
}

// dispatch emits one body for each number of rows up to most, chosen by the
// parameter "rows".
func (f *function) dispatch(most int, body func(rows int)) {
	rows := f.load("rows")
	for r := 1; r < most; r++ {
		f.op("CMP", number(r), rows)
		f.op("BEQ", fmt.Sprintf("rows%d", r))
	}
	for r := most; r >= 1; r-- {
		if r < most {
			f.label(fmt.Sprintf("rows%d", r))
		}
		f.scope(func() { body(r) })
		f.op("RET")
	}
}

// rowPointers takes a register for each row, stride bytes apart.
func (f *function) rowPointers(first, stride general, rows int) []general {
	p := []general{first}
	for len(p) < rows {
		next := f.gen()
		f.op("ADD", stride, p[len(p)-1], next)
		p = append(p, next)
	}
	return p
}

// run adds the products of k inputs.
func (t *tile) run(s steps, k, panel general) {
	weights := t.vecs(2)
	for _, inputs := range []int{4, 1} {
		t.countDown(k, inputs, func() {
			for r, from := range t.in {
				if inputs == 4 {
					s.loadRow4(from, t.rows[r])
				} else {
					s.loadRow1(from, t.rows[r])
				}
			}
			if s.bytes {
				t.runBytes(s, weights, inputs, panel)
			} else {
				t.runWords(s, weights, inputs*s.groups, panel)
			}
		})
	}
}

// runWords reads weights one register ahead.
func (t *tile) runWords(s steps, weights []vector, groups int, panel general) {
	t.op("FMOVQ", at(panel, 0), weights[0])
	for g := range groups {
		if g+1 < groups {
			t.op("FMOVQ", at(panel, 16*(g+1)), weights[(g+1)%2])
		}
		for r := range t.rows {
			s.multiply(t, g/s.groups, g%s.groups, weights[g%2], r)
		}
	}
	t.advance(16*groups, panel)
}

func (t *tile) runBytes(s steps, weights []vector, inputs int, panel general) {
	low, high := weights[0], weights[1]
	for u := range inputs {
		t.op("FMOVQ", at(panel, 16*u), low)
		t.op("VSXTL2", arranged(low, "B16"), arranged(high, "H8"))
		t.op("VSXTL", arranged(low, "B8"), arranged(low, "H8"))
		for g, w := range weights {
			for r := range t.rows {
				s.multiply(t, u, g, w, r)
			}
		}
	}
	t.advance(16*inputs, panel)
}

func (f *function) newTile(rows int) *tile {
	// The rows' registers come first: some instructions take their lanes from
	// the lower half of the registers only.
	t := &tile{function: f, rows: f.vecs(rows)}
	for range rows {
		t.sums = append(t.sums, f.vecs(tileVectors))
	}
	return t
}

// gemmF32 writes c = start + a·panel for up to six rows and 16 columns.
func gemmF32(g *generator) {
	f := g.text("gemmF32NEON", "func(rows int, c *float32, ldc int, a *float32, lda int, k int, panel *float32, start *float32, startStride int)",
		"computes c = start + a·panel for 1 to 6 rows and 16 columns.")
	f.dispatch(tileRows, func(rows int) {
		t := f.newTile(rows)
		a, lda, k, panel := f.load("a"), f.load("lda"), f.load("k"), f.load("panel")
		start, startStride := f.load("start"), f.load("startStride")
		f.op("LSL", "$2", lda)
		f.op("LSL", "$2", startStride)
		for r, sums := range t.sums {
			for j, s := range sums {
				f.op("FMOVQ", at(start, 16*j), s)
			}
			if r+1 < rows {
				f.op("ADD", startStride, start)
			}
		}
		t.in = f.rowPointers(a, lda, rows)
		t.run(steps{
			loadRow4: func(from general, to vector) { f.op("FMOVQ.P", at(from, 16), to) },
			loadRow1: func(from general, to vector) { f.op("FMOVS.P", at(from, 4), to) },
			groups:   tileVectors,
			multiply: func(t *tile, u, group int, weights vector, row int) {
				f.fmlaLane(t.rows[row], u, weights, t.sums[row][group])
			},
		}, k, panel)
		c, ldc := f.load("c"), f.load("ldc")
		f.op("LSL", "$2", ldc)
		for r, sums := range t.sums {
			for j, s := range sums {
				f.op("FMOVQ", s, at(c, 16*j))
			}
			if r+1 < rows {
				f.op("ADD", ldc, c)
			}
		}
	})
}

// gemmF32Narrow writes rows × 4 columns or one, for the last panel of a matrix
// whose outputs don't fill it.
func gemmF32Narrow(g *generator) {
	for _, w := range []width{4, 1} {
		f := g.text(fmt.Sprintf("gemmF32Columns%dNEON", w), "func(rows int, c *float32, ldc int, a *float32, lda int, k int, panel *float32, panelStride int, bias *float32)",
			fmt.Sprintf("computes c = bias + a·panel for 1 to 4 rows and %d columns of a panel.", w))
		f.dispatch(4, func(rows int) {
			a, lda, k, panel, panelStride := f.load("a"), f.load("lda"), f.load("k"), f.load("panel"), f.load("panelStride")
			f.op("LSL", "$2", lda)
			f.op("LSL", "$2", panelStride)
			bias := f.load("bias")
			sums := f.vecs(rows)
			for _, s := range sums {
				f.op(w.name(), at(bias, 0), s)
			}
			in := f.rowPointers(a, lda, rows)
			f.countDown(k, 1, func() {
				weights, x := f.loadVector(w, panel, 0), f.vec()
				for r := range rows {
					f.op("FMOVS.P", at(in[r], 4), x)
					f.fmlaLane(x, 0, weights, sums[r])
				}
				f.op("ADD", panelStride, panel)
			})
			c, ldc := f.load("c"), f.load("ldc")
			f.op("LSL", "$2", ldc)
			for r, s := range sums {
				f.store(w, s, c, 0)
				if r+1 < rows {
					f.op("ADD", ldc, c)
				}
			}
		})
	}
}
