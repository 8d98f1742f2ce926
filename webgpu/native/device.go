// Package native replays GPU plans (package plan) outside a browser, through
// any library that implements webgpu.h, loaded at run time: Vulkan, Metal or
// Direct3D 12 without cgo.
package native

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Kind says why the GPU cannot be used.
type Kind uint8

// The kinds of failures.
const (
	Unsupported Kind = iota // no library, no adapter, or one that cannot run the plan
	DeviceLost              // the device went away
	OutOfMemory             // an allocation failed
	Invalid                 // the GPU refused a shader or command: a fault of ours
)

// Error is every failure of the GPU; the caller decides whether to go on on
// the CPU.
type Error struct {
	Kind    Kind
	Message string
	Err     error
}

func (e *Error) Error() string {
	kind := [...]string{"GPU not available", "GPU device lost", "GPU out of memory", "GPU refused a command"}[e.Kind]
	if e.Err != nil {
		return kind + ": " + e.Message + ": " + e.Err.Error()
	}
	return kind + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Info describes an adapter.
type Info struct {
	Vendor, Architecture, Device, Description string
	Discrete                                  bool // the GPU has memory of its own
}

// SpectraBytes is what the filters' spectra may take on this adapter: with
// memory of its own enough for an 80M model at 8,192 tokens, 1,152 MiB, else
// the planner's choice.
func (i Info) SpectraBytes() int {
	if i.Discrete {
		return 1280 << 20
	}
	return 0
}

// Device is an open GPU. Its methods belong to one goroutine at a time; its models
// see to that by turn.
type Device struct {
	Info                             Info
	instance, adapter, handle, queue uintptr
	limits                           limits
	id                               uintptr // in state
	pipelines                        map[string]uintptr
	turn                             chan struct{} // holds one while a model uses the device
	models                           []*Model
}

// state is what callbacks report. They arrive while events are processed, and
// that of a lost device at any time.
var state = struct {
	sync.Mutex
	next     uintptr
	answers  map[uintptr]answer
	failures map[uintptr][]*Error // by device
	lost     map[uintptr]string
}{answers: map[uintptr]answer{}, failures: map[uintptr][]*Error{}, lost: map[uintptr]string{}}

type answer struct {
	status  uint32
	object  uintptr
	message string
}

func ticket() uintptr {
	state.Lock()
	defer state.Unlock()
	state.next++
	return state.next
}

func report(id uintptr, a answer) {
	state.Lock()
	defer state.Unlock()
	state.answers[id] = a
}

// callbacks are made once: a process can have only so many.
var callbacks = sync.OnceValue(func() (c struct{ object, mapped, failed, lost uintptr }) {
	c.object = purego.NewCallback(func(status uint32, object uintptr, message stringView, id, _ uintptr) {
		report(id, answer{status, object, message.String()})
	})
	c.mapped = purego.NewCallback(func(status uint32, message stringView, id, _ uintptr) {
		report(id, answer{status: status, message: message.String()})
	})
	c.failed = purego.NewCallback(func(_ uintptr, kind uint32, message stringView, id, _ uintptr) {
		const outOfMemory = 3
		e := &Error{Kind: Invalid, Message: message.String()}
		if kind == outOfMemory {
			e.Kind = OutOfMemory
		}
		state.Lock()
		defer state.Unlock()
		state.failures[id] = append(state.failures[id], e)
	})
	c.lost = purego.NewCallback(func(_ uintptr, reason uint32, message stringView, id, _ uintptr) {
		state.Lock()
		defer state.Unlock()
		state.lost[id] = fmt.Sprintf("%s (reason %d)", strings.TrimSpace(message.String()), reason)
	})
	return c
})

// makeCallbacks reports a platform on which callbacks with structures cannot
// be made.
func makeCallbacks() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Kind: Unsupported, Message: fmt.Sprint("make callbacks: ", r)}
		}
	}()
	callbacks()
	return nil
}

