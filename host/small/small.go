// Package small is m2-bert-small, the model that is built in; README.md is its
// card.
package small

import _ "embed"

// Name is the name of the model.
const Name = "m2-bert-small"

// The files of the model. They must not be written to.
var (
	// Config is its config.json.
	//go:embed config.json
	Config []byte
	// Tokenizer is its tokenizer.json, that of bert-base-uncased, which the
	// published M2-BERT models take, too.
	//go:embed tokenizer.json
	Tokenizer []byte
	// Weights is its model.safetensors, with 8-bit weights.
	//go:embed model.safetensors
	Weights []byte
)
