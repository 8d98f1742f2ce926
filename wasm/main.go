//go:build wasip1

package main

import (
	"unsafe"

	"m2embed/core/kernel"
	"m2embed/core/tokenizer"
)

var (
	models = handles[*loading]{what: "model"}
	runs   = handles[*run]{what: "run"}

	// kernels is the back end that models are opened with; nil is the default.
	kernels *kernel.Set
)

func main() {}

//go:wasmexport abi_version
func abiVersion() uint32 { return Version }

//go:wasmexport memory_limit
func memoryLimit(bytes uint32) int32 {
	return do(func() error {
		if used := inUse() + reserve; uint64(bytes) < used {
			return fail(OutOfMemory, "a memory limit of %s, but %s are in use", size(uint64(bytes)), size(used))
		}
		setLimit(uint64(bytes))
		return nil
	})
}

//go:wasmexport prefer_unrolled
func preferUnrolled(on uint32) int32 {
	return do(func() error {
		kernels = kernelSet(on != 0)
		return nil
	})
}

//go:wasmexport alloc
func alloc(n uint32) uint32 {
	return number(func() (uint32, error) {
		at, _, err := allocate(n)
		return at, err
	})
}

//go:wasmexport free
func free(at uint32) int32 {
	return do(func() error { return giveBack(at) })
}

//go:wasmexport error_code
func errorCode() int32 { return int32(code) }

//go:wasmexport error_input
func errorInput() int32 { return blamed }

//go:wasmexport error_address
func errorAddress() uint32 { return addressOf(message) }

//go:wasmexport error_length
func errorLength() uint32 { return uint32(len(message)) }

//go:wasmexport result_address
func resultAddress() uint32 { return addressOf(result) }

//go:wasmexport result_length
func resultLength() uint32 { return uint32(len(result)) }

func addressOf(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

//go:wasmexport model_create
func modelCreate(config, configLength, vocabulary, vocabularyLength uint32) int32 {
	return call(func() (int32, error) {
		c, err := bytesAt("config", config, configLength)
		if err != nil {
			return 0, err
		}
		var t *tokenizer.Tokenizer
		if vocabulary != 0 || vocabularyLength != 0 {
			v, err := bytesAt("tokenizer", vocabulary, vocabularyLength)
			if err != nil {
				return 0, err
			}
			if t, err = parseTokenizer(v); err != nil {
				return 0, err
			}
		}
		m, err := create(c, t)
		if err != nil {
			return 0, err
		}
		return models.add(m), nil
	})
}

//go:wasmexport model_reserve
func modelReserve(handle int32, bytes uint32) uint32 {
	return number(func() (uint32, error) {
		m, err := models.get(handle)
		if err != nil {
			return 0, err
		}
		return m.reserve(bytes)
	})
}

//go:wasmexport model_received
func modelReceived(handle int32, bytes uint32) int32 {
	return withModel(handle, func(m *loading) error { return m.receive(bytes) })
}

//go:wasmexport model_open
func modelOpen(handle, filterBudget int32) int32 {
	return withModel(handle, func(m *loading) error { return m.open(filterBudget) })
}

//go:wasmexport model_info
func modelInfo(handle int32) int32 {
	return withModel(handle, func(m *loading) (err error) {
		result, err = m.describe()
		return err
	})
}

//go:wasmexport model_free
func modelFree(handle int32) int32 {
	return withModel(handle, func(m *loading) error {
		for n, r := range runs.live {
			if r.model == handle {
				r.close()
				delete(runs.live, n)
			}
		}
		for n, p := range plans.live {
			if p.owner == m {
				delete(plans.live, n)
			}
		}
		m.free()
		delete(models.live, handle)
		tuneCollector()
		return nil
	})
}

//go:wasmexport run_start
func runStart(handle int32, inputs, length, options uint32) int32 {
	return call(func() (int32, error) {
		r, err := begin(handle, inputs, length, options)
		if err != nil {
			return 0, err
		}
		return runs.add(r), nil
	})
}

func begin(handle int32, inputs, length, options uint32) (*run, error) {
	m, err := models.get(handle)
	if err != nil {
		return nil, err
	}
	in, err := bytesAt("inputs", inputs, length)
	if err != nil {
		return nil, err
	}
	o, err := bytesAt("options", options, OptionsSize)
	if err != nil {
		return nil, err
	}
	return m.start(handle, in, o)
}

//go:wasmexport run_task
func runTask(handle int32, name, length uint32) int32 {
	return do(func() error {
		r, err := runs.get(handle)
		if err != nil {
			return err
		}
		if r.setTask == nil {
			return fail(NotReady, "run_task comes after run_start and before run_prepare")
		}
		b, err := bytesAt("name", name, length)
		if err != nil {
			return err
		}
		return r.setTask(textOf(b))
	})
}

//go:wasmexport run_prepare
func runPrepare(handle int32) int32 {
	return call(func() (int32, error) {
		r, err := runs.get(handle)
		if err != nil {
			return 0, err
		}
		return r.prepare()
	})
}

//go:wasmexport run_step
func runStep(handle int32) int32 {
	return call(func() (int32, error) {
		r, err := runs.get(handle)
		if err != nil {
			return 0, err
		}
		return r.step()
	})
}

// A bad handle has made no progress.
//
//go:wasmexport run_progress
func runProgress(handle int32) float64 {
	r, err := runs.get(handle)
	if err != nil {
		return 0
	}
	return r.progress()
}

//go:wasmexport run_positions
func runPositions(handle int32) uint32 {
	r, err := runs.get(handle)
	if err != nil {
		return 0
	}
	return r.positions()
}

//go:wasmexport run_finish
func runFinish(handle int32) int32 {
	return do(func() error {
		r, err := runs.get(handle)
		if err != nil {
			return err
		}
		result = nil
		result, err = r.results()
		return err
	})
}

//go:wasmexport run_free
func runFree(handle int32) int32 {
	return do(func() error {
		r, err := runs.get(handle)
		if err != nil {
			return err
		}
		r.close()
		delete(runs.live, handle)
		return nil
	})
}

//go:wasmexport embed
func embed(handle int32, inputs, length, options uint32) int32 {
	return do(func() error {
		r, err := begin(handle, inputs, length, options)
		if err != nil {
			return err
		}
		defer r.close()
		for done := int32(0); done == 0; {
			if done, err = r.prepare(); err != nil {
				return err
			}
		}
		for {
			done, err := r.step()
			if err != nil {
				return err
			}
			if done != 0 {
				result, err = r.results()
				return err
			}
		}
	})
}

func withModel(handle int32, f func(*loading) error) int32 {
	return do(func() error {
		m, err := models.get(handle)
		if err != nil {
			return err
		}
		return f(m)
	})
}