// OpenDevice opens the best adapter, with all of its limits.
//
// # Errors
//
// *Error of kind Unsupported where there is no library, no adapter, or only
// the library's null back end, whose calls succeed and compute nothing.
func OpenDevice() (*Device, error) {
	if runtime.GOOS == "windows" {
		return nil, &Error{Kind: Unsupported, Message: "callbacks with structures cannot be made on Windows"}
	}
	if err := load(); err != nil {
		return nil, err
	}
	if err := makeCallbacks(); err != nil {
		return nil, err
	}
	d := &Device{instance: api.CreateInstance(0), id: ticket(), pipelines: map[string]uintptr{}, turn: make(chan struct{}, 1)}
	if d.instance == 0 {
		return nil, &Error{Kind: Unsupported, Message: "the library made no instance"}
	}
	request := ticket()
	options := &adapterOptions{level: 2, power: 2} // core, high performance
	api.InstanceRequestAdapter(d.instance, options, callbackInfo{mode: 2, callback: callbacks().object, userdata1: request})
	a, err := d.wait(context.Background(), request)
	runtime.KeepAlive(options)
	if err != nil || a.object == 0 {
		d.Close()
		return nil, &Error{Kind: Unsupported, Message: "no adapter: " + a.message, Err: err}
	}
	d.adapter = a.object
	var info adapterInfo
	api.AdapterGetInfo(d.adapter, &info)
	if info.backend == backendNull {
		d.Close()
		return nil, &Error{Kind: Unsupported, Message: "only the null back end, no usable driver"}
	}
	const discrete = 1
	d.Info = Info{info.vendor.String(), info.architecture.String(), info.device.String(), info.description.String(), info.kind == discrete}
	api.AdapterGetLimits(d.adapter, &d.limits)
	want := d.limits
	want.next = 0
	descriptor := &deviceDescriptor{limits: &want,
		lost: callbackInfo{mode: 3, callback: callbacks().lost, userdata1: d.id},
		err:  errorInfo{callback: callbacks().failed, userdata1: d.id}}
	descriptor.label, descriptor.queueLabel = view(""), view("")
	request = ticket()
	api.AdapterRequestDevice(d.adapter, descriptor, callbackInfo{mode: 2, callback: callbacks().object, userdata1: request})
	a, err = d.wait(context.Background(), request)
	runtime.KeepAlive(descriptor)
	if err != nil || a.object == 0 {
		d.Close()
		return nil, &Error{Kind: Unsupported, Message: "no device: " + a.message, Err: err}
	}
	d.handle = a.object
	d.queue = api.DeviceGetQueue(d.handle)
	return d, nil
}

// Close frees the device and all that was made with it.
func (d *Device) Close() {
	for _, p := range d.pipelines {
		api.ComputePipelineRelease(p)
	}
	clear(d.pipelines)
	if d.handle != 0 {
		api.DeviceDestroy(d.handle)
		api.DeviceRelease(d.handle)
	}
	if d.adapter != 0 {
		api.AdapterRelease(d.adapter)
	}
	if d.instance != 0 {
		api.InstanceProcessEvents(d.instance)
		api.InstanceRelease(d.instance)
	}
	d.handle, d.adapter, d.instance = 0, 0, 0
}

// wait processes events until a request is answered. It polls without rest at
// first: most answers take microseconds, and a sleep can take a millisecond
// however short it is asked to be.
func (d *Device) wait(ctx context.Context, request uintptr) (answer, error) {
	started := time.Now()
	for {
		api.InstanceProcessEvents(d.instance)
		state.Lock()
		a, ok := state.answers[request]
		delete(state.answers, request)
		reason, lost := state.lost[d.id]
		state.Unlock()
		switch {
		case ok:
			return a, nil
		case lost:
			return answer{}, &Error{Kind: DeviceLost, Message: reason}
		case ctx.Err() != nil:
			return answer{}, ctx.Err()
		}
		if time.Since(started) > 5*time.Millisecond {
			time.Sleep(20 * time.Microsecond)
		} else {
			runtime.Gosched()
		}
	}
}

// isLost says whether the device went away.
func (d *Device) isLost() bool {
	state.Lock()
	defer state.Unlock()
	_, lost := state.lost[d.id]
	return lost
}

