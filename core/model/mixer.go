package model

import "m2embed/core/kernel"

// mixerNormStage is the LayerNorm in front of the mixer that models trained with
// hyena_training_additions have; its units are blocks of rows.
var mixerNormStage = stage{
	unit: (*Run).mixerNorm,
	units: func(r *Run, x *task) int {
		if !r.model.config.HyenaTrainingAdditions {
			return 0
		}
		return r.tokenBlocks(x)
	},
	cost: (*Run).rowwiseCost,
}

// mixerStage makes y of h with the layer's filters; its units are channel groups.
var mixerStage = stage{
	unit: func(r *Run, s *scratch, x *task, group int) {
		if x.part == firstRows {
			r.mixFirst(s, r.layer(x), x.layer, group)
		} else {
			r.mix(s, r.layer(x), x.layer, group)
		}
	},
	end:   (*Run).keepFilters,
	units: func(r *Run, _ *task) int { return groups(r.model.config.HiddenSize) },
	cost:  (*Run).mixerCost,
}

// mixerNorm normalises a block of rows of h; its epsilon is PyTorch's default.
func (r *Run) mixerNorm(_ *scratch, x *task, block int) {
	y := r.layer(x)
	first, last := span(block, r.block, len(r.ids))
	for t := first; t < last; t++ {
		row := r.hiddenRow(t)
		r.model.set.LayerNorm(row, row, nil, y.preNorm.weight, y.preNorm.bias, 1e-5)
	}
	r.quantizeInput(x.layer, first, last-first)
}

// mix runs the mixer for one channel group of all sequences (MonarchMixerSequenceMixing
// in the reference code; figure 3 of the paper):
//
//	x1, x2, v = short_filter(in_linear(h))
//	y = conv(v·x1; filter_fn)·x2 + conv(h; filter_fn2)
//
// There is no skip connection and no LayerNorm around it.
func (r *Run) mix(s *scratch, y *layer, index, group int) {
	set := r.model.set
	t := len(r.ids)
	channel, columns := r.groupColumns(group)
	x1, x2, v := s.group[0][:t*kernel.GroupWidth], s.group[1][:t*kernel.GroupWidth], s.group[2][:t*kernel.GroupWidth]
	r.project(s, [3][]float32{x1, x2, v}, y, index, group)
	set.Multiply(v, v, x1)
	r.record("gated_v", index, 0, channel, t, columns, v, kernel.GroupWidth)
	r.convolve(s, y, index, 0, group, v)
	r.record("conv1_y", index, 0, channel, t, columns, v, kernel.GroupWidth)
	if len(y.filters) == 2 {
		u := s.group[3][:t*kernel.GroupWidth]
		r.gather(u, channel, columns)
		r.convolve(s, y, index, 1, group, u)
		r.record("conv2_y", index, 0, channel, t, columns, u, kernel.GroupWidth)
		set.MultiplyAdd(v, v, x2, u)
	} else {
		set.Multiply(v, v, x2)
	}
	d := r.model.config.HiddenSize
	for i := range t {
		copy(r.mixed[i*d+channel:i*d+channel+columns], v[i*kernel.GroupWidth:])
	}
	r.record("out_linear_in", index, 0, channel, t, columns, v, kernel.GroupWidth)
}

// mixFirst is mix for the first row of each sequence: the convolutions are one
// sum each, and x2 is needed at that row alone. Row i of y becomes sequence i's.
// Where all rows follow, y is the run's first.
func (r *Run) mixFirst(s *scratch, y *layer, index, group int) {
	t, d := len(r.ids), r.model.config.HiddenSize
	channel, columns := r.groupColumns(group)
	x1, v := s.group[0][:t*kernel.GroupWidth], s.group[2][:t*kernel.GroupWidth]
	r.project(s, [3][]float32{x1, nil, v}, y, index, group)
	r.model.set.Multiply(v, v, x1)
	filter := y.shortFilter[1][group*4*kernel.GroupWidth:]
	taps := r.firstTaps(s, y, 0, group)
	mixed := r.mixed
	if r.spans {
		mixed = r.first
	}
	for i, q := range r.sequences {
		x2 := s.group[1][:kernel.GroupWidth]
		y.inLinear[1].Multiply(x2, kernel.GroupWidth, r.mixerInput(q.first), 1, channel, channel+columns)
		first := firstRow(taps, v[q.first*kernel.GroupWidth:], kernel.GroupWidth, q.length, kernel.GroupWidth)
		for c := range columns {
			gate := filter[3*kernel.GroupWidth+c] + float32(filter[2*kernel.GroupWidth+c]*x2[c])
			mixed[i*d+channel+c] = first[c] * gate
		}
	}
	if len(y.filters) < 2 {
		return
	}
	taps = r.firstTaps(s, y, 1, group)
	for i, q := range r.sequences {
		first := firstRow(taps, r.hidden[q.first*d+channel:], d, q.length, columns)
		for c := range columns {
			mixed[i*d+channel+c] += first[c]
		}
	}
}

