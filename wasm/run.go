//go:build wasip1

package main

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// run is a batch on its way from run_start to run_finish, or a text on its way to
// its tokens or passages.
type run struct {
	model int32
	owner *loading

	// Preparing, in a coroutine that stops every few milliseconds.
	next     func() (struct{}, bool) // nil once it is over
	stop     func()
	input    []byte // the host's memory that it reads
	returned []byte // the same, where the host has given it back
	err      error  // what it ended with

	// setTask says what the texts of a batch are for; nil once prepare has begun.
	setTask func(task string) error

	record []byte    // of a text: its tokens or passages
	job    *core.Job // of a batch, once it is prepared

	handed   core.Pass // what run_pass handed out last
	finished bool
}

var errEnded = fail(NotReady, "the run did not get ready: free it")

// begin lets prepare do work, in parts that end where work asks.
func (r *run) begin(input []byte, work func(ask func() error) error) {
	r.input, r.err = input, errEnded
	r.next, r.stop = iter.Pull(func(yield func(struct{}) bool) {
		r.err = work(func() error {
			if yield(struct{}{}) {
				return nil
			}
			return errEnded
		})
	})
}

// prepare does a part of the work before the first pass; 1 means that it is done.
func (r *run) prepare() (int32, error) {
	r.setTask = nil
	if r.next != nil {
		if _, more := r.next(); more {
			return 0, nil
		}
		r.over()
	}
	if r.err != nil {
		return 0, r.err
	}
	return 1, nil
}

// prepared says why there is no job yet to go on with.
func (r *run) prepared() error {
	switch {
	case r.next != nil:
		return fail(NotReady, "the run is not prepared yet")
	case r.err != nil:
		return r.err
	case r.job == nil:
		return fail(NotReady, "the run embeds nothing")
	}
	return nil
}

func (r *run) close() {
	if r.stop != nil {
		r.stop()
		r.over()
	}
	if r.job != nil {
		r.job.Close()
	}
}

// over ends the use of the host's memory.
func (r *run) over() {
	if r.returned != nil {
		spare = r.returned
	}
	r.next, r.stop, r.input, r.returned = nil, nil, nil, nil
}

// preparing is the run that still reads the memory at an address, or nil.
func preparing(at uint32) *run {
	for _, r := range runs.live {
		if r.input != nil && addressOf(r.input) == at {
			return r
		}
	}
	return nil
}

// start reads the inputs and options records and begins a run over them.
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
	if err := roomForPrompt(e, in, o.Task); err != nil {
		return nil, err
	}
	for i := range in {
		in[i].IDs = slices.Clone(in[i].IDs) // the host's memory goes back to it
	}
	r := &run{model: handle, owner: m}
	r.setTask = func(task string) error {
		if err := roomForPrompt(e, in, task); err != nil {
			return err
		}
		o.Task = strings.Clone(task) // the host's memory
		return nil
	}
	r.begin(inputs, func(ask func() error) error {
		o.Progress = func(_, _ float64) error { return ask() }
		job, err := e.Start(in, o)
		if err != nil {
			return withCode(codeOf(err), err)
		}
		if err := r.roomFor(job, o); err != nil {
			job.Close()
			return err
		}
		r.job = job
		return nil
	})
	return r, nil
}

// roomForPrompt fails when there is no such task, or no room for its prompt: each
// text is copied behind it while it is tokenized.
func roomForPrompt(e *core.Embedder, in []core.Input, task string) error {
	prompt, err := e.Config().Prompt(task)
	if err != nil || prompt == "" {
		return withCode(BadArgument, err)
	}
	longest := 0
	for i := range in {
		longest = max(longest, len(in[i].Text))
	}
	const each = 5 + 16 // a token, as readInputs reckons it with spans
	tokens := uint64(len(in)) * each * uint64(min(len(prompt), e.MaxLength()))
	whole := uint64(len(prompt) + longest)
	if t := e.Tokenizer(); t != nil {
		whole += uint64(t.Scratch(len(prompt)))
	}
	return roomFor(tokens+whole, whole)
}

