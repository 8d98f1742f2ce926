package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"m2embed/core"
	"m2embed/core/model"
)

// TestMisuse calls the exports as no careful host would: each call fails with
// a code and a message, none traps, and the model works afterwards.
func TestMisuse(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	err := use(t.Context(), e, func(i *instance) error {
		misuse(t, i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Texts(t.Context(), "still here"); err != nil {
		t.Error(err)
	}
}

// allocate puts bytes into a buffer of the module.
func allocate(t *testing.T, i *instance, b []byte) uint64 {
	t.Helper()
	at, err := i.call(context.Background(), "alloc", uint64(len(b)))
	if err != nil || at == 0 {
		t.Fatal(at, err)
	}
	i.module.Memory().Write(uint32(at), b)
	return at
}

func misuse(t *testing.T, i *instance) {
	ctx := context.Background()
	alloc := func(b []byte) uint64 { return allocate(t, i, b) }
	freed := alloc([]byte("gone"))
	if _, err := i.status(ctx, "free", freed); err != nil {
		t.Fatal(err)
	}
	inputs := alloc(packInputs(nil))
	options := alloc(make([]byte, 24))
	wild := alloc([]byte{255, 255, 255, 255})
	odd := alloc([]byte{1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0})
	kind := alloc([]byte{1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	spans := alloc([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 31, 0, 0, 0, 0, 0, 0, 0, 0})
	tail := alloc([]byte{0, 0, 0, 0, 9, 9, 9, 9})
	pads := alloc([]byte{0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	pooling := alloc([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0})
	m := i.model
	none := uint64(77)
	for _, c := range []struct {
		name      string
		arguments []uint64
		code      Code
	}{
		{"free", []uint64{freed}, BadArgument},
		{"free", []uint64{0}, BadArgument},
		{"free", []uint64{12345}, BadArgument},
		{"free", []uint64{inputs + 1}, BadArgument},
		{"model_create", []uint64{freed, 4, freed, 4}, BadArgument},
		{"model_create", []uint64{0, 0xffffffff, 0, 4}, BadArgument},
		{"model_create", []uint64{0, 0, 0, 0}, BadConfig},
		{"model_received", []uint64{none, 0}, BadHandle},
		{"model_received", []uint64{m, 10}, NotReady},
		{"model_open", []uint64{m, 0}, NotReady},
		{"model_open", []uint64{0, 0}, BadHandle},
		{"model_info", []uint64{none}, BadHandle},
		{"model_free", []uint64{none}, BadHandle},
		{"tokenize", []uint64{none, inputs, 4}, BadHandle},
		{"tokenize", []uint64{m, freed, 4}, BadArgument},
		{"tokenize", []uint64{m, inputs, 5}, BadArgument},
		{"tokenize", []uint64{m, 0xfffffff0, 0x20}, BadArgument},
		{"run_start", []uint64{none, inputs, 4, options}, BadHandle},
		{"run_start", []uint64{m, freed, 4, options}, BadArgument},
		{"run_start", []uint64{m, inputs, 4, freed}, BadArgument},
		{"run_start", []uint64{m, inputs, 4, inputs}, BadArgument},
		{"run_start", []uint64{m, inputs, 3, options}, BadArgument},
		{"run_start", []uint64{m, wild, 4, options}, BadArgument},
		{"passages", []uint64{none, inputs, 4, options}, BadHandle},
		{"passages", []uint64{m, freed, 4, options}, BadArgument},
		{"passages", []uint64{m, inputs, 4, inputs}, BadArgument},
		{"decode", []uint64{none, inputs, 4, 0}, BadHandle},
		{"decode", []uint64{m, freed, 4, 0}, BadArgument},
		{"decode", []uint64{m, inputs, 3, 0}, BadArgument},
		{"run_start", []uint64{m, odd, 20, options}, BadArgument},
		{"run_start", []uint64{m, odd, 16, options}, BadArgument},
		{"run_start", []uint64{m, kind, 16, options}, BadArgument},
		{"run_start", []uint64{m, spans, 24, options}, BadArgument},
		{"run_start", []uint64{m, inputs, 4, pooling}, BadArgument},
		{"run_prepare", []uint64{none}, BadHandle},
		{"run_start", []uint64{m, tail, 8, options}, BadArgument},
		{"run_start", []uint64{m, inputs, 4, pads}, BadArgument},
		{"run_step", []uint64{none}, BadHandle},
		{"run_finish", []uint64{none}, BadHandle},
		{"run_free", []uint64{none}, BadHandle},
		{"embed", []uint64{none, inputs, 4, options}, BadHandle},
		{"embed", []uint64{m, freed, 4, options}, BadArgument},
		{"run_pass", []uint64{none, 100}, BadHandle},
		{"run_vectors", []uint64{none, inputs, 4}, BadHandle},
		{"plan_create", []uint64{none, options, 0}, BadHandle},
		{"plan_weight", []uint64{none, 0}, BadHandle},
		{"plan_free", []uint64{none}, BadHandle},
		{"memory_limit", []uint64{1}, OutOfMemory},
	} {
		_, err := i.status(ctx, c.name, c.arguments...)
		if codeOf(err) != c.code || err.Error() == "" {
			t.Errorf("%s%v: code %d, want %d: %v", c.name, c.arguments, codeOf(err), c.code, err)
		}
	}
	for _, c := range []struct {
		name      string
		arguments []uint64
		code      Code
	}{
		{"alloc", []uint64{0xffffffff}, OutOfMemory},
		{"model_reserve", []uint64{none, 10}, BadHandle},
		{"model_reserve", []uint64{m, 10}, NotReady},
	} {
		at, err := i.call(ctx, c.name, c.arguments...)
		if err != nil || at != 0 {
			t.Errorf("%s%v: address %#x, %v", c.name, c.arguments, at, err)
		}
		if err := i.lastFailure(ctx); codeOf(err) != c.code {
			t.Errorf("%s%v: %v, want code %d", c.name, c.arguments, err, c.code)
		}
	}
	if p, err := i.call(ctx, "run_progress", none); err != nil || p != 0 {
		t.Error("progress of a bad handle:", p, err)
	}
	misuseRun(t, i, inputs, options)
	misuseLoading(t, i)
	misusePlan(t, i, freed)
}

// misuseRun uses a run out of order and after it was freed.
func misuseRun(t *testing.T, i *instance, inputs, options uint64) {
	ctx := context.Background()
	run, err := i.status(ctx, "run_start", i.model, inputs, 4, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.status(ctx, "run_finish", uint64(run)); codeOf(err) != NotReady {
		t.Error("results before the end:", err)
	}
	if _, err := i.status(ctx, "run_step", uint64(run)); codeOf(err) != NotReady {
		t.Error("a step before texts are tokenized:", err)
	}
	for range 3 {
		if done, err := i.status(ctx, "run_prepare", uint64(run)); err != nil || done != 1 {
			t.Error("nothing to tokenize:", done, err)
		}
	}
	for range 3 { // steps after the end are idle
		if done, err := i.status(ctx, "run_step", uint64(run)); err != nil || done != 1 {
			t.Error("a run of nothing:", done, err)
		}
	}
	if _, err := i.status(ctx, "run_finish", uint64(run)); err != nil {
		t.Error(err)
	}
	if _, err := i.status(ctx, "run_free", uint64(run)); err != nil {
		t.Error(err)
	}
	if _, err := i.status(ctx, "run_step", uint64(run)); codeOf(err) != BadHandle {
		t.Error("a freed run:", err)
	}
}

// create makes a second model, without weights.
func create(t *testing.T, i *instance, m Model) uint64 {
	t.Helper()
	ctx := t.Context()
	var handle int32
	err := i.with(ctx, m.Config, func(c uint64) error {
		return i.with(ctx, m.Tokenizer, func(v uint64) (err error) {
			handle, err = i.status(ctx, "model_create", c, uint64(len(m.Config)), v, uint64(len(m.Tokenizer)))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return uint64(handle)
}

// place brings a model's weights in and opens it.
func place(t *testing.T, i *instance, handle uint64, m Model) {
	t.Helper()
	ctx := t.Context()
	at, err := i.call(ctx, "model_reserve", handle, uint64(m.Size))
	if err != nil || at == 0 {
		t.Fatal(at, err)
	}
	b, _ := i.module.Memory().Read(uint32(at), uint32(m.Size))
	if _, err := m.Weights.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := i.status(ctx, "model_received", handle, uint64(m.Size)); err != nil {
		t.Fatal(err)
	}
	if _, err := i.status(ctx, "model_open", handle, 0); err != nil {
		t.Fatal(err)
	}
}

// misuseLoading loads a second model beside the first in odd ways.
func misuseLoading(t *testing.T, i *instance) {
	ctx := context.Background()
	files := tiny(t, "model.safetensors")
	h := create(t, i, files)
	expect := func(what string, code Code, name string, arguments ...uint64) {
		t.Helper()
		if _, err := i.status(ctx, name, arguments...); codeOf(err) != code {
			t.Errorf("%s: code %d, want %d: %v", what, codeOf(err), code, err)
		}
	}
	expect("open without weights", NotReady, "model_open", h, 0)
	expect("received without memory", NotReady, "model_received", h, 1)
	expect("info of a model that is not open", NotReady, "model_info", h)
	at, err := i.call(ctx, "model_reserve", h, 100)
	if err != nil || at == 0 {
		t.Fatal(at, err)
	}
	if more, err := i.call(ctx, "model_reserve", h, 0xffff0000); err != nil || more != 0 {
		t.Error("4 GiB reserved:", more, err)
	}
	expect("half received, after a reservation that failed", 0, "model_received", h, 50)
	expect("open with half the weights", NotReady, "model_open", h, 0)
	expect("all received", 0, "model_received", h, 100)
	expect("more than reserved", BadArgument, "model_received", h, 101)
	expect("open something else", BadWeights, "model_open", h, 0)
	again, err := i.call(ctx, "model_reserve", h, uint64(files.Size))
	if err != nil || again == 0 {
		t.Fatal(again, err)
	}
	expect("the old memory", BadArgument, "free", at)
	b := make([]byte, files.Size)
	files.Weights.ReadAt(b, 0)
	i.module.Memory().Write(uint32(again), b)
	expect("memory that is reserved", BadArgument, "free", again)
	expect("received", 0, "model_received", h, uint64(files.Size))
	expect("received less", BadArgument, "model_received", h, 5)
	expect("open", 0, "model_open", h, 0)
	expect("memory that is the model's now", BadArgument, "free", again)
	if !bytes.Contains(mustInfo(t, i, h), []byte(`"hiddenSize":64`)) {
		t.Error("info of the second model")
	}
	expect("free", 0, "model_free", h)
	expect("free twice", BadHandle, "model_free", h)
}

func mustInfo(t *testing.T, i *instance, handle uint64) []byte {
	t.Helper()
	ctx := context.Background()
	if _, err := i.status(ctx, "model_info", handle); err != nil {
		t.Fatal(err)
	}
	b, err := i.result(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// misusePlan uses the calls for a GPU out of order, with nonsense and after what
// they speak of has gone.
func misusePlan(t *testing.T, i *instance, freed uint64) {
	ctx := context.Background()
	files := tiny(t, "model.safetensors")
	h := create(t, i, files)
	place(t, i, h, files)
	bytesOf := func(words ...uint32) []byte {
		var b []byte
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	alloc := func(b []byte) uint64 { return allocate(t, i, b) }
	status := func(code Code, name string, arguments ...uint64) uint64 {
		t.Helper()
		n, err := i.status(ctx, name, arguments...)
		if codeOf(err) != code || err != nil && err.Error() == "" {
			t.Errorf("%s%v: code %d, want %d: %v", name, arguments, codeOf(err), code, err)
		}
		return uint64(n)
	}
	packed := packInputs(core.Texts("a", "b"))
	o, err := packOptions(core.Options{Padding: model.Padding{Mode: model.PadNone}})
	if err != nil {
		t.Fatal(err)
	}
	inputs, options := alloc(packed), alloc(o)
	limits := alloc(bytesOf(128<<20, 256<<20, 65535))
	low := alloc(bytesOf(1000, 1000, 1))
	const d = 64
	good := alloc(make([]byte, 2*4*d))
	infinite := alloc(bytesOf(slices.Repeat([]uint32{math.Float32bits(float32(math.Inf(1)))}, 2*d)...))

	run := status(0, "run_start", h, inputs, uint64(len(packed)), options)
	status(NotReady, "plan_create", run, limits, 0)
	status(NotReady, "run_pass", run, 1000)
	prepareRun(t, i, run)
	status(BadArgument, "run_vectors", run, good, 2*4*d)
	if n := status(0, "run_pass", run, 1000); n != 2 {
		t.Errorf("%d texts in the pass, want 2", n)
	}
	status(BadArgument, "run_vectors", run, good, 4*d)
	status(BadArgument, "run_vectors", run, good, 2*4*d-1)
	status(BadArgument, "run_vectors", run, good, 0)
	status(BadArgument, "run_vectors", run, freed, 2*4*d)
	status(BadWeights, "run_vectors", run, infinite, 2*4*d)
	status(BadArgument, "plan_create", run, freed, 0)
	status(TooLarge, "plan_create", run, low, 0)
	status(NotReady, "run_finish", run)

	plan := status(0, "plan_create", run, limits, 1)
	weights := 0
	for buffer := range uint64(1000) {
		if _, err := i.status(ctx, "plan_weight", plan, buffer); err == nil {
			weights++
		} else if codeOf(err) != BadArgument {
			t.Errorf("buffer %d: %v", buffer, err)
		}
	}
	if weights < 5 {
		t.Errorf("%d buffers of weights", weights)
	}
	status(BadArgument, "plan_weight", plan, math.MaxUint32)
	second := status(0, "plan_create", run, limits, 0)
	status(0, "plan_free", plan)
	status(BadHandle, "plan_free", plan)
	status(BadHandle, "plan_weight", plan, 0)

	// The CPU goes on with the run, and takes the weights.
	status(0, "run_vectors", run, good, 2*4*d)
	status(BadArgument, "run_vectors", run, good, 2*4*d)
	if n := status(0, "run_pass", run, 1000); n != 0 {
		t.Errorf("%d texts are left", n)
	}
	status(0, "run_finish", run)
	status(NotReady, "plan_create", run, limits, 0)
	other := status(0, "run_start", h, inputs, uint64(len(packed)), options)
	prepareRun(t, i, other)
	status(0, "run_pass", other, 1000)
	status(0, "run_step", other)
	status(NotReady, "plan_weight", second, 0)
	status(NotReady, "plan_create", other, limits, 0)
	status(0, "model_free", h)
	for _, name := range []string{"plan_free", "run_free", "run_step"} {
		status(BadHandle, name, other)
	}
	status(BadHandle, "plan_free", second)
}
