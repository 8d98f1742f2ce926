package plan

import (
	"fmt"
	"math/bits"

	"m2embed/core/model"
)

// convolution is one long convolution of a layer.
type convolution struct {
	filter string // the filter's tensors begin with it
	label  string
	u, y   activation
	gate   tensor // multiplies the result, unless negative
	added  bool   // the result is added to y
}

// filterTensor is the checkpoint's name of a part of a filter. The networks
// and buffers of filter_fn stand under "filter_fn.".
func (c convolution) tensor(part string) string { return c.filter + "." + part }

// convolve plans a long convolution over blocks of channels. Spectra are
// shared between runs where the budget allows, else made for each block.
func (p *planner) convolve(c convolution) {
	block := p.channelBlock()
	shared := p.keepsSpectra()
	var features tensor = -1
	for first := 0; first < p.d; first += block {
		count := min(block, p.d-first)
		var spectrum tensor
		if shared {
			key := fmt.Sprintf("spectra %d %s %d-%d", p.size, c.filter, first, first+count)
			_, made := p.keys[key]
			spectrum = p.keyed(Shared, key, 8*align(count, 2)*p.size, nil)
			if !made {
				p.plan.Setup = append(p.plan.Setup, Setup{Key: key})
				p.setup = &p.plan.Setup[len(p.plan.Setup)-1]
			}
		} else {
			spectrum = p.scratch("spectrum", 2*align(count, 2)*p.size)
		}
		if !shared || p.setup != nil {
			if features < 0 || shared {
				features = p.features(c)
			}
			p.spectrum(c, features, first, count, spectrum)
		}
		p.setup = nil
		if p.size <= unifiedLimit {
			p.unified(c, first, 0, count, spectrum)
		} else {
			p.streamed(c, first, 0, count, spectrum)
		}
	}
}

// channelBlock is how many channels are convolved at a time: as many as the
// scratch aims for, and no more than the limits allow, in blocks of about equal
// size, since a short last one would leave the GPU idle.
func (p *planner) channelBlock() int {
	most := min(p.limits.MaxStorageBufferBindingSize, p.limits.MaxBufferSize)
	rowBytes := 8 * p.size * p.s.Texts // scratch of a channel
	block := p.d
	if p.size > unifiedLimit {
		aim := p.o.BlockBytes / rowBytes
		if !p.keepsSpectra() {
			aim /= 2 // as much again for the block's spectra
		}
		block = min(block, aim, p.limits.MaxComputeWorkgroupsPerDimension/p.s.Texts)
		block = min(block, most/rowBytes)
	}
	block = min(block, most/(8*p.size), 1024*p.limits.MaxComputeWorkgroupsPerDimension/(p.size*p.s.Texts))
	unit := 4
	switch {
	case block >= p.d:
		return p.d
	case block >= 128:
		unit = 128 // whole tiles of the product that makes the taps
	}
	most = max(unit, block/unit*unit)
	return min(most, align(ceil(p.d, ceil(p.d, most)), unit))
}

// roots is the table of roots of unity for transforms of 2P numbers.
func (p *planner) roots() tensor {
	n := 2 * p.size
	return p.keyed(Weight, fmt.Sprintf("twiddles %d", n), 8*n, []Piece{{Kind: Twiddles, Rows: n}})
}

// keepsSpectra says whether all filters' spectra fit the budget.
func (p *planner) keepsSpectra() bool {
	filters := p.c.NumHiddenLayers
	if p.c.ResidualLongConv {
		filters *= 2
	}
	return filters*p.d*8*p.size <= p.o.SpectraBytes
}

func (p *planner) directions() int {
	if p.c.Bidirectional {
		return 2
	}
	return 1
}

// networks is the tensor names of a filter's forward and reverse network.
func (p *planner) networks(c convolution, part string) []string {
	names := []string{c.tensor("implicit_filter." + part)}
	if p.c.Bidirectional {
		names = append(names, c.tensor("implicit_filter_rev."+part))
	}
	return names
}

// stacked is a Weight buffer with the matrices (rows, inner) of both networks,
// summed axis first; with inner 0 it stacks vectors instead.
func (p *planner) stacked(c convolution, part string, rows, inner int) tensor {
	var pieces []Piece
	bytes := 0
	for _, name := range p.networks(c, part) {
		piece := Piece{Kind: Turn, Tensor: name, Blocks: 1, Rows: rows, Inner: inner, Total: rows * inner}
		if inner == 0 {
			piece = Piece{Kind: Copy, Tensor: name, Rows: 1, Inner: rows, Total: rows}
		}
		pieces = append(pieces, piece)
		bytes += piece.bytes()
	}
	return p.keyed(Weight, c.tensor("networks."+part), bytes, pieces)
}

