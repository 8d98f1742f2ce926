package native

import (
	"context"
	"time"
)

// Measure runs chosen dispatches of a loaded plan (indices into its list, in
// order) repeat times in one submission and returns how long the GPU took,
// submission and fence included. It is for benchmarks: buffers hold whatever
// an earlier run left.
func (e *Executor) Measure(ctx context.Context, l *Loaded, dispatches []int, repeat int) (time.Duration, error) {
	d := e.device
	mark := d.buffer(4, usageCopySrc)
	defer d.destroy(mark)
	started := time.Now()
	encoder := api.DeviceCreateCommandEncoder(d.handle, 0)
	pass := api.CommandEncoderBeginComputePass(encoder, 0)
	for range repeat {
		for _, i := range dispatches {
			record(pass, l.steps[i])
		}
	}
	api.ComputePassEncoderEnd(pass)
	api.ComputePassEncoderRelease(pass)
	d.submit(encoder)
	err := d.read(ctx, mark, 4, func([]byte) {})
	elapsed := time.Since(started)
	if err == nil {
		err = d.failure()
	}
	return elapsed, err
}
