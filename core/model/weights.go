package model

import (
	"errors"
	"fmt"
	"slices"

	"m2embed/core/checkpoint"
	"m2embed/core/kernel"
)

// Weights gives tensors by the checkpoint's names without the prefix "bert.":
// a *checkpoint.File, for one.
type Weights interface {
	Names() []string
	Tensor(name string) (checkpoint.Tensor, error)
}

// weights are a model's learned numbers.
type weights struct {
	words     table     // (V, D)
	positions table     // (P, D), empty without positional encodings
	tokenType []float32 // (D): row 0
	norm      norm
	layers    []layer
	pooler    *kernel.Matrix // (D, D), nil in checkpoints without one
}

// norm is a LayerNorm's weight and bias, each (D).
type norm struct{ weight, bias []float32 }

// layer is encoder.layer.i.
type layer struct {
	preNorm  norm              // attention.layernorm, only with training additions
	inLinear [3]*kernel.Matrix // the thirds x1, x2, v of attention.in_linear, each (D, D)
	// shortFilter holds for each third the taps and the bias of its channels by
	// group: (3, groups, 4, GroupWidth).
	shortFilter [3][]float32
	filters     []filter       // filter_fn, and filter_fn2 with the residual long convolution
	outLinear   *kernel.Matrix // (D, D)
	gated       blockDiagonal  // mlp.gated_layers: D → 2I, or I without GLU
	wo          blockDiagonal  // mlp.wo: I → D
	norm        norm           // mlp.layernorm
}

// filter is the network that makes a long convolution's taps (section 3.2 of
// the paper; HyenaFilter in the reference code).
type filter struct {
	z         []float32 // (Lmax, e): trained features of the position; nil: by formula
	t         []float32 // (Lmax): time, the window's argument; nil: by formula
	deltas    []float32 // (D, padded to whole groups): decay rates
	bias      []float32 // (D, padded to whole groups): the D term, the direct path
	frequency []float32 // (O): factor of every sine's argument
	forward   sineNetwork
	reverse   *sineNetwork // nil for a causal model; shares all of the above
}

// sineNetwork is implicit_filter: three sine layers and a linear one.
type sineNetwork struct {
	hidden [3]*kernel.Matrix // (O, e), (O, O), (O, O)
	out    *kernel.Matrix    // (D, O), no bias
}

// blockDiagonal is a block-diagonal matrix: block b maps inputs b·p … to
// outputs b·q … (section 2 of the paper; BlockdiagLinear in the reference).
type blockDiagonal struct {
	blocks []*kernel.Matrix // each (q, p)
	q, p   int
}

// inputs and outputs are the widths with the blocks filled up.
func (m blockDiagonal) inputs() int  { return len(m.blocks) * m.p }
func (m blockDiagonal) outputs() int { return len(m.blocks) * m.q }

// loader takes tensors out of Weights; the first failure stays in err.
type loader struct {
	config    Config
	weights   Weights
	names     []string // of weights
	set       *kernel.Set
	overwrite bool
	regions   []region // of every tensor that was taken
	err       error
}

func (l *loader) tensor(name string, shape ...int) checkpoint.Tensor {
	if l.err != nil {
		return checkpoint.Tensor{}
	}
	t, err := l.weights.Tensor(name)
	if err != nil {
		l.err = err
		return t
	}
	if !slices.Equal(t.Shape, shape) {
		l.err = &ShapeError{Name: name, Shape: t.Shape, Want: shape}
	}
	l.regions = append(l.regions, regionOf(t.Data))
	return t
}

// ShapeError says that a tensor's shape is not what the configuration asks for.
type ShapeError struct {
	Name        string
	Shape, Want []int
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("read tensor %q: shape %v, want %v", e.Name, e.Shape, e.Want)
}

// float32s returns a tensor's values for reading; they may alias the file.
// Integers are multiplied with their scales.
func (l *loader) float32s(name string, shape ...int) []float32 {
	t := l.tensor(name, shape...)
	if l.err != nil {
		return nil
	}
	if view, ok := t.Float32View(); ok {
		return view
	}
	if t.Quantized() {
		return l.dequantized(t)
	}
	v, err := t.Float32(nil)
	if err != nil {
		l.err = fmt.Errorf("read tensor %q: %w", name, err)
	}
	return v
}

// dequantized returns integers times their scales.
func (l *loader) dequantized(t checkpoint.Tensor) []float32 {
	scales := l.tensor(t.Name+checkpoint.ScaleSuffix, t.Shape[:len(t.Shape)-1]...)
	if l.err != nil {
		return nil
	}
	v, err := t.Dequantize(scales)
	if err != nil {
		l.err = fmt.Errorf("read %w", err)
	}
	return v
}

