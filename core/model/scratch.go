package model

import "m2embed/core/kernel"

// scratch is one thread's working memory.
type scratch struct {
	group    [4][]float32 // x1, x2, v, u: (T, GroupWidth)
	fft      []float32    // transform and overlap
	spectrum []float32    // (N, GroupWidth): filters that are not kept
	sines    []float32    // (featureBlock, O)
	mlp      []float32    // (rows, width of out_linear filled up)
	gated    []float32    // (rows, 2I filled up)
	wo       []float32    // (rows, D filled up)
	rows     kernel.Quantized
	columns  []blockRows // of a pass that is cut by columns
	blocks   kernel.Blocks
	sums     []float64 // (D)
	pooled   []float32 // (D)
}

// reserve makes room for a pass.
func (s *scratch) reserve(r *Run) {
	c := r.model.config
	y := &r.model.weights.layers[0]
	t := len(r.ids)
	for i := range s.group {
		s.group[i] = grow(s.group[i], t*kernel.GroupWidth)
	}
	most := 0
	for _, q := range r.sequences {
		most = max(most, q.long.Scratch())
	}
	s.fft = grow(s.fft, most)
	s.spectrum = grow(s.spectrum, (r.n+1)*kernel.GroupWidth)
	s.sines = grow(s.sines, min(featureBlock, r.taps())*c.HyenaFilterOrder)
	rows := min(tokenBlock, t)
	s.mlp = grow(s.mlp, rows*y.mlpWidth(c))
	s.gated = grow(s.gated, rows*y.gatedWidth())
	s.wo = grow(s.wo, rows*y.wo.outputs())
	s.sums = grow(s.sums, c.HiddenSize)
	s.pooled = grow(s.pooled, c.HiddenSize)
}

func (s *scratch) bytes() int {
	floats := cap(s.fft) + cap(s.spectrum) + cap(s.sines) + cap(s.mlp) + cap(s.gated) + cap(s.wo) + 2*cap(s.sums) + cap(s.pooled)
	for _, g := range s.group {
		floats += cap(g)
	}
	bytes := 4*floats + s.rows.Bytes() + s.blocks.Bytes()
	for i := range s.columns {
		bytes += s.columns[i].rows.Bytes()
	}
	return bytes
}
