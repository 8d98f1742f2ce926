package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host/internal/configjson"
	"m2embed/host/internal/rusttokenizer"
	"m2embed/host/small"
)

// Options say how a model is opened and what runs it. The zero value is good.
type Options struct {
	// Engine is one of [Engines]; empty means the first.
	Engine string
	// Threads of a forward pass with the engine native, at most [model.MaxThreads]; 0
	// means one a processor.
	Threads int
	// FilterBudget bounds the bytes of filter spectra kept between calls; 0
	// means the engine's default, negative none.
	FilterBudget int
	// Filters is a budget that is shared with other models of the engine native;
	// nil means one of FilterBudget for this model alone.
	Filters *model.FilterPool
	// MemoryLimit bounds the memory of the engine wasm in bytes; 0 means 4 GiB.
	// The others have no limit and refuse one.
	MemoryLimit uint64
	// Module is m2embed.wasm for the engine wasm; empty means the one that is
	// built in.
	Module []byte

	// Config and Tokenizer are paths; Config may be a YAML. Empty: the files
	// beside the checkpoint.
	Config, Tokenizer string
	// Cache names the safetensors file that a PyTorch file is converted into, or
	// a folder for it (an existing one, or a name with a slash at the end).
	// Empty: beside the checkpoint, and if that folder cannot be written to, the
	// user's cache folder.
	Cache string
	// NoCache maps PyTorch files as they are and writes nothing.
	NoCache bool
	// Progress is told how many bytes of a conversion are done. Its error ends
	// the opening.
	Progress func(done, total int64) error

	// ConfigFromWeights takes sizes from the weights where the configuration
	// disagrees with them.
	ConfigFromWeights bool
	// AnyTokenizer accepts a tokenizer that does not look like
	// bert-base-uncased's.
	AnyTokenizer bool
	// TokenizeWith is one of [Tokenizers]; empty means the first.
	TokenizeWith string
	// Pooling, if given, takes the place of the configuration's, so that a
	// checkpoint without a pooler can be opened for the poolings that need none.
	Pooling model.Pooling
}

// Model is an opened model. It is safe for concurrent use.
type Model struct {
	engine    engine
	name      string
	config    model.Config         // as it runs
	tokenizer *tokenizer.Tokenizer // nil: token ids only
	space     string
	foreign   rusttokenizer.Text // what texts are tokenized with, where it is not tokenizer
	files     *Files

	mu     sync.Mutex
	calls  sync.WaitGroup // grows under mu only while the model is open
	closed bool
	gone   chan struct{} // closed when Close is done
	fault  error         // of Close
}

// ErrClosed is the error of calls after Close.
var ErrClosed = errors.New("the model is closed")

// Open opens a model: a folder as the Hugging Face hub has them, a snapshot of
// the hub's cache, or a checkpoint file; see [OpenFiles]. "" is the model that is
// built in.
//
// # Errors
//
// Files that are missing or refused, an unknown engine or one that this machine
// does not have.
func Open(path string, o Options) (*Model, error) {
	files, err := OpenFiles(path, o)
	if err != nil {
		return nil, err
	}
	name := small.Name
	if path != "" {
		name = filepath.Base(path)
		if absolute, err := filepath.Abs(path); err == nil {
			name = filepath.Base(absolute)
		}
	}
	return newModel(name, files, o)
}

// OpenFS opens the model of a file system, such as one of an [embed.FS], an
// archive or a bucket: a folder as [Open] takes one. Config and Tokenizer of the
// options name files of it. Weights that are no file of the operating system are
// read into memory; nothing is written, so that Cache and NoCache mean nothing.
//
// # Errors
//
// Those of Open.
func OpenFS(fsys fs.FS, o Options) (*Model, error) {
	files, name, err := filesIn(fsys, o)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	return newModel(name, files, o)
}

// newModel makes a model of its files, which it closes if it fails.
func newModel(name string, files *Files, o Options) (*Model, error) {
	m := &Model{name: name, files: files, gone: make(chan struct{})}
	if err := m.start(o); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", name, err), files.Close())
	}
	if o.TokenizeWith == "rust" {
		if err := m.useRust(); err != nil {
			return nil, errors.Join(fmt.Errorf("open model %s: %w", name, err), m.Close())
		}
	}
	return m, nil
}

