package plan

// product describes a call of matmul.wgsl.
type product struct {
	label        string
	weight       tensor
	weightFirst  int // elements
	blocks, rows int // n, q
	inner        int // p
	xBlock       int // rows of x from block to block: inner, or 0 if blocks share x
	innerTotal   int // rows of x that exist
	rowsTotal    int // rows of y that exist
	weightRow    int // elements; 0 stands for rows padded to 4
	columns      int
	x, y         activation
	bias         tensor
	half         bool
	after        after
	other        tensor  // frequencies of the sine, or what is added, laid out like y
	modulation   float64 // of the sine
}

// after is what a product's kernel does to its sums.
type after int

const (
	nothing  after = iota
	sine           // y = sin(modulation · frequency · y)
	addition       // y += other
)

func (p *planner) matmul(m product) {
	if m.weightRow == 0 {
		m.weightRow = align(m.rows, 4)
	}
	if m.rowsTotal == 0 {
		m.rowsTotal = m.blocks * m.rows
	}
	if m.innerTotal == 0 {
		m.innerTotal = m.inner
		if m.xBlock > 0 {
			m.innerTotal = m.blocks * m.inner
		}
	}
	columns := align(m.columns, 4)
	cut := p.o.Tile
	if cut == (Tile{}) {
		cut = chooseTile(m.rows, columns, m.blocks)
	}
	if m.after == nothing {
		m.other = m.bias
	}
	common := []Constant{{"HALF", boolean(m.half)}, {"AFTER", float64(m.after)}}
	kernel, constants, unit := "matmul", []Constant{{"ROWS", float64(cut.Rows)}, {"COLUMNS", float64(cut.Columns)}}, 8
	switch {
	case cut.Tall:
		kernel, constants = "matmul_tall", nil
	case cut.Parts > 0:
		kernel, constants, unit = "matmul_small", []Constant{{"SIDE", float64(cut.Rows)}, {"PARTS", float64(cut.Parts)}}, 4
	}
	p.dispatch(launch{
		label: m.label, kernel: kernel, entry: "main", constants: append(constants, common...),
		params: append(words(m.inner, m.innerTotal, m.xBlock, m.rows, m.rowsTotal, columns/4,
			m.weightFirst/4, m.weightRow/4, m.inner*m.weightRow/4, m.x.first/4, m.x.row/4, m.y.first/4, m.y.row/4), bits32(m.modulation)),
		slots:  []slot{{1, m.weight, false}, {2, m.x.tensor, false}, {3, m.bias, false}, {4, m.y.tensor, true}, {5, m.other, false}},
		groups: [3]int{ceil(m.rows, unit*cut.Rows), ceil(columns, unit*cut.Columns), m.blocks},
		work:   2 * float64(m.rows) * float64(m.inner) * float64(m.blocks) * float64(columns),
	})
}

// Tile is how a product is cut. With Parts 0 a workgroup of matmul.wgsl has
// Rows × Columns invocations, 8 or 16 each, of 8 × 8 sums; else one of
// matmul_small.wgsl has Parts · Rows · Columns, Rows = Columns, of 4 × 4 sums.
// Tall is matmul_tall.wgsl, for which Rows and Columns are 16.
type Tile struct {
	Rows, Columns, Parts int
	Tall                 bool
}

// chooseTile takes the largest tile of which there are enough to fill a large
// GPU, and that wastes no rows. Below that the summed axis is shared out too.
func chooseTile(rows, columns, blocks int) Tile {
	tiles := func(tall, wide int) int { return ceil(rows, tall) * ceil(columns, wide) * blocks }
	wasteful := ceil(rows, 128)*128 > align(rows, 64)
	switch {
	case tiles(128, 128) >= 1024 && !wasteful:
		return Tile{Rows: 16, Columns: 16, Tall: true}
	case tiles(128, 128) >= 384 && !wasteful:
		return Tile{Rows: 16, Columns: 16}
	case tiles(64, 128) >= 256:
		return Tile{Rows: 8, Columns: 16}
	case tiles(64, 64) >= 192:
		return Tile{Rows: 16, Columns: 16, Parts: 1}
	}
	return Tile{Rows: 8, Columns: 8, Parts: 4}
}

// turned is the Weight buffer of a tensor (blocks, rows, inner), summed axis
// first.
func (p *planner) turned(name string, blocks, rows, inner int, half bool) tensor {
	piece := Piece{Kind: Turn, Tensor: name, Blocks: blocks, Rows: rows, Inner: inner, Half: half, Total: blocks * rows * inner}
	key := name
	if half {
		key += " f16"
	}
	return p.keyed(Weight, key, piece.bytes(), []Piece{piece})
}

