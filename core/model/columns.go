package model

import "m2embed/core/kernel"

// The MLP of so few rows that blocks of them would leave threads idle is cut by
// columns instead: three products and the LayerNorm, one after the other, each
// over all rows. What a thread then reads of the weights no other does. The bits
// are the same: every column of a product is a sum of its own.
var (
	outStage   = stage{begin: (*Run).beginColumns, unit: (*Run).outColumns, units: (*Run).outUnits, cost: (*Run).outCost}
	gatedStage = stage{begin: (*Run).beginColumns, unit: (*Run).gatedColumns, units: (*Run).gatedUnits, cost: (*Run).gatedCost}
	woStage    = stage{begin: (*Run).beginColumns, unit: (*Run).woColumns, units: (*Run).woUnits, cost: (*Run).woCost}
	normStage  = stage{
		begin: func(r *Run, x *task) { r.beginInput(x.layer + 1) },
		unit:  (*Run).normRows,
		units: func(r *Run, x *task) int { return blocks(r.rows(x), normRows) },
		cost:  func(r *Run, _ *task) float64 { return 10 * float64(r.model.config.HiddenSize) * normRows },
	}
)

const (
	// unitColumns is how many columns of a product a unit takes: whole panels of
	// every set of kernels.
	unitColumns = 64
	// columnRows bounds the rows of a pass that is cut by columns, whose hidden
	// layer all threads share.
	columnRows = 512
	// normRows is how many rows a unit of normStage takes.
	normRows = 4
)

// columns is the memory of a pass that is cut by columns.
type columns struct {
	mlp   []float32 // (rows, D): the mixer's output
	gated []float32 // (rows, 2I)
	wo    []float32 // (rows, D)
}

// reserve makes room for n rows, and leaves what a part of the pass with more of
// them has.
func (c *columns) reserve(n, d, width int) {
	c.mlp = grow(c.mlp, max(len(c.mlp), n*d))
	c.gated = grow(c.gated, max(len(c.gated), n*width))
	c.wo = grow(c.wo, max(len(c.wo), n*d))
}

func (c *columns) bytes() int { return 4 * (cap(c.mlp) + cap(c.gated) + cap(c.wo)) }

// addMLP adds the MLP of a layer: a stage over blocks of rows or, where those are
// fewer than the threads and it takes less time, stages over columns.
func (r *Run) addMLP(layer int, rows part) {
	n := len(r.ids)
	if rows == firstRows {
		n = len(r.sequences)
	}
	y, c := &r.model.weights.layers[layer], r.model.config
	units := blocks(n, r.block)
	if units >= r.model.workers.count || n > columnRows || !y.byColumns(c) {
		r.add(&mlpStage, layer, rows)
		return
	}
	// The stages over columns meet three times more, but on any number of threads.
	first, byColumns, operations := len(r.tasks), 0.0, 0.0
	for _, s := range []*stage{&outStage, &gatedStage, &woStage, &normStage} {
		r.add(s, layer, rows)
	}
	for _, x := range r.tasks[first:] {
		work := x.cost * float64(x.units)
		operations += work
		byColumns += r.model.workers.takes(work, x.units)
	}
	if byColumns > r.model.workers.takes(operations, units) {
		r.drop(first)
		r.add(&mlpStage, layer, rows)
		return
	}
	r.columns.reserve(n, c.HiddenSize, y.gatedWidth())
	for i := range r.scratch {
		r.scratch[i].columns = grow(r.scratch[i].columns, max(len(y.gated.blocks), len(y.wo.blocks)))
	}
}

// byColumns says whether the MLP's matrices can be cut: no block is filled up,
// and a unit's columns lie in one block, those of a gate and of its values alike.
func (y *layer) byColumns(c Config) bool {
	whole := y.gated.inputs() == c.HiddenSize && y.gated.outputs() == y.gatedColumns(c) &&
		y.wo.inputs() == c.IntermediateSize && y.wo.outputs() == c.HiddenSize
	return whole && c.HiddenSize%unitColumns == 0 && c.IntermediateSize%unitColumns == 0 &&
		y.gated.q%unitColumns == 0 && y.wo.q%unitColumns == 0
}

// gatedColumns is the width of the gated hidden layer: gates, and values if there
// are any.
func (y *layer) gatedColumns(c Config) int {
	if c.UseGLUMLP {
		return 2 * c.IntermediateSize
	}
	return c.IntermediateSize
}

// blockRows are the rows of a pass as integers, for one block of a matrix.
type blockRows struct {
	rows kernel.Quantized
	held bool // rows are those of the stage in work
}

