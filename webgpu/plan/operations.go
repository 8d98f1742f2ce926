//go:build m2embed_operations

package plan

import (
	"math/bits"

	"m2embed/core/model"
)

// The functions of this file plan one operation alone. Only tests and benchmarks
// have the tag that they need. Operands are Weight buffers whose tensors have the names that
// each function states; columns stand for Columns(n), the padded row length of
// activations.

func operation(d int, limits Limits, o Options) *planner {
	p := &planner{builder: newBuilder(limits), o: o, d: d}
	p.o.defaults()
	return p
}

// operand is an activation (rows, columns) given by a tensor of that name.
func (p *planner) operand(name string, rows, columns int) activation {
	row := Columns(columns)
	return activation{tensor: p.vector(name, rows, row, rows*row), row: row}
}

// Product plans y = blockdiag(weight) x + bias: tensors "weight" (blocks, rows,
// inner), "x" (innerTotal, columns) and "bias" (rowsTotal); result (rowsTotal,
// columns). The last block is cut at innerTotal and rowsTotal. A then follows.
func Product(blocks, rows, inner, rowsTotal, innerTotal, columns int, a After, limits Limits, o Options) (*Plan, error) {
	p := operation(0, limits, o)
	y := activation{tensor: p.scratch("y", rowsTotal*Columns(columns)), row: Columns(columns)}
	m := product{label: "product", weight: p.turned("weight", blocks, rows, inner, o.Half), blocks: blocks, rows: rows, inner: inner,
		xBlock: inner, innerTotal: innerTotal, rowsTotal: rowsTotal, columns: columns, x: p.operand("x", innerTotal, columns), y: y,
		bias: p.vector("bias", 1, rowsTotal, rowsTotal), half: o.Half}
	switch {
	case a.Sine != 0:
		m.after, m.modulation, m.other = sine, a.Sine, p.vector("frequency", 1, rowsTotal, rowsTotal)
	case a.Add:
		m.after, m.other = addition, p.operand("other", rowsTotal, columns).tensor
	}
	p.matmul(m)
	return p.finish(-1, -1, y.tensor)
}

// After is what a product does to its sums.
type After struct {
	Sine float64 // unless 0: y = sin(Sine · frequency · y), tensor "frequency" (rowsTotal)
	Add  bool    // y += other, tensor "other" (rowsTotal, columns)
}

// LayerNorm plans layer_norm.wgsl: tensors "x" (d, columns), "norm.weight" and
// "norm.bias" (d); result (d, columns).
func LayerNorm(d, columns int, epsilon float64, limits Limits) (*Plan, error) {
	p := operation(d, limits, Options{})
	x := p.operand("x", d, columns)
	p.layerNorm(x, columns, "norm", epsilon, "layer norm")
	return p.finish(-1, -1, x.tensor)
}

// GELUGate plans gelu_gate.wgsl: tensor "g" (2·inner or inner, columns); result
// (inner, columns).
func GELUGate(inner, columns int, gated bool, limits Limits) (*Plan, error) {
	p := operation(0, limits, Options{})
	rows := inner
	if gated {
		rows *= 2
	}
	u := p.scratch("u", inner*Columns(columns))
	p.gelu(p.operand("g", rows, columns).tensor, u, inner*Columns(columns), gated, "gelu")
	return p.finish(-1, -1, u)
}

// ShortFilter plans short_filter.wgsl: tensors "x1", "x2", "v" (d, columns),
// "filter.weight" (3d, 3), "filter.bias" (3d); the result is u, or the gate.
func ShortFilter(texts, length, d int, gate bool, limits Limits) (*Plan, error) {
	p := operation(d, limits, Options{})
	p.tokens, p.s = texts*length, Shape{Texts: texts, Length: length}
	row := Columns(p.tokens)
	u, g := activation{tensor: p.scratch("u", d*row), row: row}, activation{tensor: p.scratch("gate", d*row), row: row}
	p.shortFilter([3]activation{p.operand("x1", d, p.tokens), p.operand("x2", d, p.tokens), p.operand("v", d, p.tokens)}, u, g, "filter", "short filter")
	if gate {
		return p.finish(-1, -1, g.tensor)
	}
	return p.finish(-1, -1, u.tensor)
}

