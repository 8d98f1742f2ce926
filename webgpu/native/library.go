package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// LibraryVariable names the environment variable with the path of the WebGPU
// library. Without it the library is looked for beside the program and where
// the system keeps its libraries.
const LibraryVariable = "M2EMBED_WEBGPU_LIBRARY"

// api is webgpu.h, as far as computing needs it.
var api struct {
	CreateInstance                       func(descriptor uintptr) uintptr
	InstanceProcessEvents                func(instance uintptr)
	InstanceRequestAdapter               func(instance uintptr, options *adapterOptions, callback callbackInfo) uint64
	AdapterRequestDevice                 func(adapter uintptr, descriptor *deviceDescriptor, callback callbackInfo) uint64
	AdapterGetInfo                       func(adapter uintptr, info *adapterInfo) uint32
	AdapterGetLimits                     func(adapter uintptr, limits *limits) uint32
	DeviceGetQueue                       func(device uintptr) uintptr
	DeviceCreateBuffer                   func(device uintptr, descriptor *bufferDescriptor) uintptr
	DeviceCreateShaderModule             func(device uintptr, descriptor *shaderDescriptor) uintptr
	DeviceCreateComputePipeline          func(device uintptr, descriptor *pipelineDescriptor) uintptr
	DeviceCreateBindGroup                func(device uintptr, descriptor *groupDescriptor) uintptr
	DeviceCreateCommandEncoder           func(device, descriptor uintptr) uintptr
	DeviceDestroy                        func(device uintptr)
	DeviceRelease                        func(device uintptr)
	AdapterRelease                       func(adapter uintptr)
	InstanceRelease                      func(instance uintptr)
	ComputePipelineGetBindGroupLayout    func(pipeline uintptr, group uint32) uintptr
	ComputePipelineRelease               func(pipeline uintptr)
	ShaderModuleRelease                  func(module uintptr)
	BindGroupLayoutRelease               func(layout uintptr)
	BindGroupRelease                     func(group uintptr)
	CommandEncoderBeginComputePass       func(encoder, descriptor uintptr) uintptr
	CommandEncoderCopyBufferToBuffer     func(encoder, from uintptr, fromOffset uint64, to uintptr, toOffset, size uint64)
	CommandEncoderFinish                 func(encoder, descriptor uintptr) uintptr
	CommandEncoderRelease                func(encoder uintptr)
	CommandBufferRelease                 func(commands uintptr)
	ComputePassEncoderSetPipeline        func(pass, pipeline uintptr)
	ComputePassEncoderSetBindGroup       func(pass uintptr, index uint32, group uintptr, offsets uint64, offset uintptr)
	ComputePassEncoderDispatchWorkgroups func(pass uintptr, x, y, z uint32)
	ComputePassEncoderEnd                func(pass uintptr)
	ComputePassEncoderRelease            func(pass uintptr)
	QueueSubmit                          func(queue uintptr, count uint64, commands *uintptr)
	QueueWriteBuffer                     func(queue, buffer uintptr, offset uint64, data unsafe.Pointer, size uint64)
	BufferMapAsync                       func(buffer uintptr, mode, offset, size uint64, callback callbackInfo) uint64
	BufferGetConstMappedRange            func(buffer uintptr, offset, size uint64) unsafe.Pointer
	BufferUnmap                          func(buffer uintptr)
	BufferDestroy                        func(buffer uintptr)
	BufferRelease                        func(buffer uintptr)
}

// bindings pairs each function with its name in the library.
func bindings() map[string]any {
	return map[string]any{
		"CreateInstance": &api.CreateInstance, "InstanceProcessEvents": &api.InstanceProcessEvents,
		"InstanceRequestAdapter": &api.InstanceRequestAdapter, "AdapterRequestDevice": &api.AdapterRequestDevice,
		"AdapterGetInfo": &api.AdapterGetInfo, "AdapterGetLimits": &api.AdapterGetLimits,
		"DeviceGetQueue": &api.DeviceGetQueue, "DeviceCreateBuffer": &api.DeviceCreateBuffer,
		"DeviceCreateShaderModule": &api.DeviceCreateShaderModule, "DeviceCreateComputePipeline": &api.DeviceCreateComputePipeline,
		"DeviceCreateBindGroup": &api.DeviceCreateBindGroup, "DeviceCreateCommandEncoder": &api.DeviceCreateCommandEncoder,
		"DeviceDestroy": &api.DeviceDestroy, "DeviceRelease": &api.DeviceRelease,
		"AdapterRelease": &api.AdapterRelease, "InstanceRelease": &api.InstanceRelease,
		"ComputePipelineGetBindGroupLayout": &api.ComputePipelineGetBindGroupLayout,
		"ComputePipelineRelease":            &api.ComputePipelineRelease, "ShaderModuleRelease": &api.ShaderModuleRelease,
		"BindGroupLayoutRelease": &api.BindGroupLayoutRelease, "BindGroupRelease": &api.BindGroupRelease,
		"CommandEncoderBeginComputePass":   &api.CommandEncoderBeginComputePass,
		"CommandEncoderCopyBufferToBuffer": &api.CommandEncoderCopyBufferToBuffer,
		"CommandEncoderFinish":             &api.CommandEncoderFinish, "CommandEncoderRelease": &api.CommandEncoderRelease,
		"CommandBufferRelease":                 &api.CommandBufferRelease,
		"ComputePassEncoderSetPipeline":        &api.ComputePassEncoderSetPipeline,
		"ComputePassEncoderSetBindGroup":       &api.ComputePassEncoderSetBindGroup,
		"ComputePassEncoderDispatchWorkgroups": &api.ComputePassEncoderDispatchWorkgroups,
		"ComputePassEncoderEnd":                &api.ComputePassEncoderEnd, "ComputePassEncoderRelease": &api.ComputePassEncoderRelease,
		"QueueSubmit": &api.QueueSubmit, "QueueWriteBuffer": &api.QueueWriteBuffer,
		"BufferMapAsync": &api.BufferMapAsync, "BufferGetConstMappedRange": &api.BufferGetConstMappedRange,
		"BufferUnmap": &api.BufferUnmap, "BufferDestroy": &api.BufferDestroy, "BufferRelease": &api.BufferRelease,
	}
}

var load = sync.OnceValue(func() error {
	var failures []error
	for _, path := range candidates() {
		library, err := open(path)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		return resolve(path, library)
	}
	return &Error{Kind: Unsupported, Message: fmt.Sprintf("no WebGPU library; set %s to its path", LibraryVariable), Err: errors.Join(failures...)}
})

func candidates() []string {
	if path := os.Getenv(LibraryVariable); path != "" {
		return []string{path}
	}
	name := "libwebgpu_dawn.so"
	switch runtime.GOOS {
	case "darwin":
		name = "libwebgpu_dawn.dylib"
	case "windows":
		name = "webgpu_dawn.dll"
	}
	paths := []string{name}
	if program, err := os.Executable(); err == nil {
		paths = append([]string{filepath.Join(filepath.Dir(program), name)}, paths...)
	}
	return paths
}

// resolve fills api; a library that lacks a function is refused.
func resolve(path string, library uintptr) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Kind: Unsupported, Message: fmt.Sprintf("WebGPU library %s: %v", path, r)}
		}
	}()
	for name, function := range bindings() {
		purego.RegisterLibFunc(function, library, "wgpu"+name)
	}
	return nil
}