// beginColumns forgets the rows that threads hold: they were another stage's.
func (r *Run) beginColumns(*task) {
	for i := range r.scratch {
		for j := range r.scratch[i].columns {
			r.scratch[i].columns[j].held = false
		}
	}
}

// multiplyColumns computes columns of c = a·W^T + bias for all rows, by block b of
// a matrix. A thread makes integers of a block's rows once a stage.
func (r *Run) multiplyColumns(s *scratch, c []float32, ldc int, a []float32, lda, rows, b int, w *kernel.Matrix, column int) {
	in := kernel.Input{Values: a, Stride: lda, Blocks: &s.blocks}
	if w.Quantized() {
		q := &s.columns[b]
		if !q.held {
			q.rows.Reset(w, rows)
			q.rows.Store(0, a, lda, rows)
			q.held = true
		}
		in.Quantized = &q.rows
	}
	w.Multiply(c, ldc, in, rows, column, column+unitColumns)
}

// multiplyBlock is multiplyColumns for a column of a block-diagonal matrix.
func (r *Run) multiplyBlock(s *scratch, c []float32, ldc int, a []float32, lda, rows int, w *blockDiagonal, column int) {
	b := column / w.q
	r.multiplyColumns(s, c, ldc, a[b*w.p:], lda, rows, b, w.blocks[b], column%w.q)
}

func (r *Run) outUnits(*task) int { return r.model.config.HiddenSize / unitColumns }

func (r *Run) outCost(x *task) float64 {
	return 2 * float64(r.rows(x)) * float64(r.model.config.HiddenSize) * unitColumns
}

// outColumns makes columns of m = out_linear(y).
func (r *Run) outColumns(s *scratch, x *task, unit int) {
	d, rows, column := r.model.config.HiddenSize, r.rows(x), unit*unitColumns
	from, _ := r.mlpRows(x)
	m := r.columns.mlp
	r.multiplyColumns(s, m[column:], d, from, d, rows, 0, r.layer(x).outLinear, column)
	r.record("mixer_out", x.layer, 0, column, rows, unitColumns, m[column:], d)
}

func (r *Run) gatedUnits(*task) int { return r.model.config.IntermediateSize / unitColumns }

func (r *Run) gatedCost(x *task) float64 {
	y, c := r.layer(x), r.model.config
	gates := y.gatedColumns(c) / c.IntermediateSize
	return 2 * float64(r.rows(x)) * unitColumns * float64(gates*y.gated.p+10)
}

// gatedColumns makes columns of gelu(g1)·g2, with g1, g2 the halves of
// gated_layers(m).
func (r *Run) gatedColumns(s *scratch, x *task, unit int) {
	y, c, rows, column := r.layer(x), r.model.config, r.rows(x), unit*unitColumns
	d, inner, stride := c.HiddenSize, c.IntermediateSize, y.gatedWidth()
	g := r.columns.gated
	for at := column; at < y.gatedColumns(c); at += inner {
		r.multiplyBlock(s, g[at:], stride, r.columns.mlp, d, rows, &y.gated, at)
		r.record("gated_layers", x.layer, 0, at, rows, unitColumns, g[at:], stride)
	}
	for i := range rows {
		gate := g[i*stride+column:][:unitColumns]
		var value []float32
		if c.UseGLUMLP {
			value = g[i*stride+inner+column:][:unitColumns]
		}
		r.model.set.GeluGate(gate, gate, value)
	}
	r.record("glu", x.layer, 0, column, rows, unitColumns, g[column:], stride)
}

func (r *Run) woUnits(*task) int { return r.model.config.HiddenSize / unitColumns }

func (r *Run) woCost(x *task) float64 {
	return 2 * float64(r.rows(x)) * unitColumns * float64(r.layer(x).wo.p)
}

// woColumns makes columns of wo(gelu(g1)·g2).
func (r *Run) woColumns(s *scratch, x *task, unit int) {
	y, d, rows, column := r.layer(x), r.model.config.HiddenSize, r.rows(x), unit*unitColumns
	f := r.columns.wo
	r.multiplyBlock(s, f[column:], d, r.columns.gated, y.gatedWidth(), rows, &y.wo, column)
	r.record("wo", x.layer, 0, column, rows, unitColumns, f[column:], d)
}

// normRows makes rows of h = LayerNorm(m + wo(gelu(g1)·g2)).
func (r *Run) normRows(_ *scratch, x *task, unit int) {
	first, last := span(unit, normRows, r.rows(x))
	d := r.model.config.HiddenSize
	r.endLayer(x, first, last-first, r.columns.wo[first*d:], d, r.columns.mlp[first*d:], d)
}
