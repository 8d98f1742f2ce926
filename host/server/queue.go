package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"m2embed/core"
)

// queue shares the processors among requests. Short requests for the same model
// with the same options run together in one group; groups take turns measured in time. The one whose
// turn it is works, since it keeps all processors busy by itself, and beside a
// long one a single short one: a step of a long text takes a tenth of a
// second, and the system shares out processors much finer than that.
//
// A group is young until it has worked for a quantum. Young groups go first, but
// have no more than half of the time as long as old groups wait, too. Among old
// groups the one goes on that has worked least.
type queue struct {
	limits queueLimits
	// long is told when the first long group begins to work, and when the last is done.
	long func(some bool)
	// observe is told what a group took.
	observe func(waited []time.Duration, worked time.Duration, positions, requests int)
	jobs    sync.WaitGroup

	mu      sync.Mutex
	pending []*task // not begun, first come first
	ready   []*group
	running *group // whose turn it is
	beside  *group // a short one that works at the same time
	started int    // groups
	longs   int    // groups of long requests among these
	working int    // requests in these groups
	turns   turns

	admitted int // requests, from before their body is read
	bytes    int64
	speeds   map[*speed]bool // of the models that requests wait for
}

// engine is the part of a [Model] that makes vectors. Engines are equal if they are the same.
type engine interface {
	EmbedInputs(ctx context.Context, inputs []core.Input, o core.Options) ([]core.Embedding, error)
}

// speed is what the queue knows of a model.
type speed struct {
	owed  int     // positions of requests that are not done
	tasks int     // of these requests
	rate  float64 // positions a second, of late; 0 if unknown
}

type queueLimits struct {
	groups   int   // that are worked on at a time; one place is kept for short requests
	requests int   // in all
	bytes    int64 // of bodies
	pass     int   // positions that run together, of different requests
}

// longCost and longTime are the number of positions, and the time that it has
// worked, from which a group is long. It takes more than the time of a pass of
// short requests with a small model: these do best one after the other.
const (
	longCost = 2048
	longTime = 5 * quantum
)

// errFull says that no more requests may wait.
var errFull = errors.New("the queue is full")

func newQueue(limits queueLimits) *queue {
	q := &queue{limits: limits, speeds: map[*speed]bool{}}
	q.long = func(bool) {}
	q.observe = func([]time.Duration, time.Duration, int, int) {}
	return q
}

// task is one request's work.
type task struct {
	engine  engine
	speed   *speed
	inputs  []core.Input
	options core.Options
	cost    int  // positions, as far as can be told beforehand
	alone   bool // must not share a group
	came    time.Time

	group   *group // nil while it is pending
	done    chan struct{}
	results []core.Embedding
	err     error
}

// group is tasks that run together.
type group struct {
	tasks []*task
	cost  int
	long  bool
	left  int // tasks whose clients still wait
	ctx   context.Context
	stop  context.CancelFunc
	turn  chan struct{}
	spent time.Duration
	share time.Duration // of old groups: the one with the least goes on
	since time.Time     // the time up to which spent counts
	begun time.Time     // the turn
}

// do runs a task that was admitted.
func (q *queue) do(ctx context.Context, t *task) ([]core.Embedding, error) {
	t.done, t.came = make(chan struct{}), time.Now()
	q.mu.Lock()
	q.owe(t, 1)
	q.pending = append(q.pending, t)
	q.dispatch()
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.owe(t, -1)
		q.mu.Unlock()
	}()
	select {
	case <-t.done:
		return t.results, t.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if g := t.group; g != nil {
		if g.left--; g.left == 0 {
			g.stop()
		}
	} else if i := slices.Index(q.pending, t); i >= 0 {
		q.pending = slices.Delete(q.pending, i, i+1)
	}
	return nil, ctx.Err()
}

// owe counts a task that came, or, with -1, one that is done.
func (q *queue) owe(t *task, n int) {
	t.speed.tasks, t.speed.owed = t.speed.tasks+n, t.speed.owed+n*t.cost
	if q.speeds[t.speed] = true; t.speed.tasks == 0 {
		delete(q.speeds, t.speed)
	}
}

// startable is the index of the pending task that may begin now, or -1. Long
// ones leave a place free for short ones, where there is more than one.
func (q *queue) startable(long bool) int {
	if q.started >= q.limits.groups {
		return -1
	}
	long = long && q.longs < max(1, q.limits.groups-1)
	return slices.IndexFunc(q.pending, func(t *task) bool { return long || t.cost <= longCost })
}

// dispatch gives the turn away, if it is free, and else lets a short group work
// beside the one that has it.
func (q *queue) dispatch() {
	if r := q.running; r != nil {
		first := q.startable(false)
		if q.turns.choose(first >= 0, true) == young && q.beside == nil && r.long {
			q.beside = q.start(first)
		}
		return
	}
	first := q.startable(true)
	switch q.turns.choose(first >= 0, len(q.ready) > 0) {
	case young:
		q.running = q.start(first)
	case old:
		g := slices.MinFunc(q.ready, func(a, b *group) int { return int(a.share - b.share) })
		q.ready = slices.DeleteFunc(q.ready, func(r *group) bool { return r == g })
		q.running = g
		g.work()
	}
}

// work lets a group begin or go on.
func (g *group) work() {
	g.begun = time.Now()
	g.since = g.begun
	g.turn <- struct{}{}
}

