package model

import (
	"fmt"
	"math"
)

// Reference is the forward pass as one page to read: in float64, as the sums
// that the paper writes, row by row; no transforms, no packing, no blocks of
// rows, no savings. It is slow, and it is what every fast path is held against.
//
// Equations are those of Fu et al., "Monarch Mixer" (2023), and its reference
// code HazyResearch/m2, folder bert. Rows of hidden states are tokens: x[t][c]
// is channel c of token t. Matrices are (out, in).
type Reference struct {
	config  Config
	weights Weights
	read    map[string][]float64
}

// referenceError carries a failed read from the depth of a sum to its caller.
type referenceError struct{ error }

// NewReference makes the reference of a model that [Load] accepts.
func NewReference(c Config, w Weights) *Reference {
	return &Reference{config: c, weights: w, read: map[string][]float64{}}
}

// Hidden returns the last hidden states (L, D) of token ids (L), pads included.
//
// # Errors
//
// A tensor that cannot be read.
func (r *Reference) Hidden(ids []int32) (h [][]float64, err error) {
	defer catch(&err)
	h = r.embedding(ids)
	for i := range r.config.NumHiddenLayers {
		prefix := fmt.Sprintf("encoder.layer.%d.", i)
		m := r.mixer(h, prefix+"attention.")
		h = r.mlp(m, prefix+"mlp.")
	}
	return h, nil
}

// Vector returns the vector (D) of token ids (L), of which the first `tokens`
// are no pads, in the given pooling.
//
// # Errors
//
// A tensor that cannot be read.
func (r *Reference) Vector(ids []int32, tokens int, p Pooling, normalize bool) (v []float64, err error) {
	defer catch(&err)
	h, err := r.Hidden(ids)
	if err != nil {
		return nil, err
	}
	v = h[0]
	if !p.firstToken() {
		v = make([]float64, len(h[0]))
		for _, row := range h[:tokens] {
			for c, x := range row {
				v[c] += x / float64(tokens)
			}
		}
	}
	if p.dense() { // BertPooler: tanh(W v + b)
		v = dense(v, r.tensor("pooler.dense.weight"), r.tensor("pooler.dense.bias"))
		for c := range v {
			v[c] = math.Tanh(v[c])
		}
	}
	if normalize {
		squares := 0.0
		for _, x := range v {
			squares += x * x
		}
		for c := range v {
			v[c] /= max(math.Sqrt(squares), 1e-12)
		}
	}
	return v, nil
}

func catch(err *error) {
	if v := recover(); v != nil {
		failed, ok := v.(referenceError)
		if !ok {
			panic(v)
		}
		*err = failed.error
	}
}

// embedding is LayerNorm(word[id] + token_type[0] + position[t]), (L, D):
// BertEmbeddings.
func (r *Reference) embedding(ids []int32) [][]float64 {
	d := r.config.HiddenSize
	words, types := r.tensor(WordTable), r.tensor("embeddings.token_type_embeddings.weight")
	h := rows64(len(ids), d)
	for t, id := range ids {
		for c := range d {
			h[t][c] = words[int(id)*d+c] + types[c]
			if r.config.UsePositionalEncodings {
				h[t][c] += r.tensor("embeddings.position_embeddings.weight")[t*d+c]
			}
		}
		h[t] = r.norm(h[t], "embeddings.LayerNorm", r.config.LayerNormEps)
	}
	return h
}

