package model

import (
	"errors"
	"runtime"

	"m2embed/core/fft"
	"m2embed/core/kernel"
)

// Run is a forward pass over one or several sequences, driven in steps, and
// the memory it needs. Sequences that run together stand one below the other
// in the hidden states; they share the matrix products and never influence
// each other. A Run is reused from pass to pass and belongs to one goroutine.
//
// Peak memory is two (T, D) arrays, the filter features of one layer and, for
// each thread, a few arrays of one channel group: neither (T, 3D) nor (T, 2I)
// ever exists whole.
type Run struct {
	model     *Model
	sequences []segment
	pooling   Pooling
	normalize bool

	ids      []int32 // (T)
	position []int32 // (T): position within its sequence
	n        int     // N: rows of every transform of this pass
	block    int     // rows that a unit of a token-wise stage takes
	plan     *fft.Plan

	hidden []float32        // h (T, D): hidden states, then the layer's output
	mixed  []float32        // y (T, D): the gated convolutions' output, before out_linear
	input  kernel.Quantized // h quantised, where in_linear is of integers
	// features are the sine networks' last hidden layers, by filter and
	// direction: (taps, O).
	features [2][2][]float32
	filters  [2]layerFilter
	scratch  []scratch // one a thread
	columns  columns
	vectors  []float32 // (B, D): results
	first    []float32 // (B, D): where spans are asked for, the last layer's first rows
	spans    bool      // a sequence has spans: the last layer runs whole

	tasks  []task // the pass, in order
	at     int    // task in work
	next   int    // its first unit not yet done
	done   float64
	total  float64
	err    error // why the pass ended early
	doUnit func(worker, unit int)

	// trace, if set, sees every intermediate tensor: values holds the given
	// rows and columns of it with a row stride. For tests.
	trace func(name string, layer, row, column, rows, columns int, values []float32, stride int)
}

// segment is a sequence's place in the rows of a pass.
type segment struct {
	first, length int
	tokens        int // without pads
	spans         []Span
	spanVectors   []float32 // (spans, D)
	long          fft.Long
}

// stepCost is about how much work a step does on each thread, in floating-point
// operations: some milliseconds in WebAssembly, and natively some tens, so that
// the threads' meeting at its end does not show.
func stepCost() float64 {
	if runtime.GOARCH == "wasm" {
		return 100e6
	}
	return 8e9
}

// Step does the next part of the pass and reports whether that was the last.
// A step is a few milliseconds of work, natively some tens, or one unit where
// that is more: up to a layer's products for one channel group of the longest
// text. A pass that failed is over, too: see Err.
func (r *Run) Step() (done bool) {
	defer func() {
		if v := recover(); v != nil {
			r.err, done = newFault(v), true
		}
		if r.err != nil {
			r.dropFilters() // no thread is in a unit any more
		}
	}()
	defer catchFaults(catchFaults(true))
	if r.err != nil || r.at == len(r.tasks) {
		return true
	}
	x := &r.tasks[r.at]
	if r.next == 0 && x.stage.begin != nil {
		x.stage.begin(r, x)
		r.count(x)
	}
	if x.units > 0 {
		last := min(x.units, r.next+r.model.workers.count*max(1, int(stepCost()/x.cost)))
		if r.err = r.work(r.next, last, x.cost*float64(last-r.next)); r.err != nil {
			return true
		}
		r.done += x.cost * float64(last-r.next)
		r.next = last
	}
	if r.next == x.units {
		if x.stage.end != nil {
			x.stage.end(r, x)
		}
		r.at, r.next = r.at+1, 0
	}
	return r.at == len(r.tasks)
}

// work does units that take so many operations together, on as many threads as
// that pays for.
func (r *Run) work(first, last int, operations float64) error {
	w := r.model.workers
	return w.run(first, last, min(w.paying(operations), last-first), operations, r.doUnit)
}

// Err says why the pass ended early, as a *Fault or because of Stop, or is nil.
// There are no vectors then; a run that failed is best dropped.
func (r *Run) Err() error { return r.err }

// Finish steps to the end of the pass and returns Err.
func (r *Run) Finish() error {
	for !r.Step() {
	}
	return r.err
}

// Stop ends a pass that is not wanted any more and gives back the filters it
// held. It belongs to the goroutine that calls Step; the run may start again.
func (r *Run) Stop() {
	r.dropFilters()
	if r.err == nil && r.at < len(r.tasks) {
		r.err = errStopped
	}
}

var errStopped = errors.New("the pass was stopped")

// Progress returns the floating-point operations done and in all, roughly.
func (r *Run) Progress() (done, total float64) { return r.done, r.total }

// NewRun makes an empty run.
func (m *Model) NewRun() *Run {
	r := &Run{model: m, scratch: make([]scratch, m.workers.count)}
	r.doUnit = func(worker, unit int) {
		x := &r.tasks[r.at]
		x.stage.unit(r, &r.scratch[worker], x, unit)
	}
	return r
}

// Rows is the number of transform rows that a sequence of length L needs;
// sequences of one pass must agree in it.
func (m *Model) Rows(length int) int { return fft.LongRows(length, m.config.LongConvLMax) }

