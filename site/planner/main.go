//go:build wasip1

// Command planner is the GPU planner as a WebAssembly reactor: it reads a
// model's configuration and weights, plans a forward pass for a shape and a
// device, and packs the weights that the plan wants, one buffer at a time. The
// page hands plans to webgpu/executor.ts.
//
// Calls return 0 or more when they succeed and -1 when they fail. Bytes that a
// call answers with, and the message of a failure, are at result_address,
// result_length bytes, until the next call.
package main

import (
	"errors"
	"fmt"
	"unsafe"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/webgpu/kernels"
	"m2embed/webgpu/plan"
)

var (
	result  []byte
	held    [][]byte // what reserve has handed out
	config  model.Config
	weights *checkpoint.File
	current *plan.Plan
	packed  []byte
)

func main() {}

// reserve makes room for n bytes that the caller writes, and returns their
// address; they stay until release.
//
//go:wasmexport reserve
func reserve(n uint32) uint32 {
	// Float64 elements: every tensor type is aligned in it.
	words := make([]float64, max(1, (uint64(n)+7)/8))
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
	held = append(held, b)
	return address(b)
}

//go:wasmexport result_address
func resultAddress() uint32 { return address(result) }

//go:wasmexport result_length
func resultLength() uint32 { return uint32(len(result)) }

// open takes the configuration and the weights that were written to the two
// areas reserved last, in that order.
//
//go:wasmexport open
func open() int32 {
	return answer(func() ([]byte, error) {
		if len(held) != 2 {
			return nil, errors.New("open: want two reserved areas, configuration and weights")
		}
		c, err := model.ParseConfig(held[0])
		if err != nil {
			return nil, err
		}
		w, err := checkpoint.OpenBytes(held[1])
		if err != nil {
			return nil, err
		}
		config, weights = c, w
		return nil, nil
	})
}

// make_plan plans one text of `length` tokens, and answers with the plan as
// JSON, kernel sources included. Vectors have unit length.
//
//go:wasmexport make_plan
func makePlan(length, maxBinding, maxBuffer, maxGroups uint32) int32 {
	return answer(func() ([]byte, error) {
		if weights == nil {
			return nil, errors.New("make a plan: no model is open")
		}
		limits := plan.Limits{MaxStorageBufferBindingSize: int(maxBinding), MaxBufferSize: int(maxBuffer), MaxComputeWorkgroupsPerDimension: int(maxGroups)}
		p, err := plan.New(config, plan.Shape{Texts: 1, Length: int(length), Normalize: true}, limits, plan.Options{})
		if err != nil {
			return nil, err
		}
		current = p
		return p.JSON(kernels.Source), nil
	})
}

// pack answers with the content of a weight buffer of the last plan.
//
//go:wasmexport pack
func pack(buffer uint32) int32 {
	return answer(func() ([]byte, error) {
		if current == nil || int(buffer) >= len(current.Buffers) {
			return nil, fmt.Errorf("pack buffer %d: the plan has none", buffer)
		}
		b, err := plan.Pack(packed, current.Buffers[buffer], weights)
		packed = b
		return b, err
	})
}

// answer runs a call and keeps its result or message.
func answer(call func() ([]byte, error)) int32 {
	b, err := call()
	if err != nil {
		result = []byte(err.Error())
		return -1
	}
	result = b
	return 0
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