// mixer is section 3 of the paper, MonarchMixerSequenceMixing: (L, D) to (L, D).
//
//	x1, x2, v = short_filter(h W_in^T + b_in)
//	m = (conv1(v·x1)·x2 + conv2(h)) W_out^T + b_out
//
// There is neither a skip connection nor a LayerNorm around it.
func (r *Reference) mixer(h [][]float64, prefix string) [][]float64 {
	c, d := r.config, r.config.HiddenSize
	if c.HyenaTrainingAdditions {
		for t := range h {
			h[t] = r.norm(h[t], prefix+"layernorm", 1e-5)
		}
	}
	p := make([][]float64, len(h)) // (L, 3D)
	for t := range h {
		p[t] = dense(h[t], r.tensor(prefix+"in_linear.weight"), r.tensor(prefix+"in_linear.bias"))
	}
	s := r.shortFilter(p, prefix+"short_filter.")
	u := rows64(len(h), d)
	for t := range u {
		x1, v := s[t][:d], s[t][2*d:]
		for i := range u[t] {
			u[t][i] = v[i] * x1[i]
		}
	}
	y := r.convolution(u, prefix+"filter_fn.")
	for t := range y {
		x2 := s[t][d : 2*d]
		for i := range y[t] {
			y[t][i] *= x2[i]
		}
	}
	if c.ResidualLongConv {
		for t, row := range r.convolution(h, prefix+"filter_fn2.") {
			for i, v := range row {
				y[t][i] += v
			}
		}
	}
	for t := range y {
		y[t] = dense(y[t], r.tensor(prefix+"out_linear.weight"), r.tensor(prefix+"out_linear.bias"))
	}
	return y
}

// shortFilter is a causal depthwise filter of three taps over p (L, 3D):
// s[t] = b + w[0] p[t-2] + w[1] p[t-1] + w[2] p[t], with zeros before the start.
func (r *Reference) shortFilter(p [][]float64, prefix string) [][]float64 {
	taps, bias := r.tensor(prefix+"weight"), r.tensor(prefix+"bias")
	s := rows64(len(p), len(bias))
	for t := range s {
		for i := range s[t] {
			s[t][i] = bias[i]
			for k := range 3 {
				if t-2+k >= 0 {
					s[t][i] += taps[3*i+k] * p[t-2+k][i]
				}
			}
		}
	}
	return s
}

// convolution is the bidirectional long convolution of u (L, D), HyenaFilter:
//
//	y[t] = D u[t] + Σ_{j≤t} k_fwd[j] u[t-j] + Σ_{i<L-1-t} k_rev[i] u[t+1+i]
func (r *Reference) convolution(u [][]float64, prefix string) [][]float64 {
	direct := r.tensor(prefix + "bias")
	forward := r.taps(prefix, "implicit_filter.", len(u))
	var reverse [][]float64
	if r.config.Bidirectional {
		reverse = r.taps(prefix, "implicit_filter_rev.", len(u))
	}
	y := rows64(len(u), len(direct))
	for t := range y {
		for c := range y[t] {
			sum := direct[c] * u[t][c]
			for j := 0; j <= t; j++ {
				sum += forward[j][c] * u[t-j][c]
			}
			for i := 0; reverse != nil && t+1+i < len(u); i++ {
				sum += reverse[i][c] * u[t+1+i][c]
			}
			y[t][c] = sum
		}
	}
	return y
}

// taps are a filter's, (L, D), from its sine network over the position
// (section 3.2 of the paper); past Lmax they are zero:
//
//	q = sin(w_mod freq (z W0^T + b0)), the same with W2 and W4
//	k[j] = (q W6^T) · exp(-t[j] |deltas|)
func (r *Reference) taps(filter, network string, length int) [][]float64 {
	c := r.config
	z := r.orMade(filter+"pos_emb.z", func() []float32 { return PositionFeatures(c.LongConvLMax, c.HyenaEmbDim, c.LongConvLMax) })
	times := r.orMade(filter+"pos_emb.t", func() []float32 { return PositionTimes(c.LongConvLMax, c.LongConvLMax) })
	deltas := r.orMade(filter+"modulation.deltas", func() []float32 { return DecayRates(c.HiddenSize) })
	frequency := r.tensor(filter + "implicit_filter.1.freq") // shared by both networks
	k := rows64(length, c.HiddenSize)
	for j := range min(length, c.LongConvLMax) {
		q := z[j*c.HyenaEmbDim : (j+1)*c.HyenaEmbDim]
		for _, layer := range []string{"0", "2", "4"} {
			q = dense(q, r.tensor(filter+network+layer+".weight"), r.tensor(filter+network+layer+".bias"))
			for i := range q {
				q[i] = math.Sin(c.HyenaWMod * frequency[i] * q[i])
			}
		}
		for i, v := range dense(q, r.tensor(filter+network+"6.weight"), nil) {
			k[j][i] = v * math.Exp(-times[j]*math.Abs(deltas[i]))
		}
	}
	return k
}

