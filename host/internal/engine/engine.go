package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"m2embed/core"
	"m2embed/host/internal/linear"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// Model is what an instance loads.
type Model struct {
	Config    []byte      // config.json
	Tokenizer []byte      // tokenizer.json or vocab.txt, nil for token ids only
	Weights   io.ReaderAt // a safetensors file or a PyTorch checkpoint
	Size      int64       // of Weights, in bytes
}

// Options are the choices at opening; the zero value is good.
type Options struct {
	// CacheDir keeps compiled modules: 30 ms instead of a second or two at the
	// next start. Empty means no cache.
	CacheDir string
	// Instances is the most instances at a time, and so the most parallel
	// calls; 0 means 1. Each holds its own weights.
	Instances int
	// MemoryLimit bounds the linear memory of an instance in bytes; 0 means
	// 4 GiB.
	MemoryLimit uint64
	// FilterBudget bounds the bytes of filter spectra that an instance keeps
	// between calls; 0 means 96 MiB, negative none.
	FilterBudget int
}

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("the engine is closed")

// Engine embeds texts in WebAssembly instances. It is safe for concurrent use.
type Engine struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache
	compiled wazero.CompiledModule
	model    Model
	options  Options
	info     Info

	mu      sync.Mutex
	idle    []*instance
	made    int           // instances, those in use included
	waiting []*waiter     // first come first
	changed chan struct{} // closed and made anew when an instance goes or the engine closes
	closed  bool
}

// waiter is a call that waits for an instance: the one that is wanted, or any.
type waiter struct {
	wanted *instance
	given  chan *instance // holds one
}

// pageSize is the unit of linear memory.
const pageSize = 64 << 10

// Open compiles the module and loads the model into a first instance.
//
// # Errors
//
// A module that is not m2embed or speaks another version of the protocol; a
// cache folder that cannot be written; whatever the model's files are refused
// for, as an [Error].
func Open(ctx context.Context, wasm []byte, model Model, o Options) (*Engine, error) {
	if o.Instances == 0 {
		o.Instances = 1
	}
	if o.Instances < 0 {
		return nil, fmt.Errorf("%d instances, want 1 or more", o.Instances)
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = 1<<32 - pageSize
	}
	pages := min(o.MemoryLimit/pageSize, 1<<16-1)
	if pages == 0 {
		return nil, fmt.Errorf("a memory limit of %d bytes is less than a page of %d", o.MemoryLimit, pageSize)
	}
	o.MemoryLimit = pages * pageSize
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(uint32(pages))
	e := &Engine{model: model, options: o, changed: make(chan struct{})}
	if o.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("open the compile cache: %w", err)
		}
		e.cache = cache
		config = config.WithCompilationCache(cache)
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := e.start(ctx, wasm); err != nil {
		e.Close(ctx)
		return nil, err
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context, wasm []byte) (err error) {
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, e.runtime); err != nil {
		return fmt.Errorf("provide WASI: %w", err)
	}
	if e.compiled, err = e.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("compile the module: %w", err)
	}
	first, err := e.take(ctx, nil)
	if err != nil {
		return err
	}
	e.info = first.info
	e.give(first)
	return nil
}

// Info says what the model is.
func (e *Engine) Info() Info { return e.info }

// Embed makes one vector for each input, in order, as [core.Embedder.Embed]
// does. A cancelled ctx stops the work after a step, which takes milliseconds,
// for one very long text a few seconds at most. While o.Progress is called the
// instance is free for other calls, so that it may wait for its turn.
//
// # Errors
//
// An [Error] with the module's code and message, in a core.InputError where an
// input is to blame, in a core.Fault where none is; ctx's error and that of
// Progress; [ErrClosed].
func (e *Engine) Embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	results, err := e.embed(ctx, inputs, o)
	var failure *Error
	if errors.As(err, &failure) && failure.Code != BadArgument && failure.Code != TooLong {
		err = &core.Fault{Err: err}
	}
	return results, err
}

func (e *Engine) embed(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	i, err := e.take(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if i != nil {
			e.give(i)
		}
	}()
	// The module must not see a cancelled context in the middle of a call.
	inner := context.WithoutCancel(ctx)
	r, err := i.start(inner, inputs, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if i != nil {
			r.free(inner)
		}
	}()
	for prepared := false; ; {
		if err := cmp.Or(ctx.Err(), e.usable()); err != nil {
			return nil, err
		}
		if !prepared {
			if prepared, err = r.prepare(inner); err != nil {
				return nil, err
			}
			if prepared {
				continue
			}
		} else {
			done, err := r.step(inner)
			if err != nil {
				return nil, err
			}
			if done {
				return r.results(inner)
			}
		}
		if o.Progress == nil {
			continue
		}
		part, total, err := r.progress(inner)
		if err != nil {
			return nil, err
		}
		mine := i
		e.give(i)
		i = nil
		err = o.Progress(part*total, total)
		var lost error
		if i, lost = e.take(inner, mine); lost != nil {
			return nil, cmp.Or(err, lost)
		}
		if err != nil {
			return nil, err
		}
	}
}

