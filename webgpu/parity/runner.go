package parity

import (
	"context"
	"fmt"

	"m2embed/webgpu/native"
	"m2embed/webgpu/plan"
)

// Runner replays plans somewhere.
type Runner interface {
	// Limits are the device limits for the planner.
	Limits() plan.Limits
	// Run replays a plan: ids and mask are (B, L), nil where the plan has none.
	// model tells executors apart: weights are uploaded once for each model.
	Run(model string, p *plan.Plan, tensors plan.Tensors, ids []int32, mask []uint32) ([]float32, error)
	Close()
}

// OpenRunner opens a runner by name: native, node or chromium.
func OpenRunner(name string) (Runner, error) {
	switch name {
	case "native":
		d, err := native.OpenDevice()
		if err != nil {
			return nil, err
		}
		return &nativeRunner{device: d, executors: map[string]*native.Executor{}}, nil
	case "node", "chromium":
		return openRemote(name)
	}
	return nil, fmt.Errorf("runner %q, want native, node or chromium", name)
}

type nativeRunner struct {
	device    *native.Device
	executors map[string]*native.Executor
}

func (r *nativeRunner) Limits() plan.Limits { return r.device.Limits() }

func (r *nativeRunner) Run(model string, p *plan.Plan, tensors plan.Tensors, ids []int32, mask []uint32) ([]float32, error) {
	e := r.executors[model]
	if e == nil {
		e = native.NewExecutor(r.device)
		if model != "" {
			r.executors[model] = e
		} else {
			defer e.Close()
		}
	}
	l, err := e.Load(context.Background(), p, tensors)
	if err != nil {
		return nil, err
	}
	defer e.Unload(l)
	return e.Run(context.Background(), l, ids, mask)
}

func (r *nativeRunner) Close() { r.device.Close() }
