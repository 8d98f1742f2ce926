package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"m2embed/core"

	"github.com/tetratelabs/wazero/api"
)

// Info says what a loaded model is.
type Info struct {
	HiddenSize     int               `json:"hiddenSize"` // D
	Layers         int               `json:"layers"`
	MaxLength      int               `json:"maxLength"`
	VocabularySize int               `json:"vocabularySize"`
	Padding        string            `json:"padding"`
	Pooling        string            `json:"pooling"`
	Normalize      bool              `json:"normalize"`
	Dimensions     []int             `json:"dimensions"` // lengths to which vectors may be cut
	Prompts        map[string]string `json:"prompts"`    // by task
	WeightBytes    int64             `json:"weightBytes"`
	Kernels        string            `json:"kernels"` // the kernel set in use
	Version        string            `json:"version"` // of the module
	Space          string            `json:"space"`   // see core's Embedder.Space
}

// instance is one instance of the module with one model.
type instance struct {
	module api.Module
	output bytes.Buffer // what the Go runtime inside says before it ends
	model  uint64
	info   Info
	lost   error // why the instance cannot be used any more

	dropped bool // it left the pool; the engine's mutex guards it
}

func (i *instance) memory() uint64 { return uint64(i.module.Memory().Size()) }

func (i *instance) close() { i.module.Close(context.Background()) }

// call calls an export. A trap loses the instance.
func (i *instance) call(ctx context.Context, name string, arguments ...uint64) (uint64, error) {
	if i.lost != nil {
		return 0, i.lost
	}
	f := i.module.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("the module is not m2embed: it has no %q", name)
	}
	results, err := f.Call(ctx, arguments...)
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(i.output.String()), "\n")
		if said == "" {
			said, _, _ = strings.Cut(err.Error(), "\n")
		}
		i.lost = &Error{Code: InstanceLost, Message: "the instance is lost: " + said}
		return 0, i.lost
	}
	if len(results) == 0 {
		return 0, nil
	}
	return results[0], nil
}

// status calls an export that returns a code.
func (i *instance) status(ctx context.Context, name string, arguments ...uint64) (int32, error) {
	n, err := i.call(ctx, name, arguments...)
	if err != nil {
		return 0, err
	}
	if status := int32(uint32(n)); status >= 0 {
		return status, nil
	}
	return 0, i.failure(ctx, Code(int32(uint32(n))))
}

// failure reads the message of a failed call.
func (i *instance) failure(ctx context.Context, code Code) error {
	message, err := i.bytes(ctx, "error_address", "error_length")
	if err != nil {
		return err
	}
	err = &Error{Code: code, Message: string(message)}
	if i.module.ExportedFunction("error_input") == nil { // an older module
		return err
	}
	blamed, callErr := i.call(ctx, "error_input")
	if callErr != nil {
		return callErr
	}
	if input := int(int32(uint32(blamed))); input >= 0 {
		said := strings.TrimPrefix(string(message), fmt.Sprintf("input %d: ", input))
		return &core.InputError{Index: input, Err: &Error{Code: code, Message: said}}
	}
	return err
}

// lastFailure is the failure of an export that returned no address.
func (i *instance) lastFailure(ctx context.Context) error {
	code, err := i.call(ctx, "error_code")
	if err != nil {
		return err
	}
	return i.failure(ctx, Code(int32(uint32(code))))
}

// bytes copies what a pair of exports points to.
func (i *instance) bytes(ctx context.Context, address, length string) ([]byte, error) {
	at, err := i.call(ctx, address)
	if err != nil {
		return nil, err
	}
	n, err := i.call(ctx, length)
	if err != nil {
		return nil, err
	}
	b, ok := i.module.Memory().Read(uint32(at), uint32(n))
	if !ok {
		return nil, fmt.Errorf("%d bytes at %#x are outside the module's memory", n, at)
	}
	return bytes.Clone(b), nil
}

func (i *instance) result(ctx context.Context) ([]byte, error) {
	return i.bytes(ctx, "result_address", "result_length")
}

// with hands bytes over for the duration of f.
func (i *instance) with(ctx context.Context, b []byte, f func(at uint64) error) error {
	at, err := i.call(ctx, "alloc", uint64(len(b)))
	if err != nil {
		return err
	}
	if at == 0 {
		return i.lastFailure(ctx)
	}
	if i.module.Memory().Write(uint32(at), b) {
		err = f(at)
	} else {
		err = fmt.Errorf("%d bytes at %#x are outside the module's memory", len(b), at)
	}
	if i.lost == nil {
		if _, freeErr := i.status(ctx, "free", at); err == nil {
			err = freeErr
		}
	}
	return err
}

