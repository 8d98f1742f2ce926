package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
)

const testLimit = 24 << 20

// under runs f on an instance that keeps to testLimit by itself: its memory
// could grow further.
func under(t *testing.T, m Model, f func(i *instance)) {
	t.Helper()
	e := open(t, m, Options{})
	err := use(t.Context(), e, func(i *instance) error {
		if _, err := i.status(t.Context(), "memory_limit", testLimit); err != nil {
			return err
		}
		f(i)
		if i.memory() > testLimit {
			t.Errorf("%d bytes of memory, limit %d", i.memory(), testLimit)
		}
		_, err := embedOn(t.Context(), i, core.Texts("small"), core.Options{})
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLimitOfRuns: linear memory stays below the limit whatever is embedded, and
// what is refused is refused with a code. What fitted once fits again.
func TestLimitOfRuns(t *testing.T) {
	type batch struct {
		in   []core.Input
		fits bool
	}
	again := []string{"400,000 short", "ids", "two large", "12.6 MB"} // the largest of each kind
	batches := map[string]batch{
		"400,000 short": {core.Texts(slices.Repeat([]string{"a b"}, 400_000)...), false},
		"10,000 short":  {core.Texts(slices.Repeat([]string{"a b"}, 10_000)...), true},
		"ids":           {slices.Repeat([]core.Input{{IDs: make([]int32, 20)}}, 5000), true},
		"two large":     {core.Texts(strings.Repeat("y ", 2e6), strings.Repeat("!", 4e6)), true},
	}
	for _, mb := range []float64{9, 12.6, 40} {
		batches[fmt.Sprint(mb, " MB")] = batch{core.Texts(strings.Repeat("y ", int(mb*1e6/2))), mb < 40}
	}
	for name, b := range batches {
		times := 1
		if slices.Contains(again, name) {
			times = 2
		}
		t.Run(name, func(t *testing.T) {
			under(t, tiny(t, "model.safetensors"), func(i *instance) {
				for range times {
					_, err := embedOn(t.Context(), i, b.in, core.Options{Padding: model.Padding{Mode: model.PadNone}, MaxLength: 8})
					if err != nil && codeOf(err) != OutOfMemory || (err == nil) != b.fits {
						t.Fatalf("code %d: %v; fits: want %v", codeOf(err), err, b.fits)
					}
				}
			})
		})
	}
}

// record returns what a run over a text ends with, and how many steps it took.
func record(ctx context.Context, i *instance, text, name string, arguments ...uint64) (b []byte, steps int, err error) {
	r := run{instance: i}
	err = i.with(ctx, []byte(text), func(at uint64) error {
		handle, err := i.status(ctx, name, append([]uint64{i.model, at, uint64(len(text))}, arguments...)...)
		r.handle = uint64(handle)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	defer r.free(ctx)
	for done := false; !done; steps++ {
		if done, err = r.prepare(ctx); err != nil {
			return nil, steps, err
		}
	}
	if _, err = i.status(ctx, "run_finish", r.handle); err != nil {
		return nil, steps, err
	}
	b, err = i.result(ctx)
	return b, steps, err
}

// tokenize returns the size of the tokens record, and of passages where the text
// is cut into those.
func tokenize(ctx context.Context, i *instance, text string) (size int, err error) {
	b, steps, err := record(ctx, i, text, "tokenize")
	if err == nil && steps < len(text)/(256<<10) {
		err = fmt.Errorf("%d bytes in %d steps", len(text), steps)
	}
	return len(b), err
}

// TestLimitOfTokenize: no text takes tokenize past the limit, nor with a
// tokenizer that looks for an added token in normalised text. Nor does cutting.
func TestLimitOfTokenize(t *testing.T) {
	plain := tiny(t, "model.safetensors")
	folding := plain
	folding.Tokenizer = bytes.Replace(plain.Tokenizer, []byte(`"normalized": false`), []byte(`"normalized": true`), 1)
	for _, m := range []Model{plain, folding} {
		for _, unit := range []string{"y ", "!", "unaffable words are long ", "東京"} {
			sizes := []int{2e4, 2e6, 5e6}
			if bytes.Equal(m.Tokenizer, folding.Tokenizer) {
				sizes = []int{2e4, 2e6} // it takes more for the same text
			}
			for _, size := range sizes {
				under(t, m, func(i *instance) {
					text := strings.Repeat(unit, size/len(unit))
					if _, err := tokenize(t.Context(), i, text); err != nil && (codeOf(err) != OutOfMemory || size <= 2e4) {
						t.Errorf("%d bytes of %q: code %d: %v", size, unit, codeOf(err), err)
					}
					if size == 2e6 {
						if _, _, err := record(t.Context(), i, text, "passages", allocate(t, i, make([]byte, 16))); err != nil && codeOf(err) != OutOfMemory {
							t.Errorf("passages of %q: code %d: %v", unit, codeOf(err), err)
						}
					}
				})
			}
		}
	}
}

// TestTokenizeLarge: 2 MB of text are tokenized, in no more than 45 bytes a
// token.
func TestTokenizeLarge(t *testing.T) {
	e := open(t, tiny(t, "model.safetensors"), Options{})
	before := e.Memory()
	err := use(t.Context(), e, func(i *instance) error {
		size, err := tokenize(t.Context(), i, strings.Repeat("y ", 1<<20))
		tokens := 1<<20 + 2
		if want := 4 + 16*tokens + (tokens - 2) + len("[CLS][SEP]"); size != want {
			t.Errorf("%d bytes of tokens, want %d", size, want)
		}
		if grown := i.memory() - before; grown > uint64(45*tokens) {
			t.Errorf("memory has grown by %d bytes for %d tokens", grown, tokens)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLimitOfBuffers: many small buffers are refused in time, too.
func TestLimitOfBuffers(t *testing.T) {
	under(t, tiny(t, "model.safetensors"), func(i *instance) {
		ctx := t.Context()
		var held []uint64
		for {
			at, err := i.call(ctx, "alloc", 60_000)
			if err != nil {
				t.Fatal(err)
			}
			if at == 0 {
				break
			}
			held = append(held, at)
		}
		if err := i.lastFailure(ctx); codeOf(err) != OutOfMemory || len(held) < 200 {
			t.Errorf("after %d buffers: %v", len(held), err)
		}
		for _, at := range held {
			if _, err := i.status(ctx, "free", at); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestGarbage: a small model beside a large one does not let garbage grow by the
// size of the large one, which one that was freed does not do either.
func TestGarbage(t *testing.T) {
	const filler = 96 << 20
	small := tiny(t, "model.safetensors")
	large := small
	large.Weights, large.Size = filled(t, small, filler)
	e := open(t, large, Options{})
	err := use(t.Context(), e, func(i *instance) error {
		place(t, i, create(t, i, small), small)
		freed := create(t, i, small)
		place(t, i, freed, small)
		if _, err := i.status(t.Context(), "model_free", freed); err != nil {
			return err
		}
		before := i.memory()
		for range 50 {
			// A megabyte of garbage each.
			if _, err := i.status(t.Context(), "run_free", startRun(t, i, 10_000)); err != nil {
				return err
			}
		}
		if grown := i.memory() - before; grown > 32<<20 {
			t.Errorf("memory has grown by %d bytes", grown)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// startRun starts a run of short texts.
func startRun(t *testing.T, i *instance, texts int) uint64 {
	t.Helper()
	packed := packInputs(core.Texts(slices.Repeat([]string{"a"}, texts)...))
	options, err := packOptions(core.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var handle int32
	err = i.with(t.Context(), packed, func(at uint64) error {
		return i.with(t.Context(), options, func(o uint64) (err error) {
			handle, err = i.status(t.Context(), "run_start", i.model, at, uint64(len(packed)), o)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	prepareRun(t, i, uint64(handle))
	return uint64(handle)
}

// prepareRun tokenizes the texts of a run.
func prepareRun(t *testing.T, i *instance, handle uint64) {
	t.Helper()
	for done := false; !done; {
		var err error
		if done, err = (&run{instance: i, handle: handle}).prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// filled is a model's weights with a tensor that nothing uses.
func filled(t *testing.T, m Model, size int) (*bytes.Reader, int64) {
	filler := checkpoint.Tensor{Name: "filler", DType: checkpoint.F32, Shape: []int{size / 4}, Data: make([]byte, size)}
	return rewritten(t, m, func(tensors []checkpoint.Tensor) []checkpoint.Tensor { return append(tensors, filler) })
}

// rewritten is a model's weights with other tensors.
func rewritten(t *testing.T, m Model, change func([]checkpoint.Tensor) []checkpoint.Tensor) (*bytes.Reader, int64) {
	t.Helper()
	f, err := checkpoint.Open(m.Weights, m.Size)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []checkpoint.Tensor
	for _, name := range f.Names() {
		tensor, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		tensor.Name = name
		tensors = append(tensors, tensor)
	}
	var outputs []checkpoint.Output
	for _, tensor := range change(tensors) {
		outputs = append(outputs, checkpoint.Output{
			Name: tensor.Name, DType: tensor.DType, Shape: tensor.Shape,
			Write: func(w io.Writer) error { _, err := w.Write(tensor.Data); return err },
		})
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, nil, outputs); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes()), int64(b.Len())
}

// TestLimitOfHalfWeights: matrices in 16 bits are widened only where there is
// room for it.
func TestLimitOfHalfWeights(t *testing.T) {
	m := tiny(t, "pytorch_model.f16.bin")
	const layers = 60
	m.Config = bytes.Replace(m.Config, []byte(`"num_hidden_layers": 2`), fmt.Appendf(nil, `"num_hidden_layers": %d`, layers), 1)
	m.Weights, m.Size = rewritten(t, m, func(tensors []checkpoint.Tensor) (more []checkpoint.Tensor) {
		for _, tensor := range tensors {
			rest, inLayer := strings.CutPrefix(tensor.Name, "encoder.layer.0.")
			for l := range layers {
				if inLayer {
					tensor.Name = fmt.Sprintf("encoder.layer.%d.%s", l, rest)
					more = append(more, tensor)
				}
			}
			if !strings.HasPrefix(tensor.Name, "encoder.") {
				more = append(more, tensor)
			}
		}
		return more
	})
	t.Logf("%d bytes of weights", m.Size)
	for mb := uint64(10); ; mb += 3 {
		e, err := Open(t.Context(), read(t, moduleFile), m, Options{CacheDir: cacheDir, MemoryLimit: mb << 20})
		if err == nil {
			_, err = e.Texts(t.Context(), "a text")
			e.Close(context.Background())
		}
		if err == nil {
			t.Logf("%d bytes of weights run in %d MiB", m.Size, mb)
			return
		}
		if codeOf(err) != OutOfMemory || mb > 64 {
			t.Fatalf("%d MiB: code %d: %v", mb, codeOf(err), err)
		}
	}
}
