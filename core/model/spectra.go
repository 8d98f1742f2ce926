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
type spectra struct {
	mu      sync.Mutex
	set     *kernel.Set
	budget  int // bytes
	held    int // bytes
	plans   map[int]*fft.Plan
	buckets map[int]*bucket // by N
	clock   int
}

type bucket struct {
	used  int // clock of the last use
	kept  map[filterKey][]float32
	bytes int
}

// filterKey names what is kept: a spectrum (groups, N, GroupWidth), or the
// reverse taps (groups, taps, GroupWidth) that the last layer uses for its
// first row.
type filterKey struct {
	layer, filter int
	taps          bool
}

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
func (s *spectra) get(n int, key filterKey) []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[n]
	if b == nil {
		return nil
	}
	s.clock++
	b.used = s.clock
	return b.kept[key]
}

// room hands out memory of the given number of floats to fill and then keep,
// or nil if the budget has no room for it. Buckets that were not used for
// longest make room; a bucket never drives itself out, so that of a bucket
// larger than the budget the first layers stay.
func (s *spectra) room(n, floats int) []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held+4*floats > s.budget {
		oldest := 0
		for m, b := range s.buckets {
			if m != n && (oldest == 0 || b.used < s.buckets[oldest].used) {
				oldest = m
			}
		}
		if oldest == 0 {
			return nil
		}
		s.held -= s.buckets[oldest].bytes
		delete(s.buckets, oldest)
	}
	return make([]float32, floats)
}

// keep stores filled memory.
func (s *spectra) keep(n int, key filterKey, values []float32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[n]
	if b == nil {
		b = &bucket{kept: map[filterKey][]float32{}}
		s.buckets[n] = b
	}
	s.clock++
	b.used = s.clock
	if b.kept[key] == nil && s.held+4*len(values) <= s.budget {
		b.kept[key] = values
		b.bytes += 4 * len(values)
		s.held += 4 * len(values)
	}
}

// bytes is what is held at the moment.
func (s *spectra) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}