// load brings the model in, the weights piece by piece at their place.
func (i *instance) load(ctx context.Context, m Model, o Options) error {
	version, err := i.call(ctx, "abi_version")
	if err != nil {
		return err
	}
	if version != Version {
		return fmt.Errorf("the module speaks version %d of the protocol, want %d", version, Version)
	}
	if _, err := i.status(ctx, "memory_limit", o.MemoryLimit); err != nil {
		return err
	}
	if _, err := i.status(ctx, "prefer_unrolled", 1); err != nil {
		return err
	}
	err = i.with(ctx, m.Config, func(config uint64) error {
		create := func(tokenizer uint64) error {
			handle, err := i.status(ctx, "model_create", config, uint64(len(m.Config)), tokenizer, uint64(len(m.Tokenizer)))
			i.model = uint64(handle)
			return err
		}
		if m.Tokenizer == nil {
			return create(0)
		}
		return i.with(ctx, m.Tokenizer, create)
	})
	if err != nil {
		return err
	}
	if m.Size < 0 || m.Size > int64(o.MemoryLimit) {
		return &Error{Code: OutOfMemory, Message: fmt.Sprintf("weights of %d bytes, but the memory limit is %d", m.Size, o.MemoryLimit)}
	}
	at, err := i.call(ctx, "model_reserve", i.model, uint64(m.Size))
	if err != nil {
		return err
	}
	if at == 0 {
		return i.lastFailure(ctx)
	}
	const piece = 4 << 20
	for offset := int64(0); offset < m.Size; offset += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(piece, m.Size-offset)
		b, ok := i.module.Memory().Read(uint32(int64(at)+offset), uint32(n))
		if !ok {
			return fmt.Errorf("%d bytes at %#x are outside the module's memory", n, int64(at)+offset)
		}
		if got, err := m.Weights.ReadAt(b, offset); int64(got) < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read weights: %d of %d bytes: %w", offset+int64(got), m.Size, err)
		}
		if _, err := i.status(ctx, "model_received", i.model, uint64(offset+n)); err != nil {
			return err
		}
	}
	if _, err := i.status(ctx, "model_open", i.model, budget(o.FilterBudget)); err != nil {
		return err
	}
	if _, err := i.status(ctx, "model_info", i.model); err != nil {
		return err
	}
	b, err := i.result(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &i.info)
}

// budget is a filter budget as the module takes it.
func budget(bytes int) uint64 { return uint64(uint32(max(-1, min(bytes, math.MaxInt32)))) }

// run is a batch on its way through an instance.
type run struct {
	*instance
	handle uint64
}

// start hands a batch over.
func (i *instance) start(ctx context.Context, inputs []core.Input, o core.Options) (*run, error) {
	options, err := packOptions(o)
	if err != nil {
		return nil, err
	}
	r := &run{instance: i}
	packed := packInputs(inputs)
	err = i.with(ctx, packed, func(at uint64) error {
		return i.with(ctx, options, func(options uint64) error {
			handle, err := i.status(ctx, "run_start", i.model, at, uint64(len(packed)), options)
			r.handle = uint64(handle)
			return err
		})
	})
	if err == nil && o.Task != "" {
		task := []byte(o.Task)
		err = i.with(ctx, task, func(at uint64) error {
			_, err := i.status(ctx, "run_task", r.handle, at, uint64(len(task)))
			return err
		})
		if err != nil {
			r.free(ctx)
		}
	}
	return r, err
}

// prepare tokenizes a part of the texts and says whether it was the last.
func (r *run) prepare(ctx context.Context) (done bool, err error) {
	status, err := r.status(ctx, "run_prepare", r.handle)
	return status != 0, err
}

// step does a part of the work and says whether it was the last.
func (r *run) step(ctx context.Context) (done bool, err error) {
	status, err := r.status(ctx, "run_step", r.handle)
	return status != 0, err
}

// progress is the part that is done, 0 to 1, and the positions of the whole run.
func (r *run) progress(ctx context.Context) (part, total float64, err error) {
	bits, err := r.call(ctx, "run_progress", r.handle)
	if err != nil {
		return 0, 0, err
	}
	n, err := r.call(ctx, "run_positions", r.handle)
	return math.Float64frombits(bits), float64(uint32(n)), err
}

func (r *run) results(ctx context.Context) ([]core.Embedding, error) {
	if _, err := r.status(ctx, "run_finish", r.handle); err != nil {
		return nil, err
	}
	b, err := r.result(ctx)
	if err != nil {
		return nil, err
	}
	return readResults(b)
}

func (r *run) free(ctx context.Context) {
	if r.lost == nil {
		r.status(ctx, "run_free", r.handle)
	}
}
