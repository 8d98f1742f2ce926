package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host/internal/configjson"
	wasmengine "m2embed/host/internal/engine"
	"m2embed/wasm/module"
)

// sandbox is m2embed.wasm under wazero.
type sandbox struct{ *wasmengine.Engine }

func (m *Model) startWasm(o Options, config []byte) error {
	wasm := o.Module
	if wasm == nil {
		wasm = module.Bytes
	}
	if wasm == nil {
		return errors.New("this program was built without m2embed.wasm; build it with the tag m2embed_module, or name the file (--module)")
	}
	if o.AnyTokenizer {
		return errors.New("the engine wasm takes the tokenizer of bert-base-uncased only")
	}
	c, err := model.ParseConfig(config)
	if err != nil {
		return err
	}
	if o.ConfigFromWeights {
		if c, err = model.ConfigFromWeights(c, m.files.Weights); err != nil {
			return err
		}
		if config, err = configjson.SetSizes(config, c); err != nil {
			return err
		}
	}
	if m.files.Tokenizer != nil {
		if m.tokenizer, err = tokenizer.Parse(m.files.Tokenizer); err != nil {
			return err
		}
	}
	weights, err := newStream(m.files.Weights)
	if err != nil {
		return err
	}
	defer weights.Close()
	e, err := wasmengine.Open(context.Background(), wasm,
		wasmengine.Model{Config: config, Tokenizer: m.files.Tokenizer, Weights: weights, Size: weights.size},
		wasmengine.Options{CacheDir: compileCache(), FilterBudget: o.FilterBudget, MemoryLimit: o.MemoryLimit})
	if err != nil {
		return err
	}
	m.engine, m.config, m.space = sandbox{e}, c, e.Info().Space
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

func (s sandbox) embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	return s.Engine.Embed(ctx, inputs, o)
}

func (s sandbox) name() string { return "wasm (" + s.Engine.Info().Kernels + ")" }

func (s sandbox) close() error { return s.Engine.Close(context.Background()) }
