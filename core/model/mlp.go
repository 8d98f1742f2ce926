package model

import "m2embed/core/kernel"

// mlpWidth is the row stride of the mixer's output: D, filled up with zeros to
// whole blocks of gated_layers.
func (y *layer) mlpWidth(c Config) int { return max(c.HiddenSize, y.gated.inputs()) }

// gatedWidth is the row stride of the gated hidden layer, which wo reads too.
func (y *layer) gatedWidth() int { return max(y.gated.outputs(), y.wo.inputs()) }

// mlpStage makes the layer's output of y; its units are blocks of rows.
var mlpStage = stage{
	begin: func(r *Run, x *task) { r.beginInput(x.layer + 1) },
	unit:  (*Run).mlp,
	units: (*Run).tokenBlocks,
	cost:  (*Run).mlpCost,
}

// mlp takes a block of rows from the gated convolutions' output to the layer's
// output: m = out_linear(y), h = LayerNorm(m + wo(gelu(g1)·g2)) with g1, g2 the
// halves of gated_layers(m) over all blocks (section 4 of the paper;
// BertGatedLinearUnitMLP in the reference code).
func (r *Run) mlp(s *scratch, x *task, block int) {
	y, index, c := r.layer(x), x.layer, r.model.config
	d, inner := c.HiddenSize, c.IntermediateSize
	from, _ := r.mlpRows(x)
	first, last := span(block, r.block, r.rows(x))
	rows := last - first
	mStride, gStride, fStride := y.mlpWidth(c), y.gatedWidth(), y.wo.outputs()

	m := s.mlp
	r.multiply(s, m, mStride, from[first*d:], d, rows, y.outLinear)
	if mStride > d {
		for i := range rows {
			clear(m[i*mStride+d : (i+1)*mStride])
		}
	}
	r.record("mixer_out", index, first, 0, rows, d, m, mStride)

	g := s.gated
	for b, w := range y.gated.blocks {
		r.multiply(s, g[b*y.gated.q:], gStride, m[b*y.gated.p:], mStride, rows, w)
	}
	r.record("gated_layers", index, first, 0, rows, min(gStride, 2*inner), g, gStride)
	for i := range rows {
		row := g[i*gStride : (i+1)*gStride]
		var value []float32
		if c.UseGLUMLP {
			value = row[inner : 2*inner]
		}
		r.model.set.GeluGate(row[:inner], row[:inner], value)
		if filled := y.wo.inputs(); filled > inner {
			clear(row[inner:filled])
		}
	}
	r.record("glu", index, first, 0, rows, inner, g, gStride)

	f := s.wo
	for b, w := range y.wo.blocks {
		r.multiply(s, f[b*y.wo.q:], fStride, g[b*y.wo.p:], gStride, rows, w)
	}
	r.record("wo", index, first, 0, rows, d, f, fStride)
	r.endLayer(x, first, rows, f, fStride, m, mStride)
}

// mlpRows are the rows that an MLP takes and those that it makes.
func (r *Run) mlpRows(x *task) (from, to []float32) {
	if x.part == firstRows && r.spans { // all rows follow and need h
		return r.first, r.first
	}
	return r.mixed, r.hidden
}

// endLayer makes rows of h = LayerNorm(m + f).
func (r *Run) endLayer(x *task, first, rows int, f []float32, fStride int, m []float32, mStride int) {
	y, c := r.layer(x), r.model.config
	d := c.HiddenSize
	_, to := r.mlpRows(x)
	for i := range rows {
		r.model.set.LayerNorm(to[(first+i)*d:(first+i+1)*d], f[i*fStride:][:d], m[i*mStride:][:d], y.norm.weight, y.norm.bias, c.LayerNormEps)
	}
	r.record("mlp_out", x.layer, first, 0, rows, d, to[first*d:], d)
	r.quantizeInput(x.layer+1, first, rows)
}

// multiply computes c = a·W^T + bias for a block of rows.
func (r *Run) multiply(s *scratch, c []float32, ldc int, a []float32, lda, rows int, w *kernel.Matrix) {
	in := kernel.Input{Values: a, Stride: lda, Blocks: &s.blocks}
	if w.Quantized() {
		s.rows.Reset(w, rows)
		s.rows.Store(0, a, lda, rows)
		in.Quantized = &s.rows
	}
	w.Multiply(c, ldc, in, rows, 0, w.Outputs)
}

// beginInput makes room for the hidden states as in_linear of a layer takes
// them, if it is one of integers.
func (r *Run) beginInput(index int) {
	if w := r.inLinear(index); w != nil && w.Quantized() {
		r.input.Reset(w, len(r.ids))
	}
}

// quantizeInput keeps rows of the hidden states as integers for in_linear of a
// layer, once for all channel groups.
func (r *Run) quantizeInput(index, first, rows int) {
	if w := r.inLinear(index); w != nil && w.Quantized() {
		d := r.model.config.HiddenSize
		r.input.Store(first, r.hidden[first*d:], d, rows)
	}
}

// inLinear is in_linear of a layer, nil behind the last.
func (r *Run) inLinear(index int) *kernel.Matrix {
	if index == len(r.model.weights.layers) {
		return nil
	}
	return r.model.weights.layers[index].inLinear[0]
}

func (r *Run) mlpCost(x *task) float64 {
	c, rows := r.model.config, min(r.rows(x), r.block)
	y := &r.model.weights.layers[0]
	d := float64(c.HiddenSize)
	gated := float64(y.gated.outputs()) * float64(y.gated.p)
	wo := float64(y.wo.outputs()) * float64(y.wo.p)
	return 2 * float64(rows) * (d*d + gated + wo + 10*float64(c.IntermediateSize))
}