// Memory is the linear memory that idle instances hold, in bytes.
func (e *Engine) Memory() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var n uint64
	for _, i := range e.idle {
		n += i.memory()
	}
	return n
}

// take waits for an instance: the one that is wanted, or any. It makes one where
// there may be more. Calls are served in their order, so that one which gives an
// instance back between its steps does not keep it from the others.
func (e *Engine) take(ctx context.Context, wanted *instance) (*instance, error) {
	w := &waiter{wanted, make(chan *instance, 1)}
	e.mu.Lock()
	for {
		switch {
		case e.closed:
			e.leave(w)
			e.mu.Unlock()
			return nil, ErrClosed
		case wanted != nil && wanted.dropped:
			e.leave(w)
			e.mu.Unlock()
			return nil, wanted.lost
		case len(w.given) > 0:
			e.mu.Unlock()
			return <-w.given, nil
		case wanted == nil && len(e.idle) == 0 && e.made < e.options.Instances:
			e.leave(w)
			e.made++
			e.mu.Unlock()
			i, err := e.newInstance(ctx)
			if err != nil {
				e.mu.Lock()
				e.gone(1)
				e.mu.Unlock()
			}
			return i, err
		}
		at := len(e.idle) - 1
		if wanted != nil {
			at = slices.Index(e.idle, wanted)
		}
		if at >= 0 {
			e.leave(w)
			i := e.idle[at]
			e.idle = slices.Delete(e.idle, at, at+1)
			e.mu.Unlock()
			return i, nil
		}
		if !slices.Contains(e.waiting, w) {
			e.waiting = append(e.waiting, w)
		}
		changed := e.changed
		e.mu.Unlock()
		select {
		case i := <-w.given:
			return i, nil
		case <-ctx.Done():
			e.mu.Lock()
			e.leave(w)
			e.mu.Unlock()
			return nil, ctx.Err()
		case <-changed:
		}
		e.mu.Lock()
	}
}

// leave takes a waiter from the queue, and gives on what it was given meanwhile.
func (e *Engine) leave(w *waiter) {
	e.waiting = slices.DeleteFunc(e.waiting, func(other *waiter) bool { return other == w })
	select {
	case i := <-w.given:
		e.back(i)
	default:
	}
}

// give brings an instance back. One that trapped is dropped.
func (e *Engine) give(i *instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.back(i)
}

func (e *Engine) back(i *instance) {
	if i.lost != nil || e.closed {
		i.close()
		i.dropped = true
		e.gone(1)
		return
	}
	for at, w := range e.waiting {
		if w.wanted == nil || w.wanted == i {
			e.waiting = slices.Delete(e.waiting, at, at+1)
			w.given <- i
			return
		}
	}
	e.idle = append(e.idle, i)
}

// gone notes that there are fewer instances, and wakes those who wait.
func (e *Engine) gone(instances int) {
	e.made -= instances
	close(e.changed)
	e.changed = make(chan struct{})
}

// usable is ErrClosed after Close.
func (e *Engine) usable() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	return nil
}

// Close frees all instances. Calls that are under way end with ErrClosed after
// their step, or with their result; later ones with ErrClosed.
//
// # Errors
//
// ctx's, when it is cancelled before these calls have ended: no call begins any
// more, and another Close waits for the rest.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	for _, i := range e.idle {
		i.close()
	}
	e.gone(len(e.idle))
	e.idle = nil
	for e.made > 0 {
		changed := e.changed
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		e.mu.Lock()
	}
	e.mu.Unlock()
	err := e.runtime.Close(ctx)
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(ctx))
	}
	return err
}

// newInstance makes an instance and loads the model into it.
func (e *Engine) newInstance(ctx context.Context) (*instance, error) {
	i := &instance{}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithSysWalltime().WithSysNanotime().WithStderr(&i.output)
	module, err := e.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, linear.Allocator()), e.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("start the module: %w", err)
	}
	i.module = module
	if err := i.load(ctx, e.model, e.options); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}
