//go:build wasip1

package main

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// run is a batch on its way from run_start to run_finish.
type run struct {
	job      *core.Job
	model    int32
	owner    *loading
	d        int
	handed   core.Pass // what run_pass handed out last
	finished bool
}

// start reads the inputs and options records and begins a job.
func (m *loading) start(handle int32, inputs, options []byte) (*run, error) {
	e, err := m.ready()
	if err != nil {
		return nil, err
	}
	o, err := readOptions(options)
	if err != nil {
		return nil, err
	}
	in, need, err := readInputs(inputs, e, o)
	if err != nil {
		return nil, err
	}
	if err := roomFor(need, uint64(64*len(in))); err != nil {
		return nil, err
	}
	for i := range in {
		in[i].IDs = slices.Clone(in[i].IDs) // the host's memory goes back to it
	}
	job, err := e.Start(context.Background(), in, o)
	if err != nil {
		return nil, withCode(codeOf(err), err)
	}
	longest := 0
	for _, r := range job.Results() {
		longest = max(longest, r.Length)
	}
	pass := runBytes(e.Config(), longest)
	if more := pass - min(pass, m.kept()); more > 0 {
		if err := roomFor(more, pass/4); err != nil {
			job.Close()
			return nil, err
		}
		m.pass = pass
	}
	return &run{job: job, model: handle, owner: m, d: e.Dimension()}, nil
}

// kept is about what core has kept of an earlier pass for the next one.
func (m *loading) kept() uint64 {
	for _, r := range runs.live {
		if r.owner == m {
			return 0 // that run may need it
		}
	}
	if m.pass > 64<<20 {
		return 0 // core keeps no more
	}
	return m.pass
}

// runBytes is about what a pass over L tokens takes: two (L, D) arrays of
// hidden states, the filters' features, and a dozen arrays of one channel
// group at the transform's length.
func runBytes(c model.Config, l int) uint64 {
	n := uint64(1) << bits.Len(uint(2*l))
	return 4*uint64(max(l, 1024))*uint64(2*c.HiddenSize+4*c.HyenaFilterOrder) + 12*128*n
}

// step does a part of the job; 1 means that it is done.
func (r *run) step() (int32, error) {
	if r.finished {
		return 1, nil
	}
	r.owner.file, r.handed = nil, core.Pass{}
	done, err := r.job.Step()
	if err != nil {
		return 0, withCode(BadWeights, err)
	}
	if !done {
		return 0, nil
	}
	r.finished = true
	return 1, nil
}

func (r *run) progress() float64 {
	if r.finished {
		return 1
	}
	done, total := r.job.Progress()
	if total <= 0 {
		return 0
	}
	return min(done/total, 1)
}

// results writes the results record.
func (r *run) results() ([]byte, error) {
	if !r.finished {
		return nil, fail(NotReady, "the run is not done yet")
	}
	found := r.job.Results()
	size := 8 + len(found)*(12+4*r.d)
	if err := room(uint64(size)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(found)))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.d))
	for _, e := range found {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Tokens))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Length))
		truncated := uint32(0)
		if e.Truncated {
			truncated = 1
		}
		b = binary.LittleEndian.AppendUint32(b, truncated)
	}
	for _, e := range found {
		for _, v := range e.Vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b, nil
}

// readInputs reads the inputs record. Texts and ids lie where they lay in it.
// need is about what a job over them takes beside its passes.
func readInputs(b []byte, e *core.Embedder, o core.Options) (inputs []core.Input, need uint64, err error) {
	whole := len(b)
	word := func() (uint32, bool) {
		if len(b) < 4 {
			return 0, false
		}
		n := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return n, true
	}
	count, ok := word()
	if !ok || uint64(count)*8 > uint64(len(b)) {
		return nil, 0, fail(BadArgument, "inputs: %d texts in a record of %d bytes", count, whole)
	}
	// An input, its sequence and its report; its vector, and the record of both.
	each := uint64(200 + 9*e.Dimension())
	need = uint64(count) * each
	if err := roomFor(need, 64*uint64(count)); err != nil {
		return nil, 0, err
	}
	most := uint64(e.MaxLength())
	if o.MaxLength > 0 {
		most = min(most, uint64(o.MaxLength))
	}
	longest := 0
	inputs = make([]core.Input, count)
	for i := range inputs {
		kind, _ := word()
		n, ok := word()
		if !ok || uint64(n) > uint64(len(b)) {
			return nil, 0, fail(BadArgument, "inputs: text %d of %d bytes passes the end of the record", i, n)
		}
		text := b[:n]
		b = b[min(uint64(len(b)), (uint64(n)+3)&^3):]
		switch {
		case kind == 0:
			inputs[i].Text = textOf(text)
			longest = max(longest, int(n))
			need += 5 * min(most, uint64(n)+2) // a token a byte at most
		case kind == 1 && n%4 == 0:
			inputs[i].IDs = unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(text))), n/4)
			need += uint64(n) + uint64(n)/4
		default:
			return nil, 0, fail(BadArgument, "inputs: text %d: kind %d of %d bytes", i, kind, n)
		}
	}
	if len(b) > 0 {
		return nil, 0, fail(BadArgument, "inputs: %d bytes after the last text", len(b))
	}
	if t := e.Tokenizer(); t != nil {
		need += uint64(t.Scratch(longest))
	}
	return inputs, need, nil
}

// readOptions reads the options record.
func readOptions(b []byte) (o core.Options, err error) {
	field := func(i int) int32 { return int32(binary.LittleEndian.Uint32(b[4*i:])) }
	switch v := field(0); v {
	case -1:
	case 0:
		o.Normalize = core.No
	case 1:
		o.Normalize = core.Yes
	default:
		return o, fail(BadArgument, "options: normalize %d, want -1, 0 or 1", v)
	}
	switch v := field(1); {
	case v == -1:
	case v == 0:
		o.Padding.Mode = model.PadNone
	case v == -2:
		o.Padding.Mode = model.PadLongest
	case v == -3:
		o.Padding.Mode = model.PadMax
	case v > 0:
		o.Padding = model.Padding{Mode: model.PadToLength, Length: int(v)}
	default:
		return o, fail(BadArgument, "options: padding %d, want -3 or more", v)
	}
	if o.MaxLength = int(field(2)); o.MaxLength < 0 {
		return o, fail(BadArgument, "options: max_length %d, want 0 or more", o.MaxLength)
	}
	switch v := field(3); v {
	case 0:
		o.Truncation = tokenizer.KeepSeparator
	case 1:
		o.Truncation = tokenizer.DropSeparator
	case 2:
		o.Truncation = tokenizer.Refuse
	default:
		return o, fail(BadArgument, "options: truncation %d, want 0, 1 or 2", v)
	}
	switch v := field(4); v {
	case -1:
	case 0:
		o.Pooling = model.PoolClass
	case 1:
		o.Pooling = model.PoolMean
	case 2:
		o.Pooling = model.PoolClassHidden
	case 3:
		o.Pooling = model.PoolMeanHidden
	default:
		return o, fail(BadArgument, "options: pooling %d, want -1 to 3", v)
	}
	return o, nil
}