// LongConvolution plans a long convolution and its filter's spectrum: tensors
// "u" and, if gated, "gate" or, if added, "y" (d, texts·length columns), "taps"
// (2d or d, columns of `taps`), and the filter's "f.bias", "f.modulation.deltas"
// (d) and "f.pos_emb.t" (taps); result (d, columns). Setup holds the spectrum.
func LongConvolution(texts, length, d, taps int, reverse, gated, added bool, limits Limits, o Options) (*Plan, error) {
	p := operation(d, limits, o)
	p.tokens, p.s = texts*length, Shape{Texts: texts, Length: length}
	p.size = max(64, 1<<bits.Len(uint(length-1)))
	p.taps = min(p.size, taps)
	p.c = model.Config{LongConvLMax: taps, Bidirectional: reverse}
	p.twiddles = p.roots()
	row := Columns(p.tokens)
	u := p.operand("u", d, p.tokens)
	c := convolution{filter: "f", label: "convolution", u: u, gate: -1, added: added, y: activation{row: row}}
	if gated {
		c.gate = p.operand("gate", d, p.tokens).tensor
	}
	if added {
		c.y = p.operand("y", d, p.tokens)
	} else {
		c.y.tensor = p.scratch("y", d*row)
	}
	all := p.operand("taps", d*p.directions(), taps)
	spectrum := p.keyed(Shared, "spectrum", 8*align(d, 2)*p.size, nil)
	p.plan.Setup = []Setup{{Key: "spectrum"}}
	p.setup = &p.plan.Setup[0]
	p.transformTaps(c, all, 0, d, spectrum)
	p.setup = nil
	block := p.channelBlock()
	for first := 0; first < d; first += block {
		if count := min(block, d-first); p.size <= unifiedLimit {
			p.unified(c, first, first, count, spectrum)
		} else {
			p.streamed(c, first, first, count, spectrum)
		}
	}
	return p.finish(-1, -1, c.y.tensor)
}

// Transpose plans transpose.wgsl: tensor "x" (d, columns); result (n, d).
func Transpose(d, n int, limits Limits) (*Plan, error) {
	p := operation(d, limits, Options{})
	p.tokens = n
	out := p.scratch("result", n*d)
	p.transpose(p.operand("x", d, n), out, 0)
	return p.finish(-1, -1, out)
}

// Pool plans pooling, pooler and normalisation: tensors "x" (d, columns of
// texts·length), "pooler.dense.weight" (d, d), "pooler.dense.bias" (d); result
// (texts, d). The mask is the plan's input for the mean poolings.
func Pool(texts, length, d int, pooling model.Pooling, normalize bool, limits Limits) (*Plan, error) {
	p := operation(d, limits, Options{})
	p.tokens, p.s = texts*length, Shape{Texts: texts, Length: length, Pooling: pooling, Normalize: normalize}
	p.plan.Texts, p.plan.Length = texts, length
	ids, mask := p.input("ids", p.tokens), tensor(-1)
	if pooling == model.PoolMean || pooling == model.PoolMeanHidden {
		mask = p.input("mask", p.tokens)
	}
	out := p.scratch("result", texts*d)
	p.pool(p.operand("x", d, p.tokens), length, mask, out)
	p.virtuals[ids].used = true
	return p.finish(ids, mask, out)
}

// Embedding plans the embedding and its layer norm under the configuration's
// names; result (d, columns).
func Embedding(c model.Config, texts, length int, limits Limits, o Options) (*Plan, error) {
	p := operation(c.HiddenSize, limits, o)
	p.c, p.s, p.tokens = c, Shape{Texts: texts, Length: length}, texts*length
	p.row, p.size = Columns(p.tokens), max(64, 1<<bits.Len(uint(length-1)))
	p.zeros = p.keyed(Weight, "zeros", 4*p.d, []Piece{{Kind: Zeros, Rows: p.d}})
	p.plan.Texts, p.plan.Length = texts, length
	ids := p.input("ids", p.tokens)
	return p.finish(ids, -1, p.embed(ids).tensor)
}

// MemoryCopy plans nothing but a copy of n float32s through a kernel that reads and
// writes each once: tensor "x" (1, n). It measures the memory's bandwidth.
func MemoryCopy(n int, limits Limits) (*Plan, error) {
	p := operation(0, limits, Options{})
	y := p.scratch("y", n)
	p.dispatch(launch{label: "copy", kernel: "copy", entry: "main", params: words(n / 4),
		slots: []slot{{1, p.vector("x", 1, n, n), false}, {2, y, true}}, groups: [3]int{min(ceil(n/4, 256), 65535), 1, 1}, work: float64(8 * n)})
	return p.finish(-1, -1, y)
}
