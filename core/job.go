package core

import (
	"cmp"
	"fmt"
	"slices"

	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// Job embeds a batch in steps, so that its driver can show progress, yield or
// stop in between. It belongs to one goroutine.
type Job struct {
	embedder  *Embedder
	options   Options
	results   []Embedding
	sequences []model.Sequence
	order     []int // inputs, by transform length: those of a pass must agree in it
	first     int   // passes so far cover order[:first]
	last      int   // the pass in work covers order[first:last]
	handed    Pass  // the pass that NextPass handed out
	run       *model.Run
	batch     []model.Sequence
	doneCost  int
	totalCost int
}

// passRows is how many tokens of short texts run together: enough to pay for
// reading the weights, few enough to stay in cache.
const passRows = 1024

// Tokenizing is interrupted after so many bytes of texts, some milliseconds; a
// text costs as much as some bytes.
const (
	askEvery = 64 << 10
	textCost = 64
)

// keptRunBytes bounds the memory of a run that is kept for the next call.
const keptRunBytes = 64 << 20

// Start tokenizes a batch and prepares its forward passes; see [Embedder.Embed].
// Progress may end the tokenizing early; it is not used later.
func (e *Embedder) Start(inputs []Input, o Options) (*Job, error) {
	return e.start(func() error { return nil }, inputs, o)
}

// start is Start that stopped ends early, too. A context would bring what formats
// times into the module, 17 KB of it packed.
func (e *Embedder) start(stopped func() error, inputs []Input, o Options) (*Job, error) {
	c := e.model.Config()
	if o.Pooling == model.PoolDefault {
		o.Pooling = c.Pooling
	}
	if o.Padding.Mode == model.PadDefault {
		o.Padding = c.Padding
	}
	if o.Normalize == ModelDefault {
		o.Normalize = No
		if c.Normalize {
			o.Normalize = Yes
		}
	}
	if err := stopped(); err != nil {
		return nil, err
	}
	if err := e.model.CheckPooling(o.Pooling); err != nil {
		return nil, err
	}
	if o.Normalize > No {
		return nil, fmt.Errorf("normalize is %d, want ModelDefault, Yes or No", o.Normalize)
	}
	if o.Padding.Mode > model.PadToLength || o.Padding.Mode == model.PadToLength && o.Padding.Length < 1 {
		return nil, fmt.Errorf("padding of mode %d to %d tokens, want a mode of package model, and a length of 1 or more", o.Padding.Mode, o.Padding.Length)
	}
	if err := c.CheckDimensions(o.Dimensions); err != nil {
		return nil, err
	}
	if o.Dimensions == 0 {
		o.Dimensions = c.HiddenSize
	}
	prompt, err := c.Prompt(o.Task)
	if err != nil {
		return nil, err
	}
	limit, err := e.limit(o.MaxLength)
	if err != nil {
		return nil, err
	}
	if o.Padding.Mode == model.PadToLength && o.Padding.Length > e.MaxLength() {
		return nil, fmt.Errorf("padding to %d tokens, but the model takes at most %d", o.Padding.Length, e.MaxLength())
	}
	j := &Job{
		embedder: e, options: o,
		results:   make([]Embedding, len(inputs)),
		sequences: make([]model.Sequence, len(inputs)),
		order:     make([]int, len(inputs)),
	}
	var ended error // by stopped or Progress, not by a text
	ask := func() error {
		if ended = stopped(); ended == nil && o.Progress != nil {
			ended = o.Progress(0, 0)
		}
		return ended
	}
	encoding := tokenizer.Options{MaxLength: limit, Truncation: o.Truncation, Interrupt: ask}
	longest, unasked := 0, 0
	for i, in := range inputs {
		if unasked += len(prompt) + len(in.Text) + textCost; unasked >= askEvery {
			unasked = 0
			ask()
		}
		var ids []int32
		var spans []model.Span
		if ended == nil {
			ids, spans, err = e.ids(in, prompt, encoding, &j.results[i])
		}
		switch {
		case ended != nil:
			return nil, ended
		case err != nil:
			return nil, &InputError{i, err}
		}
		j.sequences[i] = model.Sequence{IDs: ids, Length: len(ids), Spans: spans}
		longest = max(longest, len(ids))
	}
	for i := range j.sequences {
		if i%askEvery == askEvery-1 && ask() != nil {
			return nil, ended
		}
		s := &j.sequences[i]
		s.Length = padded(o.Padding, len(s.IDs), longest, e.MaxLength())
		if err := e.model.CheckSequence(*s); err != nil {
			return nil, &InputError{i, err}
		}
		j.results[i].Length = s.Length
		j.order[i] = i
		j.totalCost += s.Length
	}
	slices.SortStableFunc(j.order, func(a, b int) int { return cmp.Compare(j.sequences[a].Length, j.sequences[b].Length) })
	return j, nil
}

// limit is the number of tokens at which texts are cut.
func (e *Embedder) limit(asked int) (int, error) {
	most := e.MaxLength()
	switch {
	case asked == 0:
		return most, nil
	case asked < 2:
		return 0, fmt.Errorf("maximum length %d, want 2 to %d: a text has two special tokens", asked, most)
	}
	return min(asked, most), nil
}

// padded is the length at which a sequence of n tokens runs; most is the model's
// maximum. Where texts are cut does not enter: pads decide the vector, and
// one that was made with fewer of them is not comparable to the model's others.
func padded(p model.Padding, n, longest, most int) int {
	switch p.Mode {
	case model.PadLongest:
		return longest
	case model.PadMax, model.PadDefault:
		return max(n, most)
	case model.PadToLength:
		return max(n, p.Length)
	}
	return n
}

// ids returns an input's token ids, a text's with the prompt before it, and its
// spans of them.
func (e *Embedder) ids(in Input, prompt string, o tokenizer.Options, result *Embedding) ([]int32, []model.Span, error) {
	if in.IDs != nil {
		result.Tokens = len(in.IDs)
		spans, err := in.spans(nil, 0, len(in.IDs))
		return in.IDs, spans, err
	}
	if e.tokenizer == nil {
		return nil, nil, errNoTokenizer
	}
	// Words may reach over the prompt's end, so that both are split as one text.
	text := prompt + in.Text
	if len(in.Spans) > 0 {
		o.Offsets = true
		encoded, err := e.tokenizer.Encode(text, o)
		if err != nil {
			return nil, nil, err
		}
		result.Tokens, result.Truncated = encoded.Length, encoded.Truncated
		spans, err := in.spans(encoded.Offsets, len(prompt), len(encoded.IDs))
		return encoded.IDs, spans, err
	}
	ids, length, err := e.tokenizer.AppendIDs(nil, text, o)
	if err != nil {
		return nil, nil, err
	}
	result.Tokens, result.Truncated = length, length > len(ids)
	return ids, nil, nil
}

// Step does some milliseconds of work (for one very long text up to a channel
// group of a layer) and reports whether all vectors are there.
//
// # Errors
//
// A [Fault]: a vector that is not finite, or a panic inside the pass.
func (j *Job) Step() (done bool, err error) {
	if j.first == len(j.order) {
		return true, nil
	}
	if j.run == nil {
		j.run = j.embedder.takeRun()
	}
	if j.last == j.first {
		j.startPass()
	}
	if !j.run.Step() {
		return false, nil
	}
	if err := j.run.Err(); err != nil {
		// Nobody knows what the run holds now: it is not kept for another call.
		j.run, j.last = nil, j.first
		return false, &Fault{fmt.Errorf("forward pass: %w", err)}
	}
	for k, i := range j.order[j.first:j.last] {
		v := j.run.Vector(k)
		if j.options.Pooling == model.PoolNone {
			v = j.run.Hidden(k)[:len(j.sequences[i].IDs)*j.embedder.Dimension()]
		}
		if err := finite(i, v); err != nil {
			return false, err
		}
		if err := j.keepSpans(i, j.run.SpanVectors(k)); err != nil {
			return false, err
		}
		j.keep(i, v)
	}
	j.first = j.last
	if j.first == len(j.order) {
		j.Close()
		return true, nil
	}
	return false, nil
}

// startPass begins the pass over the next sequences that can run together.
func (j *Job) startPass() {
	m := j.embedder.model
	rows := 0
	j.batch = j.batch[:0]
	n := m.Rows(j.sequences[j.order[j.first]].Length)
	for _, i := range j.order[j.first:] {
		s := j.sequences[i]
		if len(j.batch) > 0 && (rows+s.Length > passRows || m.Rows(s.Length) != n) {
			break
		}
		j.batch = append(j.batch, s)
		rows += s.Length
	}
	j.last, j.handed = j.first+len(j.batch), Pass{}
	j.run.Start(j.batch, j.options.Pooling, j.normalizes())
}

// normalizes says whether a pass scales its vectors to unit length: not those
// that are cut before.
func (j *Job) normalizes() bool {
	whole := j.options.Dimensions == j.embedder.Dimension() && j.options.Pooling != model.PoolNone
	return whole && j.options.Normalize == Yes
}

// Progress returns how many of the tokens to run are done, in parts of a token.
func (j *Job) Progress() (done, total float64) {
	done = float64(j.doneCost)
	if j.last > j.first {
		part, whole := j.run.Progress()
		tokens := 0
		for _, s := range j.batch {
			tokens += s.Length
		}
		done += float64(tokens) * min(part/max(whole, 1), 1)
	}
	return done, float64(j.totalCost)
}

// Dimensions is the number N of values of a vector.
func (j *Job) Dimensions() int { return j.options.Dimensions }

// Results returns the embeddings in the order of the inputs, once Step has
// reported that it is done.
func (j *Job) Results() []Embedding { return j.results }

// Close gives up what is left of the work and returns the job's memory. It may
// be called at any time and more than once.
func (j *Job) Close() {
	if j.run != nil {
		j.embedder.returnRun(j.run)
		j.run = nil
	}
	j.first = len(j.order)
	j.last = j.first
}

func (e *Embedder) takeRun() *model.Run {
	select {
	case r := <-e.runs:
		return r
	default:
		return e.model.NewRun()
	}
}

// returnRun keeps a run for the next call, within bounds of number and memory.
// A pass that it had not ended is given up.
func (e *Embedder) returnRun(r *model.Run) {
	r.Stop()
	if r.Bytes() > keptRunBytes {
		return
	}
	select {
	case e.runs <- r:
	default:
	}
}
