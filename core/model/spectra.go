package model

import (
	"iter"
	"slices"
	"sync"

	"m2embed/core/fft"
	"m2embed/core/kernel"
)

// spectra keeps what depends on the weights alone: transform plans and, within
// a budget of bytes, the filters' spectra. A spectrum serves every length with
// the same number of rows N and takes D·N·4 bytes for each of a layer's two
// filters: 302 MB for the 80M shape at N = 4,096 (texts up to 2,048 tokens),
// 4.8 GB at 65,536. What is not kept is made anew by every run, which costs
// about a seventh of a forward pass.
//
// The budget holds at every moment and for all runs together: memory counts
// from the reservation before it is made until nobody keeps or reads it.
type spectra struct {
	*FilterPool // its mutex guards what is below, too
	set         *kernel.Set
	plans       map[int]*fft.Plan
	buckets     map[int]*bucket // by N
	own         int             // bytes of held
}

// FilterPool is a budget of bytes for the filter spectra of all models that
// were loaded with it. What was not used for longest makes room, whosever it is.
// It is safe for concurrent use.
type FilterPool struct {
	mu      sync.Mutex
	budget  int // bytes
	held    int // bytes of all spectra, kept or being filled
	clock   int
	members []*spectra
}

// NewFilterPool makes a pool of so many bytes; 0 means DefaultFilterBudget,
// negative none.
func NewFilterPool(budget int) *FilterPool {
	if budget == 0 {
		budget = DefaultFilterBudget
	}
	return &FilterPool{budget: max(budget, 0)}
}

// Bytes is the memory that filter spectra take at the moment.
func (p *FilterPool) Bytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

type bucket struct {
	owner *spectra
	rows  int // N
	used  int // clock of the last use
	kept  map[filterKey]*spectrum
}

// filterKey names what is kept: a spectrum (groups, N, GroupWidth), or the
// reverse taps (groups, taps, GroupWidth) that the last layer uses for its
// first row.
type filterKey struct {
	layer, filter int
	taps          bool
}

// spectrum is memory of the budget. Whoever got it from get or room owes one
// release, or keep for what room gave.
type spectrum struct {
	values []float32
	users  int  // runs that read or fill it
	kept   bool // others find it, too
}

func (x *spectrum) bytes() int { return 4 * len(x.values) }

func newSpectra(set *kernel.Set, pool *FilterPool) *spectra {
	s := &spectra{FilterPool: pool, set: set, plans: map[int]*fft.Plan{}, buckets: map[int]*bucket{}}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.members = append(pool.members, s)
	return s
}

// leave gives up everything and the place in the pool. No run may read it.
func (s *spectra) leave() {
	s.trim()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(m *spectra) bool { return m == s })
}

// plan returns the transform plan for n rows.
func (s *spectra) plan(n int) *fft.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plans[n]
	if p == nil {
		p = fft.NewPlan(s.set, n)
		s.plans[n] = p
	}
	return p
}

// get returns what is kept under a key, or nil.
func (s *spectra) get(n int, key filterKey) *spectrum {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[n]
	if b == nil {
		return nil
	}
	s.clock++
	b.used = s.clock
	x := b.kept[key]
	if x != nil {
		x.users++
	}
	return x
}

// room hands out memory of the given number of floats to fill, or nil if the
// budget has no room for it. Buckets that were not used for longest, of any
// model, make room, but only if that is enough; a bucket never drives itself out,
// so that of a bucket larger than the budget the first layers stay.
func (s *spectra) room(n, floats int) *spectrum {
	if !s.reserve(n, 4*floats) {
		return nil
	}
	// Made outside of the lock: clearing 200 MB takes a while.
	return &spectrum{values: make([]float32, floats), users: 1}
}

// reserve counts bytes as held, or reports that they cannot be.
func (s *spectra) reserve(n, bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := 0
	for b := range s.others(n) {
		idle += b.idle()
	}
	if s.held-idle+bytes > s.budget {
		return false
	}
	for s.held+bytes > s.budget {
		var oldest *bucket
		for b := range s.others(n) {
			if b.idle() > 0 && (oldest == nil || b.used < oldest.used) {
				oldest = b
			}
		}
		oldest.evict()
	}
	s.held, s.own = s.held+bytes, s.own+bytes
	return true
}

// others are all buckets of the pool but the one for n rows of this model.
func (s *spectra) others(n int) iter.Seq[*bucket] {
	return func(yield func(*bucket) bool) {
		for _, m := range s.members {
			for k, b := range m.buckets {
				if (m != s || k != n) && !yield(b) {
					return
				}
			}
		}
	}
}

// idle is the bytes that no run reads at the moment.
func (b *bucket) idle() (bytes int) {
	for _, x := range b.kept {
		if x.users == 0 {
			bytes += x.bytes()
		}
	}
	return bytes
}

// evict gives up what no run reads.
func (b *bucket) evict() {
	for key, x := range b.kept {
		if x.users == 0 {
			b.owner.free(x)
			delete(b.kept, key)
		}
	}
	if len(b.kept) == 0 {
		delete(b.owner.buckets, b.rows)
	}
}

// free counts a spectrum as no longer held.
func (s *spectra) free(x *spectrum) {
	s.held, s.own = s.held-x.bytes(), s.own-x.bytes()
}

// trim gives up everything that no run reads.
func (s *spectra) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buckets {
		b.evict()
	}
}

// keep stores memory that room handed out and that is filled now.
func (s *spectra) keep(n int, key filterKey, x *spectrum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[n]
	if b == nil {
		b = &bucket{owner: s, rows: n, kept: map[filterKey]*spectrum{}}
		s.buckets[n] = b
	}
	s.clock++
	b.used = s.clock
	if b.kept[key] == nil { // else another run was faster
		b.kept[key], x.kept = x, true
	}
	s.done(x)
}

// release ends a run's use of a spectrum; one that was never kept is gone.
func (s *spectra) release(x *spectrum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done(x)
}

func (s *spectra) done(x *spectrum) {
	x.users--
	if !x.kept {
		s.free(x)
	}
}

// bytes is what this model holds at the moment.
func (s *spectra) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own
}
