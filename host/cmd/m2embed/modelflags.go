package main

import (
	"fmt"
	"m2embed/host"
	"os"
	"slices"
	"strings"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// modelFlags say which model runs, and on what.
type modelFlags struct {
	call    *call
	path    string // empty: the embedded model
	several bool   // the command reads --model itself
	options host.Options
	filters int // MiB
	module  string
}

func defineModel(c *call) *modelFlags {
	m := &modelFlags{call: c}
	c.flags.StringVar(&m.path, "model", "", "`folder` of a model, or checkpoint file (safetensors or PyTorch); without it the embedded model is used")
	m.define()
	return m
}

// define defines all flags but --model.
func (m *modelFlags) define() {
	c, o := m.call, &m.options
	c.flags.StringVar(&o.Config, "config", "", "configuration `file`, config.json or a retrieval YAML, where it does not lie beside the checkpoint")
	c.flags.StringVar(&o.Tokenizer, "tokenizer", "", "tokenizer.json or vocab.txt `file`, where it does not lie beside the checkpoint")
	c.flags.StringVar(&o.TokenizeWith, "tokenize-with", host.Tokenizers[0], "`"+strings.Join(host.Tokenizers, "|")+"`: what splits texts: m2embed itself, or the Hugging Face library, which is linked in by the build tag daulet; special tokens and cuts are m2embed's")
	c.flags.StringVar(&o.Cache, "cache", "", "folder or file, a `path`, for the safetensors copy that is made of a PyTorch checkpoint once (default: beside it)")
	c.flags.BoolVar(&o.NoCache, "no-cache", false, "read a PyTorch checkpoint as it is and write no copy")
	c.flags.BoolVar(&o.ConfigFromWeights, "config-from-weights", false, "take sizes from the weights where the configuration disagrees with them")
	c.flags.BoolVar(&o.AnyTokenizer, "any-tokenizer", false, "accept a tokenizer that does not look like bert-base-uncased's")
	c.flags.StringVar(&o.Engine, "engine", host.Engines[0], "`"+strings.Join(host.Engines, "|")+"`: what runs the model: this processor, m2embed.wasm under wazero, or a GPU")
	c.flags.StringVar(&m.module, "module", "", "m2embed.wasm, a `file`, to run with --engine wasm (default: the one that is built in)")
	c.flags.IntVar(&o.Threads, "threads", 0, "`number` of threads (default: one a processor)")
	c.flags.IntVar(&m.filters, "filter-memory", 0, "`MiB` in which filters are kept from text to text, -1 for none (default 320)")
}

// check refuses values before any file is touched.
func (m *modelFlags) check() error {
	o := &m.options
	if m.call.set("model") && m.path == "" && !m.several {
		return usagef("--model is empty")
	}
	if !slices.Contains(host.Engines, o.Engine) {
		return usagef("--engine %q, want one of %s", o.Engine, strings.Join(host.Engines, ", "))
	}
	if !slices.Contains(host.Tokenizers, o.TokenizeWith) {
		return usagef("--tokenize-with %q, want one of %s", o.TokenizeWith, strings.Join(host.Tokenizers, ", "))
	}
	if t := o.Threads; t < 0 || t > model.MaxThreads {
		return usagef("--threads %d, want 1 to %d, or 0 for one a processor", t, model.MaxThreads)
	}
	if m.filters < -1 || m.filters > 1<<20 {
		return usagef("--filter-memory %d, want -1 to %d", m.filters, 1<<20)
	}
	o.FilterBudget = m.filters << 20
	return nil
}

// open opens the model and says what its user must know.
func (m *modelFlags) open() (*host.Model, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := m.readModule(); err != nil {
		return nil, err
	}
	return m.openAt(m.path)
}

// readModule reads the file of --module, if there is one.
func (m *modelFlags) readModule() (err error) {
	if m.module != "" {
		m.options.Module, err = os.ReadFile(m.module)
	}
	return err
}

// openAt opens a model.
func (m *modelFlags) openAt(path string) (*host.Model, error) {
	bar := newProgress(m.call, "converting")
	o := m.options
	o.Progress = func(done, total int64) error {
		bar.set(done, total)
		return m.call.ctx.Err()
	}
	opened, err := host.Open(path, o)
	bar.finish()
	return opened, err
}

// vectorFlags say how vectors are made; see core.Options.
type vectorFlags struct {
	call                                    *call
	padding, pooling, truncation, normalize string
	options                                 core.Options
}

func defineVector(c *call) *vectorFlags {
	v := &vectorFlags{call: c}
	c.flags.StringVar(&v.padding, "padding", "", "`none|longest|max_length|N`: length to which texts are padded before they run; pads change vectors, so the default is the model's own")
	c.flags.StringVar(&v.pooling, "pooling", "", "`cls|mean|cls_hidden|mean_hidden`: how hidden states become a vector (default: the model's)")
	c.flags.StringVar(&v.truncation, "truncation", "keep-sep", "`keep-sep|drop-sep|refuse`: how a text that is too long is cut: before [SEP]; with [SEP] cut off, as the original does; or not at all")
	c.flags.StringVar(&v.normalize, "normalize", "default", "`yes|no|default`: to unit length or not (default: as the model)")
	c.flags.StringVar(&v.options.Task, "task", "", "`query|document|NAME`: what texts are for: the model's prompt of that name is put before each; a model without it takes query and document as they are (default document)")
	c.flags.IntVar(&v.options.Dimensions, "dimensions", 0, "`number` of values of a vector, the first ones, for a model that was trained for it (default: all)")
	c.flags.IntVar(&v.options.MaxLength, "max-length", 0, "`tokens` at which a text is cut, special tokens included (default: the model's maximum); what texts are padded to is --padding's alone")
	return v
}

// check reads the values.
func (v *vectorFlags) check() (err error) {
	if v.options.Padding, err = model.ParsePadding(v.padding); err != nil {
		return usagef("--%v", err)
	}
	if v.options.Pooling, err = model.ParsePooling(v.pooling); err != nil {
		return usagef("--%v", err)
	}
	if v.options.Truncation, err = tokenizer.ParseTruncation(v.truncation); err != nil {
		return usagef("--%v", err)
	}
	switch v.normalize {
	case "default":
	case "yes":
		v.options.Normalize = core.Yes
	case "no":
		v.options.Normalize = core.No
	default:
		return usagef("--normalize %q, want yes, no or default", v.normalize)
	}
	if n := v.options.Dimensions; n < 0 || n == 0 && v.call.set("dimensions") {
		return usagef("--dimensions %d, want 1 or more", n)
	}
	if n := v.options.MaxLength; v.call.set("max-length") && n < 2 {
		return usagef("--max-length %d, want at least 2: a text has two special tokens", n)
	}
	return nil
}

// checkModel refuses lengths that the model cannot run.
func (v *vectorFlags) checkModel(m *host.Model) error {
	most := m.Config().MaxLength()
	if v.options.MaxLength > most {
		return fmt.Errorf("--max-length %d, but the model takes at most %d tokens", v.options.MaxLength, most)
	}
	if p := v.options.Padding; p.Mode == model.PadToLength && p.Length > most {
		return fmt.Errorf("--padding %d, but the model takes at most %d tokens", p.Length, most)
	}
	if _, err := m.Config().Prompt(v.options.Task); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return m.Config().CheckDimensions(v.options.Dimensions)
}

// paddingOf is the padding that is in force.
func (v *vectorFlags) paddingOf(m *host.Model) model.Padding {
	p := v.options.Padding
	if p.Mode == model.PadDefault {
		p = m.Config().Padding
	}
	if p.Mode == model.PadDefault {
		p.Mode = model.PadMax
	}
	return p
}
