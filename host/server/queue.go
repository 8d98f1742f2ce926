package server

import (
	"context"
	"errors"
)

// queue admits a number of requests at a time and lets those take turns, first
// come, first served.
type queue struct {
	places  chan struct{} // filled by each request, worked on or waiting
	working chan struct{} // filled by each request that is worked on
	// turn holds the one token that its holder works with. A channel serves
	// those who wait in the order in which they came.
	turn chan struct{}
}

// errFull says that no more requests may wait.
var errFull = errors.New("the queue is full")

func newQueue(concurrent, waiting int) *queue {
	q := &queue{
		places:  make(chan struct{}, concurrent+waiting),
		working: make(chan struct{}, concurrent),
		turn:    make(chan struct{}, 1),
	}
	q.turn <- struct{}{}
	return q
}

// ticket is a request's place in the queue. It belongs to one goroutine.
type ticket struct {
	queue   *queue
	working bool
	turn    bool
}

// enter waits until a request may be worked on and it is its turn. The ticket
// must be given back with leave. A full queue is errFull at once.
func (q *queue) enter(ctx context.Context) (*ticket, error) {
	select {
	case q.places <- struct{}{}:
	default:
		return nil, errFull
	}
	t := &ticket{queue: q}
	select {
	case q.working <- struct{}{}:
		t.working = true
	case <-ctx.Done():
		t.leave()
		return nil, ctx.Err()
	}
	if err := t.take(ctx); err != nil {
		t.leave()
		return nil, err
	}
	return t, nil
}

func (t *ticket) take(ctx context.Context) error {
	select {
	case <-t.queue.turn:
		t.turn = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next lets the others have a turn each and waits for its own.
func (t *ticket) next(ctx context.Context) error {
	t.turn = false
	t.queue.turn <- struct{}{}
	return t.take(ctx)
}

// leave gives everything back. It may be called again.
func (t *ticket) leave() {
	if t.queue == nil {
		return
	}
	if t.turn {
		t.queue.turn <- struct{}{}
	}
	if t.working {
		<-t.queue.working
	}
	<-t.queue.places
	t.queue = nil
}

// counts returns how many requests are worked on and how many wait.
func (q *queue) counts() (working, waiting int) {
	working = len(q.working)
	return working, max(len(q.places)-working, 0)
}
