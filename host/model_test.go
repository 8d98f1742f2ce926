package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host/convert"
	"m2embed/host/internal/hosttest"
)

func openModel(t testing.TB, path string, o Options) *Model {
	t.Helper()
	m, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestModel: the door leads to core's vectors.
func TestModel(t *testing.T) {
	m := openModel(t, tiny, Options{})
	files, err := OpenFiles(tiny, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	e, err := core.Open(files.ConfigJSON, files.Tokenizer, files.Weights, core.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want, err := e.Embed(t.Context(), core.Texts("hello there", "world"), core.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Embed(t.Context(), "hello there", "world")
	if err != nil || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	for i := range got {
		if !slices.Equal(got[i], want[i].Vector) {
			t.Errorf("text %d: another vector", i)
		}
	}
	info := m.Info()
	if info.Name != "tiny" || info.Dimension != len(got[0]) || info.MaxLength != e.MaxLength() || info.Padding.Mode == model.PadDefault || !strings.HasPrefix(info.Engine, "native (") {
		t.Errorf("%+v", info)
	}
	encoded, err := m.Tokenize("hello there", tokenizer.Options{})
	if err != nil || len(encoded.IDs) < 3 || encoded.IDs[0] != m.Tokenizer().ClassID() {
		t.Errorf("tokens %v, %v", encoded.IDs, err)
	}
	var input *core.InputError
	if _, err := m.EmbedInputs(t.Context(), []core.Input{{Text: "a"}, {IDs: []int32{-1}}}, core.Options{}); !errors.As(err, &input) || input.Index != 1 {
		t.Errorf("a bad id: %v", err)
	}
}

// TestModelClose: Close waits for calls under way, and calls after it fail.
func TestModelClose(t *testing.T) {
	m, err := Open(tiny, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	begun, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := m.EmbedInputs(context.Background(), core.Texts(slices.Repeat([]string{strings.Repeat("long ", 300)}, 20)...), core.Options{Progress: func(_, _ float64) error {
			once.Do(func() { close(begun) })
			<-goOn
			return nil
		}})
		done <- err
	}()
	<-begun
	closed := make(chan struct{}, 2)
	for range 2 {
		go func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			closed <- struct{}{}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	if _, err := m.Embed(t.Context(), "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("a call while it closes: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	<-closed
	<-closed
	if _, err := m.Embed(t.Context(), "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("Embed after Close: %v", err)
	}
	if _, err := m.Tokenize("a", tokenizer.Options{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Tokenize after Close: %v", err)
	}
	if i := m.Info(); i.Name != "tiny" {
		t.Errorf("Info after Close: %+v", i)
	}
}

// TestModelCancel: a cancelled context ends a call soon, in a pass and while a
// text is tokenized.
func TestModelCancel(t *testing.T) {
	m := openModel(t, tiny, Options{})
	for name, c := range map[string]struct {
		inputs []core.Input
		total  bool
	}{
		"tokenizing": {core.Texts(strings.Repeat("some words ", 4<<20)), false},
		"passes":     {core.Texts(slices.Repeat([]string{strings.Repeat("long ", 500)}, 2000)...), true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var cancelled time.Duration // of the processor: the clock runs for others, too
		_, err := m.EmbedInputs(ctx, c.inputs, core.Options{Progress: func(_, total float64) error {
			if cancelled == 0 && (total > 0) == c.total {
				cancelled = hosttest.ProcessorTime()
				cancel()
			}
			return nil
		}})
		cancel()
		if took := hosttest.ProcessorTime() - cancelled; !errors.Is(err, context.Canceled) || took > 500*time.Millisecond {
			t.Errorf("%s: %v after %v", name, err, took)
		}
	}
}

// TestModelRefuses: what cannot be opened is told.
func TestModelRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path, want string
		o          Options
	}{
		"engine":           {tiny, `engine "abacus", want one of native, wasm, webgpu`, Options{Engine: "abacus"}},
		"memory limit":     {tiny, "memory limit", Options{MemoryLimit: 1 << 30}},
		"built-in config":  {"", "configuration and a tokenizer of its own", Options{Config: "config.json"}},
		"too many threads": {tiny, "1073741824 threads, want 1 to 1024", Options{Threads: 1 << 30}},
		"pooling":          {tiny, `pooling "99", want one of`, Options{Pooling: 99}},
		"tokenize with":    {tiny, `tokenizer library "x", want one of core, rust`, Options{TokenizeWith: "x"}},
		"less than none":   {tiny, "-1 threads, want 1 to 1024", Options{Threads: -1}},
		"nothing":          {"/nowhere", "open model /nowhere: no such file or directory", Options{}},
	} {
		m, err := Open(c.path, c.o)
		if err == nil {
			m.Close()
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestModelSpace: the space is the file's, and integers are another.
func TestModelSpace(t *testing.T) {
	want := openModel(t, tiny, Options{}).Info().Space
	if len(want) != 16 {
		t.Errorf("space %q", want)
	}
	folder := t.TempDir()
	for _, dtype := range []string{"f32", "int8"} {
		if err := convert.Model(t.Context(), tiny, folder+"/"+dtype, convert.Options{DType: dtype}); err != nil {
			t.Fatal(err)
		}
		if got := openModel(t, folder+"/"+dtype, Options{}).Info().Space; (got == want) != (dtype == "f32") {
			t.Errorf("%s: space %s, that of the original is %s", dtype, got, want)
		}
	}
}
