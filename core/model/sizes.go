package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"m2embed/core/checkpoint"
)

// size is one number of the configuration as the weights have it.
type size struct {
	key    string
	config *int
	tensor string
	shape  []int
	value  int
}

// sizesIn reads every size that the weights' shapes determine.
func sizesIn(c *Config, w Weights) []size {
	var list []size
	add := func(key string, config *int, tensor string, dims int, value func(shape []int) int) {
		shape, ok := shapeOf(w, tensor)
		if !ok || len(shape) != dims {
			return
		}
		list = append(list, size{key, config, tensor, shape, value(shape)})
	}
	dim := func(i int) func([]int) int { return func(s []int) int { return s[i] } }
	mixer, mlp := "encoder.layer.0.attention.", "encoder.layer.0.mlp."
	add("hidden_size", &c.HiddenSize, mixer+"out_linear.weight", 2, dim(0))
	add("vocab_size", &c.VocabSize, "embeddings.word_embeddings.weight", 2, dim(0))
	add("type_vocab_size", &c.TypeVocabSize, "embeddings.token_type_embeddings.weight", 2, dim(0))
	if c.UsePositionalEncodings {
		add("max_position_embeddings", &c.MaxPositionEmbeddings, "embeddings.position_embeddings.weight", 2, dim(0))
	}
	add("long_conv_l_max", &c.LongConvLMax, mixer+"filter_fn.pos_emb.z", 3, dim(1))
	add("hyena_emb_dim", &c.HyenaEmbDim, mixer+"filter_fn.implicit_filter.0.weight", 2, dim(1))
	add("hyena_filter_order", &c.HyenaFilterOrder, mixer+"filter_fn.implicit_filter.0.weight", 2, dim(0))
	gated := func(rows int) int {
		if c.UseGLUMLP {
			return rows / 2
		}
		return rows
	}
	if c.UseMonarchMLP {
		add("monarch_mlp_nblocks", &c.MonarchMLPNBlocks, mlp+"gated_layers.weight", 3, dim(0))
		// Ragged blocks are filled up, so the width is only known to a block.
		add("intermediate_size", &c.IntermediateSize, mlp+"gated_layers.weight", 3, func(s []int) int {
			n := s[0]
			wide := c.IntermediateSize
			if c.UseGLUMLP {
				wide *= 2
			}
			if (wide+n-1)/n == s[1] {
				return c.IntermediateSize
			}
			return gated(s[0] * s[1])
		})
	} else {
		add("intermediate_size", &c.IntermediateSize, mlp+"gated_layers.weight", 2, func(s []int) int { return gated(s[0]) })
	}
	layers := 0
	for _, name := range w.Names() {
		rest, _ := strings.CutPrefix(name, "encoder.layer.")
		number, _, ok := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(number); ok && err == nil && i >= 0 {
			layers = max(layers, i+1)
		}
	}
	if layers > 0 {
		list = append(list, size{"num_hidden_layers", &c.NumHiddenLayers, fmt.Sprintf("encoder.layer.%d.*", layers-1), nil, layers})
	}
	return list
}

func shapeOf(w Weights, name string) ([]int, bool) {
	if f, ok := w.(interface {
		Info(string) (checkpoint.Info, bool)
	}); ok {
		info, ok := f.Info(name)
		return info.Shape, ok
	}
	if _, found := slices.BinarySearch(w.Names(), name); !found {
		return nil, false
	}
	t, err := w.Tensor(name)
	return t.Shape, err == nil
}

// checkSizes compares the configuration with the weights before anything is
// read, so that a wrong number is named together with both its sources.
func checkSizes(c Config, w Weights) error {
	for _, s := range sizesIn(&c, w) {
		if *s.config == s.value {
			continue
		}
		shape := ""
		if s.shape != nil {
			shape = fmt.Sprintf(" of shape %v", s.shape)
		}
		return fmt.Errorf("%s is %d in config.json, but the weights make it %d (tensor %q%s); one of the two belongs to another model, or take the sizes from the weights (config-from-weights)",
			s.key, *s.config, s.value, s.tensor, shape)
	}
	return nil
}

// ConfigFromWeights corrects a configuration's sizes and switches to what the
// weights' names and shapes say. What they cannot say (layer_norm_eps,
// hyena_w_mod, pooling, padding, whether positions are added) stays.
func ConfigFromWeights(c Config, w Weights) (Config, error) {
	names := w.Names()
	has := func(name string) bool { _, found := slices.BinarySearch(names, name); return found }
	mixer := "encoder.layer.0.attention."
	if !has(mixer + "filter_fn.implicit_filter.0.weight") {
		return c, fmt.Errorf("the weights have no tensor %q: not a checkpoint of M2-BERT", mixer+"filter_fn.implicit_filter.0.weight")
	}
	c.ResidualLongConv = has(mixer + "filter_fn2.implicit_filter.0.weight")
	c.Bidirectional = has(mixer + "filter_fn.implicit_filter_rev.0.weight")
	c.HyenaTrainingAdditions = has(mixer + "layernorm.weight")
	if !has("embeddings.position_embeddings.weight") {
		c.UsePositionalEncodings = false
	}
	if shape, ok := shapeOf(w, "encoder.layer.0.mlp.gated_layers.weight"); ok {
		c.UseMonarchMLP = len(shape) == 3
		if wo, ok := shapeOf(w, "encoder.layer.0.mlp.wo.weight"); ok && len(wo) == len(shape) {
			// With GLU the first product is twice as wide as the second's input.
			first, second := shape[len(shape)-2], wo[len(wo)-1]
			c.UseGLUMLP = first > second+second/2
		}
	}
	for _, s := range sizesIn(&c, w) {
		*s.config = s.value
	}
	// Sizes that depend on others corrected above.
	for _, s := range sizesIn(&c, w) {
		*s.config = s.value
	}
	if !has("pooler.dense.weight") {
		switch c.Pooling {
		case PoolClass:
			c.Pooling = PoolClassHidden
		case PoolMean:
			c.Pooling = PoolMeanHidden
		}
	}
	return c, c.check()
}