// features runs the three sine layers of both networks over the positions:
// (directions · O, taps).
func (p *planner) features(c convolution) tensor {
	e, o, n := p.c.HyenaEmbDim, p.c.HyenaFilterOrder, p.directions()
	lmax := p.c.LongConvLMax
	row := align(p.taps, 64)
	z := Piece{Kind: Turn, Tensor: c.tensor("pos_emb.z"), Blocks: 1, Rows: lmax, Inner: e, Total: lmax * e,
		formula: func() []float32 { return model.PositionFeatures(lmax, e, lmax) }}
	x := activation{tensor: p.keyed(Weight, c.tensor("pos_emb.z"), z.bytes(), []Piece{z}), row: align(lmax, 4)}
	var frequency []Piece
	for range n {
		frequency = append(frequency, Piece{Kind: Copy, Tensor: c.tensor("implicit_filter.1.freq"), Rows: 1, Inner: o, Total: o})
	}
	inner, xBlock := e, 0
	for layer := range 3 {
		y := activation{tensor: p.scratch("filter features", n*o*row), row: row}
		part := fmt.Sprint(2 * layer)
		p.matmul(product{label: c.label + " network", weight: p.stacked(c, part+".weight", o, inner), blocks: n, rows: o, inner: inner,
			xBlock: xBlock, columns: p.taps, x: x, y: y, bias: p.stacked(c, part+".bias", o, 0),
			after: sine, other: p.keyed(Weight, c.tensor("frequency"), 4*n*o, frequency), modulation: p.c.HyenaWMod})
		x, inner, xBlock = y, o, o
	}
	return x.tensor
}

// spectrum makes the packed spectra (count, P) of a block of channels.
func (p *planner) spectrum(c convolution, features tensor, first, count int, spectrum tensor) {
	d, o, n := p.d, p.c.HyenaFilterOrder, p.directions()
	row := align(p.taps, 64)
	taps := activation{tensor: p.scratch("taps", n*count*row), row: row}
	p.matmul(product{label: c.label + " taps", weight: p.stacked(c, "6.weight", d, o), weightFirst: first, weightRow: align(d, 4),
		blocks: n, rows: count, inner: o, xBlock: o, columns: p.taps,
		x: activation{tensor: features, row: row}, y: taps, bias: p.zeros})
	p.transformTaps(c, taps, first, count, spectrum)
}

// transformTaps makes packed spectra of taps (directions · count, taps).
func (p *planner) transformTaps(c convolution, taps activation, first, count int, spectrum tensor) {
	d, n := p.d, p.directions()
	lmax := p.c.LongConvLMax
	times := Piece{Kind: Copy, Tensor: c.tensor("pos_emb.t"), Rows: 1, Inner: lmax, Total: lmax, formula: func() []float32 { return model.PositionTimes(lmax, lmax) }}
	rates := Piece{Kind: Copy, Tensor: c.tensor("modulation.deltas"), Rows: 1, Inner: d, Total: d, formula: func() []float32 { return model.DecayRates(d) }}
	slots := []slot{{1, p.twiddles, false}, {2, taps.tensor, false}, {6, spectrum, true}, {7, p.vector(c.tensor("bias"), 1, d, d), false},
		{8, p.keyed(Weight, c.tensor("modulation.deltas"), rates.bytes(), []Piece{rates}), false},
		{9, p.keyed(Weight, c.tensor("pos_emb.t"), times.bytes(), []Piece{times}), false}}
	params := words(count, 1, p.taps, taps.row, first, 0, count*(n-1), 0)
	work := 5 * float64(count) * float64(p.size) * float64(bits.Len(uint(p.size)))
	log := bits.Len(uint(p.size)) // of 2P
	pairs := ceil(count, 2)
	if p.size <= unifiedLimit {
		threads := unifiedThreads(p.size)
		p.dispatch(launch{label: c.label + " spectrum", kernel: "long_convolution", entry: "unified_filter",
			constants: []Constant{{"SIZE_LOG", float64(log)}, {"THREADS", float64(threads)}}, params: params, slots: slots,
			groups: [3]int{ceil(pairs*p.size, 8*threads), 1, 1}, work: work})
		return
	}
	n1, n2 := factors(log)
	groups := [3]int{1 << (log - 12), pairs, 1}
	p.dispatch(launch{label: c.label + " spectrum columns", kernel: "long_convolution", entry: "columns_filter",
		constants: []Constant{{"SIZE_LOG", float64(n1)}, {"OTHER_LOG", float64(n2)}}, params: params, slots: slots, groups: groups, work: work})
	p.dispatch(launch{label: c.label + " spectrum rows", kernel: "long_convolution", entry: "rows_filter",
		constants: []Constant{{"SIZE_LOG", float64(n2)}, {"OTHER_LOG", float64(n1)}}, params: params,
		slots: []slot{{1, p.twiddles, false}, {6, spectrum, true}}, groups: groups, work: work})
}

