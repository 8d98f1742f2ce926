package plan

import (
	"fmt"
	"math/bits"

	"m2embed/core/model"
)

// Shape is what one run computes.
type Shape struct {
	Texts     int           // B
	Length    int           // L, pads included
	Hidden    bool          // read back the last hidden states (B, L, D) behind the vectors
	Pooling   model.Pooling // how hidden states become a vector; PoolDefault is the model's own, PoolNone makes no vectors
	Normalize bool          // scale vectors to unit length
}

// Options are choices that do not change what is computed beyond rounding.
type Options struct {
	// Half stores matrices and embedding tables as 16-bit floats; sums stay
	// 32-bit. It needs no GPU feature.
	Half bool
	// SpectraBytes bounds the filters' spectra that are kept on the GPU between
	// runs. Filters that do not fit are made anew in every run, which costs an
	// eighth more. 0 stands for 384 MiB, enough for an 80M model at 2,048
	// tokens; negative keeps none.
	SpectraBytes int
	// BlockBytes is the aim for the streamed convolution's scratch and the spectra
	// that are not kept, and MLPBytes that for the MLP's inner activations, each
	// made blockwise; 0 stands for 256 and 96 MiB.
	BlockBytes, MLPBytes int
	// Tile forces how products are cut; the zero value chooses for each product.
	// It is for measurements.
	Tile Tile
}

func (o *Options) defaults() {
	if o.SpectraBytes == 0 {
		o.SpectraBytes = 384 << 20
	}
	if o.BlockBytes <= 0 {
		o.BlockBytes = 256 << 20
	}
	if o.MLPBytes <= 0 {
		o.MLPBytes = 96 << 20
	}
}

// unifiedLimit is the largest P whose transform stays in workgroup memory.
const unifiedLimit = 2048

// streamedLimit is the largest P that two factors of at most 1,024 make.
const streamedLimit = 1 << 20

// New plans a forward pass. Token ids must be rows of the word table: the
// kernels leave out any other id, and its column keeps what was there.
//
// # Errors
//
// A length that the model does not take, a shape that does not fit the limits
// (*TooLargeError), or a pooling that cannot be.
func New(c model.Config, s Shape, limits Limits, o Options) (*Plan, error) {
	p, err := newPlanner(c, s, limits, o)
	if err != nil {
		return nil, err
	}
	return p.finish(p.model())
}

func newPlanner(c model.Config, s Shape, limits Limits, o Options) (*planner, error) {
	if s.Texts < 1 {
		return nil, fmt.Errorf("plan %d texts, want at least 1", s.Texts)
	}
	if s.Length < 1 || s.Length > c.MaxLength() {
		return nil, fmt.Errorf("plan %d tokens, but the model takes 1 to %d", s.Length, c.MaxLength())
	}
	if s.Pooling == model.PoolDefault {
		s.Pooling = c.Pooling
	}
	if s.Pooling == model.PoolDefault {
		s.Pooling = model.PoolClass
	}
	if s.Pooling > model.PoolNone || s.Pooling == model.PoolNone && !s.Hidden {
		return nil, fmt.Errorf("plan pooling %d, which is not one of cls, mean, cls_hidden, mean_hidden", s.Pooling)
	}
	o.defaults()
	padded := max(64, 1<<bits.Len(uint(s.Length-1)))
	if padded > streamedLimit {
		return nil, fmt.Errorf("plan %d tokens: the GPU's convolution takes at most %d", s.Length, streamedLimit)
	}
	p := &planner{builder: newBuilder(limits), c: c, s: s, o: o,
		tokens: s.Texts * s.Length, d: c.HiddenSize, size: padded, taps: min(padded, c.LongConvLMax)}
	p.row = align(p.tokens, 64)
	p.plan.Texts, p.plan.Length = s.Texts, s.Length
	p.plan.SharedLimit = max(o.SpectraBytes, 0)
	return p, nil
}

// planner holds what the parts of the pass share.
type planner struct {
	*builder
	c      model.Config
	s      Shape
	o      Options
	tokens int // B·L
	row    int // columns of an activation
	d      int // D
	size   int // P
	taps   int // taps of a filter in each direction: min(P, Lmax)

	twiddles tensor
	zeros    tensor
}

// activation is a (rows, columns) activation with a row stride.
type activation struct {
	tensor tensor
	row    int // elements from row to row
	first  int // first element
}

