package plan

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// tensor names a virtual buffer while a plan is built. Scratch tensors whose
// lives do not overlap end up in one buffer.
type tensor int

type virtual struct {
	buffer      Buffer
	label       string
	first, last int // dispatches that use it, counted over setup and pass
	used        bool
}

// builder collects dispatches; finish turns virtual into real buffers.
type builder struct {
	limits   Limits
	virtuals []virtual
	keys     map[string]tensor
	plan     *Plan
	setup    *Setup // group that dispatches go to, nil for the pass itself
	count    int    // dispatches so far
	failed   error
}

func newBuilder(limits Limits) *builder {
	return &builder{limits: limits, keys: map[string]tensor{}, plan: &Plan{Mask: -1}}
}

// TooLargeError says that a shape needs a larger buffer than the device binds.
type TooLargeError struct {
	Buffer    string // what the buffer is for
	Need, Max int    // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("plan buffer %q: %d bytes, but the GPU binds at most %d; run fewer texts at once, a shorter length, or half-precision weights", e.Buffer, e.Need, e.Max)
}

func (b *builder) add(label string, buffer Buffer) tensor {
	buffer.Size = max(16, (buffer.Size+15)&^15)
	if most := min(b.limits.MaxStorageBufferBindingSize, b.limits.MaxBufferSize); buffer.Size > most && b.failed == nil {
		b.failed = &TooLargeError{Buffer: label, Need: buffer.Size, Max: most}
	}
	b.virtuals = append(b.virtuals, virtual{buffer: buffer, label: label})
	return tensor(len(b.virtuals) - 1)
}

// scratch declares a tensor of n float32s that lives from its first to its
// last use.
func (b *builder) scratch(label string, n int) tensor {
	return b.add(label, Buffer{Kind: Scratch, Size: 4 * n})
}

func (b *builder) input(label string, n int) tensor {
	return b.add(label, Buffer{Kind: Input, Size: 4 * n})
}

// keyed returns the Weight or Shared buffer with a key, made once.
func (b *builder) keyed(kind BufferKind, key string, bytes int, parts []Piece) tensor {
	if t, ok := b.keys[key]; ok {
		return t
	}
	t := b.add(key, Buffer{Kind: kind, Size: bytes, Key: key, Parts: parts})
	b.keys[key] = t
	return t
}

func (b *builder) pipeline(kernel, entry string, constants []Constant) int {
	for i, p := range b.plan.Pipelines {
		if p.Kernel == kernel && p.Entry == entry && slices.Equal(p.Constants, constants) {
			return i
		}
	}
	if !slices.Contains(b.plan.Kernels, kernel) {
		b.plan.Kernels = append(b.plan.Kernels, kernel)
	}
	b.plan.Pipelines = append(b.plan.Pipelines, Pipeline{Kernel: kernel, Entry: entry, Constants: constants})
	return len(b.plan.Pipelines) - 1
}

// slot binds a tensor. write tells that the kernel writes it.
type slot struct {
	at     int
	tensor tensor
	write  bool
}

// launch describes a dispatch; params are uint32s, or float32s by their bits.
type launch struct {
	label         string
	kernel, entry string
	constants     []Constant
	params        []uint32
	slots         []slot
	groups        [3]int
	work          float64
}