// Start begins a pass over sequences, which must have passed CheckSequence and
// agree in Rows. Pooling is not PoolDefault. A fault shows in Err, and the first
// Step then ends the pass.
func (r *Run) Start(sequences []Sequence, pooling Pooling, normalize bool) {
	defer func() {
		if v := recover(); v != nil {
			r.err = newFault(v)
		}
	}()
	r.dropFilters() // of a pass that was left half done
	c := r.model.config
	r.pooling, r.normalize = pooling, normalize
	r.n = r.model.Rows(sequences[0].Length)
	r.plan = r.model.spectra.plan(r.n)
	r.sequences, r.ids, r.position = r.sequences[:0], r.ids[:0], r.position[:0]
	r.spans = false
	for _, s := range sequences {
		r.spans = r.spans || len(s.Spans) > 0
		r.sequences = append(r.sequences, segment{
			first: len(r.ids), length: s.Length, tokens: len(s.IDs), spans: s.Spans,
			spanVectors: make([]float32, len(s.Spans)*c.HiddenSize),
			long:        fft.NewLong(r.plan, s.Length, c.LongConvLMax),
		})
		r.ids = append(r.ids, s.IDs...)
		for range s.Length - len(s.IDs) {
			r.ids = append(r.ids, int32(c.PadTokenID))
		}
		for t := range s.Length {
			r.position = append(r.position, int32(t))
		}
	}
	t := len(r.ids)
	r.hidden = grow(r.hidden, t*c.HiddenSize)
	r.mixed = grow(r.mixed, t*c.HiddenSize)
	r.vectors = grow(r.vectors, len(sequences)*c.HiddenSize)
	if r.spans && pooling.firstToken() {
		r.first = grow(r.first, len(sequences)*c.HiddenSize)
	}
	for i := range r.scratch {
		r.scratch[i].reserve(r)
	}
	r.block = tokenRows(t, r.model.workers.count)
	r.at, r.next, r.done, r.total, r.err = 0, 0, 0, 0, nil
	r.tasks = r.tasks[:0]
	r.forward()
}

// Vector returns the result for sequence i (D); it is valid until the next
// Start.
func (r *Run) Vector(i int) []float32 {
	d := r.model.config.HiddenSize
	return r.vectors[i*d : (i+1)*d]
}

// SpanVectors returns the vectors of sequence i's spans (spans, D), zeros for one
// without tokens. They are the caller's.
func (r *Run) SpanVectors(i int) []float32 { return r.sequences[i].spanVectors }

// Hidden returns the last hidden states of sequence i (L, D) after a pass whose
// pooling takes the mean or that had a sequence with spans; after another that
// takes the first token, only its row (1, D). It is valid until the next Start.
func (r *Run) Hidden(i int) []float32 {
	d, s := r.model.config.HiddenSize, r.sequences[i]
	if r.pooling.firstToken() && !r.spans {
		return r.hidden[i*d : (i+1)*d]
	}
	return r.hidden[s.first*d : (s.first+s.length)*d]
}

// Bytes is the memory that the run holds at the moment.
func (r *Run) Bytes() int {
	floats := cap(r.hidden) + cap(r.mixed) + cap(r.vectors) + cap(r.first) + cap(r.ids) + cap(r.position)
	for _, f := range r.features {
		floats += cap(f[0]) + cap(f[1])
	}
	bytes := 4*floats + r.input.Bytes() + r.columns.bytes()
	for i := range r.scratch {
		bytes += r.scratch[i].bytes()
	}
	return bytes
}

// tokenBlock is how many rows a unit of a token-wise stage takes at most.
const tokenBlock = 96

// leastRows is how many rows a unit of a token-wise stage takes at least where
// there are more: fewer would read the weights too often.
const leastRows = 16

// tokenRows is how many rows a unit of a token-wise stage takes: as many as
// tokenBlock allows, but evenly divided so that no thread waits for another, and
// less where threads would have nothing to do.
func tokenRows(rows, threads int) int {
	units := blocks(rows, tokenBlock)
	units = blocks(units, threads) * threads
	return max(1, blocks(rows, max(1, min(units, rows/leastRows))))
}

// tokenBlocks counts the units of a token-wise stage.
func (r *Run) tokenBlocks(x *task) int { return blocks(r.rows(x), r.block) }

// rows is how many rows of the hidden states a task makes.
func (r *Run) rows(x *task) int {
	if x.part == firstRows {
		return len(r.sequences)
	}
	return len(r.ids)
}

func (r *Run) hiddenRow(t int) []float32 {
	d := r.model.config.HiddenSize
	return r.hidden[t*d : (t+1)*d]
}

func (r *Run) record(name string, layer, row, column, rows, columns int, values []float32, stride int) {
	if r.trace != nil {
		r.trace(name, layer, row, column, rows, columns, values, stride)
	}
}

// blocks is the number of blocks of the given size that cover n.
func blocks(n, size int) int { return (n + size - 1) / size }

// span is block i of n items.
func span(i, size, n int) (first, last int) { return i * size, min((i+1)*size, n) }

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
