// Package oracle is a second opinion on the model: M2-BERT again, as a graph
// of the GoMLX library in float64. It is written for plainness, shares no
// arithmetic with core (the long convolution is a Toeplitz product, not a
// transform) and has derivatives, which core has not. Only tests use it.
package oracle

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	//lint:ignore ST1001 graphs read like formulas with the names in scope
	. "github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"m2embed/core/model"
)

// Model is a model's configuration and weights, ready to be made into graphs.
type Model struct {
	config  model.Config
	weights model.Weights
	backend backends.Backend
}

// New takes weights under the canonical names (without "bert.").
func New(c model.Config, w model.Weights) (*Model, error) {
	b, err := simplego.New("ops_sequential") // in parallel the worker pool can lock up
	if err != nil {
		return nil, fmt.Errorf("start the GoMLX backend: %w", err)
	}
	return &Model{config: c, weights: w, backend: b}, nil
}

// values reads a tensor as float64.
func (m *Model) values(name string) (flat []float64, shape []int) {
	t, err := m.weights.Tensor(name)
	if err != nil {
		panic(fmt.Errorf("oracle: tensor %q: %w", name, err))
	}
	singles, err := t.Float32(nil)
	if err != nil {
		panic(fmt.Errorf("oracle: tensor %q: %w", name, err))
	}
	flat = make([]float64, len(singles))
	for i, v := range singles {
		flat[i] = float64(v)
	}
	return flat, t.Shape
}

// tensor is a weight as a constant of the graph.
func (m *Model) tensor(g *Graph, name string) *Node {
	flat, shape := m.values(name)
	return ConstTensor(g, tensors.FromFlatDataAndDimensions(flat, shape...))
}

// Words looks up the word vectors of ids (L, D), flat.
func (m *Model) Words(ids []int32) []float64 {
	table, shape := m.values("embeddings.word_embeddings.weight")
	d := shape[1]
	rows := make([]float64, 0, len(ids)*d)
	for _, id := range ids {
		rows = append(rows, table[int(id)*d:(int(id)+1)*d]...)
	}
	return rows
}