// failure returns and clears what the GPU has complained of.
func (d *Device) failure() error {
	api.InstanceProcessEvents(d.instance)
	state.Lock()
	defer state.Unlock()
	if reason, lost := state.lost[d.id]; lost {
		return &Error{Kind: DeviceLost, Message: reason}
	}
	all := state.failures[d.id]
	delete(state.failures, d.id)
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func (d *Device) buffer(size int, usage uint64) uintptr {
	descriptor := &bufferDescriptor{label: view(""), usage: usage, size: uint64(size)}
	b := api.DeviceCreateBuffer(d.handle, descriptor)
	runtime.KeepAlive(descriptor)
	return b
}

func (d *Device) destroy(buffer uintptr) {
	if buffer != 0 {
		api.BufferDestroy(buffer)
		api.BufferRelease(buffer)
	}
}

// write copies data to the front of a buffer, in pieces that keep the
// library's staging memory small.
func (d *Device) write(buffer uintptr, data []byte) {
	const piece = 32 << 20
	for at := 0; at < len(data); at += piece {
		n := min(piece, len(data)-at)
		api.QueueWriteBuffer(d.queue, buffer, uint64(at), unsafe.Pointer(&data[at]), uint64(n))
	}
	runtime.KeepAlive(data)
}

// read waits until the queue has done all that was submitted and hands the
// first size bytes of a buffer to use.
func (d *Device) read(ctx context.Context, buffer uintptr, size int, use func([]byte)) error {
	staging := d.buffer(size, usageMapRead|usageCopyDst)
	defer d.destroy(staging)
	encoder := api.DeviceCreateCommandEncoder(d.handle, 0)
	api.CommandEncoderCopyBufferToBuffer(encoder, buffer, 0, staging, 0, uint64(size))
	d.submit(encoder)
	return d.mapped(ctx, staging, size, use)
}

// submit ends a recording and queues it.
func (d *Device) submit(encoder uintptr) {
	commands := api.CommandEncoderFinish(encoder, 0)
	api.QueueSubmit(d.queue, 1, &commands)
	api.CommandBufferRelease(commands)
	api.CommandEncoderRelease(encoder)
}

// mapped maps a readable buffer and hands its bytes to use.
func (d *Device) mapped(ctx context.Context, staging uintptr, size int, use func([]byte)) error {
	request := ticket()
	api.BufferMapAsync(staging, 1, 0, uint64(size), callbackInfo{mode: 2, callback: callbacks().mapped, userdata1: request})
	a, err := d.wait(ctx, request)
	if err != nil {
		return err
	}
	if a.status != 1 {
		if err := d.failure(); err != nil {
			return err
		}
		return &Error{Kind: Invalid, Message: fmt.Sprintf("map a buffer: status %d: %s", a.status, a.message)}
	}
	use(unsafe.Slice((*byte)(api.BufferGetConstMappedRange(staging, 0, uint64(size))), size))
	api.BufferUnmap(staging)
	return nil
}

// pipeline compiles an entry point of a WGSL source.
func (d *Device) pipeline(label, code, entry string, constants map[string]float64) (uintptr, error) {
	source := &shaderSource{kind: 2, code: view(code)}
	shader := &shaderDescriptor{next: source, label: view(label)}
	module := api.DeviceCreateShaderModule(d.handle, shader)
	runtime.KeepAlive(shader)
	entries := make([]constantEntry, 0, len(constants))
	for name, value := range constants {
		entries = append(entries, constantEntry{key: view(name), value: value})
	}
	descriptor := &pipelineDescriptor{label: view(label), module: module, entry: view(entry), constantCount: uint64(len(entries)), constants: unsafe.SliceData(entries)}
	p := api.DeviceCreateComputePipeline(d.handle, descriptor)
	runtime.KeepAlive(descriptor)
	api.ShaderModuleRelease(module)
	if err := d.failure(); err != nil {
		return 0, fmt.Errorf("compile %s %s: %w", label, entry, err)
	}
	return p, nil
}
