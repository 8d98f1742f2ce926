//lint:file-ignore U1000 The fields give C structures their layout.

package native

import "unsafe"

// The structures of webgpu.h, field for field.

type stringView struct {
	data *byte
	size uint64
}

const zeroTerminated = ^uint64(0)

func (s stringView) String() string {
	if s.data == nil || s.size == 0 {
		return ""
	}
	n := s.size
	if n == zeroTerminated {
		for n = 0; *(*byte)(unsafe.Add(unsafe.Pointer(s.data), n)) != 0; n++ {
		}
	}
	return string(unsafe.Slice(s.data, n))
}

// view points at a copy of s. The garbage collector keeps it as long as the
// structure that holds it; callers keep that alive over the call.
func view(s string) stringView {
	if s == "" {
		return stringView{size: zeroTerminated}
	}
	b := []byte(s)
	return stringView{&b[0], uint64(len(b))}
}

// callbackInfo is passed by value. Mode 2 calls back from ProcessEvents, mode
// 3 at any time.
type callbackInfo struct {
	next      uintptr
	mode      uint32
	_         uint32
	callback  uintptr
	userdata1 uintptr
	userdata2 uintptr
}

type errorInfo struct{ next, callback, userdata1, userdata2 uintptr }

type limits struct {
	next                               uintptr
	_                                  [6]uint32 // textures, bind groups
	_                                  [4]uint32 // bindings of a group, dynamic buffers, textures
	_                                  uint32    // samplers
	StorageBuffersPerStage             uint32
	_                                  uint32 // storage textures
	UniformBuffersPerStage             uint32
	UniformBinding                     uint64
	StorageBinding                     uint64
	UniformAlignment                   uint32
	StorageAlignment                   uint32
	_                                  uint32 // vertex buffers
	_                                  uint32
	BufferSize                         uint64
	_                                  [5]uint32 // vertices, colours
	WorkgroupStorage                   uint32
	WorkgroupInvocations               uint32
	WorkgroupX, WorkgroupY, WorkgroupZ uint32
	WorkgroupsPerDimension             uint32
	_                                  [9]uint32 // later additions
}

type adapterInfo struct {
	next                                      uintptr
	vendor, architecture, device, description stringView
	backend, kind, vendorID, deviceID         uint32
	_                                         [9]uint64 // subgroup sizes and later additions
}

type adapterOptions struct {
	next                            uintptr
	level, power, fallback, backend uint32
	surface                         uintptr
}

type deviceDescriptor struct {
	next         uintptr
	label        stringView
	featureCount uint64
	features     *uint32
	limits       *limits
	queueNext    uintptr
	queueLabel   stringView
	lost         callbackInfo
	err          errorInfo
}

type bufferDescriptor struct {
	next   uintptr
	label  stringView
	usage  uint64
	size   uint64
	mapped uint32
	_      uint32
}

type shaderSource struct {
	next uintptr
	kind uint32 // 2: WGSL
	_    uint32
	code stringView
}

type shaderDescriptor struct {
	next  *shaderSource
	label stringView
}

type constantEntry struct {
	next  uintptr
	key   stringView
	value float64
}

type pipelineDescriptor struct {
	next          uintptr
	label         stringView
	layout        uintptr
	stageNext     uintptr
	module        uintptr
	entry         stringView
	constantCount uint64
	constants     *constantEntry
}

type groupEntry struct {
	next             uintptr
	binding          uint32
	_                uint32
	buffer           uintptr
	offset, size     uint64
	sampler, texture uintptr
}

type groupDescriptor struct {
	next       uintptr
	label      stringView
	layout     uintptr
	entryCount uint64
	entries    *groupEntry
}

// Buffer usages and backends, by webgpu.h.
const (
	usageMapRead = 0x1
	usageCopySrc = 0x4
	usageCopyDst = 0x8
	usageUniform = 0x40
	usageStorage = 0x80

	backendNull = 1
)
