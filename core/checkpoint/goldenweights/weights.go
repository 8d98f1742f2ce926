package goldenweights

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"m2embed/core/checkpoint"
)

// Weights makes the tensors of one configuration. Each call of Tensor makes
// its numbers anew; nothing is kept.
type Weights struct {
	config Config
	shapes map[string][]int
	names  []string
}

// New lists the tensors of a configuration. It panics when a size is missing.
func New(c Config) *Weights {
	for _, n := range []int{
		c.VocabSize, c.HiddenSize, c.IntermediateSize, c.MaxPositionEmbeddings,
		c.LongConvLMax, c.TypeVocabSize, c.HyenaEmbDim, c.HyenaFilterOrder, c.MonarchMLPNBlocks,
	} {
		if n <= 0 {
			panic(fmt.Sprintf("goldenweights: a size of %+v is not positive", c))
		}
	}
	c.VocabSize = (c.VocabSize + 7) / 8 * 8
	w := &Weights{config: c, shapes: map[string][]int{}}
	w.list()
	slices.Sort(w.names)
	return w
}

// list fills in names and shapes, in the order of the model.
func (w *Weights) list() {
	c := w.config
	d, inner, blocks := c.HiddenSize, c.IntermediateSize, c.MonarchMLPNBlocks
	wide := inner
	if c.UseGLUMLP {
		wide = 2 * inner
	}
	w.add("embeddings.position_ids", 1, c.MaxPositionEmbeddings)
	w.add("embeddings.word_embeddings.weight", c.VocabSize, d)
	if c.UsePositionalEncodings {
		w.add("embeddings.position_embeddings.weight", c.MaxPositionEmbeddings, d)
	}
	w.add("embeddings.token_type_embeddings.weight", c.TypeVocabSize, d)
	w.addPair("embeddings.LayerNorm", d)
	for i := range c.NumHiddenLayers {
		layer := fmt.Sprintf("encoder.layer.%d.", i)
		w.addPair(layer+"attention.in_linear", 3*d, d)
		w.addPair(layer+"attention.short_filter", 3*d, 1, 3)
		w.addPair(layer+"attention.out_linear", d, d)
		if c.HyenaTrainingAdditions {
			w.addPair(layer+"attention.layernorm", d)
		}
		w.addFilter(layer + "attention.filter_fn.")
		if c.ResidualLongConv {
			w.addFilter(layer + "attention.filter_fn2.")
		}
		if c.UseMonarchMLP {
			w.add(layer+"mlp.gated_layers.weight", blocks, ceil(wide, blocks), ceil(d, blocks))
			w.add(layer+"mlp.wo.weight", blocks, ceil(d, blocks), ceil(inner, blocks))
		} else {
			w.add(layer+"mlp.gated_layers.weight", wide, d)
			w.add(layer+"mlp.wo.weight", d, inner)
		}
		w.add(layer+"mlp.wo.bias", d)
		w.addPair(layer+"mlp.layernorm", d)
	}
	if !c.NoPooler {
		w.addPair("pooler.dense", d, d)
	}
}

func ceil(n, parts int) int { return (n + parts - 1) / parts }

func (w *Weights) add(name string, shape ...int) {
	w.shapes[name] = shape
	w.names = append(w.names, name)
}

// addPair adds weight and bias of one module.
func (w *Weights) addPair(module string, shape ...int) {
	w.add(module+".weight", shape...)
	w.add(module+".bias", shape[0])
}

// addFilter adds one long convolution's filter network.
func (w *Weights) addFilter(filter string) {
	c := w.config
	order := c.HyenaFilterOrder
	w.add(filter+"bias", c.HiddenSize)
	w.add(filter+"pos_emb.z", 1, c.LongConvLMax, c.HyenaEmbDim)
	w.add(filter+"pos_emb.t", 1, c.LongConvLMax, 1)
	w.add(filter+"modulation.deltas", 1, 1, c.HiddenSize)
	networks := []string{"implicit_filter."}
	if c.Bidirectional {
		networks = append(networks, "implicit_filter_rev.")
	}
	for _, network := range networks {
		w.addPair(filter+network+"0", order, c.HyenaEmbDim)
		w.addPair(filter+network+"2", order, order)
		w.addPair(filter+network+"4", order, order)
		w.add(filter+network+"6.weight", c.HiddenSize, order)
		for _, sine := range []string{"1", "3", "5"} {
			w.add(filter+network+sine+".freq", 1, order)
		}
	}
}

// Names returns the canonical names (without "bert.") of all tensors, sorted.
func (w *Weights) Names() []string { return slices.Clone(w.names) }

// Tensor makes one tensor, F32 but for the I64 position ids. The name may
// begin with "bert.".
func (w *Weights) Tensor(name string) (checkpoint.Tensor, error) {
	name = strings.TrimPrefix(name, "bert.")
	shape, ok := w.shapes[name]
	if !ok {
		return checkpoint.Tensor{}, fmt.Errorf("read tensor %q: no such tensor among %d golden weights", name, len(w.names))
	}
	t := checkpoint.Tensor{Name: name, DType: checkpoint.F32, Shape: slices.Clone(shape)}
	value := w.generator(name)
	if value == nil {
		t.DType = checkpoint.I64
		t.Data = make([]byte, 8*t.Elements())
		for i := range t.Elements() {
			binary.LittleEndian.PutUint64(t.Data[8*i:], uint64(i))
		}
		return t, nil
	}
	t.Data = make([]byte, 4*t.Elements())
	parallel(t.Elements(), func(first, end int) {
		for i := first; i < end; i++ {
			binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(value(i)))
		}
	})
	return t, nil
}