// start begins a group with a pending task and those that can join it.
func (q *queue) start(first int) *group {
	t := q.pending[first]
	g := &group{tasks: []*task{t}, cost: t.cost, turn: make(chan struct{}, 1)}
	q.pending = slices.Delete(q.pending, first, first+1)
	if !t.alone {
		q.pending = slices.DeleteFunc(q.pending, func(other *task) bool {
			joins := !other.alone && other.engine == t.engine && sameOptions(other.options, t.options) && g.cost+other.cost <= q.limits.pass
			if joins {
				g.tasks, g.cost = append(g.tasks, other), g.cost+other.cost
			}
			return joins
		})
	}
	g.left = len(g.tasks)
	g.ctx, g.stop = context.WithCancel(context.Background())
	for _, t := range g.tasks {
		t.group = g
	}
	g.share = q.turns.leastShare(q.ready)
	q.started, q.working = q.started+1, q.working+len(g.tasks)
	if t.cost > longCost {
		q.lengthen(g)
	}
	q.jobs.Add(1)
	g.work()
	go q.run(g)
	return g
}

// run works for a group and tells its tasks.
func (q *queue) run(g *group) {
	defer q.jobs.Done()
	<-g.turn
	began := time.Now()
	var inputs []core.Input
	waited := make([]time.Duration, len(g.tasks))
	for i, t := range g.tasks {
		inputs = append(inputs, t.inputs...)
		waited[i] = began.Sub(t.came)
	}
	results, err := q.embed(g, inputs)
	q.finish(g)
	if err != nil && len(g.tasks) > 1 {
		// Whose fault it was shows when each runs by itself.
		q.separate(g)
		return
	}
	positions := 0
	for _, e := range results {
		positions += e.Length
	}
	q.observe(waited, time.Since(began), positions, len(g.tasks))
	for _, t := range g.tasks {
		if t.err = err; err == nil {
			t.results, results = results[:len(t.inputs):len(t.inputs)], results[len(t.inputs):]
		}
		close(t.done)
	}
}

// embed turns a panic into an error of this group alone.
func (q *queue) embed(g *group, inputs []core.Input) (results []core.Embedding, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &panicError{fault, debug.Stack()}
		}
	}()
	o := g.tasks[0].options
	o.Progress = func(_, _ float64) error { return q.between(g) }
	results, err = g.tasks[0].engine.EmbedInputs(g.ctx, inputs, o)
	if err == nil && len(results) != len(inputs) {
		err = &core.Fault{Err: fmt.Errorf("%d vectors of %d texts", len(results), len(inputs))}
	}
	return results, err
}

// between lets others have their turn, if it is time.
func (q *queue) between(g *group) error {
	q.mu.Lock()
	q.charge(g)
	others := q.startable(g == q.running) >= 0 || g == q.running && len(q.ready) > 0
	if !others || g.spent < quantum || time.Since(g.begun) < quantum {
		q.dispatch()
		q.mu.Unlock()
		return g.ctx.Err()
	}
	q.ready = append(q.ready, g)
	q.leave(g)
	q.dispatch()
	q.mu.Unlock()
	select {
	case <-g.turn:
	case <-g.ctx.Done():
	}
	return g.ctx.Err()
}

// leave ends a group's turn.
func (q *queue) leave(g *group) {
	switch g {
	case q.running:
		q.running = nil
	case q.beside:
		q.beside = nil
	}
}

// charge accounts for the time since a group was last charged.
func (q *queue) charge(g *group) {
	now := time.Now()
	q.turns.charge(g, now.Sub(g.since))
	g.since = now
	if !g.long && g.spent >= longTime {
		q.lengthen(g)
	}
}

// lengthen makes a group a long one.
func (q *queue) lengthen(g *group) {
	g.long = true
	if q.longs++; q.longs == 1 {
		q.long(true)
	}
}

// finish gives back what a group holds.
func (q *queue) finish(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if g == q.running || g == q.beside {
		q.charge(g)
		q.leave(g)
	}
	q.ready = slices.DeleteFunc(q.ready, func(r *group) bool { return r == g })
	q.started, q.working = q.started-1, q.working-len(g.tasks)
	if g.long {
		if q.longs--; q.longs == 0 {
			q.long(false)
		}
	}
	if seconds := g.spent.Seconds(); seconds > 0 && g.ctx.Err() == nil {
		now, s := float64(g.cost)/seconds, g.tasks[0].speed
		if s.rate == 0 {
			s.rate = now
		}
		s.rate += (now - s.rate) / 8
	}
	g.stop()
	q.dispatch()
}

// separate puts the tasks of a group back, each to run alone.
func (q *queue) separate(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range g.tasks {
		t.group, t.alone = nil, true
	}
	q.pending = append(slices.Clone(g.tasks), q.pending...)
	q.dispatch()
}

// sameOptions says whether texts of two requests can run in one call and get
// the vectors that each would get alone.
func sameOptions(a, b core.Options) bool {
	return a.MaxLength == b.MaxLength && a.Truncation == b.Truncation && a.Padding == b.Padding && a.Pooling == b.Pooling && a.Normalize == b.Normalize &&
		a.Task == b.Task && a.Dimensions == b.Dimensions
}

// panicError is a panic of the engine.
type panicError struct {
	fault any
	stack []byte
}

func (e *panicError) Error() string { return "a fault in the server" }

// counts returns how many requests are worked on and how many wait.
func (q *queue) counts() (working, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.working, max(q.admitted-q.working, 0)
}