// scales returns the scales of a quantised tensor, one for each row of the last
// axis.
func (l *loader) scales(t checkpoint.Tensor) []float32 {
	return l.float32s(t.Name+checkpoint.ScaleSuffix, t.Shape[:len(t.Shape)-1]...)
}

// owned returns values that packing may reorder in place.
func (l *loader) owned(t checkpoint.Tensor) []float32 {
	if view, ok := t.Float32View(); ok {
		if l.overwrite {
			return view
		}
		return slices.Clone(view)
	}
	v, err := t.Float32(nil)
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("read tensor %q: %w", t.Name, err)
	}
	return v
}

// matrices cuts a tensor into `count` matrices (outputs, inputs) stacked along
// the first axes; bias may be nil.
func (l *loader) matrices(name string, shape []int, count, outputs, inputs int, bias []float32) []*kernel.Matrix {
	t := l.tensor(name, shape...)
	if l.err != nil {
		return make([]*kernel.Matrix, count)
	}
	at := func(b int) []float32 {
		if bias == nil {
			return nil
		}
		return bias[b*outputs : (b+1)*outputs]
	}
	ms := make([]*kernel.Matrix, count)
	l.packs(ms)
	size := outputs * inputs
	if t.Quantized() {
		scales, wrap := l.scales(t), kernel.NewI8Matrix
		if t.DType == checkpoint.I16 {
			wrap = kernel.NewI16Matrix
		}
		if l.err != nil {
			return ms
		}
		size *= t.DType.Size()
		for b := range ms {
			ms[b] = wrap(l.set, t.Data[b*size:(b+1)*size], scales[b*outputs:], outputs, inputs, at(b))
			if l.overwrite {
				ms[b].PackInPlace()
			}
		}
		return ms
	}
	w := l.owned(t)
	if l.err != nil {
		return ms
	}
	for b := range ms {
		ms[b] = kernel.NewMatrix(l.set, w[b*size:(b+1)*size:(b+1)*size], outputs, inputs, at(b))
	}
	return ms
}

// matrix loads name.weight (outputs, inputs) and, if asked, name.bias.
func (l *loader) matrix(name string, outputs, inputs int, withBias bool) *kernel.Matrix {
	var bias []float32
	if withBias {
		bias = l.float32s(name+".bias", outputs)
	}
	return l.matrices(name+".weight", []int{outputs, inputs}, 1, outputs, inputs, bias)[0]
}

func (l *loader) norm(name string) norm {
	d := l.config.HiddenSize
	return norm{weight: l.float32s(name+".weight", d), bias: l.float32s(name+".bias", d)}
}

func (l *loader) load() weights {
	c := l.config
	d := c.HiddenSize
	var w weights
	w.words = l.table(WordTable, c.VocabSize)
	if c.UsePositionalEncodings {
		w.positions = l.table("embeddings.position_embeddings.weight", c.MaxPositionEmbeddings)
	}
	w.tokenType = make([]float32, d)
	if types := l.table("embeddings.token_type_embeddings.weight", c.TypeVocabSize); l.err == nil {
		types.add(w.tokenType, 0)
	}
	w.norm = l.norm("embeddings.LayerNorm")
	for i := range c.NumHiddenLayers {
		if l.err != nil {
			break
		}
		w.layers = append(w.layers, l.layer(fmt.Sprintf("encoder.layer.%d.", i)))
	}
	if l.has("pooler.dense.weight") {
		w.pooler = l.matrix("pooler.dense", d, d, true)
	}
	if l.err == nil && l.overwrite {
		separate(l.regions)
	}
	return w
}

func (l *loader) has(name string) bool { return contains(l.names, name) }

func (l *loader) layer(prefix string) layer {
	c := l.config
	d := c.HiddenSize
	mixer, mlp := prefix+"attention.", prefix+"mlp."
	var y layer
	if c.HyenaTrainingAdditions {
		y.preNorm = l.norm(mixer + "layernorm")
	}
	bias := l.float32s(mixer+"in_linear.bias", 3*d)
	copy(y.inLinear[:], l.matrices(mixer+"in_linear.weight", []int{3 * d, d}, 3, d, d, bias))
	y.shortFilter = l.shortFilter(mixer + "short_filter")
	y.filters = append(y.filters, l.filter(mixer+"filter_fn."))
	if c.ResidualLongConv {
		y.filters = append(y.filters, l.filter(mixer+"filter_fn2."))
	}
	y.outLinear = l.matrix(mixer+"out_linear", d, d, true)
	wide := c.IntermediateSize
	if c.UseGLUMLP {
		wide *= 2
	}
	y.gated = l.blockDiagonal(mlp+"gated_layers.weight", wide, d, nil)
	y.wo = l.blockDiagonal(mlp+"wo.weight", d, c.IntermediateSize, l.float32s(mlp+"wo.bias", d))
	y.norm = l.norm(mlp + "layernorm")
	return y
}

