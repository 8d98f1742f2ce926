package model

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"m2embed/core"
	"m2embed/core/tokenizer"
	"m2embed/host/engine"
	"m2embed/wasm/module"

	coremodel "m2embed/core/model"
)

// sandbox is m2embed.wasm under wazero.
type sandbox struct{ engine *engine.Engine }

func (m *Model) startWasm(o Options, config []byte) error {
	wasm := o.Module
	if wasm == nil {
		wasm = module.Bytes
	}
	if wasm == nil {
		return errors.New("this program was built without m2embed.wasm; build it with the tag m2embed_module, or name the file (--module)")
	}
	if o.Embedder.AnyTokenizer {
		return errors.New("the engine wasm takes the tokenizer of bert-base-uncased only")
	}
	if m.files.Tokenizer == nil {
		return errors.New("the engine wasm needs a tokenizer; name one with --tokenizer")
	}
	c, err := coremodel.ParseConfig(config)
	if err != nil {
		return err
	}
	if o.Embedder.ConfigFromWeights {
		if c, err = coremodel.ConfigFromWeights(c, m.Weights); err != nil {
			return err
		}
		if config, err = withSizes(config, c); err != nil {
			return err
		}
	}
	if m.Tokenizer, err = tokenizer.Parse(m.files.Tokenizer); err != nil {
		return err
	}
	weights, err := newStream(m.Weights)
	if err != nil {
		return err
	}
	defer weights.Close()
	e, err := engine.Open(context.Background(), wasm,
		engine.Model{Config: config, Tokenizer: m.files.Tokenizer, Weights: weights, Size: weights.size},
		engine.Options{CacheDir: compileCache(), FilterBudget: o.Embedder.FilterBudget})
	if err != nil {
		return err
	}
	m.Engine, m.Config = sandbox{e}, c
	return nil
}

// compileCache is a folder for compiled modules, or "" if none can be made.
func compileCache() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	folder = filepath.Join(folder, "m2embed", "wazero")
	if os.MkdirAll(folder, 0o777) != nil {
		return ""
	}
	return folder
}

func (s sandbox) Embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	return s.engine.Embed(ctx, inputs, o)
}

func (s sandbox) Name() string { return "wasm (" + s.engine.Info().Kernels + ")" }

func (s sandbox) Close() error { return s.engine.Close(context.Background()) }
