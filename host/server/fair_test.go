package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2embed/core"
	"m2embed/core/model"
)

// recorded is an engine that notes the calls it gets; the first waits.
type recorded struct {
	mu      sync.Mutex
	calls   [][]string
	first   chan struct{} // the first call has begun
	release chan struct{} // it may end
}

func (e *recorded) EmbedInputs(_ context.Context, in []core.Input, _ core.Options) ([]core.Embedding, error) {
	var texts []string
	out := make([]core.Embedding, len(in))
	for i, t := range in {
		texts = append(texts, t.Text)
		out[i].Vector = []float32{float32(len(t.Text))}
		if t.Text == "bad" {
			return nil, fmt.Errorf("input %d: bad", i)
		}
	}
	e.mu.Lock()
	e.calls = append(e.calls, texts)
	n := len(e.calls)
	e.mu.Unlock()
	if n == 1 {
		close(e.first)
		<-e.release
	}
	return out, nil
}

// while runs tasks that come while a first one works, and returns the calls of
// the engine after that.
func while(t *testing.T, limits queueLimits, tasks []*task) [][]string {
	t.Helper()
	e := &recorded{first: make(chan struct{}), release: make(chan struct{})}
	q := newQueue(limits)
	var group sync.WaitGroup
	group.Go(func() { q.do(t.Context(), &task{engine: e, speed: &speed{}, inputs: core.Texts("first")}) })
	<-e.first
	other := &recorded{first: make(chan struct{}), release: e.release}
	for i, task := range tasks {
		task.engine, task.speed = e, &speed{}
		if strings.HasPrefix(task.inputs[0].Text, "other model") {
			task.engine = other
		}
		group.Go(func() {
			got, err := q.do(t.Context(), task)
			if bad := task.inputs[0].Text == "bad"; (err != nil) != bad || bad && err.Error() != "input 0: bad" {
				t.Errorf("task %d: %v", i, err)
			} else if err == nil && (len(got) != len(task.inputs) || got[0].Vector[0] != float32(len(task.inputs[0].Text))) {
				t.Errorf("task %d has another's vectors: %v", i, got)
			}
		})
		for pending := 0; pending <= i; time.Sleep(100 * time.Microsecond) {
			q.mu.Lock()
			pending = len(q.pending)
			q.mu.Unlock()
		}
	}
	close(e.release)
	group.Wait()
	q.jobs.Wait()
	if q.started+q.working+q.longs+len(q.speeds)+len(q.pending)+len(q.ready) != 0 || q.running != nil || q.beside != nil {
		t.Errorf("the queue still holds something: %+v", q)
	}
	return append(e.calls[1:], other.calls...)
}

// TestCompany: short requests with the same options share a call, up to the
// budget of a pass; a request that fails fails alone.
func TestCompany(t *testing.T) {
	short := func(text string, cost int) *task { return &task{inputs: core.Texts(text), cost: cost} }
	other := short("cls", 1)
	other.options.Pooling = model.PoolClass
	alone := short("alone", 1)
	alone.alone = true
	two := &task{inputs: core.Texts("x", "yy"), cost: 2}
	for name, c := range map[string]struct {
		tasks []*task
		want  [][]string
	}{
		"one call":      {[]*task{short("a", 1), short("b", 1), two}, [][]string{{"a", "b", "x", "yy"}}},
		"budget":        {[]*task{short("a", 60), short("b", 60), short("c", 40)}, [][]string{{"a", "c"}, {"b"}}},
		"other options": {[]*task{short("a", 1), other, short("b", 1)}, [][]string{{"a", "b"}, {"cls"}}},
		"models":        {[]*task{short("a", 1), short("other model", 1), short("b", 1), short("other model, too", 1)}, [][]string{{"a", "b"}, {"other model", "other model, too"}}},
		"alone":         {[]*task{short("a", 1), alone, short("b", 1)}, [][]string{{"a", "b"}, {"alone"}}},
		"a bad one":     {[]*task{short("a", 1), short("bad", 1), short("b", 1)}, [][]string{{"a"}, {"b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := while(t, queueLimits{groups: 4, pass: 100}, c.tasks)
			if !slices.EqualFunc(got, c.want, slices.Equal) {
				t.Errorf("calls %q, want %q", got, c.want)
			}
		})
	}
}

// TestCompanyBits: vectors are the same with and without company.
func TestCompanyBits(t *testing.T) {
	m := open(t)
	s := serverOf(m, Options{})
	texts := []string{"a", "hello there", "", strings.Repeat("long ", 90), "b c d"}
	var want [][]float32
	for _, text := range texts {
		r, err := m.EmbedInputs(t.Context(), core.Texts(text), core.Options{Padding: model.Padding{Mode: model.PadNone}})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r[0].Vector)
	}
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			got := embed(t, s, fmt.Sprintf(`{"input":%q,"padding":"none"}`, texts[i%5])).vector(t, 0)
			if !slices.Equal(got, want[i%5]) {
				t.Errorf("text %d has other bits", i%5)
			}
		})
	}
	group.Wait()
}

