package native

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"m2embed/webgpu/kernels"
	"m2embed/webgpu/plan"
)

// Executor holds one model's weights on a device and replays its plans. It
// belongs to one goroutine at a time.
type Executor struct {
	device *Device
	keyed  map[string]held // weights and shared buffers
	filled map[string]bool // setups that have run
	work   float64         // of one submission; adapts to some 50 ms
	fence  fence

	// Source gives a kernel's WGSL text; benchmarks may replace it before the
	// first Load.
	Source func(kernel string) string
}

// fence is what submissions are waited for with: copies of mark to a staging
// buffer that is mapped, two in turn. It is kept between runs, as memory that
// the host can map takes some systems long to allocate.
type fence struct {
	mark    uintptr
	staging [2]uintptr
}

// open makes the fence's buffers unless they are there.
func (f *fence) open(d *Device) {
	if f.mark == 0 {
		f.mark = d.buffer(4, usageCopySrc)
		f.staging = [2]uintptr{d.buffer(4, usageMapRead|usageCopyDst), d.buffer(4, usageMapRead|usageCopyDst)}
	}
}

func (f *fence) close(d *Device) {
	d.destroy(f.mark)
	d.destroy(f.staging[0])
	d.destroy(f.staging[1])
	*f = fence{}
}

type held struct {
	buffer uintptr
	size   int
	shared bool // filled by a set-up
}

// NewExecutor returns an executor without weights.
func NewExecutor(d *Device) *Executor {
	return &Executor{device: d, keyed: map[string]held{}, filled: map[string]bool{}, work: 2e9, Source: kernels.Source}
}

// Limits are what the planner needs to know of the device.
func (d *Device) Limits() plan.Limits {
	clamp := func(n uint64) int { return int(min(n, 1<<40)) }
	return plan.Limits{MaxStorageBufferBindingSize: clamp(d.limits.StorageBinding), MaxBufferSize: clamp(d.limits.BufferSize),
		MaxComputeWorkgroupsPerDimension: int(d.limits.WorkgroupsPerDimension)}
}

// Loaded is a plan whose buffers and pipelines are in place.
type Loaded struct {
	Plan    *plan.Plan
	buffers []uintptr
	own     []uintptr
	setup   [][]step
	steps   []step
	staging uintptr // what the output is read through
}

type step struct {
	pipeline, group uintptr
	groups          [3]int
	work            float64
}

// ResidentBytes is what weights and shared buffers take on the device.
func (e *Executor) ResidentBytes() (bytes int) {
	for _, h := range e.keyed {
		bytes += h.size
	}
	return bytes
}

// SharedBytes is what buffers that set-ups fill take on the device, those of a
// plan left out; the plan may be nil.
func (e *Executor) SharedBytes(but *plan.Plan) (bytes int) {
	own := sharedKeys(but)
	for key, h := range e.keyed {
		if h.shared && !own[key] {
			bytes += h.size
		}
	}
	return bytes
}

// DropShared frees the buffers that set-ups fill, those of a plan left out. No
// other plan that uses them may be loaded.
func (e *Executor) DropShared(but *plan.Plan) {
	own := sharedKeys(but)
	for key, h := range e.keyed {
		if h.shared && !own[key] {
			e.device.destroy(h.buffer)
			delete(e.keyed, key)
			delete(e.filled, key)
		}
	}
}

func sharedKeys(p *plan.Plan) map[string]bool {
	keys := map[string]bool{}
	if p != nil {
		for _, b := range p.Buffers {
			if b.Kind == plan.Shared {
				keys[b.Key] = true
			}
		}
	}
	return keys
}