func (b *builder) dispatch(l launch) {
	for _, n := range l.groups {
		if n > b.limits.MaxComputeWorkgroupsPerDimension && b.failed == nil {
			b.failed = fmt.Errorf("plan dispatch %q: %v workgroups, but the GPU takes at most %d in a dimension; run fewer texts at once", l.label, l.groups, b.limits.MaxComputeWorkgroupsPerDimension)
		}
		if n < 1 {
			panic(fmt.Sprintf("plan: dispatch %q has no workgroups: %v", l.label, l.groups))
		}
	}
	const record = 256 // the largest alignment of uniform offsets that WebGPU allows a device to ask for
	offset := len(b.plan.Params)
	b.plan.Params = append(b.plan.Params, make([]byte, record)...)
	for i, v := range l.params {
		binary.LittleEndian.PutUint32(b.plan.Params[offset+4*i:], v)
	}
	d := Dispatch{Pipeline: b.pipeline(l.kernel, l.entry, l.constants), Params: offset, Groups: l.groups, Work: l.work, Label: l.label}
	for i, s := range l.slots {
		for _, other := range l.slots[:i] {
			if other.tensor == s.tensor && (other.write || s.write) {
				panic(fmt.Sprintf("plan: dispatch %q reads and writes %q through two bindings", l.label, b.virtuals[s.tensor].label))
			}
		}
		v := &b.virtuals[s.tensor]
		if !v.used {
			v.first, v.used = b.count, true
		}
		v.last = b.count
		d.Bindings = append(d.Bindings, Binding{Slot: s.at, Buffer: int(s.tensor), Size: v.buffer.Size})
	}
	b.count++
	if b.setup != nil {
		b.setup.Dispatches = append(b.setup.Dispatches, d)
	} else {
		b.plan.Dispatches = append(b.plan.Dispatches, d)
	}
}

// finish assigns real buffers. Scratch tensors are taken in the order of their
// first use; each goes to the free buffer that fits with least waste, else
// the largest free one grows, else a new one is made.
func (b *builder) finish(ids, mask, output tensor) (*Plan, error) {
	if b.failed != nil {
		return nil, b.failed
	}
	p := b.plan
	real := make([]int, len(b.virtuals))
	for i := range real {
		real[i] = -1
	}
	var order []int
	for i := range b.virtuals {
		v := &b.virtuals[i]
		switch {
		case tensor(i) == output:
			v.last = math.MaxInt
		case !v.used:
			continue
		}
		// The output's buffer is its own: it is read back as a whole.
		if v.buffer.Kind == Scratch && tensor(i) != output {
			order = append(order, i)
			continue
		}
		real[i] = len(p.Buffers)
		p.Buffers = append(p.Buffers, v.buffer)
	}
	slices.SortStableFunc(order, func(x, y int) int { return b.virtuals[x].first - b.virtuals[y].first })
	type held struct{ buffer, until int }
	var pool []held
	for _, i := range order {
		v := &b.virtuals[i]
		best := -1
		for j, h := range pool {
			if h.until >= v.first {
				continue
			}
			if best < 0 {
				best = j
				continue
			}
			size, sofar := p.Buffers[h.buffer].Size, p.Buffers[pool[best].buffer].Size
			fits, fitsSofar := size >= v.buffer.Size, sofar >= v.buffer.Size
			if fits && (!fitsSofar || size < sofar) || !fits && !fitsSofar && size > sofar {
				best = j
			}
		}
		if best < 0 {
			best = len(pool)
			pool = append(pool, held{buffer: len(p.Buffers)})
			p.Buffers = append(p.Buffers, Buffer{Kind: Scratch})
		}
		pool[best].until = v.last
		real[i] = pool[best].buffer
		size := &p.Buffers[real[i]].Size
		*size = max(*size, v.buffer.Size)
	}
	p.Buffers = append(p.Buffers, Buffer{Kind: Uniform, Size: len(p.Params)})
	rename := func(ds []Dispatch) {
		for i := range ds {
			for j := range ds[i].Bindings {
				ds[i].Bindings[j].Buffer = real[ds[i].Bindings[j].Buffer]
			}
		}
	}
	for i := range p.Setup {
		rename(p.Setup[i].Dispatches)
	}
	rename(p.Dispatches)
	p.IDs, p.Output = -1, real[output]
	if ids >= 0 {
		p.IDs = real[ids]
	}
	if mask >= 0 {
		p.Mask = real[mask]
	}
	return p, nil
}

// Columns is the row length of an activation with n columns.
func Columns(n int) int { return align(n, 64) }

// bits32 is a float32 as a parameter word.
func bits32(f float64) uint32 { return math.Float32bits(float32(f)) }

func boolean(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func ceil(n, parts int) int { return (n + parts - 1) / parts }
func align(n, to int) int   { return ceil(n, to) * to }
func words(v ...int) []uint32 {
	out := make([]uint32, len(v))
	for i, n := range v {
		out[i] = uint32(n)
	}
	return out
}
