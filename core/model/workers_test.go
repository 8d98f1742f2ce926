package model

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestWorkersPanic: a panic of a unit reaches the caller as an error once all
// threads have left their units, and the next round is whole.
func TestWorkersPanic(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		w := newWorkers(threads)
		for _, bad := range []int{0, 1, 50, 99} {
			var inside atomic.Int64
			err := w.run(0, 100, threads, 1e6, func(_, unit int) {
				inside.Add(1)
				defer inside.Add(-1)
				if unit == bad {
					panic("unit of the test")
				}
			})
			var fault *Fault
			if !errors.As(err, &fault) || fault.Value != "unit of the test" || !strings.Contains(string(fault.Stack), "TestWorkersPanic") {
				t.Fatalf("%d threads, unit %d: error %v, want a fault with the unit's stack", threads, bad, err)
			}
			if n := inside.Load(); n != 0 {
				t.Errorf("%d threads, unit %d: %d units still run", threads, bad, n)
			}
			var sum atomic.Int64
			if err := w.run(0, 100, threads, 1e6, func(_, unit int) { sum.Add(int64(unit)) }); err != nil || sum.Load() != 4950 {
				t.Errorf("%d threads: the round after has error %v and sum %d, want 4950", threads, err, sum.Load())
			}
		}
		if err := w.run(0, 100, threads, 1e6, func(_, _ int) { panic("all") }); err == nil {
			t.Errorf("%d threads: no error where all units panic", threads)
		}
		w.close()
	}
}

// TestWorkersShared: a run works alone while another has the threads, and has
// them as soon as they are free.
func TestWorkersShared(t *testing.T) {
	w := newWorkers(4)
	defer w.close()
	w.mu.Lock()
	var met atomic.Int64
	all := make(chan struct{})
	err := w.run(0, 20, 4, 1e6, func(worker, unit int) {
		switch {
		case unit < 10 && worker != 0:
			t.Errorf("unit %d ran on thread %d while another run had it", unit, worker)
		case unit == 9:
			w.mu.Unlock()
		case unit >= 10 && met.Add(1) == 4:
			close(all)
		}
		if unit >= 10 && unit < 14 { // a thread each
			<-all
		}
	})
	if err != nil || met.Load() != 10 || !w.mu.TryLock() {
		t.Errorf("error %v, %d units on all threads, want 10 and the threads free", err, met.Load())
	}
	w.mu.Unlock()
}

// TestWorkersSome: a round takes as many of the threads as it is told, whatever
// the rounds before took, and does each unit once.
func TestWorkersSome(t *testing.T) {
	w := newWorkers(6)
	defer w.close()
	for round := range 2000 {
		threads, units := 1+round*7%6, round*5%40
		done := make([]atomic.Int32, units)
		err := w.run(0, units, threads, 1e6, func(worker, unit int) {
			if worker >= threads {
				t.Errorf("round %d: thread %d of %d", round, worker, threads)
			}
			done[unit].Add(1)
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Fatalf("round %d on %d threads: unit %d of %d was done %d times", round, threads, i, units, n)
			}
		}
	}
}

// TestPaying: more work pays for more threads, none for less than one or for
// more than there are, and slow work for more than fast work.
func TestPaying(t *testing.T) {
	w := newWorkers(8)
	defer w.close()
	before := 0
	for work := 1.0; work < 1e12; work *= 3 {
		n := w.paying(work)
		if n < max(1, before) || n > 8 {
			t.Fatalf("%g operations pay for %d threads, a third of it for %d", work, n, before)
		}
		before = n
	}
	if w.paying(1) != 1 || w.paying(0) != 1 || before != 8 {
		t.Errorf("%d threads for one operation, %d for 1e12, want 1 and 8", w.paying(1), before)
	}
	fast := w.paying(1e6)
	for range 100 {
		w.measured(1e6, 8, 1, time.Millisecond, time.Millisecond) // a nanosecond an operation
	}
	if slow := w.paying(1e6); slow != 8 || fast > 4 {
		t.Errorf("a million operations pay for %d threads at 0.05 ns and %d at 1 ns", fast, slow)
	}
	w.measured(1e6, 8, 1, time.Hour, time.Hour)
	if n := w.paying(1); n != 1 {
		t.Errorf("one operation pays for %d threads after a round that was held up", n)
	}
}

