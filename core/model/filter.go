package model

import "m2embed/core/kernel"

// filterStage makes the features of which the mixer makes the layer's filters,
// unless those are at hand. Its units are blocks of positions of each sine network.
var filterStage = stage{
	begin: (*Run).beginFilters,
	unit:  (*Run).filterFeatures,
	units: (*Run).featureUnits,
	cost:  (*Run).featureCost,
}

// featureBlock is how many positions a unit of the filter stage takes.
const featureBlock = 256

// layerFilter is where a filter's spectra for the layer in work come from.
type layerFilter struct {
	// kept is (groups, N, GroupWidth), or taps (groups, taps+1, GroupWidth); nil:
	// made in scratch.
	kept  *spectrum
	ready bool // kept is filled
}

// values is where a group's part of so many floats is kept, or scratch.
func (f layerFilter) values(scratch []float32, group, size int) []float32 {
	if f.kept != nil {
		return f.kept.values[group*size : (group+1)*size]
	}
	return scratch[:size]
}

// taps is the number of taps in each direction that matter in this pass.
func (r *Run) taps() int { return r.sequences[0].long.Taps }

// filterRows is the number of rows that one group's filter takes.
func (r *Run) filterRows(x *task) int {
	if x.part == firstRows {
		return r.taps() + 1
	}
	return r.n
}

// key names filter i as a task needs it.
func (x *task) key(i int) filterKey { return filterKey{x.layer, i, x.part == firstRows} }

// beginFilters looks up the layer's filters; those at hand need no features.
func (r *Run) beginFilters(x *task) {
	for i := range r.layer(x).filters {
		f := &r.filters[i]
		f.kept = r.model.spectra.get(r.n, x.key(i))
		f.ready = f.kept != nil
		if f.ready {
			continue
		}
		floats := groups(r.model.config.HiddenSize) * r.filterRows(x) * kernel.GroupWidth
		f.kept = r.model.spectra.room(r.n, floats)
		for direction := range r.features[i] {
			r.features[i][direction] = grow(r.features[i][direction], r.taps()*r.model.config.HyenaFilterOrder)
		}
	}
}

// keepFilters stores the spectra that were made for a layer and ends the use
// of those that were at hand.
func (r *Run) keepFilters(x *task) {
	for i := range r.layer(x).filters {
		f := &r.filters[i]
		if f.kept != nil && !f.ready {
			r.model.spectra.keep(r.n, x.key(i), f.kept)
			*f = layerFilter{}
		}
	}
	r.dropFilters()
}

// dropFilters gives back the spectra in use without keeping them.
func (r *Run) dropFilters() {
	for i := range r.filters {
		if x := r.filters[i].kept; x != nil {
			r.model.spectra.release(x)
		}
		r.filters[i] = layerFilter{}
	}
}

// featureUnits counts blocks of positions for each filter and direction, none
// where all filters are at hand.
func (r *Run) featureUnits(x *task) int {
	y := r.layer(x)
	for i := range y.filters {
		if !r.filters[i].ready {
			return blocks(r.taps(), featureBlock) * len(y.filters) * y.directions()
		}
	}
	return 0
}

func (y *layer) directions() int {
	if y.filters[0].reverse == nil {
		return 1
	}
	return 2
}

// filterFeatures runs the sine layers of one network over a block of positions
// (HyenaFilter in the reference code):
//
//	q = sin(freq·(z W0^T + b0)), q = sin(freq·(q W2^T + b2)), q = sin(freq·(q W4^T + b4))
func (r *Run) filterFeatures(s *scratch, x *task, unit int) {
	y, c := r.layer(x), r.model.config
	directions := y.directions()
	which, block := unit%(len(y.filters)*directions), unit/(len(y.filters)*directions)
	i, direction := which/directions, which%directions
	if r.filters[i].ready {
		return
	}
	f := &y.filters[i]
	network := &f.forward
	if direction == 1 {
		network = f.reverse
	}
	first, last := span(block, featureBlock, r.taps())
	rows, o := last-first, c.HyenaFilterOrder
	z := f.z
	if z == nil {
		z, _ = r.model.made.rows(r.taps())
	}
	q := r.features[i][direction][first*o : last*o]
	p := s.sines[:rows*o]
	sine := r.model.set.Sine
	network.hidden[0].Multiply(q, o, kernel.Input{Values: z[first*c.HyenaEmbDim:], Stride: c.HyenaEmbDim, Blocks: &s.blocks}, rows, 0, o)
	sine(q, f.frequency)
	network.hidden[1].Multiply(p, o, kernel.Input{Values: q, Stride: o, Blocks: &s.blocks}, rows, 0, o)
	sine(p, f.frequency)
	network.hidden[2].Multiply(q, o, kernel.Input{Values: p, Stride: o, Blocks: &s.blocks}, rows, 0, o)
	sine(q, f.frequency)
}

