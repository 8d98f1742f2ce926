package host

import (
	"encoding/json"

	"m2embed/core/model"
)

// edit sets members of a config.json. What is no object is left for core to
// refuse.
func edit(config []byte, members map[string]any) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(config, &object); err != nil || object == nil {
		return config, nil
	}
	for name, v := range members {
		value, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		object[name] = value
	}
	return json.Marshal(object)
}

// withPooling sets the pooling in a config.json, unless it is the default.
func withPooling(config []byte, p model.Pooling) ([]byte, error) {
	if p == model.PoolDefault {
		return config, nil
	}
	return edit(config, map[string]any{"pooling": p.String()})
}

// withSizes writes what ConfigFromWeights may have changed into a config.json.
func withSizes(config []byte, c model.Config) ([]byte, error) {
	return edit(config, map[string]any{
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "num_hidden_layers": c.NumHiddenLayers,
		"intermediate_size": c.IntermediateSize, "max_position_embeddings": c.MaxPositionEmbeddings,
		"type_vocab_size": c.TypeVocabSize, "long_conv_l_max": c.LongConvLMax, "hyena_emb_dim": c.HyenaEmbDim,
		"hyena_filter_order": c.HyenaFilterOrder, "monarch_mlp_nblocks": c.MonarchMLPNBlocks,
		"use_positional_encodings": c.UsePositionalEncodings, "bidirectional": c.Bidirectional,
		"residual_long_conv": c.ResidualLongConv, "hyena_training_additions": c.HyenaTrainingAdditions,
		"use_glu_mlp": c.UseGLUMLP, "use_monarch_mlp": c.UseMonarchMLP, "pooling": c.Pooling.String(),
	})
}
