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
// The stages of a short text take some ten microseconds each, less than waking
// a sleeping thread does. So whoever waits watches a while before it sleeps, and
// a helper that wakes when the units of its round are given out is not waited for.
type workers struct {
	count   int
	mu      sync.Mutex // held by the run that uses the threads
	helpers []*helper

	// round is how many threads may enter the round, 0 when all units are given
	// out, times 2³², and how many helpers are inside.
	round  atomic.Uint64
	caller sleeper // waits for the helpers inside
	next   atomic.Int64
	last   int64
	unit   func(worker, unit int)
	fault  atomic.Pointer[Fault] // the round's first panic
	closed atomic.Bool

	busy atomic.Int64  // nanoseconds that the round's threads worked, together
	pace atomic.Uint64 // bits of a float64: nanoseconds of a thread for a floating-point operation
	wait atomic.Uint64 // bits of a float64: nanoseconds that a thread more costs a round
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
	sleeper
	rounds atomic.Uint64 // counts the calls of run that want it
}

// sleeper is a thread that waits.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// watches is how many times a waiting thread looks before it sleeps: half a
// millisecond to one. A server's requests that come one after the other are closer
// than that; waking threads for each costs them a third of their time.
const watches = 500000

// newWorkers starts n-1 threads beside the caller's; 0 means one a processor.
func newWorkers(n int) *workers {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	w := &workers{count: n, caller: newSleeper()}
	for i := 1; i < n; i++ {
		h := &helper{sleeper: newSleeper()}
		w.helpers = append(w.helpers, h)
		go w.help(h, i)
	}
	return w
}

func newSleeper() sleeper { return sleeper{wake: make(chan struct{}, 1)} }

// help runs a helper's part of each round.
func (w *workers) help(h *helper, worker int) {
	catchFaults(true)
	var seen uint64
	for {
		h.await(func() bool { return h.rounds.Load() > seen })
		seen = h.rounds.Load()
		if w.closed.Load() {
			return
		}
		if w.enter(worker) {
			w.work(worker)
			if w.round.Add(^uint64(0)) == 0 {
				w.caller.rouse()
			}
		}
	}
}

// enter reports whether there is a round that the thread takes part in, which then
// does not end before it leaves.
func (w *workers) enter(worker int) bool {
	for {
		round := w.round.Load()
		if uint64(worker) >= round>>32 {
			return false
		}
		if w.round.CompareAndSwap(round, round+1) {
			return true
		}
	}
}

// await returns once something has come true. A wake-up alone does not mean that:
// whoever made it true may have been held up before the call of rouse, for so long
// that the thread had watched it, gone on and come back.
func (s *sleeper) await(reached func() bool) {
	for {
		for range watches {
			if reached() {
				return
			}
		}
		s.asleep.Store(true)
		// Whoever turns asleep off decides whether there will be a wake-up.
		if reached() && s.asleep.CompareAndSwap(true, false) {
			return
		}
		<-s.wake
		if reached() {
			return
		}
	}
}

// rouse wakes a thread for which something has come true, if it sleeps.
func (s *sleeper) rouse() {
	if s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}

// begin tells helpers that there is a round.
func (w *workers) begin(helpers []*helper) {
	for _, h := range helpers {
		h.rounds.Add(1)
		h.rouse()
	}
}

func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed.Swap(true) {
		w.begin(w.helpers)
		w.helpers = nil
	}
}

// work runs units until none is left. A panic is kept for the caller of run and
// ends the round early for all.
func (w *workers) work(worker int) {
	began := time.Now()
	defer func() {
		w.busy.Add(int64(time.Since(began)))
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
// thread is in a unit any more. It takes into the pace and the waits how long that
// took, which was that many operations of work.
//
// # Errors
//
// A panic of a unit, as a *Fault; other units may not have run.
func (w *workers) run(first, last, threads int, work float64, unit func(worker, unit int)) (err error) {
	if w.count == 1 {
		_, err = w.alone(first, last, 1, unit)
		return err
	}
	began := time.Now()
	next, err := w.alone(first, last, threads, unit)
	if err != nil {
		return err
	}
	if next == last {
		took := time.Since(began)
		w.measured(work, last-first, 1, took, took)
		return nil
	}
	defer w.mu.Unlock()
	if next == first { // else part of it ran alone
		defer func() { w.measured(work, last-first, threads, time.Since(began), time.Duration(w.busy.Load())) }()
	}
	first = next
	w.next.Store(int64(first))
	w.last, w.unit = int64(last), unit
	w.busy.Store(0)
	threads = min(threads, last-first)
	w.round.Store(uint64(threads) << 32)
	w.begin(w.helpers[:threads-1])
	w.work(0)
	w.round.And(1<<32 - 1)
	w.caller.await(func() bool { return w.round.Load() == 0 })
	w.unit = nil
	if f := w.fault.Swap(nil); f != nil {
		return f
	}
	return nil
}

// leastWait is what a thread more costs a round at least, in nanoseconds: to wake
// it, and to wait for it in the end.
const leastWait = 3000

// shortRound is how long a round takes, in nanoseconds, up to which it tells what a
// thread more costs; in longer ones that is lost in the work's own noise.
const shortRound = 1e6

// firstPace is the pace before any was measured: 20 operations in a nanosecond.
const firstPace = 0.05

// measure is a float64 that threads share.
func measure(of *atomic.Uint64, first float64) float64 {
	if bits := of.Load(); bits > 0 {
		return math.Float64frombits(bits)
	}
	return first
}

// follow takes a measurement into a measure, with a weight.
func follow(of *atomic.Uint64, first, now, weight float64) {
	before := measure(of, first)
	of.Store(math.Float64bits(before + (now-before)*weight))
}

// paying is how many threads work of that many floating-point operations pays
// for: the number k at which work/k + k·wait is least, by the pace and the waits
// of the rounds so far.
func (w *workers) paying(work float64) int {
	alone := work * measure(&w.pace, firstPace)
	return max(1, min(w.count, int(math.Sqrt(alone/measure(&w.wait, leastWait)))))
}

// takes is how long a round of work takes that is cut into units, in nanoseconds, on
// as many threads as pay.
func (w *workers) takes(work float64, units int) float64 {
	threads := float64(min(w.paying(work), units))
	return work*measure(&w.pace, firstPace)/threads + (threads-1)*measure(&w.wait, leastWait)
}

// measured takes a round of units on threads into the pace and the waits: how long
// it took, and how long its threads worked together.
func (w *workers) measured(work float64, units, threads int, took, busy time.Duration) {
	pace := measure(&w.pace, 0)
	now := float64(busy) / work
	if pace > 0 {
		now = min(now, 4*pace) // whoever was held up tells nothing of the work
		follow(&w.pace, 0, now, 1./8)
	} else {
		follow(&w.pace, 0, now, 1)
	}
	switch {
	case threads == 1:
		// Slowly forgotten, so that more threads get another chance.
		follow(&w.wait, leastWait, leastWait, 1./64)
	case work*now < float64(threads)*shortRound:
		best := float64(busy) * float64(blocks(units, threads)) / float64(units)
		lost := min(max(float64(took)-best, 0), shortRound) / float64(threads)
		follow(&w.wait, leastWait, max(lost, leastWait), 1./16)
	}
}