// filterTaps makes taps of a channel group from the features:
// k[j, c] = (q W6^T)[j, c] · exp(-t[j]·|deltas[c]|). dst is (rows, GroupWidth).
func (r *Run) filterTaps(s *scratch, dst []float32, y *layer, i, direction, group, rows int) {
	f := &y.filters[i]
	network := &f.forward
	if direction == 1 {
		network = f.reverse
	}
	o, channel := r.model.config.HyenaFilterOrder, group*kernel.GroupWidth
	last := min(channel+kernel.GroupWidth, r.model.config.HiddenSize)
	dst = dst[:rows*kernel.GroupWidth]
	if last-channel < kernel.GroupWidth {
		clear(dst)
	}
	network.out.Multiply(dst, kernel.GroupWidth, kernel.Input{Values: r.features[i][direction], Stride: o, Blocks: &s.blocks}, rows, channel, last)
	t := f.t
	if t == nil {
		_, t = r.model.made.rows(r.taps())
	}
	r.model.set.Decay(dst, t[:rows], f.deltas[channel:channel+kernel.GroupWidth])
}

// spectrum returns filter i's spectrum for a channel group, kept or made now.
// The D term is the tap at lag 0.
func (r *Run) spectrum(s *scratch, y *layer, index, i, group int) []float32 {
	size := r.n * kernel.GroupWidth
	dst := r.filters[i].values(s.spectrum, group, size)
	if r.filters[i].ready {
		return dst
	}
	f := &y.filters[i]
	taps := r.taps()
	channel := group * kernel.GroupWidth
	r.filterTaps(s, dst, y, i, 0, group, taps)
	r.recordTaps("k_fwd", index, i, channel, taps, dst)
	for c, v := range f.bias[channel : channel+kernel.GroupWidth] {
		dst[c] += v
	}
	var reverse []float32
	if f.reverse != nil {
		reverse = s.fft[:taps*kernel.GroupWidth]
		r.filterTaps(s, reverse, y, i, 1, group, taps)
		r.recordTaps("k_rev", index, i, channel, taps, reverse)
	}
	r.sequences[0].long.Filter(dst, reverse)
	return dst
}

// firstTaps returns, for a channel group, the taps (taps+1, GroupWidth) whose
// sum with a sequence is the convolution's first row:
// y[0] = (D + k[0])·u[0] + Σ_i k_rev[i]·u[1+i].
func (r *Run) firstTaps(s *scratch, y *layer, i, group int) []float32 {
	size := (r.taps() + 1) * kernel.GroupWidth
	dst := r.filters[i].values(s.spectrum, group, size)
	if r.filters[i].ready {
		return dst
	}
	f := &y.filters[i]
	channel := group * kernel.GroupWidth
	r.filterTaps(s, dst, y, i, 0, group, 1)
	for c, v := range f.bias[channel : channel+kernel.GroupWidth] {
		dst[c] += v
	}
	if f.reverse == nil {
		clear(dst[kernel.GroupWidth:])
	} else {
		r.filterTaps(s, dst[kernel.GroupWidth:], y, i, 1, group, r.taps())
	}
	return dst
}

func (r *Run) recordTaps(name string, layer, filter, channel, taps int, values []float32) {
	if r.trace != nil {
		columns := min(kernel.GroupWidth, r.model.config.HiddenSize-channel)
		r.trace([2]string{"filter_fn.", "filter_fn2."}[filter]+name, layer, 0, channel, taps, columns, values, kernel.GroupWidth)
	}
}

func (r *Run) featureCost(*task) float64 {
	c := r.model.config
	o := float64(c.HyenaFilterOrder)
	return float64(min(featureBlock, r.taps())) * (2*o*(float64(c.HyenaEmbDim)+2*o) + 60*o)
}
