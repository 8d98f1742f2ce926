// Package configjson edits the bytes of a config.json. Members that it does not
// set keep their text.
package configjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"m2embed/core/model"
)

// Read returns the members of a config.json. Some editors put a byte order mark
// in front, which JSON does not know; it is passed over.
func Read(config []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimPrefix(config, []byte("\ufeff")), &members); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	if members == nil {
		return nil, errors.New("config.json: null, want an object")
	}
	return members, nil
}

// Set sets members.
func Set(config []byte, values map[string]any) ([]byte, error) {
	members, err := Read(config)
	if err != nil {
		return nil, err
	}
	for name, v := range values {
		value, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		members[name] = value
	}
	out, err := json.MarshalIndent(members, "", "  ")
	return append(out, '\n'), err
}

// SetPadding sets the padding: "none", "longest", "max_length" or a number.
// With "" a config.json that has none gets "max_length".
func SetPadding(config []byte, padding string) ([]byte, error) {
	parsed, err := model.ParsePadding(padding)
	if err != nil {
		return nil, err
	}
	members, err := Read(config)
	if err != nil {
		return nil, err
	}
	var value any = padding
	switch _, has := members["padding"]; {
	case parsed.Mode == model.PadToLength:
		value = parsed.Length
	case padding == "" && has:
		return bytes.TrimPrefix(config, []byte("\ufeff")), nil
	case padding == "":
		value = "max_length"
	}
	return Set(config, map[string]any{"padding": value})
}

// AddPrompts sets the prompts to those of sentence-transformers'
// config_sentence_transformers.json, where a config.json has none.
func AddPrompts(config, sentenceTransformers []byte) ([]byte, error) {
	members, err := Read(config)
	if err != nil {
		return nil, err
	}
	if own, has := members["prompts"]; has && string(own) != "null" {
		return config, nil
	}
	var others struct{ Prompts json.RawMessage }
	if err := json.Unmarshal(bytes.TrimPrefix(sentenceTransformers, []byte("\ufeff")), &others); err != nil {
		return nil, err
	}
	if others.Prompts == nil {
		return config, nil
	}
	prompts, err := model.ParsePrompts(others.Prompts)
	if err != nil || prompts == nil {
		return config, err
	}
	return Set(config, map[string]any{"prompts": prompts})
}

// SetPooling sets the pooling, unless it is the default.
func SetPooling(config []byte, p model.Pooling) ([]byte, error) {
	if p == model.PoolDefault {
		return config, nil
	}
	return Set(config, map[string]any{"pooling": p.String()})
}

// SetSizes sets what model.ConfigFromWeights may have changed.
func SetSizes(config []byte, c model.Config) ([]byte, error) {
	return Set(config, map[string]any{
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "num_hidden_layers": c.NumHiddenLayers,
		"intermediate_size": c.IntermediateSize, "max_position_embeddings": c.MaxPositionEmbeddings,
		"type_vocab_size": c.TypeVocabSize, "long_conv_l_max": c.LongConvLMax, "hyena_emb_dim": c.HyenaEmbDim,
		"hyena_filter_order": c.HyenaFilterOrder, "monarch_mlp_nblocks": c.MonarchMLPNBlocks,
		"use_positional_encodings": c.UsePositionalEncodings, "bidirectional": c.Bidirectional,
		"residual_long_conv": c.ResidualLongConv, "hyena_training_additions": c.HyenaTrainingAdditions,
		"use_glu_mlp": c.UseGLUMLP, "use_monarch_mlp": c.UseMonarchMLP, "pooling": c.Pooling.String(),
	})
}
