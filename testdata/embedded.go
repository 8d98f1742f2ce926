// Package testdata holds the files that other packages test with, and gives
// the commands the model that is built into them.
package testdata

import _ "embed"

// EmbeddedName is the name of the model that is built in.
const EmbeddedName = "m2-bert-small"

// The files of the embedded model. They must not be written to.
var (
	//go:embed m2-bert-small/config.json
	EmbeddedConfig []byte
	//go:embed m2-bert-small/tokenizer.json
	EmbeddedTokenizer []byte
	//go:embed m2-bert-small/model.safetensors
	EmbeddedWeights []byte
)

// BertTokenizer is the tokenizer.json of bert-base-uncased, which the published
// M2-BERT models need and the embedded one shares.
var BertTokenizer = EmbeddedTokenizer
