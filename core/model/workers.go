package model

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workers run independent units of work on several threads. Which thread runs
// a unit never shows in a result.
type workers struct {
	count int
	mu    sync.Mutex // held by the run that uses the threads
	start []chan struct{}
	done  sync.WaitGroup
	next  atomic.Int64
	last  int64
	unit  func(worker, unit int)
}

// newWorkers starts n-1 threads beside the caller's; 0 means one a processor.
func newWorkers(n int) *workers {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	w := &workers{count: n}
	for i := 1; i < n; i++ {
		start := make(chan struct{}, 1)
		w.start = append(w.start, start)
		go func() {
			for range start {
				w.work(i)
				w.done.Done()
			}
		}()
	}
	return w
}

func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.start {
		close(c)
	}
	w.start = nil
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
	w.done.Add(len(w.start))
	for _, c := range w.start {
		c <- struct{}{}
	}
	w.work(0)
	w.done.Wait()
	w.unit = nil
}