// roomFor fails when there is no room for the passes of a job.
func (r *run) roomFor(job *core.Job, o core.Options) error {
	m, c := r.owner, r.owner.embedder.Config()
	longest, tokens := 0, 0
	for _, e := range job.Results() {
		longest = max(longest, e.Length)
		tokens += min(e.Tokens, e.Length)
	}
	if o.Pooling == model.PoolNone {
		if err := room(4 * uint64(tokens) * uint64(c.HiddenSize)); err != nil {
			return err
		}
	}
	pass := runBytes(c, longest)
	if more := pass - min(pass, r.kept()); more > 0 {
		if err := roomFor(more, pass/4); err != nil {
			return err
		}
		m.pass = pass
	}
	return nil
}

// kept is about what core has kept of an earlier pass for the next one.
func (r *run) kept() uint64 {
	m := r.owner
	for _, other := range runs.live {
		if other.owner == m && other != r {
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
	if err := r.prepared(); err != nil {
		return 0, err
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
	if r.job == nil {
		return 0
	}
	done, total := r.job.Progress()
	if total <= 0 {
		return 0
	}
	return min(done/total, 1)
}

func (r *run) positions() uint32 {
	if r.job == nil {
		return 0
	}
	_, total := r.job.Progress()
	return uint32(total)
}

// results writes the record that a run ends with.
func (r *run) results() ([]byte, error) {
	if r.record != nil {
		return r.record, nil
	}
	if !r.finished {
		return nil, fail(NotReady, "the run is not done yet")
	}
	found, n := r.job.Results(), r.job.Dimensions()
	size := uint64(8)
	for _, e := range found {
		size += 20 + 4*uint64(len(e.Vector)) + (4+4*uint64(n))*uint64(len(e.Spans))
	}
	if err := room(size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(found)))
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	for _, e := range found {
		truncated := 0
		if e.Truncated {
			truncated = 1
		}
		for _, v := range [...]int{e.Tokens, e.Length, truncated, len(e.Vector) / n, len(e.Spans)} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	for _, e := range found {
		for _, s := range e.Spans {
			b = binary.LittleEndian.AppendUint32(b, uint32(s.Tokens))
		}
	}
	none := make([]float32, n)
	for _, e := range found {
		b = appendFloats(b, e.Vector)
		for _, s := range e.Spans {
			if s.Vector == nil {
				s.Vector = none
			}
			b = appendFloats(b, s.Vector)
		}
	}
	return b, nil
}

func appendFloats(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
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
	if !ok || uint64(count)*12 > uint64(len(b)) {
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
		n, _ := word()
		spans, ok := word()
		if !ok || uint64(n)+8*uint64(spans) > uint64(len(b)) {
			return nil, 0, fail(BadArgument, "inputs: text %d of %d bytes and %d spans passes the end of the record", i, n, spans)
		}
		text := b[:n]
		b = b[min(uint64(len(b)), (uint64(n)+3)&^3):]
		if spans > 0 {
			more := uint64(spans) * uint64(100+4*e.Dimension())
			if err := roomFor(need+more, 16*uint64(spans)); err != nil {
				return nil, 0, err
			}
			need += more
			inputs[i].Spans = make([]core.Span, spans)
			for k := range inputs[i].Spans {
				start, _ := word()
				end, ok := word()
				if !ok {
					return nil, 0, fail(BadArgument, "inputs: span %d of text %d passes the end of the record", k, i)
				}
				inputs[i].Spans[k] = core.Span{Start: int(start), End: int(end)}
			}
		}
		switch {
		case kind == 0:
			inputs[i].Text = textOf(text)
			longest = max(longest, int(n))
			each := uint64(5)
			if spans > 0 {
				each += 16 // the places of tokens
			}
			need += each * min(most, uint64(n)+2) // a token a byte at most
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
	case 4:
		o.Pooling = model.PoolNone
	default:
		return o, fail(BadArgument, "options: pooling %d, want -1 to 4", v)
	}
	if o.Dimensions = int(field(5)); o.Dimensions < 0 {
		return o, fail(BadArgument, "options: dimensions %d, want 0 or more", o.Dimensions)
	}
	return o, nil
}