// Load allocates a plan's buffers, uploads the weights that no earlier plan
// brought, and compiles its pipelines.
//
// # Errors
//
// *Error from the GPU; an error of plan.Pack; the context's.
func (e *Executor) Load(ctx context.Context, p *plan.Plan, tensors plan.Tensors) (l *Loaded, err error) {
	d := e.device
	l = &Loaded{Plan: p, buffers: make([]uintptr, len(p.Buffers))}
	var fresh []string
	defer func() {
		if err == nil {
			return
		}
		e.Unload(l)
		for _, key := range fresh {
			d.destroy(e.keyed[key].buffer)
			delete(e.keyed, key)
		}
		l = nil
	}()
	uniform := uintptr(0)
	var packed []byte
	for i, b := range p.Buffers {
		if h, ok := e.keyed[b.Key]; ok && b.Key != "" {
			l.buffers[i] = h.buffer
			continue
		}
		usage := uint64(usageCopyDst | usageCopySrc | usageStorage)
		if b.Kind == plan.Uniform {
			usage = usageCopyDst | usageUniform
		}
		buffer := d.buffer(b.Size, usage)
		l.buffers[i] = buffer
		if b.Key != "" {
			e.keyed[b.Key] = held{buffer, b.Size, b.Kind == plan.Shared}
			fresh = append(fresh, b.Key)
		} else {
			l.own = append(l.own, buffer)
		}
		if err := d.failure(); err != nil {
			return l, fmt.Errorf("allocate %d bytes: %w", b.Size, err)
		}
		switch b.Kind {
		case plan.Weight:
			if packed, err = plan.Pack(packed, b, tensors); err != nil {
				return l, err
			}
			d.write(buffer, packed)
			if len(packed) >= 32<<20 {
				// Staging memory is freed once the copy has run.
				if err := d.read(ctx, buffer, 4, func([]byte) {}); err != nil {
					return l, err
				}
			}
		case plan.Uniform:
			uniform = buffer
			d.write(buffer, p.Params)
		}
	}
	pipelines := make([]uintptr, len(p.Pipelines))
	for i, q := range p.Pipelines {
		if err := ctx.Err(); err != nil {
			return l, err
		}
		if pipelines[i], err = e.pipeline(q); err != nil {
			return l, err
		}
	}
	bind := func(dispatches []plan.Dispatch) (steps []step) {
		for _, x := range dispatches {
			steps = append(steps, step{pipelines[x.Pipeline], e.group(l, pipelines[x.Pipeline], uniform, x), x.Groups, x.Work})
		}
		return steps
	}
	for _, s := range p.Setup {
		l.setup = append(l.setup, bind(s.Dispatches))
	}
	l.steps = bind(p.Dispatches)
	l.staging = d.buffer(p.Buffers[p.Output].Size, usageMapRead|usageCopyDst)
	return l, d.failure()
}

func (e *Executor) pipeline(q plan.Pipeline) (uintptr, error) {
	key := fmt.Sprint(q)
	if p, ok := e.device.pipelines[key]; ok {
		return p, nil
	}
	constants := map[string]float64{}
	for _, c := range q.Constants {
		constants[c.Name] = c.Value
	}
	p, err := e.device.pipeline(q.Kernel, e.Source(q.Kernel), q.Entry, constants)
	if err == nil {
		e.device.pipelines[key] = p
	}
	return p, err
}

// group binds a dispatch's buffers, its parameters at slot 0.
func (e *Executor) group(l *Loaded, pipeline, uniform uintptr, x plan.Dispatch) uintptr {
	entries := []groupEntry{{binding: 0, buffer: uniform, offset: uint64(x.Params), size: 256}}
	for _, b := range x.Bindings {
		entries = append(entries, groupEntry{binding: uint32(b.Slot), buffer: l.buffers[b.Buffer], size: uint64(b.Size)})
	}
	layout := api.ComputePipelineGetBindGroupLayout(pipeline, 0)
	descriptor := &groupDescriptor{label: view(""), layout: layout, entryCount: uint64(len(entries)), entries: unsafe.SliceData(entries)}
	group := api.DeviceCreateBindGroup(e.device.handle, descriptor)
	runtime.KeepAlive(descriptor)
	api.BindGroupLayoutRelease(layout)
	return group
}

// Unload frees a plan's own buffers; weights and shared buffers stay.
func (e *Executor) Unload(l *Loaded) {
	for _, steps := range append(l.setup, l.steps) {
		for _, s := range steps {
			api.BindGroupRelease(s.group)
		}
	}
	for _, b := range l.own {
		e.device.destroy(b)
	}
	e.device.destroy(l.staging)
	l.own, l.setup, l.steps, l.staging = nil, nil, nil, 0
}

// Close frees the weights; the device and what was compiled stay.
func (e *Executor) Close() {
	for _, h := range e.keyed {
		e.device.destroy(h.buffer)
	}
	e.keyed, e.filled = map[string]held{}, map[string]bool{}
	e.fence.close(e.device)
}

