//go:build wasip1

package main

import (
	"encoding/binary"
	"encoding/json/jsontext"
	"errors"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// loading is a model on its way from model_create to model_open, and then its
// embedder.
type loading struct {
	config    []byte
	tokenizer *tokenizer.Tokenizer // nil: token ids only
	weights   []byte               // reserved memory, until open
	at        uint32               // its address
	size      int                  // of the weights
	received  int
	embedder  *core.Embedder
	file      *checkpoint.File // what a good header says of the weights as they are received; nil once a run has reordered them
	pass      uint64           // memory of the largest pass so far
	filters   int              // most bytes of filters that core keeps
}

func parseTokenizer(vocabulary []byte) (*tokenizer.Tokenizer, error) {
	if len(vocabulary) == 0 {
		return nil, fail(BadTokenizer, "tokenizer.json is empty")
	}
	t, err := tokenizer.Parse(vocabulary)
	if err != nil {
		return nil, withCode(BadTokenizer, err)
	}
	return t, nil
}

func create(config []byte, t *tokenizer.Tokenizer) (*loading, error) {
	if len(config) == 0 {
		return nil, fail(BadConfig, "config.json is empty")
	}
	if _, err := model.ParseConfig(config); err != nil {
		return nil, withCode(BadConfig, err)
	}
	// A copy: the host's memory goes back to it.
	return &loading{config: append([]byte(nil), config...), tokenizer: t}, nil
}

var errOpen = fail(NotReady, "the model is open already")

// reserve makes room for the weights; a second call starts them anew, unless it
// fails.
func (m *loading) reserve(n uint32) (uint32, error) {
	if m.embedder != nil {
		return 0, errOpen
	}
	if m.weights != nil && len(m.weights) == int(n) {
		m.received, m.file = 0, nil
		return m.at, nil
	}
	if n > 1<<25 {
		// A large new object should not wait beside garbage of its own size.
		runtime.GC()
	}
	at, b, err := allocate(n)
	if err != nil {
		return 0, err
	}
	m.drop()
	m.at, m.weights, m.size, m.received, m.file = at, b, int(n), 0, nil
	return at, nil
}

// defaultFilterBudget keeps all filters of the 80M shape for texts of up to 512
// tokens and a third of them at 2,048. It bounds what a text of 32,768 tokens
// takes beside the weights to 500 MB.
const defaultFilterBudget = 96 << 20

// drop gives the weights' memory back.
func (m *loading) drop() {
	if m.weights != nil {
		delete(buffers, m.at)
		m.weights = nil
	}
}

// receive notes that n bytes are in place and looks at a safetensors header as
// soon as it is complete.
func (m *loading) receive(n uint32) error {
	if m.embedder != nil {
		return errOpen
	}
	if m.weights == nil {
		return fail(NotReady, "no memory is reserved for the weights")
	}
	if int64(n) < int64(m.received) || int64(n) > int64(len(m.weights)) {
		return fail(BadArgument, "%d bytes of weights received, want %d to %d", n, m.received, len(m.weights))
	}
	m.received = int(n)
	b := m.weights
	if m.file != nil || n < 9 || b[8] != '{' {
		return nil
	}
	if header := binary.LittleEndian.Uint64(b); header > uint64(n)-8 {
		if header > uint64(len(b))-8 {
			return fail(BadWeights, "weights: the header claims %d bytes, but the file has %d", header, len(b))
		}
		return nil
	}
	var err error
	m.file, err = parse(b)
	return err
}

// parse reads the header of a weights file. A safetensors header takes some ten
// times its size while it is read.
func parse(b []byte) (*checkpoint.File, error) {
	if len(b) > 8 && b[8] == '{' {
		header := min(binary.LittleEndian.Uint64(b), uint64(len(b)))
		if err := roomFor(10*header, header); err != nil {
			return nil, err
		}
	}
	file, err := checkpoint.OpenBytes(b)
	if err != nil {
		return nil, withCode(BadWeights, err)
	}
	return file, nil
}

// open makes the embedder of what was received.
func (m *loading) open(filterBudget int32) error {
	if m.embedder != nil {
		return errOpen
	}
	if m.weights == nil || m.received < len(m.weights) {
		return fail(NotReady, "the weights are not complete: %d of %d bytes received", m.received, len(m.weights))
	}
	file := m.file
	if file == nil {
		var err error
		if file, err = parse(m.weights); err != nil {
			return err
		}
	}
	wider, err := roomToWiden(file)
	if err != nil {
		return err
	}
	budget := int64(filterBudget)
	if budget == 0 {
		budget = defaultFilterBudget
	}
	if budget > 0 { // passes and texts need room, too
		free := int64(limit) - int64(inUse()+promised()+wider) - reserve
		budget = max(1, min(budget, free/4))
	}
	// Matrices are reordered at their first use, so until a run steps the file
	// is as it was.
	e, err := core.Open(m.config, nil, file, core.OpenOptions{
		Tokenizer: m.tokenizer, Overwrite: true, Threads: 1, FilterBudget: int(budget), Kernels: kernels,
	})
	if err != nil {
		return withCode(BadWeights, err)
	}
	m.embedder, m.file = e, file
	c := e.Config() // two filters a layer, over transforms of all lengths
	m.filters = min(int(max(0, budget)), 32*c.NumHiddenLayers*c.HiddenSize*min(c.LongConvLMax, c.MaxLength()))
	m.drop()
	m.config, m.tokenizer = nil, nil
	tuneCollector()
	return nil
}

// roomToWiden fails when there is no room for the matrices that core needs as
// float32 where the file has them in 16 bits, and says how much it must be.
func roomToWiden(file *checkpoint.File) (need uint64, err error) {
	var largest uint64
	for _, name := range file.Names() {
		info, _ := file.Info(name)
		if !model.Widened(name) || info.DType != checkpoint.F16 && info.DType != checkpoint.BF16 {
			continue
		}
		n := uint64(4)
		for _, size := range info.Shape {
			n *= uint64(size)
		}
		need += n
		largest = max(largest, n)
	}
	return need, roomFor(need, largest)
}

func (m *loading) free() {
	m.drop()
	m.file = nil
	if m.embedder != nil {
		m.embedder.Close()
	}
}

// ready returns the embedder of an open model.
func (m *loading) ready() (*core.Embedder, error) {
	if m.embedder == nil {
		return nil, fail(NotReady, "the model is not open yet")
	}
	return m.embedder, nil
}

// tuneCollector lets garbage grow by some 16 MB, not by the size of all weights,
// before it is collected: linear memory never shrinks.
func tuneCollector() {
	weights := int64(1)
	for _, m := range models.live {
		if m.embedder != nil {
			weights += int64(m.size)
		}
	}
	runtime.GC()
	debug.SetGCPercent(int(max(5, min(100, 16<<20*100/weights))))
}

// describe writes the model_info record.
func (m *loading) describe() ([]byte, error) {
	e, err := m.ready()
	if err != nil {
		return nil, err
	}
	c := e.Config()
	b := []byte(`{"hiddenSize":`)
	b = strconv.AppendInt(b, int64(c.HiddenSize), 10)
	b = append(b, `,"layers":`...)
	b = strconv.AppendInt(b, int64(c.NumHiddenLayers), 10)
	b = append(b, `,"maxLength":`...)
	b = strconv.AppendInt(b, int64(e.MaxLength()), 10)
	b = append(b, `,"vocabularySize":`...)
	b = strconv.AppendInt(b, int64(c.VocabSize), 10)
	b = append(b, `,"padding":`...)
	b = strconv.AppendQuote(b, paddingName(c.Padding))
	b = append(b, `,"pooling":`...)
	b = strconv.AppendQuote(b, c.Pooling.String())
	b = append(b, `,"normalize":`...)
	b = strconv.AppendBool(b, c.Normalize)
	b = append(b, `,"dimensions":[`...)
	for i, n := range c.MatryoshkaDimensions {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, `],"prompts":{`...)
	for i, name := range slices.Sorted(maps.Keys(c.Prompts)) {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, name) // it is UTF-8: it was read as JSON
		b = append(b, ':')
		b, _ = jsontext.AppendQuote(b, c.Prompts[name])
	}
	b = append(b, `},"weightBytes":`...)
	b = strconv.AppendInt(b, int64(m.size), 10)
	b = append(b, `,"kernels":`...)
	b = strconv.AppendQuote(b, e.Model().Kernels())
	b = append(b, `,"space":`...)
	b = strconv.AppendQuote(b, e.Space())
	b = append(b, `,"version":`...)
	b = strconv.AppendQuote(b, core.Version)
	return append(b, '}'), nil
}

// paddingName is a model's padding, max_length where its configuration says
// nothing.
func paddingName(p model.Padding) string {
	if p.Mode == model.PadDefault {
		p.Mode = model.PadMax
	}
	return p.String()
}

// codeOf is the code of an error of a run.
func codeOf(err error) Code {
	if errors.Is(err, tokenizer.ErrTooLong) {
		return TooLong
	}
	return BadArgument
}