// firstRow sums taps[i]·u[i] over the rows of u (length, stride), in float64:
// there is only one result for all the rows.
func firstRow(taps, u []float32, stride, length, columns int) (row [kernel.GroupWidth]float32) {
	var sums [kernel.GroupWidth]float64
	for i := range min(length, len(taps)/kernel.GroupWidth) {
		k, x := taps[i*kernel.GroupWidth:][:columns], u[i*stride:][:columns]
		for c, v := range k {
			sums[c] += float64(v) * float64(x[c])
		}
	}
	for c, v := range sums {
		row[c] = float32(v)
	}
	return row
}

// project computes in_linear for a channel group, the thirds x1, x2, v each
// (T, GroupWidth), and runs the short filter over each sequence. A nil third is
// left out. Blocks of rows meet all thirds while they lie in the near cache.
func (r *Run) project(s *scratch, thirds [3][]float32, y *layer, index, group int) {
	const w = kernel.GroupWidth
	channel, columns := r.groupColumns(group)
	t, d := len(r.ids), r.model.config.HiddenSize
	if columns < w {
		for _, x := range thirds {
			clear(x)
		}
	}
	for first := 0; first < t; first += tokenBlock {
		rows := min(tokenBlock, t-first)
		in := r.mixerInput(first)
		in.Blocks = &s.blocks
		y.inLinear[0].Regroup(&in, rows)
		for i, x := range thirds {
			if x != nil {
				y.inLinear[i].Multiply(x[first*w:], w, in, rows, channel, channel+columns)
			}
		}
	}
	for i, x := range thirds {
		if x == nil {
			continue
		}
		r.record("in_linear", index, 0, i*d+channel, t, columns, x, w)
		taps := y.shortFilter[i][group*4*w : (group+1)*4*w]
		for _, q := range r.sequences {
			r.model.set.ShortFilter(x[q.first*w:], q.length, taps)
		}
		r.record("short_conv", index, 0, i*d+channel, t, columns, x, w)
	}
}

// mixerInput is h from a row on, as a product's operand.
func (r *Run) mixerInput(row int) kernel.Input {
	d := r.model.config.HiddenSize
	return kernel.Input{Values: r.hidden[row*d:], Stride: d, Quantized: &r.input, Row: row}
}

// convolve runs long convolution i over every sequence of u (T, GroupWidth).
func (r *Run) convolve(s *scratch, y *layer, index, i, group int, u []float32) {
	spectrum := r.spectrum(s, y, index, i, group)
	for _, q := range r.sequences {
		q.long.Apply(u[q.first*kernel.GroupWidth:(q.first+q.length)*kernel.GroupWidth], spectrum, s.fft)
	}
}

// gather copies a channel group of h into u (T, GroupWidth).
func (r *Run) gather(u []float32, channel, columns int) {
	d := r.model.config.HiddenSize
	if columns < kernel.GroupWidth {
		clear(u)
	}
	for i := range len(r.ids) {
		copy(u[i*kernel.GroupWidth:(i+1)*kernel.GroupWidth], r.hidden[i*d+channel:i*d+channel+columns])
	}
}

// groupColumns is a group's first channel and how many it has.
func (r *Run) groupColumns(group int) (channel, columns int) {
	channel = group * kernel.GroupWidth
	return channel, min(kernel.GroupWidth, r.model.config.HiddenSize-channel)
}

func (r *Run) mixerCost(*task) float64 {
	c := r.model.config
	products := 2 * float64(len(r.ids)) * 3 * float64(c.HiddenSize) * kernel.GroupWidth
	// Six transforms a layer and channel, about 5/2·log2 N operations a value.
	transforms := 100 * float64(len(r.sequences)*r.n) * kernel.GroupWidth
	return products + transforms
}