// TestReservedPlace: long requests never take every place.
func TestReservedPlace(t *testing.T) {
	release := make(chan struct{})
	s := serverOf(&stepped{steps: func(text string, between func() error) error {
		for len(text) > 9 {
			select {
			case <-release:
				return nil
			default:
			}
			if err := between(); err != nil {
				return err
			}
		}
		return nil
	}, config: unpadded}, Options{Concurrent: 3})
	codes := make(chan int)
	for range 5 {
		go func() {
			codes <- ask(s, "POST", "/v1/embeddings", `{"input":"`+strings.Repeat("long ", 2000)+`"}`).Code
		}()
	}
	for working, waiting := 0, 0; working < 2 || waiting < 3; working, waiting = s.queue.counts() {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		embed(t, s, `{"input":"short"}`) // comes back before the long ones are released
	}
	close(release)
	for range 5 {
		if code := <-codes; code != 200 {
			t.Errorf("a long one: %d", code)
		}
	}
}

// TestBeside: a short request works beside a long one that is in the middle of a
// step, the first or a later one; one beyond its share waits for the step's end.
func TestBeside(t *testing.T) { synctest.Test(t, testBeside) }

func testBeside(t *testing.T) {
	step, release := make(chan struct{}), make(chan struct{})
	s := serverOf(&stepped{steps: func(text string, between func() error) error {
		for i := 0; len(text) > 9 && i < 3; i++ {
			step <- struct{}{}
			<-release
			if err := between(); err != nil {
				return err
			}
		}
		return nil
	}, config: unpadded}, Options{Concurrent: 3})
	code := make(chan int)
	go func() {
		code <- ask(s, "POST", "/v1/embeddings", `{"input":"`+strings.Repeat("long ", 2000)+`"}`).Code
	}()
	for range 2 {
		<-step
		for range 3 {
			embed(t, s, `{"input":"short"}`)
		}
		release <- struct{}{}
	}
	<-step
	s.queue.mu.Lock()
	s.queue.turns.had[young] += time.Hour
	s.queue.mu.Unlock()
	short := make(chan struct{}, 1)
	go func() {
		embed(t, s, `{"input":"short"}`)
		short <- struct{}{}
	}()
	synctest.Wait()
	if _, waiting := s.queue.counts(); waiting != 1 || len(short) != 0 {
		t.Errorf("a short request beyond its share works beside a long one: %d wait, %d are done", waiting, len(short))
	}
	release <- struct{}{}
	<-short
	if got := <-code; got != 200 {
		t.Errorf("the long one: %d", got)
	}
}

// TestShares: young groups go first, but have no more than half of the time.
func TestShares(t *testing.T) {
	var s turns
	had := map[age]time.Duration{}
	long, now := &group{spent: quantum}, time.Duration(0)
	for now < 10*time.Second {
		class := s.choose(true, true)
		g := long
		if class == young {
			g = &group{}
		}
		s.charge(g, 5*time.Millisecond)
		had[class] += 5 * time.Millisecond
		now += 5 * time.Millisecond
	}
	if ratio := had[young].Seconds() / had[old].Seconds(); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("young groups had %v, old ones %v", had[young], had[old])
	}
	// Time in which nobody old was there is not owed to old ones.
	for range 100 {
		s.choose(true, false)
		s.charge(&group{}, 5*time.Millisecond)
	}
	if s.choose(false, true); s.choose(true, true) != young {
		t.Error("young groups pay for time in which nobody else waited")
	}
}