// start builds the engine.
func (m *Model) start(o Options) error {
	if m.files.ConfigJSON == nil {
		return errors.New("no configuration beside the checkpoint; name a config.json or a retrieval YAML (--config)")
	}
	config, err := configjson.SetPooling(m.files.ConfigJSON, o.Pooling)
	if err != nil {
		return err
	}
	if o.TokenizeWith != "" && !slices.Contains(Tokenizers, o.TokenizeWith) {
		return fmt.Errorf("tokenizer library %q, want one of %s", o.TokenizeWith, strings.Join(Tokenizers, ", "))
	}
	if o.MemoryLimit != 0 && o.Engine != "wasm" {
		return errors.New("only the engine wasm has a memory limit")
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

// core are the choices of core.Open.
func (o Options) core(files *Files) core.OpenOptions {
	return core.OpenOptions{
		Overwrite: files.Writable, ConfigFromWeights: o.ConfigFromWeights, AnyTokenizer: o.AnyTokenizer,
		Threads: o.Threads, FilterBudget: o.FilterBudget, Filters: o.Filters,
	}
}

// begin lets a call use the model until end.
func (m *Model) begin() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.calls.Add(1)
	return nil
}

func (m *Model) end() { m.calls.Done() }

// Embed makes the vectors (D) of texts, in order, in the model's own way.
func (m *Model) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	return m.vectors(ctx, core.Options{}, texts)
}

func (m *Model) vectors(ctx context.Context, o core.Options, texts []string) ([][]float32, error) {
	results, err := m.EmbedInputs(ctx, core.Texts(texts...), o)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(results))
	for i, r := range results {
		vectors[i] = r.Vector
	}
	return vectors, nil
}

// Task is a model that embeds for a task; see [Model.For].
type Task struct {
	model *Model
	task  string
}

// For is the model for texts of a task, such as queries to search with:
// "query", "document" or the name of another of the model's prompts. See
// [core.Options].
func (m *Model) For(task string) Task { return Task{m, task} }

// Embed is [Model.Embed] with the model's prompt for the task.
func (t Task) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	return t.model.vectors(ctx, core.Options{Task: t.task}, texts)
}

// Trim gives up memory that the engine native keeps to make later calls faster.
// Other engines keep theirs.
func (m *Model) Trim() {
	if p, ok := m.engine.(processor); ok {
		p.embedder.Trim()
	}
}

// EmbedInputs makes one vector for each input, in order. Cancelling ctx stops
// the work within some tens of milliseconds; see [core.Embedder.Embed], errors
// included. After Close it is [ErrClosed].
func (m *Model) EmbedInputs(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	if err := m.begin(); err != nil {
		return nil, err
	}
	defer m.end()
	return m.engine.embed(ctx, inputs, o)
}

// Tokenize splits a text into tokens.
//
// # Errors
//
// A model without a tokenizer, and those of [tokenizer.Tokenizer.Encode].
func (m *Model) Tokenize(text string, o tokenizer.Options) (tokenizer.Encoding, error) {
	if err := m.begin(); err != nil {
		return tokenizer.Encoding{}, err
	}
	defer m.end()
	switch {
	case m.foreign != nil:
		return m.foreign.Encode(text, o)
	case m.tokenizer == nil:
		return tokenizer.Encoding{}, errors.New("the model has no tokenizer")
	}
	return m.tokenizer.Encode(text, o)
}

// Tokenizer is the model's tokenizer, nil for one that takes token ids only. It
// may be used after Close.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// Config is the model's configuration.
func (m *Model) Config() model.Config { return m.config }

// Info says what a model is.
type Info struct {
	Name      string        // of the folder or file
	Source    string        // where the weights come from, in one line
	Engine    string        // what runs the model, such as "native (avx512)"
	Dimension int           // D
	MaxLength int           // most tokens of a text, special tokens included
	Padding   model.Padding // never PadDefault
	Pooling   model.Pooling
	Normalize bool
	Space     string // of the vectors: see core's Embedder.Space
}

// Info says what the model is.
func (m *Model) Info() Info {
	c := m.config
	i := Info{
		Name: m.name, Source: m.files.Describe, Engine: m.engine.name(),
		Dimension: c.HiddenSize, MaxLength: c.MaxLength(), Padding: c.Padding, Pooling: c.Pooling, Normalize: c.Normalize, Space: m.space,
	}
	if i.Padding.Mode == model.PadDefault {
		i.Padding.Mode = model.PadMax
	}
	return i
}

// SpaceOf names the space of the vectors that are made with options; see
// [core.SpaceOf].
func (m *Model) SpaceOf(o core.Options) string { return core.SpaceOf(m.space, m.config, o) }

// Close waits for the calls that are under way and releases the model. Calls
// after it are [ErrClosed]. It may be called more than once.
func (m *Model) Close() error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	m.mu.Unlock()
	if first {
		m.calls.Wait()
		m.fault = errors.Join(m.engine.close(), m.files.Close())
		close(m.gone)
	}
	<-m.gone
	return m.fault
}