// mix is the mixer up to out_linear: y = conv1(v·x1)·x2 + conv2(h), (D, B·L).
func (p *planner) mix(h activation, prefix, label string) activation {
	c, d := p.c, p.d
	if c.HyenaTrainingAdditions {
		p.layerNorm(h, p.tokens, prefix+"layernorm", 1e-5, label+"mixer norm")
	}
	weight := p.turned(prefix+"in_linear.weight", 3, d, d, p.o.Half)
	var thirds [3]activation
	if third := p.row * d; p.tokens <= 4096 && 12*third <= min(p.limits.MaxStorageBufferBindingSize, p.limits.MaxBufferSize) {
		// One dispatch for all thirds fills the GPU better.
		all := activation{tensor: p.scratch("x1, x2, v", 3*third), row: p.row}
		p.matmul(product{label: label + "in_linear", weight: weight, blocks: 3, rows: d, inner: d, columns: p.tokens, x: h, y: all,
			bias: p.vector(prefix+"in_linear.bias", 1, 3*d, 3*d), half: p.o.Half})
		for i := range thirds {
			thirds[i] = activation{tensor: all.tensor, row: p.row, first: i * third}
		}
	} else {
		for i, name := range []string{"x1", "x2", "v"} {
			piece := Piece{Kind: Copy, Tensor: prefix + "in_linear.bias", Rows: 1, Inner: d, First: i, Total: 3 * d}
			bias := p.keyed(Weight, prefix+"in_linear.bias "+name, piece.bytes(), []Piece{piece})
			thirds[i] = activation{tensor: p.scratch(name, third), row: p.row}
			p.matmul(product{label: label + "in_linear", weight: weight, weightFirst: i * d * align(d, 4),
				blocks: 1, rows: d, inner: d, columns: p.tokens, x: h, y: thirds[i], bias: bias, half: p.o.Half})
		}
	}
	u := activation{tensor: p.scratch("gated input", p.row*d), row: p.row}
	gate := activation{tensor: p.scratch("gate", p.row*d), row: p.row}
	p.shortFilter(thirds, u, gate, prefix+"short_filter", label+"short_filter")
	y := activation{tensor: p.scratch("mixed", p.row*d), row: p.row}
	p.convolve(convolution{filter: prefix + "filter_fn", label: label + "filter_fn", u: u, gate: gate.tensor, y: y})
	if c.ResidualLongConv {
		p.convolve(convolution{filter: prefix + "filter_fn2", label: label + "filter_fn2", u: h, gate: -1, added: true, y: y})
	}
	return y
}

// mlp is out_linear, the gated MLP and the layer norm with its residual, which
// is the mixer's output. The inner activations exist for a block of columns
// at a time.
func (p *planner) mlp(y activation, columns int, prefix, label string) activation {
	c, d := p.c, p.d
	m := activation{tensor: p.scratch("mixer output", y.row*d), row: y.row}
	p.matmul(product{label: label + "out_linear", weight: p.turned(prefix+"attention.out_linear.weight", 1, d, d, p.o.Half),
		blocks: 1, rows: d, inner: d, columns: columns, x: y, y: m,
		bias: p.vector(prefix+"attention.out_linear.bias", 1, d, d), half: p.o.Half})

	n, inner, wide := 1, c.IntermediateSize, c.IntermediateSize
	if c.UseMonarchMLP {
		n = c.MonarchMLPNBlocks
	}
	if c.UseGLUMLP {
		wide *= 2
	}
	gated := p.turned(prefix+"mlp.gated_layers.weight", n, ceil(wide, n), ceil(d, n), p.o.Half)
	wo := p.turned(prefix+"mlp.wo.weight", n, ceil(d, n), ceil(inner, n), p.o.Half)
	woBias := p.vector(prefix+"mlp.wo.bias", 1, d, d)

	most := min(p.limits.MaxStorageBufferBindingSize, p.limits.MaxBufferSize, max(2*p.o.MLPBytes, 4*128*wide))
	block := max(128, most/(4*wide)/128*128)
	block = min(block, align(columns, 64))
	// Blocks of equal size: a short last one would leave the GPU idle.
	block = align(ceil(columns, ceil(columns, block)), 64)
	out := activation{tensor: p.scratch("hidden states", y.row*d), row: y.row}
	for first := 0; first < columns; first += block {
		count := min(block, columns-first)
		g := activation{tensor: p.scratch("gate and value", block*wide), row: block}
		u := activation{tensor: p.scratch("gated", block*inner), row: block}
		p.matmul(product{label: label + "gated_layers", weight: gated, blocks: n, rows: ceil(wide, n), inner: ceil(d, n),
			xBlock: ceil(d, n), innerTotal: d, rowsTotal: wide, columns: count,
			x: activation{m.tensor, m.row, first}, y: g, bias: p.zeros, half: p.o.Half})
		p.gelu(g.tensor, u.tensor, inner*block, c.UseGLUMLP, label+"gelu")
		p.matmul(product{label: label + "wo", weight: wo, blocks: n, rows: ceil(d, n), inner: ceil(inner, n),
			xBlock: ceil(inner, n), innerTotal: inner, rowsTotal: d, columns: count,
			x: u, y: activation{out.tensor, out.row, first}, bias: woBias, half: p.o.Half, after: addition, other: m.tensor})
	}
	p.layerNorm(out, columns, prefix+"mlp.layernorm", c.LayerNormEps, label+"norm")
	return out
}

// gelu is u = gelu(gate half of g) · value half, n elements.
func (p *planner) gelu(g, u tensor, n int, gated bool, label string) {
	p.dispatch(launch{label: label, kernel: "gelu_gate", entry: "main",
		constants: []Constant{{"GATED", boolean(gated)}}, params: words(n/4, n/4),
		slots:  []slot{{1, g, false}, {2, u, true}},
		groups: [3]int{min(ceil(n/4, 256), 16384), 1, 1}, work: float64(12 * n)})
}

// shortFilter makes the long convolution's input u = s_v · s_x1 and gate = s_x2
// of the filtered thirds x1, x2, v.
func (p *planner) shortFilter(thirds [3]activation, u, gate activation, name, label string) {
	d := p.d
	p.dispatch(launch{label: label, kernel: "short_filter", entry: "main",
		params: words(p.tokens, p.s.Length, d, u.row, thirds[0].first, thirds[1].first, thirds[2].first),
		slots: []slot{{1, thirds[0].tensor, false}, {2, thirds[1].tensor, false}, {3, thirds[2].tensor, false},
			{4, p.vector(name+".weight", 3*d, 3, 9*d), false}, {5, p.vector(name+".bias", 1, 3*d, 3*d), false},
			{6, u.tensor, true}, {7, gate.tensor, true}},
		groups: [3]int{ceil(p.tokens, 256), d, 1}, work: float64(20 * p.tokens * d)})
}
