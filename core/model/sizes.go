package model

import (
	"fmt"

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
	add("vocab_size", &c.VocabSize, WordTable, 2, dim(0))
	add("type_vocab_size", &c.TypeVocabSize, "embeddings.token_type_embeddings.weight", 2, dim(0))
	if c.UsePositionalEncodings {
		add("max_position_embeddings", &c.MaxPositionEmbeddings, "embeddings.position_embeddings.weight", 2, dim(0))
	}
	add("long_conv_l_max", &c.LongConvLMax, mixer+"filter_fn.pos_emb.t", 3, dim(1))
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
	layers := LayersIn(w.Names())
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
	if !contains(w.Names(), name) {
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
// hyena_w_mod, pooling, padding) stays.
func ConfigFromWeights(c Config, w Weights) (Config, error) {
	const sign = "encoder.layer.0.attention.filter_fn.implicit_filter.0.weight"
	names := w.Names()
	if !contains(names, sign) {
		return c, fmt.Errorf("the weights have no tensor %q: not a checkpoint of M2-BERT", sign)
	}
	for _, f := range switchesIn(&c, w) {
		*f.config = f.value
	}
	for _, s := range sizesIn(&c, w) {
		*s.config = s.value
	}
	// Sizes that depend on others corrected above.
	for _, s := range sizesIn(&c, w) {
		*s.config = s.value
	}
	if !contains(names, "pooler.dense.weight") {
		switch c.Pooling {
		case PoolClass:
			c.Pooling = PoolClassHidden
		case PoolMean:
			c.Pooling = PoolMeanHidden
		}
	}
	return c, c.check()
}