// TestBytes: bodies are refused before they are read where too many bytes wait.
func TestBytes(t *testing.T) {
	s := serverOf(open(t), Options{BodyLimit: 8 << 20, QueueBytes: 8 << 20, BodyTime: time.Hour})
	real := httptest.NewServer(s)
	t.Cleanup(real.Close)
	send := func(length int) net.Conn {
		c, err := net.Dial("tcp", real.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"input\":\"x", length)
		return c
	}
	refused := func(length int) string {
		status := make([]byte, len("HTTP/1.1 429"))
		if _, err := io.ReadFull(send(length), status); err != nil {
			t.Error(err)
		}
		return string(status)
	}
	held := func(want int64) {
		for got := int64(-1); got != want; time.Sleep(time.Millisecond) {
			s.queue.mu.Lock()
			got = int64(s.queue.bytes)
			s.queue.mu.Unlock()
		}
	}
	first := send(5 << 20)
	held(5 << 20)
	if got := refused(2 << 20); got != "HTTP/1.1 429" {
		t.Errorf("beyond the bytes that wait: %s", got)
	}
	if got := refused(9 << 20); got != "HTTP/1.1 413" {
		t.Errorf("beyond the bytes of a body: %s", got)
	}
	if r, err := http.Post(real.URL+"/v1/embeddings", "application/json", strings.NewReader(`{"input":"x"}`)); err != nil || r.StatusCode != 200 {
		t.Errorf("a small one meanwhile: %v %v", r, err)
	}
	first.Close()
	held(0)
	send(5 << 20) // into the place of the client that left
	held(5 << 20)
}

// TestSlowBody: a body that does not arrive ends.
func TestSlowBody(t *testing.T) {
	s := serverOf(open(t), Options{BodyTime: 50 * time.Millisecond})
	real := httptest.NewServer(s)
	defer real.Close()
	r, w := io.Pipe()
	go w.Write([]byte(`{"input":"x`))
	defer w.Close()
	answer, err := http.Post(real.URL+"/v1/embeddings", "application/json", r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), "within 50ms") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	s.Wait()
	if s.queue.admitted != 0 || s.queue.bytes != 0 {
		t.Errorf("%d requests of %d bytes are left", s.queue.admitted, s.queue.bytes)
	}
}

// TestRetryAfter: it is the work that waits, at the speed of late.
func TestRetryAfter(t *testing.T) {
	q := newQueue(queueLimits{})
	s := &speed{}
	q.speeds[s] = true
	for _, c := range []struct {
		owed int
		rate float64
		want int
	}{{5000, 0, 1}, {5000, 1000, 5}, {1, 1000, 1}, {1e9, 1, 600}, {1500, 1000, 2}} {
		s.owed, s.rate = c.owed, c.rate
		if got := q.retryAfter(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	q.speeds[&speed{owed: 300, rate: 100}] = true // of another model
	if got := q.retryAfter(); got != 5 {
		t.Errorf("%d s, want 3 of another model beside 2", got)
	}
}

// TestGone: a request that nobody waits for any more is neither begun nor ended.
func TestGone(t *testing.T) {
	e := &recorded{first: make(chan struct{}), release: make(chan struct{})}
	q := newQueue(queueLimits{groups: 1, pass: 100})
	go q.do(t.Context(), &task{engine: e, speed: &speed{}, inputs: core.Texts("first")})
	<-e.first
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := q.do(ctx, &task{engine: e, speed: &speed{}, inputs: core.Texts("second")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(e.release)
	q.jobs.Wait()
	if len(e.calls) != 1 {
		t.Errorf("calls %q", e.calls)
	}
}