// mlp is section 4 of the paper, BertGatedLinearUnitMLP, with the only skip
// connection and LayerNorm of a layer: (L, D) to (L, D).
//
//	g = blockdiag(m, gated_layers); u = gelu(g[:I]) · g[I:]
//	h = LayerNorm(blockdiag(u, wo) + b + m)
func (r *Reference) mlp(m [][]float64, prefix string) [][]float64 {
	c, inner := r.config, r.config.IntermediateSize
	wide := inner
	if c.UseGLUMLP {
		wide *= 2
	}
	h := make([][]float64, len(m))
	for t := range m {
		g := r.blockDiagonal(m[t], prefix+"gated_layers.weight", wide)
		u := make([]float64, inner)
		for i := range u {
			u[i] = g[i] / 2 * (1 + math.Erf(g[i]/math.Sqrt2))
			if c.UseGLUMLP {
				u[i] *= g[inner+i]
			}
		}
		f, bias := r.blockDiagonal(u, prefix+"wo.weight", c.HiddenSize), r.tensor(prefix+"wo.bias")
		for i := range f {
			f[i] += bias[i] + m[t][i]
		}
		h[t] = r.norm(f, prefix+"layernorm", c.LayerNormEps)
	}
	return h
}

// blockDiagonal is the product of section 2 with a matrix (n, q, p), whose block
// b maps inputs b·p … to outputs b·q …; ragged widths are filled up with zeros.
func (r *Reference) blockDiagonal(x []float64, name string, out int) []float64 {
	w := r.tensor(name)
	if !r.config.UseMonarchMLP {
		return dense(x, w, nil)
	}
	n := r.config.MonarchMLPNBlocks
	p := (len(x) + n - 1) / n
	q := len(w) / n / p
	filled := append(append([]float64{}, x...), make([]float64, n*p-len(x))...)
	var y []float64
	for b := range n {
		y = append(y, dense(filled[b*p:(b+1)*p], w[b*q*p:(b+1)*q*p], nil)...)
	}
	return y[:out]
}

// norm is LayerNorm: (x - mean)/sqrt(variance + eps) · weight + bias.
func (r *Reference) norm(x []float64, name string, eps float64) []float64 {
	weight, bias := r.tensor(name+".weight"), r.tensor(name+".bias")
	var mean, variance float64
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v-mean)/math.Sqrt(variance+eps)*weight[i] + bias[i]
	}
	return y
}

// dense is x W^T + b with W (out, in); b may be nil.
func dense(x, w, b []float64) []float64 {
	in := len(x)
	y := make([]float64, len(w)/in)
	for i := range y {
		if b != nil {
			y[i] = b[i]
		}
		for j, v := range x {
			y[i] += w[i*in+j] * v
		}
	}
	return y
}

// tensor reads a tensor once, integers times their scales.
func (r *Reference) tensor(name string) []float64 {
	if v, ok := r.read[name]; ok {
		return v
	}
	l := loader{config: r.config, weights: r.weights}
	t, err := r.weights.Tensor(name)
	if err != nil {
		panic(referenceError{err})
	}
	values := l.float32s(name, t.Shape...)
	if l.err != nil {
		panic(referenceError{l.err})
	}
	return r.keep(name, values)
}

// orMade is tensor for those that have a formula where the checkpoint lacks them.
func (r *Reference) orMade(name string, formula func() []float32) []float64 {
	if _, ok := r.read[name]; ok || contains(r.weights.Names(), name) {
		return r.tensor(name)
	}
	return r.keep(name, formula())
}

func (r *Reference) keep(name string, values []float32) []float64 {
	v := make([]float64, len(values))
	for i, x := range values {
		v[i] = float64(x)
	}
	r.read[name] = v
	return v
}

// rows64 makes (rows, columns) zeros.
func rows64(rows, columns int) [][]float64 {
	x := make([][]float64, rows)
	for i := range x {
		x[i] = make([]float64, columns)
	}
	return x
}
