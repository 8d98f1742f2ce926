package model

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// workers run independent units of work on several threads. Which thread runs
// a unit never shows in a result.
//
// The stages of a short text take some ten microseconds each, as long as waking
// a sleeping thread does. So whoever waits watches a while before it sleeps.
type workers struct {
	count   int
	mu      sync.Mutex // held by the run that uses the threads
	helpers []*helper

	next    atomic.Int64
	last    int64
	unit    func(worker, unit int)
	pending atomic.Int64          // helpers that have not finished the round
	done    sync.WaitGroup        // the same, to sleep for
	fault   atomic.Pointer[Fault] // the round's first panic
	closed  bool

	pace atomic.Uint64 // bits of a float64: nanoseconds of a thread for a floating-point operation
}

// Fault is a panic of a unit of work, caught on the thread that ran it: a
// mistake in this program, which ends the pass and nothing else.
type Fault struct {
	Value any    // what the unit panicked with
	Stack []byte // of the thread that ran it
}

func (f *Fault) Error() string { return fmt.Sprintf("internal fault: %v", f.Value) }

// newFault makes a Fault of a recovered value; the stack is that of the
// deferred call, which still stands on the frames that panicked.
func newFault(value any) *Fault {
	stack := make([]byte, 16<<10)
	return &Fault{Value: value, Stack: stack[:runtime.Stack(stack, false)]}
}

// helper is one thread beside the caller's.
type helper struct {
	round  atomic.Uint64 // counts the calls of run that use it
	asleep atomic.Bool
	wake   chan struct{}
}

// watches is how many times a waiting thread looks before it sleeps: some 20 to
// 50 microseconds.
const watches = 20000

// newWorkers starts n-1 threads beside the caller's; 0 means one a processor.
func newWorkers(n int) *workers {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	w := &workers{count: n}
	for i := 1; i < n; i++ {
		h := &helper{wake: make(chan struct{}, 1)}
		w.helpers = append(w.helpers, h)
		go w.help(h, i)
	}
	return w
}

// help runs a helper's part of each round.
func (w *workers) help(h *helper, worker int) {
	for round := uint64(1); ; round++ {
		h.await(&h.round, round)
		if w.closed {
			return
		}
		w.work(worker)
		w.pending.Add(-1)
		w.done.Done()
	}
}

// await returns once the count has reached a number. A wake-up alone does not
// mean that: whoever began the round before may have been held up between
// counting it and waking a helper that had long finished it.
func (h *helper) await(count *atomic.Uint64, number uint64) {
	for {
		for range watches {
			if count.Load() >= number {
				return
			}
		}
		h.asleep.Store(true)
		// Whoever turns asleep off decides whether there will be a wake-up.
		if count.Load() >= number && h.asleep.CompareAndSwap(true, false) {
			return
		}
		<-h.wake
		if count.Load() >= number {
			return
		}
	}
}

// begin starts a round of some of the helpers.
func (w *workers) begin(helpers []*helper) {
	for _, h := range helpers {
		h.round.Add(1)
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.begin(w.helpers)
		w.helpers = nil
	}
}

// work runs units until none is left. A panic is kept for the caller of run and
// ends the round early for all.
func (w *workers) work(worker int) {
	defer func() {
		if v := recover(); v != nil {
			w.fault.CompareAndSwap(nil, newFault(v))
			w.next.Store(w.last)
		}
	}()
	for {
		i := w.next.Add(1) - 1
		if i >= w.last {
			return
		}
		w.unit(worker, int(i))
	}
}

// alone runs units on the caller's thread until there are more than one left and
// the threads are free, which it then has, or none. It returns the next unit.
func (w *workers) alone(first, last, threads int, unit func(worker, unit int)) (next int, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newFault(v)
		}
	}()
	for next = first; next < last; next++ {
		if last-next > 1 && threads > 1 && w.mu.TryLock() {
			break
		}
		unit(0, next)
	}
	return next, nil
}

// run calls unit(worker, i) for every first ≤ i < last, worker < threads ≤ count. As long
// as another run has the threads, the caller's works alone. When run returns, no
// thread is in a unit any more.
//
// # Errors
//
// A panic of a unit, as a *Fault; other units may not have run.
func (w *workers) run(first, last, threads int, unit func(worker, unit int)) (err error) {
	first, err = w.alone(first, last, threads, unit)
	if first == last || err != nil {
		return err
	}
	defer w.mu.Unlock()
	w.next.Store(int64(first))
	w.last, w.unit = int64(last), unit
	helpers := w.helpers[:min(threads, last-first)-1]
	w.pending.Store(int64(len(helpers)))
	w.done.Add(len(helpers))
	w.begin(helpers)
	w.work(0)
	for i := 0; i < watches && w.pending.Load() > 0; i++ {
	}
	w.done.Wait()
	w.unit = nil
	if f := w.fault.Swap(nil); f != nil {
		return f
	}
	return nil
}

// wakeTime is what a thread more costs a round, in nanoseconds: to wake it, and
// to wait for it in the end.
const wakeTime = 3000

// firstPace is the pace before any was measured: 20 operations in a nanosecond.
const firstPace = 0.05

// paying is how many threads work of that many floating-point operations pays
// for: the number k at which work/k + k·wakeTime is least, by the pace of the
// rounds so far.
func (w *workers) paying(work float64) int {
	pace := math.Float64frombits(w.pace.Load())
	if pace == 0 {
		pace = firstPace
	}
	return max(1, min(w.count, int(math.Sqrt(work*pace/wakeTime))))
}

// measured takes what a round took into the pace, as an eighth.
func (w *workers) measured(work float64, threads int, took time.Duration) {
	now := float64(took) * float64(threads) / work
	if before := math.Float64frombits(w.pace.Load()); before > 0 {
		now = before + (min(now, 4*before)-before)/8 // whoever was held up tells nothing of the work
	}
	w.pace.Store(math.Float64bits(now))
}
