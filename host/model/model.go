// Package model opens a model for the commands and the server, from files or
// from the one that is built in, and hands out the engine that runs it.
package model

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/tokenizer"
	"m2embed/host"
	"m2embed/testdata"

	coremodel "m2embed/core/model"
)

// Options say what to open and how to run it.
type Options struct {
	// Path is a model's folder or a checkpoint; empty means the model that is
	// built in.
	Path string
	// Files says where parts lie that are not beside the checkpoint.
	Files host.OpenOptions
	// Embedder are core's choices; Overwrite is set by Open.
	Embedder core.OpenOptions
	// Engine is one of Engines; empty means the first.
	Engine string
	// Texts is one of Tokenizers; empty means the first.
	Texts string
	// Module is m2embed.wasm for the engine "wasm"; empty means the one that is
	// built in.
	Module []byte
	// Pooling, if given, takes the place of the configuration's, so that a
	// checkpoint without a pooler can be opened for the poolings that need
	// none.
	Pooling coremodel.Pooling
}

// Model is an opened model.
type Model struct {
	Engine
	ModelName string               // of the folder or file
	Describe  string               // where the weights come from, in one line
	Config    coremodel.Config     // as it runs
	Tokenizer *tokenizer.Tokenizer // nil: token ids only
	Texts     host.TextTokenizer   // what texts are tokenized with, where it is not Tokenizer
	Weights   *checkpoint.File

	files *host.Files
}

// Open opens a model.
//
// # Errors
//
// Those of host.OpenModel and core.Open, and an unknown engine.
func Open(o Options) (*Model, error) {
	m, err := openFiles(o)
	if err != nil {
		return nil, err
	}
	if err := m.start(o); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", m.ModelName, err), m.files.Close())
	}
	if o.Texts == "rust" {
		if err := m.useRust(); err != nil {
			return nil, errors.Join(fmt.Errorf("open model %s: %w", m.ModelName, err), m.Close())
		}
	}
	return m, nil
}

// openFiles finds the parts of a model.
func openFiles(o Options) (*Model, error) {
	files, err := OpenFiles(o)
	if err != nil {
		return nil, err
	}
	m := &Model{ModelName: testdata.EmbeddedName, Describe: files.Describe, Weights: files.Weights, files: files}
	if o.Path == "" {
		return m, nil
	}
	if files.ConfigJSON == nil {
		err := fmt.Errorf("open model %s: no configuration beside the checkpoint; name a config.json or a retrieval YAML with --config", o.Path)
		return nil, errors.Join(err, files.Close())
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		path = o.Path
	}
	m.ModelName = filepath.Base(path)
	return m, nil
}

// OpenFiles opens the parts of a model, or of the one that is built in, as
// host.OpenModel does.
func OpenFiles(o Options) (*host.Files, error) {
	if o.Path != "" {
		return host.OpenModel(o.Path, o.Files)
	}
	if o.Files.Config != "" || o.Files.Tokenizer != "" {
		return nil, errors.New("the embedded model has a configuration and a tokenizer of its own; name other weights, too")
	}
	weights, err := checkpoint.OpenBytes(testdata.EmbeddedWeights)
	if err != nil {
		return nil, fmt.Errorf("embedded model: %w", err)
	}
	return &host.Files{
		ConfigJSON: testdata.EmbeddedConfig, Tokenizer: testdata.EmbeddedTokenizer, Weights: weights,
		Describe: fmt.Sprintf("embedded model %s (%.1f MB)", testdata.EmbeddedName, float64(len(testdata.EmbeddedWeights))/1e6),
		Close:    func() error { return nil },
	}, nil
}

// start builds the engine.
func (m *Model) start(o Options) error {
	config, err := withPooling(m.files.ConfigJSON, o.Pooling)
	if err != nil {
		return err
	}
	switch o.Engine {
	case "", "native":
		return m.startNative(o, config)
	case "wasm":
		return m.startWasm(o, config)
	case "webgpu":
		return m.startGPU(o, config)
	}
	return fmt.Errorf("engine %q, want one of %s", o.Engine, strings.Join(Engines, ", "))
}

// Close ends the engine and releases the weights.
func (m *Model) Close() error {
	return errors.Join(m.Engine.Close(), m.files.Close())
}
