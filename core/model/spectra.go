package model

import (
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
	mu      sync.Mutex
	set     *kernel.Set
	budget  int // bytes
	held    int // bytes of all spectra, kept or being filled
	plans   map[int]*fft.Plan
	buckets map[int]*bucket // by N
	clock   int
}

type bucket struct {
	used int // clock of the last use
	kept map[filterKey]*spectrum
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

func newSpectra(set *kernel.Set, budget int) *spectra {
	return &spectra{set: set, budget: budget, plans: map[int]*fft.Plan{}, buckets: map[int]*bucket{}}
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
// budget has no room for it. Buckets that were not used for longest make room,
// but only if that is enough; a bucket never drives itself out, so that of a
// bucket larger than the budget the first layers stay.
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
	for m, b := range s.buckets {
		if m != n {
			idle += b.idle()
		}
	}
	if s.held-idle+bytes > s.budget {
		return false
	}
	for s.held+bytes > s.budget {
		oldest := 0
		for m, b := range s.buckets {
			if m != n && b.idle() > 0 && (oldest == 0 || b.used < s.buckets[oldest].used) {
				oldest = m
			}
		}
		s.evict(oldest)
	}
	s.held += bytes
	return true
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

// evict gives up what no run reads of the bucket for n rows.
func (s *spectra) evict(n int) {
	b := s.buckets[n]
	for key, x := range b.kept {
		if x.users == 0 {
			s.held -= x.bytes()
			delete(b.kept, key)
		}
	}
	if len(b.kept) == 0 {
		delete(s.buckets, n)
	}
}

// trim gives up everything that no run reads.
func (s *spectra) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.buckets {
		s.evict(n)
	}
}

// keep stores memory that room handed out and that is filled now.
func (s *spectra) keep(n int, key filterKey, x *spectrum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[n]
	if b == nil {
		b = &bucket{kept: map[filterKey]*spectrum{}}
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
		s.held -= x.bytes()
	}
}

// bytes is what is held at the moment.
func (s *spectra) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}
