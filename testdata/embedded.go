// Package testdata holds the files that other packages test with, and gives
// the commands the model that is built into them.
package testdata

import _ "embed"

// EmbeddedName is the name of the model that is built in.
const EmbeddedName = "tiny"

// EmbeddedTrained says whether that model means anything: the golden model has
// random weights.
const EmbeddedTrained = false

// The files of the embedded model. They must not be written to.
var (
	//go:embed tiny/config.json
	EmbeddedConfig []byte
	//go:embed tiny/vocab.txt
	EmbeddedTokenizer []byte
	//go:embed tiny/model.safetensors
	EmbeddedWeights []byte
)

// BertTokenizer is the tokenizer.json of bert-base-uncased, which the published
// M2-BERT models need.
//
//go:embed tokenizer/bert-base-uncased.json
var BertTokenizer []byte