// parallel runs work over [0, n) in as many parts as there are processors.
func parallel(n int, work func(first, end int)) {
	parts := min(runtime.GOMAXPROCS(0), ceil(n, 1<<14))
	if parts < 2 {
		work(0, n)
		return
	}
	var group sync.WaitGroup
	for p := range parts {
		group.Go(func() { work(n*p/parts, n*(p+1)/parts) })
	}
	group.Wait()
}

// generator returns the function that gives a tensor's i-th element, or nil
// for the position ids.
func (w *Weights) generator(name string) func(i int) float32 {
	seed := Seed("bert." + name)
	switch {
	case strings.HasSuffix(name, "position_ids"):
		return nil
	case strings.HasSuffix(name, "pos_emb.t"):
		last := float64(w.config.LongConvLMax - 1)
		return func(i int) float32 { return float32(float64(i) / last) }
	case strings.HasSuffix(name, "pos_emb.z"):
		return func(i int) float32 { return w.positionFeature(seed, i) }
	case strings.HasSuffix(name, "modulation.deltas"):
		lo, hi := math.Log(0.01)/1.5, math.Log(0.01)/0.3
		step := (hi - lo) / float64(w.config.HiddenSize-1)
		return func(i int) float32 {
			even := lo + float64(float64(i)*step)
			return float32(even * (1 + float64(0.05*uniform(seed, i))))
		}
	}
	base, scale := w.distribution(name)
	if filter, _, ok := strings.Cut(name, ".implicit_filter"); ok && strings.HasSuffix(name, ".freq") {
		seed = Seed("bert." + filter + ".implicit_filter.1.freq") // six names share one tensor
	}
	return func(i int) float32 { return float32(base + float64(scale*uniform(seed, i))) }
}

// positionFeature is z[j, a], a slightly perturbed copy of the feature that
// an untrained model starts from.
func (w *Weights) positionFeature(seed uint64, i int) float32 {
	features, length := w.config.HyenaEmbDim, w.config.LongConvLMax
	j, a := i/features, i%features
	bands := (features - 1) / 2
	var plain float64
	if a == 0 {
		plain = float64(j) / float64(length-1)
	} else {
		band := (a - 1) % bands
		frequency := 1e-4
		if bands > 1 {
			frequency += float64(float64(band)*(float64(bands-1)-1e-4)) / float64(bands-1)
		}
		phase := 2 * math.Pi * float64(j) / float64(length) * frequency
		if a <= bands {
			plain = math.Cos(phase)
		} else {
			plain = -math.Sin(phase)
		}
	}
	return float32(plain + float64(0.02*uniform(seed, i)))
}

// distribution returns base and scale of a tensor's uniform numbers.
func (w *Weights) distribution(name string) (base, scale float64) {
	c := w.config
	shape := w.shapes[name]
	d, last := float64(c.HiddenSize), float64(shape[len(shape)-1])
	has := func(part string) bool { return strings.Contains(name, part) }
	bias := strings.HasSuffix(name, ".bias")
	switch {
	case has("word_embeddings"), has("position_embeddings"):
		return 0, 0.035
	case has("token_type_embeddings"):
		return 0, 0.005
	case has("LayerNorm."), has("layernorm."):
		if bias {
			return 0, 0.05
		}
		return 1, 0.1
	case has("in_linear."), has("pooler.dense."):
		if bias {
			return 0, 0.1
		}
		return 0, 0.5 * math.Sqrt(3/d)
	case has("short_filter."):
		if bias {
			return 0, 0.1
		}
		return 0, 1
	case has("out_linear."):
		if bias {
			return 0, 0.05
		}
		return 0, 0.7 * math.Sqrt(3/d)
	case strings.HasSuffix(name, ".freq"):
		return 10, 0.5
	case has("implicit_filter"):
		_, place, _ := strings.Cut(name, "implicit_filter") // the layer's number stands before it
		order := float64(c.HyenaFilterOrder)
		switch {
		case strings.Contains(place, ".0."):
			return 0, 1 / math.Sqrt(float64(c.HyenaEmbDim))
		case strings.Contains(place, ".6."):
			return 0, 3 / math.Sqrt(order*float64(c.LongConvLMax))
		}
		return 0, 0.6 / math.Sqrt(order)
	case has("gated_layers."):
		return 0, math.Sqrt(3 / last)
	case has("mlp.wo."):
		if bias {
			return 0, 0.05
		}
		return 0, 0.7 * math.Sqrt(3/last)
	}
	return 0, 1 // the D term of a long convolution
}

// Seed is the FNV-1a hash of a name.
func Seed(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return h
}

// Hash is the i-th output of splitmix64.
func Hash(seed uint64, i int) uint64 {
	z := seed + (uint64(i)+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// uniform is the i-th number of a seed, a multiple of 2^-23 in [-1, 1).
func uniform(seed uint64, i int) float64 {
	return float64(int64(Hash(seed, i)>>40)-1<<23) / (1 << 23)
}

// InputIDs returns the token ids of a golden case: 101, then ids of
// [first, first+span), then 102. tag is such as "big.128".
func InputIDs(tag string, length, first, span int) []int32 {
	seed := Seed("ids." + tag)
	ids := make([]int32, length)
	for i := range ids {
		ids[i] = int32(first + int(Hash(seed, i)>>33)%span)
	}
	if length > 0 {
		ids[0] = 101
	}
	if length > 1 {
		ids[length-1] = 102
	}
	return ids
}