// model lists the pass and returns its inputs and what it makes; mask is
// negative where the pooling needs none.
func (p *planner) model() (ids, mask, output tensor) {
	c, d := p.c, p.d
	p.twiddles = p.roots()
	widest := max(d, 2*c.IntermediateSize, 2*c.HyenaFilterOrder)
	p.zeros = p.keyed(Weight, fmt.Sprintf("zeros %d", widest), 4*widest, []Piece{{Kind: Zeros, Rows: widest}})

	ids, mask = p.input("ids", p.tokens), -1
	h := p.embed(ids)
	needMask := p.s.Pooling == model.PoolMean || p.s.Pooling == model.PoolMeanHidden
	firstOnly := !p.s.Hidden && !needMask
	columns, length := p.tokens, p.s.Length
	for i := range c.NumHiddenLayers {
		prefix := fmt.Sprintf("encoder.layer.%d.", i)
		label := fmt.Sprintf("layer %d ", i)
		y := p.mix(h, prefix+"attention.", label)
		if firstOnly && i == c.NumHiddenLayers-1 {
			y, columns, length = p.firstTokens(y, label), p.s.Texts, 1
		}
		h = p.mlp(y, columns, prefix, label)
	}
	size, vectors := 0, 0
	if p.s.Pooling != model.PoolNone {
		vectors = p.s.Texts * d
		size += vectors
	}
	if p.s.Hidden {
		size += p.tokens * d
	}
	out := p.scratch("result", size)
	if needMask {
		mask = p.input("mask", p.tokens)
	}
	if vectors > 0 {
		p.pool(h, length, mask, out)
	}
	if p.s.Hidden {
		p.transpose(h, out, vectors)
	}
	return ids, mask, out
}

// embed is the embedding sum and its layer norm.
func (p *planner) embed(ids tensor) activation {
	c, d := p.c, p.d
	x := activation{tensor: p.scratch("embeddings", p.row*d), row: p.row}
	tokenType := p.vector("embeddings.token_type_embeddings.weight", 1, d, c.TypeVocabSize*d)
	words := p.table("embeddings.word_embeddings.weight", 0, c.VocabSize, c.VocabSize)
	positions := []tablePart{{tensor: p.zeros, first: 0, count: p.s.Length}}
	if c.UsePositionalEncodings {
		positions = p.table("embeddings.position_embeddings.weight", 0, p.positionRows(), c.MaxPositionEmbeddings)
	}
	for _, w := range words {
		for _, at := range positions {
			if at.first >= p.s.Length {
				continue
			}
			p.dispatch(launch{label: "embedding", kernel: "embedding", entry: "main",
				constants: []Constant{{"HALF", boolean(p.o.Half)}, {"POSITIONS", boolean(c.UsePositionalEncodings)}},
				params:    []uint32{uint32(p.tokens), uint32(p.s.Length), uint32(d), uint32(p.row), uint32(w.first), uint32(w.count), uint32(at.first), uint32(at.count)},
				slots:     []slot{{1, ids, false}, {2, w.tensor, false}, {3, at.tensor, false}, {4, tokenType, false}, {5, x.tensor, true}},
				groups:    [3]int{ceil(p.tokens, 16), ceil(d, 16), 1}, work: float64(12 * p.tokens * d)})
		}
	}
	p.layerNorm(x, p.tokens, "embeddings.LayerNorm", c.LayerNormEps, "embedding norm")
	return x
}

// positionRows is how many rows of the position table plans upload: all that
// the longest text of the next power of two needs, so that few plans differ.
func (p *planner) positionRows() int { return min(p.c.MaxPositionEmbeddings, p.size) }

type tablePart struct {
	tensor       tensor
	first, count int // rows
}

// table cuts rows [first, first+count) of an embedding table into parts that
// a binding holds.
func (p *planner) table(name string, first, count, total int) (parts []tablePart) {
	d, width := p.d, 4
	if p.o.Half {
		width = 2
	}
	binding := min(p.limits.MaxStorageBufferBindingSize, p.limits.MaxBufferSize)
	most := binding / (d * width) &^ 1
	if most == 0 && p.failed == nil {
		p.failed = &TooLargeError{Buffer: name, Need: 2 * d * width, Max: binding}
	}
	for count > 0 && most > 0 {
		n := min(count, most)
		key := fmt.Sprintf("%s rows %d-%d%s", name, first, first+n, p.halfSuffix())
		piece := Piece{Kind: Copy, Tensor: name, Rows: n, Inner: d, First: first, Half: p.o.Half, Total: total * d}
		parts = append(parts, tablePart{tensor: p.keyed(Weight, key, piece.bytes(), []Piece{piece}), first: first, count: n})
		first, count = first+n, count-n
	}
	return parts
}