// blockDiagonal loads an MLP matrix: (blocks, q, p), or dense (out, in).
func (l *loader) blockDiagonal(name string, out, in int, bias []float32) blockDiagonal {
	n, shape := 1, []int{out, in}
	if l.config.UseMonarchMLP {
		n = l.config.MonarchMLPNBlocks
		shape = []int{n, (out + n - 1) / n, (in + n - 1) / n}
	}
	m := blockDiagonal{q: (out + n - 1) / n, p: (in + n - 1) / n}
	if bias != nil {
		bias = padded(bias, n*m.q)
	}
	m.blocks = l.matrices(name, shape, n, m.q, m.p, bias)
	return m
}

// padded extends v by zeros to n values.
func padded(v []float32, n int) []float32 {
	if len(v) == n {
		return v
	}
	out := make([]float32, n)
	copy(out, v)
	return out
}

// shortFilter regroups the depthwise taps (3D, 1, 3) and biases (3D).
func (l *loader) shortFilter(name string) (thirds [3][]float32) {
	const width = kernel.GroupWidth
	d := l.config.HiddenSize
	taps, bias := l.float32s(name+".weight", 3*d, 1, 3), l.float32s(name+".bias", 3*d)
	if l.err != nil {
		return thirds
	}
	for third := range thirds {
		grouped := make([]float32, groups(d)*4*width)
		for c := range d {
			from, to := third*d+c, c/width*4*width+c%width
			for tap := range 3 {
				grouped[to+tap*width] = taps[3*from+tap]
			}
			grouped[to+3*width] = bias[from]
		}
		thirds[third] = grouped
	}
	return thirds
}

// groups is the number of channel groups that D channels fill.
func groups(d int) int { return (d + kernel.GroupWidth - 1) / kernel.GroupWidth }

func (l *loader) filter(prefix string) filter {
	c := l.config
	o, d := c.HyenaFilterOrder, c.HiddenSize
	whole := groups(d) * kernel.GroupWidth
	f := filter{
		z:         l.optional(prefix+"pos_emb.z", 1, c.LongConvLMax, c.HyenaEmbDim),
		t:         l.optional(prefix+"pos_emb.t", 1, c.LongConvLMax, 1),
		deltas:    l.optional(prefix+"modulation.deltas", 1, 1, d),
		bias:      padded(l.float32s(prefix+"bias", d), whole),
		frequency: slices.Clone(l.float32s(prefix+"implicit_filter.1.freq", 1, o)),
		forward:   l.sineNetwork(prefix + "implicit_filter."),
	}
	if f.deltas == nil {
		f.deltas = DecayRates(d)
	}
	f.deltas = padded(f.deltas, whole)
	for i := range f.frequency {
		f.frequency[i] *= float32(c.HyenaWMod)
	}
	if c.Bidirectional {
		n := l.sineNetwork(prefix + "implicit_filter_rev.")
		f.reverse = &n
	}
	return f
}

// optional loads a tensor, or nil where the checkpoint lacks it.
func (l *loader) optional(name string, shape ...int) []float32 {
	if !l.has(name) {
		return nil
	}
	return l.float32s(name, shape...)
}

func (l *loader) sineNetwork(prefix string) sineNetwork {
	e, o, d := l.config.HyenaEmbDim, l.config.HyenaFilterOrder, l.config.HiddenSize
	return sineNetwork{
		hidden: [3]*kernel.Matrix{
			l.matrix(prefix+"0", o, e, true), l.matrix(prefix+"2", o, o, true), l.matrix(prefix+"4", o, o, true),
		},
		out: l.filterOut(prefix+"6.weight", d, o),
	}
}

// filterOut loads the last layer of a sine network as float32 in any case:
// filters are made once, so their product need not be quantised.
func (l *loader) filterOut(name string, d, o int) *kernel.Matrix {
	t := l.tensor(name, d, o)
	if l.err != nil {
		return nil
	}
	ms := make([]*kernel.Matrix, 1)
	l.packs(ms)
	var w []float32
	if t.Quantized() {
		w = l.dequantized(t)
	} else {
		w = l.owned(t)
	}
	if l.err != nil {
		return nil
	}
	ms[0] = kernel.NewMatrix(l.set, w, d, o, nil)
	return ms[0]
}

var errNoPooler = errors.New("the checkpoint has no pooler: use cls_hidden or mean_hidden pooling")