// factors splits 2P = N1·N2 for the streamed convolution: log2 of each. A pair
// of rows of at most 1,024 numbers fits the workgroup memory that every device has.
func factors(log int) (n1, n2 int) {
	n1 = max(log/2, log-10)
	return n1, log - n1
}

// rowsThreads is the workgroup size of `rows`: a pair of rows of 2^n2 numbers,
// or as many pairs as make 32 invocations.
func rowsThreads(n2 int) int { return max(32, 1<<n2/16) }

// unifiedThreads is the workgroup size of unified transforms: one pair of rows,
// or as many as make 64 invocations.
func unifiedThreads(size int) int { return max(64, size/8) }

// mode tells the kernel how a convolution's result meets gate or y.
func (c convolution) mode() int {
	switch {
	case c.gate >= 0:
		return 1
	case c.added:
		return 2
	}
	return 0
}

// unified convolves channels [first, first+count), whose filters begin at channel
// filter of the spectrum, in workgroup memory.
func (p *planner) unified(c convolution, first, filter, count int, spectrum tensor) {
	log := bits.Len(uint(p.size)) - 1
	rows := count * p.s.Texts
	gate := c.gate
	if gate < 0 {
		gate = c.u.tensor
	}
	threads := unifiedThreads(p.size)
	p.dispatch(launch{label: c.label, kernel: "long_convolution", entry: "unified",
		constants: []Constant{{"SIZE_LOG", float64(log + 1)}, {"THREADS", float64(threads)}},
		params:    words(rows, p.s.Texts, p.s.Length, c.u.row, first, filter, 0, c.mode()),
		slots:     []slot{{1, p.twiddles, false}, {2, c.u.tensor, false}, {3, gate, false}, {4, c.y.tensor, true}, {5, spectrum, false}},
		groups:    [3]int{ceil(ceil(count, 2)*p.s.Texts*p.size, 8*threads), 1, 1}, work: 10 * float64(rows) * float64(p.size) * float64(log+1)})
}

// streamed does the same through scratch.
func (p *planner) streamed(c convolution, first, filter, count int, spectrum tensor) {
	log := bits.Len(uint(p.size)) // of 2P
	n1, n2 := factors(log)
	rows := count * p.s.Texts
	gate := c.gate
	if gate < 0 {
		gate = c.u.tensor
	}
	params := words(rows, p.s.Texts, p.s.Length, c.u.row, first, filter, 0, c.mode())
	pairs := ceil(count, 2) * p.s.Texts
	scratch := p.scratch("streamed transforms", 4*pairs*p.size)
	threads := rowsThreads(n2)
	work := 5 * float64(rows) * float64(p.size) * float64(log)
	down := []Constant{{"SIZE_LOG", float64(n1)}, {"OTHER_LOG", float64(n2)}}
	across := []Constant{{"SIZE_LOG", float64(n2)}, {"OTHER_LOG", float64(n1)}}
	groups := [3]int{1 << (log - 12), pairs, 1}
	p.dispatch(launch{label: c.label + " columns", kernel: "long_convolution", entry: "columns", constants: down, params: params,
		slots: []slot{{1, p.twiddles, false}, {2, c.u.tensor, false}, {6, scratch, true}}, groups: groups, work: work})
	p.dispatch(launch{label: c.label + " rows", kernel: "long_convolution", entry: "rows", constants: append(across, Constant{"THREADS", float64(threads)}), params: params,
		slots:  []slot{{1, p.twiddles, false}, {5, spectrum, false}, {6, scratch, true}},
		groups: [3]int{1 << (log - 5) / threads, pairs, 1}, work: work})
	p.dispatch(launch{label: c.label + " columns inverse", kernel: "long_convolution", entry: "columns_inverse",
		constants: down, params: params,
		slots: []slot{{1, p.twiddles, false}, {3, gate, false}, {4, c.y.tensor, true}, {6, scratch, true}}, groups: groups, work: work})
}