// Hidden computes the last hidden states (L, D) from word vectors (L, D).
func (m *Model) Hidden(words []float64) ([]float64, error) {
	out, err := m.run(words, func(x *Node) []*Node { return []*Node{m.hidden(x)} })
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// PooledGradient computes the tanh-pooled first token p (D) and the gradient
// of Σ direction·p with respect to the word vectors (L, D).
func (m *Model) PooledGradient(words, direction []float64) (pooled, gradient []float64, err error) {
	out, err := m.run(words, func(x *Node) []*Node {
		p := m.pooled(m.hidden(x))
		loss := ReduceAllSum(Mul(p, Const(x.Graph(), direction)))
		return []*Node{p, Gradient(loss, x)[0]}
	})
	if err != nil {
		return nil, nil, err
	}
	return out[0], out[1], nil
}

func (m *Model) run(words []float64, build func(x *Node) []*Node) (out [][]float64, err error) {
	d := m.config.HiddenSize
	exec, err := NewExec(m.backend, build)
	if err != nil {
		return nil, fmt.Errorf("build the graph: %w", err)
	}
	defer exec.Finalize()
	results, err := exec.Exec(tensors.FromFlatDataAndDimensions(words, len(words)/d, d))
	if err != nil {
		return nil, fmt.Errorf("run the graph: %w", err)
	}
	for _, r := range results {
		flat, err := tensors.CopyFlatData[float64](r)
		if err != nil {
			return nil, err
		}
		out = append(out, flat)
	}
	return out, nil
}

// hidden is the encoder: x (L, D) are word vectors.
func (m *Model) hidden(x *Node) *Node {
	c, g := m.config, x.Graph()
	length := x.Shape().Dim(0)
	x = Add(x, Slice(m.tensor(g, "embeddings.token_type_embeddings.weight"), AxisRange(0, 1), AxisRange()))
	if c.UsePositionalEncodings {
		x = Add(x, Slice(m.tensor(g, "embeddings.position_embeddings.weight"), AxisRange(0, length), AxisRange()))
	}
	h := m.layerNorm(x, "embeddings.LayerNorm", c.LayerNormEps)
	for i := range c.NumHiddenLayers {
		layer := fmt.Sprintf("encoder.layer.%d.", i)
		mixed := m.mixer(h, layer+"attention.")
		h = m.layerNorm(Add(m.mlp(mixed, layer+"mlp."), mixed), layer+"mlp.layernorm", c.LayerNormEps)
	}
	return h
}

func (m *Model) pooled(h *Node) *Node {
	first := rows(h, 1, func(int) int { return 0 })
	return Reshape(Tanh(m.linear(first, "pooler.dense")), h.Shape().Dim(1))
}

// rows makes a matrix whose row i is row source(i) of x, or zeros where that
// is out of range. It is a product with zeros and ones: the backend cannot
// derive a slice.
func rows(x *Node, count int, source func(i int) int) *Node {
	return Einsum("il,lc->ic", selection(x.Graph(), count, x.Shape().Dim(0), source), x)
}

// columns is rows for the second axis.
func columns(x *Node, count int, source func(i int) int) *Node {
	return Einsum("lc,ic->li", x, selection(x.Graph(), count, x.Shape().Dim(1), source))
}

func selection(g *Graph, count, of int, source func(i int) int) *Node {
	ones := make([]float64, count*of)
	for i := range count {
		if s := source(i); s >= 0 && s < of {
			ones[i*of+s] = 1
		}
	}
	return ConstTensor(g, tensors.FromFlatDataAndDimensions(ones, count, of))
}

// from counts up from an index.
func from(first int) func(i int) int { return func(i int) int { return first + i } }

// linear is x W^T + b.
func (m *Model) linear(x *Node, name string) *Node {
	g := x.Graph()
	return Add(Einsum("li,oi->lo", x, m.tensor(g, name+".weight")), InsertAxes(m.tensor(g, name+".bias"), 0))
}

func (m *Model) layerNorm(x *Node, name string, eps float64) *Node {
	g := x.Graph()
	centred := Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	variance := ReduceAndKeep(Square(centred), ReduceMean, -1)
	z := Div(centred, Sqrt(AddScalar(variance, eps)))
	return Add(Mul(z, InsertAxes(m.tensor(g, name+".weight"), 0)), InsertAxes(m.tensor(g, name+".bias"), 0))
}

// mixer is y = out_linear(conv1(v·x1)·x2 + conv2(h)).
func (m *Model) mixer(h *Node, name string) *Node {
	c, g := m.config, h.Graph()
	if c.HyenaTrainingAdditions {
		h = m.layerNorm(h, name+"layernorm", 1e-5)
	}
	d := c.HiddenSize
	length := h.Shape().Dim(0)
	p := m.linear(h, name+"in_linear")
	taps := m.tensor(g, name+"short_filter.weight") // (3D, 1, 3)
	s := BroadcastToShape(InsertAxes(m.tensor(g, name+"short_filter.bias"), 0), p.Shape())
	for tap := range 3 { // t-2, t-1, t; zeros in front
		w := Reshape(Slice(taps, AxisRange(), AxisRange(), AxisElem(tap)), 1, 3*d)
		s = Add(s, Mul(w, rows(p, length, from(tap-2))))
	}
	third := func(i int) *Node { return columns(s, d, from(i*d)) }
	x1, x2, v := third(0), third(1), third(2)
	y := Mul(m.longConvolution(Mul(v, x1), name+"filter_fn."), x2)
	if c.ResidualLongConv {
		y = Add(y, m.longConvolution(h, name+"filter_fn2."))
	}
	return m.linear(y, name+"out_linear")
}

// longConvolution is y[t,c] = Σ_s T[t-s,c] u[s,c] + D[c] u[t,c] with
// T[j] = k_fwd[j] for j ≥ 0, T[-1-i] = k_rev[i], and zero past the taps.
func (m *Model) longConvolution(u *Node, name string) *Node {
	c, g := m.config, u.Graph()
	length, d := u.Shape().Dim(0), c.HiddenSize
	count := min(length, c.LongConvLMax)
	forward := m.taps(g, name, "implicit_filter.", count) // (taps, D)
	kernel := []*Node{forward}                            // by rising row: forward, a row of zeros, reverse
	kernel = append(kernel, Zeros(g, Slice(forward, AxisRange(0, 1), AxisRange()).Shape()))
	if c.Bidirectional {
		kernel = append(kernel, m.taps(g, name, "implicit_filter_rev.", count))
	}
	// The row of each tap in (t, s) order; `count` is the row of zeros.
	index := make([]int32, 0, length*length)
	for t := range length {
		for s := range length {
			at := count
			switch lag := t - s; {
			case lag >= 0 && lag < count:
				at = lag
			case lag < 0 && -lag-1 < count && c.Bidirectional:
				at = count - lag // count + 1 + (-lag - 1)
			}
			index = append(index, int32(at))
		}
	}
	where := ConstTensor(g, tensors.FromFlatDataAndDimensions(index, length*length, 1))
	toeplitz := Reshape(Gather(Concatenate(kernel, 0), where), length, length, d)
	return Add(Einsum("tsc,sc->tc", toeplitz, u), Mul(InsertAxes(m.tensor(g, name+"bias"), 0), u))
}

// taps evaluates a filter network at the first rows positions (rows, D).
func (m *Model) taps(g *Graph, filter, network string, rows int) *Node {
	c := m.config
	z := Reshape(m.tensor(g, filter+"pos_emb.z"), c.LongConvLMax, c.HyenaEmbDim)
	q := Slice(z, AxisRange(0, rows), AxisRange())
	frequency := MulScalar(m.tensor(g, filter+"implicit_filter.1.freq"), c.HyenaWMod) // (1, O)
	for _, i := range []string{"0", "2", "4"} {
		q = Sin(Mul(frequency, m.linear(q, filter+network+i)))
	}
	k := Einsum("jo,co->jc", q, m.tensor(g, filter+network+"6.weight"))
	t := Slice(Reshape(m.tensor(g, filter+"pos_emb.t"), c.LongConvLMax, 1), AxisRange(0, rows), AxisRange())
	deltas := Reshape(m.tensor(g, filter+"modulation.deltas"), 1, c.HiddenSize)
	return Mul(k, Exp(Neg(Mul(t, Abs(deltas)))))
}

// mlp is wo(gelu(g1)·g2) with g1, g2 the halves of gated_layers(x).
func (m *Model) mlp(x *Node, name string) *Node {
	c, g := m.config, x.Graph()
	inner, d := c.IntermediateSize, c.HiddenSize
	wide := inner
	if c.UseGLUMLP {
		wide = 2 * inner
	}
	gated := m.blockDiagonal(x, name+"gated_layers.weight", wide)
	gate := columns(gated, inner, from(0))
	u := MulScalar(Mul(gate, OnePlus(Erf(MulScalar(gate, 1/math.Sqrt2)))), 0.5)
	if c.UseGLUMLP {
		u = Mul(u, columns(gated, inner, from(inner)))
	}
	return Add(m.blockDiagonal(u, name+"wo.weight", d), InsertAxes(m.tensor(g, name+"wo.bias"), 0))
}

// blockDiagonal multiplies with blocks (n, q, p): the input is extended by
// zeros to n·p, the output cut to `outputs`. A matrix (out, in) is one block.
func (m *Model) blockDiagonal(x *Node, name string, outputs int) *Node {
	w := m.tensor(x.Graph(), name)
	if w.Rank() == 2 {
		w = InsertAxes(w, 0)
	}
	n, q, p := w.Shape().Dim(0), w.Shape().Dim(1), w.Shape().Dim(2)
	length := x.Shape().Dim(0)
	y := Einsum("lbp,bqp->lbq", Reshape(columns(x, n*p, from(0)), length, n, p), w)
	return columns(Reshape(y, length, n*q), outputs, from(0))
}