func (p *planner) halfSuffix() string {
	if p.o.Half {
		return " f16"
	}
	return ""
}

// vector is a Weight buffer with rows·inner float32s from the front of a tensor
// of total elements.
func (p *planner) vector(name string, rows, inner, total int) tensor {
	piece := Piece{Kind: Copy, Tensor: name, Rows: rows, Inner: inner, Total: total}
	return p.keyed(Weight, name, piece.bytes(), []Piece{piece})
}

// layerNorm normalises x in place.
func (p *planner) layerNorm(x activation, columns int, name string, epsilon float64, label string) {
	d := p.d
	slots := []slot{{1, x.tensor, true}, {2, p.vector(name+".weight", 1, d, d), false}, {3, p.vector(name+".bias", 1, d, d), false}}
	tokens := 16 // of a workgroup; few columns are spread over more
	if columns < 4096 {
		tokens = 4
	}
	params := words(columns, d, x.row)
	p.dispatch(launch{label: label, kernel: "layer_norm", entry: "main", constants: []Constant{{"TOKENS", float64(tokens)}},
		params: append(params, bits32(epsilon)), slots: slots,
		groups: [3]int{ceil(columns, tokens), 1, 1}, work: float64(16 * columns * d)})
}

// firstTokens gathers the first column of each text.
func (p *planner) firstTokens(y activation, label string) activation {
	out := activation{tensor: p.scratch("first tokens", p.d*align(p.s.Texts, 64)), row: align(p.s.Texts, 64)}
	p.dispatch(launch{label: label + "first tokens", kernel: "first_tokens", entry: "main",
		params: words(p.s.Texts, p.s.Length, p.d, y.row, out.row),
		slots:  []slot{{1, y.tensor, false}, {2, out.tensor, true}},
		groups: [3]int{ceil(p.d, 64), p.s.Texts, 1}, work: float64(8 * p.d * p.s.Texts)})
	return out
}

// pool makes vectors (B, D) of the last hidden states, at the front of out.
func (p *planner) pool(h activation, length int, mask, out tensor) {
	d, texts := p.d, p.s.Texts
	dense, x := p.s.Pooling == model.PoolClass || p.s.Pooling == model.PoolMean, out
	if dense {
		x = p.scratch("pooled", texts*d)
	}
	l := launch{label: "pooling", kernel: "pool", entry: "first", params: words(length, d, h.row),
		slots: []slot{{1, h.tensor, false}, {3, x, true}}, groups: [3]int{ceil(d, 64), texts, 1}, work: float64(8 * texts * d)}
	if mask >= 0 {
		l.entry, l.groups, l.work = "mean", [3]int{d, texts, 1}, float64(8*p.tokens*d)
		l.slots = append(l.slots, slot{2, mask, false})
	}
	p.dispatch(l)
	if dense {
		w := p.turned("pooler.dense.weight", 1, d, d, false)
		p.dispatch(launch{label: "pooler", kernel: "pooler", entry: "main", params: words(d, align(d, 4)),
			slots:  []slot{{1, w, false}, {2, p.vector("pooler.dense.bias", 1, d, d), false}, {3, x, false}, {4, out, true}},
			groups: [3]int{ceil(d, 16), texts, 1}, work: float64(2 * texts * d * d)})
	}
	if p.s.Normalize {
		p.dispatch(launch{label: "normalize", kernel: "normalize", entry: "main", params: words(d),
			slots: []slot{{1, out, true}}, groups: [3]int{texts, 1, 1}, work: float64(8 * texts * d)})
	}
}

// transpose makes hidden states (B·L, D) of x (D, columns), from an element of out on.
func (p *planner) transpose(x activation, out tensor, first int) {
	p.dispatch(launch{label: "hidden states", kernel: "transpose", entry: "main",
		params: words(p.tokens, p.d, x.row, first), slots: []slot{{1, x.tensor, false}, {2, out, true}},
		groups: [3]int{ceil(p.tokens, 16), ceil(p.d, 16), 1}, work: float64(8 * p.tokens * p.d)})
}
