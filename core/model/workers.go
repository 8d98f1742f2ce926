package model

import (
	"runtime"
	"sync"
	"sync/atomic"
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

	round   atomic.Uint64 // counts the calls of run that use the threads
	next    atomic.Int64
	last    int64
	unit    func(worker, unit int)
	pending atomic.Int64   // helpers that have not finished the round
	done    sync.WaitGroup // the same, to sleep for
	closed  bool
}

// helper is one thread beside the caller's.
type helper struct {
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
		h.await(&w.round, round)
		if w.closed {
			return
		}
		w.work(worker)
		w.pending.Add(-1)
		w.done.Done()
	}
}

// await returns once the count has reached a number.
func (h *helper) await(count *atomic.Uint64, number uint64) {
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
}

// begin starts a round.
func (w *workers) begin() {
	w.round.Add(1)
	for _, h := range w.helpers {
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
		w.begin()
		w.helpers = nil
	}
}

func (w *workers) work(worker int) {
	for {
		i := w.next.Add(1) - 1
		if i >= w.last {
			return
		}
		w.unit(worker, int(i))
	}
}

// run calls unit(worker, i) for every first ≤ i < last, worker < count. While
// another run has the threads, the caller's thread does it all.
func (w *workers) run(first, last int, unit func(worker, unit int)) {
	if last-first <= 1 || w.count == 1 || !w.mu.TryLock() {
		for i := first; i < last; i++ {
			unit(0, i)
		}
		return
	}
	defer w.mu.Unlock()
	w.next.Store(int64(first))
	w.last, w.unit = int64(last), unit
	w.pending.Store(int64(len(w.helpers)))
	w.done.Add(len(w.helpers))
	w.begin()
	w.work(0)
	for i := 0; i < watches && w.pending.Load() > 0; i++ {
	}
	w.done.Wait()
	w.unit = nil
}
