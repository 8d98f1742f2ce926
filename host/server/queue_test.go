package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
	"m2embed/host"
)

// stepped is an engine whose work the test controls.
type stepped struct {
	steps   func(text string, between func() error) error
	started chan string
	config  model.Config
}

func (e *stepped) EmbedInputs(ctx context.Context, in []core.Input, o core.Options) ([]core.Embedding, error) {
	if e.started != nil {
		e.started <- in[0].Text
	}
	err := e.steps(in[0].Text, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return o.Progress(0, 1)
	})
	return []core.Embedding{{Vector: []float32{1}}}, err
}

// unpadded is the configuration of a model for long texts that are not padded.
var unpadded = model.Config{LongConvLMax: 1 << 20, Padding: model.Padding{Mode: model.PadNone}}

func (e *stepped) Tokenizer() *tokenizer.Tokenizer { return nil }
func (e *stepped) Config() model.Config            { return e.config }
func (e *stepped) Info() host.Info                 { return host.Info{Name: "m", Engine: "test"} }

// TestTurns: a short text does not wait for the whole of a long one.
func TestTurns(t *testing.T) {
	release := make(chan struct{})
	e := &stepped{started: make(chan string, 2), steps: func(text string, between func() error) error {
		if text == "short" {
			return between()
		}
		for {
			if err := between(); err != nil {
				return err
			}
			select {
			case <-release:
				return nil
			default:
			}
		}
	}}
	s := serverOf(e, Options{Concurrent: 2})
	long := make(chan int)
	go func() { long <- ask(s, "POST", "/v1/embeddings", `{"input":"long"}`).Code }()
	<-e.started
	for range 10 {
		embed(t, s, `{"input":"short"}`)
		<-e.started
	}
	close(release)
	if code := <-long; code != 200 {
		t.Errorf("the long one: %d", code)
	}
	s.Wait()
	if working, waiting := s.queue.counts(); working != 0 || waiting != 0 {
		t.Errorf("%d and %d requests are left in the queue", working, waiting)
	}
}

// TestTurnsInWasm: the same with m2embed.wasm, whose one instance they share.
func TestTurnsInWasm(t *testing.T) {
	module, err := os.ReadFile("../../wasm/module/m2embed.wasm")
	if err != nil {
		t.Skip("no m2embed.wasm; wasm/build.sh module makes it")
	}
	m, err := host.Open(tiny, host.Options{Engine: "wasm", Module: module})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := serverOf(m, Options{Concurrent: 3})
	want := embed(t, s, `{"input":"short"}`).vector(t, 0)
	texts, err := json.Marshal(map[string]any{"input": slices.Repeat([]string{strings.Repeat("long ", 500)}, 300)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	long := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/embeddings", bytes.NewReader(texts))
		r.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(w, r)
		long <- w.Code
	}()
	for working := 0; working == 0; working, _ = s.queue.counts() {
		time.Sleep(time.Millisecond)
	}
	for range 3 {
		if got := embed(t, s, `{"input":"short"}`).vector(t, 0); !slices.Equal(got, want) {
			t.Error("a short text has other bits")
		}
	}
	select {
	case code := <-long:
		t.Errorf("the long request ended first, with %d", code)
	default:
	}
	cancel()
	s.Wait()
	embed(t, s, `{"input":"short"}`)
}

// TestFull: beyond its limits the server says so at once.
func TestFull(t *testing.T) {
	release := make(chan struct{})
	e := &stepped{started: make(chan string, 8), steps: func(string, func() error) error { <-release; return nil }}
	s := serverOf(e, Options{Concurrent: 1, Waiting: 1})
	codes := make(chan int)
	for range 2 {
		go func() { codes <- ask(s, "POST", "/v1/embeddings", `{"input":"x"}`).Code }()
	}
	<-e.started
	for {
		if working, waiting := s.queue.counts(); working == 1 && waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	w := ask(s, "POST", "/v1/embeddings", `{"input":"x"}`)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "rate_limit_exceeded") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(s, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("health while busy: %d", w.Code)
	}
	close(release)
	for range 2 {
		if code := <-codes; code != 200 {
			t.Errorf("%d", code)
		}
	}
}

// TestTimeoutAndCancel: work stops between steps.
func TestTimeoutAndCancel(t *testing.T) {
	forever := func(_ string, between func() error) error {
		for {
			if err := between(); err != nil {
				return err
			}
		}
	}
	s := serverOf(&stepped{steps: forever}, Options{Timeout: 20 * time.Millisecond})
	w := ask(s, "POST", "/v1/embeddings", `{"input":"x"}`)
	if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), "20ms") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	e := &stepped{steps: forever, started: make(chan string, 1)}
	s = serverOf(e, Options{})
	real := httptest.NewServer(s)
	defer real.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-e.started; cancel() }()
	request, _ := http.NewRequestWithContext(ctx, "POST", real.URL+"/v1/embeddings", strings.NewReader(`{"input":"x"}`))
	request.Header.Set("Content-Type", "application/json")
	if _, err := http.DefaultClient.Do(request); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.Wait()
	if n := s.metrics.cancelled.Load(); n != 1 {
		t.Errorf("%d requests counted as cancelled, want 1", n)
	}
}

// TestFaults: what is not the request's fault is a 500, also a panic, and the
// server lives on.
func TestFaults(t *testing.T) {
	for _, steps := range []func(string, func() error) error{
		func(string, func() error) error { panic("broken") },
		func(string, func() error) error { return &core.Fault{Err: errors.New("not finite")} },
	} {
		s := serverOf(&stepped{steps: steps}, Options{})
		for range 3 {
			w := ask(s, "POST", "/v1/embeddings", `{"input":"x"}`)
			if w.Code != 500 || !strings.Contains(w.Body.String(), `"server_error"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if working, waiting := s.queue.counts(); working != 0 || waiting != 0 {
			t.Errorf("%d and %d requests are left in the queue", working, waiting)
		}
	}
}

// TestParallel: many requests at once get each its own vectors.
func TestParallel(t *testing.T) {
	m := open(t)
	real := httptest.NewServer(serverOf(m, Options{Concurrent: 3}))
	defer real.Close()
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			text := strings.Repeat("word ", 5*g+1)
			want, err := m.EmbedInputs(context.Background(), core.Texts(text), core.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				r, err := http.Post(real.URL+"/v1/embeddings", "application/json", strings.NewReader(fmt.Sprintf(`{"input":%q}`, text)))
				if err != nil {
					t.Error(err)
					return
				}
				var got response
				err = json.NewDecoder(r.Body).Decode(&got)
				r.Body.Close()
				if err != nil || !slices.Equal(got.vector(t, 0), want[0].Vector) {
					t.Errorf("text %d: another vector (%v)", g, err)
				}
			}
		})
	}
	group.Wait()
}