// TestWaits: where threads wait for each other, work pays for fewer, and for as
// many as before once they do no more; what only stems from units that don't
// divide by the threads is no wait.
func TestWaits(t *testing.T) {
	const work, pace = 2e6, 0.1 // 200 microseconds
	w := newWorkers(8)
	defer w.close()
	rounds := func(n, units int, lost time.Duration) (threads int) {
		for range n {
			threads = min(units, w.paying(work))
			busy := time.Duration(work * pace)
			took := busy*time.Duration(blocks(units, threads))/time.Duration(units) + lost
			if threads == 1 {
				took = busy
			}
			w.measured(work, units, threads, took, busy)
		}
		return threads
	}
	if n := rounds(100, 16, 0); n != 8 {
		t.Errorf("%d threads without waits, want 8", n)
	}
	if n := rounds(100, 11, 0); n != 8 {
		t.Errorf("%d threads for 11 units, want 8", n)
	}
	if n := rounds(40, 16, 2*time.Millisecond); n != 1 {
		t.Errorf("%d threads where each round waits for 2 ms, want 1", n)
	}
	if n := rounds(1000, 16, 0); n != 8 {
		t.Errorf("%d threads once the waits are over, want 8", n)
	}
}

// TestLateHelper: a round whose units are all done does not wait for a helper that
// has not come, and the helper takes part in a later one.
func TestLateHelper(t *testing.T) {
	w := newWorkers(2)
	defer w.close()
	h := w.helpers[0]
	for !h.asleep.Load() {
		time.Sleep(time.Millisecond)
	}
	h.asleep.Store(false) // so that nobody wakes it
	if err := w.run(0, 10, 2, 1e6, func(worker, unit int) {
		if worker != 0 {
			t.Errorf("unit %d ran on thread %d, which sleeps", unit, worker)
		}
	}); err != nil {
		t.Fatal(err)
	}
	h.wake <- struct{}{}
	both := make(chan struct{})
	if err := w.run(0, 2, 2, 1e6, func(worker, _ int) {
		if worker == 1 {
			close(both)
		}
		<-both // until each thread has a unit
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLateWake: a wake-up that was meant for the round before does not begin
// the next one.
func TestLateWake(t *testing.T) {
	h := newSleeper()
	var count atomic.Uint64
	count.Store(1)
	awake := make(chan struct{})
	go func() {
		h.await(func() bool { return count.Load() == 2 })
		close(awake)
	}()
	// Once asleep is turned off here, the helper waits for a wake-up, however long it watched before.
	turnOff := func() {
		for !h.asleep.CompareAndSwap(true, false) {
			time.Sleep(time.Millisecond)
		}
	}
	turnOff()
	h.wake <- struct{}{}
	select {
	case <-awake:
		t.Fatal("the helper began a round that nobody started")
	case <-time.After(50 * time.Millisecond):
	}
	turnOff()
	count.Add(1)
	h.wake <- struct{}{}
	<-awake
}

// TestRunPanic: a pass that panics is over with an error, and the model makes
// the same vectors after it.
func TestRunPanic(t *testing.T) {
	for _, threads := range []int{1, 4} {
		m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Threads: threads})
		sequence := Sequence{IDs: []int32{101, 200, 300, 102}, Length: 4}
		r := m.NewRun()
		runAgain(t, r, PoolClass, false, sequence)
		want := slices.Clone(r.Vector(0))
		r = m.NewRun()
		r.Start([]Sequence{sequence}, PoolClass, false)
		r.doUnit = func(_, _ int) { panic("unit of the test") }
		for steps := 0; !r.Step(); steps++ {
			if steps > 100 {
				t.Fatal("the pass does not end")
			}
		}
		if r.Err() == nil || !r.Step() {
			t.Errorf("%d threads: error %v after a panic, want a fault and a pass that is over", threads, r.Err())
		}
		r = m.NewRun()
		runAgain(t, r, PoolClass, false, sequence)
		if r.Err() != nil || !slices.Equal(r.Vector(0), want) {
			t.Errorf("%d threads: other bits after a panic, error %v", threads, r.Err())
		}
		m.Close()
	}
}

// TestStartPanic: what goes wrong at the start of a pass is its error, too.
func TestStartPanic(t *testing.T) {
	m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Threads: 1})
	r := m.NewRun()
	r.Start(nil, PoolClass, false)
	var fault *Fault
	if !r.Step() || !errors.As(r.Err(), &fault) {
		t.Errorf("error %v, want a fault and a pass that is over", r.Err())
	}
	runAgain(t, r, PoolClass, false, alone([]int32{101, 102}))
}

// TestPadTokenRange: a pad that is no row of the word table is refused.
func TestPadTokenRange(t *testing.T) {
	weights := file(t, "tiny/model.safetensors")
	for _, c := range []struct {
		id int
		ok bool
	}{{-1, false}, {0, true}, {999, true}, {1000, false}, {1 << 40, false}} {
		config := tinyConfig(t)
		config.PadTokenID = c.id
		m, err := Load(config, weights, LoadOptions{Threads: 1})
		if c.ok != (err == nil) {
			t.Errorf("pad_token_id %d: error %v", c.id, err)
		}
		if err != nil && !strings.Contains(err.Error(), "0 to 999") {
			t.Errorf("pad_token_id %d: error %q does not name the range", c.id, err)
		}
		if m != nil {
			m.Close()
		}
	}
}
