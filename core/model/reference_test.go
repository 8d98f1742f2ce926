package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"m2embed/core/checkpoint/goldenweights"
)

// reference is the model once more, in float64, as sums: no transforms, no
// packing, no blocks of rows, no savings. It proves configurations for which
// there are no golden values.
type reference struct {
	t       *testing.T
	config  Config
	weights Weights
}

func (r reference) tensor(name string) []float64 {
	x, err := r.weights.Tensor(name)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := x.Float32(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	out := make([]float64, len(v))
	for i, f := range v {
		out[i] = float64(f)
	}
	return out
}

// dense is x W^T + b with W (out, in).
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

// blocks is the block-diagonal product with W (n, q, p).
func (r reference) blocks(x, w []float64, out int) []float64 {
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

func (r reference) norm(x []float64, name string, eps float64) []float64 {
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

func (r reference) taps(prefix string, reverse bool, length int) [][]float64 {
	c := r.config
	network := prefix + "implicit_filter."
	if reverse {
		network = prefix + "implicit_filter_rev."
	}
	z, t, deltas := r.tensor(prefix+"pos_emb.z"), r.tensor(prefix+"pos_emb.t"), r.tensor(prefix+"modulation.deltas")
	frequency := r.tensor(prefix + "implicit_filter.1.freq")
	taps := make([][]float64, length)
	for j := range taps {
		taps[j] = make([]float64, c.HiddenSize)
		if j >= c.LongConvLMax {
			continue
		}
		q := z[j*c.HyenaEmbDim : (j+1)*c.HyenaEmbDim]
		for _, layer := range []string{"0", "2", "4"} {
			q = dense(q, r.tensor(network+layer+".weight"), r.tensor(network+layer+".bias"))
			for i := range q {
				q[i] = math.Sin(c.HyenaWMod * frequency[i] * q[i])
			}
		}
		for i, v := range dense(q, r.tensor(network+"6.weight"), nil) {
			taps[j][i] = v * math.Exp(-t[j]*math.Abs(deltas[i]))
		}
	}
	return taps
}

func (r reference) convolve(u [][]float64, prefix string) [][]float64 {
	length := len(u)
	direct, forward := r.tensor(prefix+"bias"), r.taps(prefix, false, length)
	var reverse [][]float64
	if r.config.Bidirectional {
		reverse = r.taps(prefix, true, length)
	}
	y := make([][]float64, length)
	for t := range y {
		y[t] = make([]float64, r.config.HiddenSize)
		for c := range y[t] {
			s := direct[c] * u[t][c]
			for j := 0; j <= t; j++ {
				s += forward[j][c] * u[t-j][c]
			}
			for i := 0; reverse != nil && t+1+i < length; i++ {
				s += reverse[i][c] * u[t+1+i][c]
			}
			y[t][c] = s
		}
	}
	return y
}

// hidden are the last hidden states of ids.
func (r reference) hidden(ids []int32) [][]float64 {
	c := r.config
	d := c.HiddenSize
	words, types := r.tensor("embeddings.word_embeddings.weight"), r.tensor("embeddings.token_type_embeddings.weight")
	h := make([][]float64, len(ids))
	for t, id := range ids {
		x := make([]float64, d)
		for i := range x {
			x[i] = words[int(id)*d+i] + types[i]
			if c.UsePositionalEncodings {
				x[i] += r.tensor("embeddings.position_embeddings.weight")[t*d+i]
			}
		}
		h[t] = r.norm(x, "embeddings.LayerNorm", c.LayerNormEps)
	}
	for layer := range c.NumHiddenLayers {
		mixer, mlp := fmt.Sprintf("encoder.layer.%d.attention.", layer), fmt.Sprintf("encoder.layer.%d.mlp.", layer)
		if c.HyenaTrainingAdditions {
			for t := range h {
				h[t] = r.norm(h[t], mixer+"layernorm", 1e-5)
			}
		}
		p := make([][]float64, len(h))
		for t := range h {
			p[t] = dense(h[t], r.tensor(mixer+"in_linear.weight"), r.tensor(mixer+"in_linear.bias"))
		}
		taps, bias := r.tensor(mixer+"short_filter.weight"), r.tensor(mixer+"short_filter.bias")
		s := func(t, i int) float64 {
			v := bias[i]
			for k := range 3 {
				if t-2+k >= 0 {
					v += taps[3*i+k] * p[t-2+k][i]
				}
			}
			return v
		}
		u := make([][]float64, len(h))
		for t := range u {
			u[t] = make([]float64, d)
			for i := range d {
				u[t][i] = s(t, 2*d+i) * s(t, i)
			}
		}
		y := r.convolve(u, mixer+"filter_fn.")
		for t := range y {
			for i := range d {
				y[t][i] *= s(t, d+i)
			}
		}
		if c.ResidualLongConv {
			for t, row := range r.convolve(h, mixer+"filter_fn2.") {
				for i, v := range row {
					y[t][i] += v
				}
			}
		}
		wide := c.IntermediateSize
		if c.UseGLUMLP {
			wide *= 2
		}
		for t := range h {
			m := dense(y[t], r.tensor(mixer+"out_linear.weight"), r.tensor(mixer+"out_linear.bias"))
			g := r.blocks(m, r.tensor(mlp+"gated_layers.weight"), wide)
			a := make([]float64, c.IntermediateSize)
			for i := range a {
				a[i] = g[i] / 2 * (1 + math.Erf(g[i]/math.Sqrt2))
				if c.UseGLUMLP {
					a[i] *= g[c.IntermediateSize+i]
				}
			}
			f, woBias := r.blocks(a, r.tensor(mlp+"wo.weight"), d), r.tensor(mlp+"wo.bias")
			for i := range f {
				f[i] += woBias[i] + m[i]
			}
			h[t] = r.norm(f, mlp+"layernorm", c.LayerNormEps)
		}
	}
	return h
}

// referenceLimit bounds the difference of hidden rows (of about 1) to the sums:
// float32 rounding as in tinyHidden, several times that where three layers and
// the large taps of the shortest windows enlarge it (6e-5 seen).
const referenceLimit = 1.2e-4

// TestReference runs configurations that no golden file has: odd widths, filter
// windows shorter than the text, many blocks, one layer and more.
func TestReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		g := goldenweights.Tiny()
		g.VocabSize, g.NumHiddenLayers = 104, 1+r.IntN(3)
		g.HiddenSize = []int{8, 31, 32, 33, 40, 64, 65, 96}[r.IntN(8)]
		g.IntermediateSize = g.HiddenSize + r.IntN(70)
		g.MonarchMLPNBlocks = 1 + r.IntN(7)
		g.HyenaFilterOrder, g.HyenaEmbDim = 4+r.IntN(30), 3+2*r.IntN(3)
		g.Bidirectional, g.ResidualLongConv, g.UseGLUMLP, g.UseMonarchMLP = r.IntN(4) > 0, r.IntN(4) > 0, r.IntN(4) > 0, r.IntN(4) > 0
		g.HyenaTrainingAdditions = r.IntN(4) == 0
		length := 1 + r.IntN(50)
		window := i%2 == 1
		g.UsePositionalEncodings = !window && r.IntN(2) == 0
		g.LongConvLMax, g.MaxPositionEmbeddings = 64, 64
		if window {
			g.LongConvLMax, length = 2+r.IntN(9), 1+r.IntN(200)
		}
		c := Config{
			VocabSize: g.VocabSize, HiddenSize: g.HiddenSize, NumHiddenLayers: g.NumHiddenLayers, IntermediateSize: g.IntermediateSize,
			MaxPositionEmbeddings: g.MaxPositionEmbeddings, TypeVocabSize: g.TypeVocabSize, LayerNormEps: 1e-12,
			LongConvLMax: g.LongConvLMax, HyenaEmbDim: g.HyenaEmbDim, HyenaFilterOrder: g.HyenaFilterOrder, HyenaWMod: 1,
			UsePositionalEncodings: g.UsePositionalEncodings, Bidirectional: g.Bidirectional, ResidualLongConv: g.ResidualLongConv,
			HyenaTrainingAdditions: g.HyenaTrainingAdditions, UseGLUMLP: g.UseGLUMLP, UseMonarchMLP: g.UseMonarchMLP,
			MonarchMLPNBlocks: g.MonarchMLPNBlocks, Pooling: PoolMeanHidden,
		}
		if window {
			c.MaxSeqLen = 256
		}
		name := fmt.Sprintf("%d: D%d I%d n%d O%d e%d layers%d window%d L%d", i, c.HiddenSize, c.IntermediateSize, c.MonarchMLPNBlocks,
			c.HyenaFilterOrder, c.HyenaEmbDim, c.NumHiddenLayers, c.LongConvLMax, length)
		weights := goldenweights.New(g)
		m := load(t, c, weights, LoadOptions{Overwrite: true})
		ids := make([]int32, length)
		for k := range ids {
			ids[k] = int32(r.IntN(g.VocabSize))
		}
		want := reference{t, c, weights}.hidden(ids)
		var flat []float32
		for _, row := range want {
			for _, v := range row {
				flat = append(flat, float32(v))
			}
		}
		check(t, name, run(t, m, PoolMeanHidden, false, alone(ids)).Hidden(0), flat, referenceLimit)
		check(t, name+" first", run(t, m, PoolClassHidden, false, alone(ids)).Vector(0), flat[:c.HiddenSize], referenceLimit)
	}
}