// Run replays a plan: ids (B, L) and, where the plan has a mask, mask (B, L).
// The result is (B, D), or (B, L, D) for hidden states. The context is heeded
// between submissions.
func (e *Executor) Run(ctx context.Context, l *Loaded, ids []int32, mask []uint32) ([]float32, error) {
	p := l.Plan
	if p.IDs >= 0 {
		if len(ids) != p.Texts*p.Length {
			return nil, fmt.Errorf("%d token ids, want %d × %d", len(ids), p.Texts, p.Length)
		}
		e.writeWords(l.buffers[p.IDs], len(ids), func(i int) uint32 { return uint32(ids[i]) })
	}
	if p.Mask >= 0 {
		if len(mask) != p.Texts*p.Length {
			return nil, fmt.Errorf("mask of %d numbers, want %d × %d", len(mask), p.Texts, p.Length)
		}
		e.writeWords(l.buffers[p.Mask], len(mask), func(i int) uint32 { return mask[i] })
	}
	for i, s := range p.Setup {
		if e.filled[s.Key] {
			continue
		}
		if err := e.submit(ctx, l.setup[i], nil, nil); err != nil {
			return nil, err
		}
		// What the device refused is not done: the next run would use empty spectra.
		if err := e.device.failure(); err != nil {
			return nil, err
		}
		e.filled[s.Key] = true
	}
	var out []float32
	err := e.submit(ctx, l.steps, l, func(data []byte) {
		out = make([]float32, len(data)/4)
		copy(out, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), len(out)))
	})
	if err == nil {
		err = e.device.failure()
	}
	return out, err
}

func (e *Executor) writeWords(buffer uintptr, n int, at func(int) uint32) {
	data := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(data[4*i:], at(i))
	}
	e.device.write(buffer, data)
}

// firstSteps is how many steps the first chunk has: the GPU starts on it while
// the others are recorded.
const firstSteps = 16

// submit queues steps in chunks of bounded work. While one chunk computes the
// next is recorded; the wait between them is where a run can be stopped. Where
// use is not nil, it is handed the plan's output at the end.
func (e *Executor) submit(ctx context.Context, steps []step, l *Loaded, use func([]byte)) (err error) {
	d := e.device
	e.fence.open(d)
	defer func() {
		if err != nil { // a staging buffer may be mapped still, or never be
			e.fence.close(d)
			if use != nil {
				d.destroy(l.staging)
				l.staging = d.buffer(l.outputSize(), usageMapRead|usageCopyDst)
			}
		}
	}()
	pending := uintptr(0) // request of the chunk before
	wait := func() error {
		if pending == 0 {
			return nil
		}
		a, err := d.wait(ctx, pending)
		if err == nil && a.status != 1 {
			err = &Error{Kind: Invalid, Message: fmt.Sprintf("wait for the queue: status %d: %s", a.status, a.message)}
			if failure := d.failure(); failure != nil {
				err = failure
			}
		}
		return err
	}
	turn := 0
	for at := 0; at < len(steps); turn++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		started := time.Now()
		encoder := api.DeviceCreateCommandEncoder(d.handle, 0)
		pass := api.CommandEncoderBeginComputePass(encoder, 0)
		work := 0.0
		for first := at; at < len(steps) && (at == first || work+steps[at].work <= e.work) && (turn > 0 || at < firstSteps); at++ {
			record(pass, steps[at])
			work += steps[at].work
		}
		api.ComputePassEncoderEnd(pass)
		api.ComputePassEncoderRelease(pass)
		// The queue is in order, so a copy that has run is a fence.
		source, staging, size := e.fence.mark, e.fence.staging[turn&1], 4
		if use != nil && at == len(steps) {
			source, staging, size = l.buffers[l.Plan.Output], l.staging, l.outputSize()
		}
		api.CommandEncoderCopyBufferToBuffer(encoder, source, 0, staging, 0, uint64(size))
		d.submit(encoder)
		if err := wait(); err != nil {
			return err
		}
		if turn > 0 {
			api.BufferUnmap(e.fence.staging[1-turn&1])
		}
		pending = ticket()
		api.BufferMapAsync(staging, 1, 0, uint64(size), callbackInfo{mode: 2, callback: callbacks().mapped, userdata1: pending})
		switch elapsed := time.Since(started); {
		case elapsed < 10*time.Millisecond && work > e.work/2:
			e.work *= 4
		case elapsed < 30*time.Millisecond && work > e.work/2:
			e.work *= 2
		case elapsed > 100*time.Millisecond:
			e.work = max(1e7, e.work/2)
		}
	}
	if err := wait(); err != nil || turn == 0 {
		return err
	}
	if use == nil {
		api.BufferUnmap(e.fence.staging[1-turn&1])
		return nil
	}
	use(unsafe.Slice((*byte)(api.BufferGetConstMappedRange(l.staging, 0, uint64(l.outputSize()))), l.outputSize()))
	api.BufferUnmap(l.staging)
	return nil
}

func (l *Loaded) outputSize() int { return l.Plan.Buffers[l.Plan.Output].Size }

func record(pass uintptr, s step) {
	api.ComputePassEncoderSetPipeline(pass, s.pipeline)
	api.ComputePassEncoderSetBindGroup(pass, 0, s.group, 0, 0)
	api.ComputePassEncoderDispatchWorkgroups(pass, uint32(s.groups[0]), uint32(s.groups[1]), uint32(s.groups[2]))
}
