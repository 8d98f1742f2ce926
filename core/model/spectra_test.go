package model

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"m2embed/core/kernel"
)

// TestSpectraBudget: memory stays within the budget, the bucket not used for
// longest goes first, and a bucket larger than the budget keeps its beginning.
func TestSpectraBudget(t *testing.T) {
	s := newSpectra(&kernel.Go, NewFilterPool(4000))
	fill := func(n, layer, floats int) bool {
		x := s.room(n, floats)
		if x == nil {
			return false
		}
		s.keep(n, filterKey{layer: layer}, x)
		return true
	}
	kept := func(n, layer int) bool {
		x := s.get(n, filterKey{layer: layer})
		if x != nil {
			s.release(x)
		}
		return x != nil
	}
	if !fill(8, 0, 250) || !fill(8, 1, 250) || !fill(16, 0, 250) {
		t.Fatal("no room within the budget")
	}
	kept(8, 0) // 16 is now the oldest
	if !fill(32, 0, 300) {
		t.Fatal("an old bucket did not make room")
	}
	if kept(16, 0) || !kept(8, 1) {
		t.Error("another bucket than the oldest was given up")
	}
	// What can never fit drives nothing out.
	if fill(64, 0, 1001) {
		t.Error("room for 4004 bytes of 4000")
	}
	if !kept(8, 0) || !kept(8, 1) || !kept(32, 0) {
		t.Error("a request that never fits gave up what was kept")
	}
	made := 0
	for made < 10 && fill(64, made, 300) {
		made++
	}
	if made != 3 || !kept(64, 0) || !kept(64, 2) || kept(64, 3) || kept(8, 0) || kept(32, 0) {
		t.Errorf("a large bucket keeps %d filters, want the 3 that fit and no other bucket", made)
	}
	if s.bytes() != 3600 {
		t.Errorf("%d bytes held, want 3600 of 4000", s.bytes())
	}
}

// TestSpectraInUse: memory that a run reads or fills counts and is never given
// to another.
func TestSpectraInUse(t *testing.T) {
	s := newSpectra(&kernel.Go, NewFilterPool(4000))
	key := filterKey{}
	first := s.room(8, 500)
	if second := s.room(16, 600); first == nil || second != nil || s.bytes() != 2000 {
		t.Fatalf("two runs reserve %d of 4000 bytes, want 2000 for the first alone", s.bytes())
	}
	s.keep(8, key, first)
	reading := s.get(8, key)
	if s.room(16, 600) != nil || s.bytes() != 2000 {
		t.Error("a filter that a run reads was given up")
	}
	s.release(reading)
	other := s.room(16, 600)
	if other == nil || s.bytes() != 2400 || s.get(8, key) != nil {
		t.Fatalf("%d bytes held once the reader is done, want the 2400 of the new one", s.bytes())
	}
	s.release(other) // aborted: never kept
	if s.bytes() != 0 {
		t.Errorf("%d bytes held after an aborted run", s.bytes())
	}
	// Two runs that make the same filter hold it twice only until the second is done.
	one, two := s.room(8, 400), s.room(8, 400)
	if s.keep(8, key, one); s.bytes() != 3200 {
		t.Errorf("%d bytes held, want 3200", s.bytes())
	}
	if s.keep(8, key, two); s.bytes() != 1600 {
		t.Errorf("%d bytes held for one filter of 1600", s.bytes())
	}
}

// TestSpectraShared: models of one pool share its budget; what was not used for
// longest goes first, whosever it is, and a model that is closed leaves nothing.
func TestSpectraShared(t *testing.T) {
	pool := NewFilterPool(4000)
	a, b := newSpectra(&kernel.Go, pool), newSpectra(&kernel.Go, pool)
	key := filterKey{}
	a.keep(8, key, a.room(8, 400))
	b.keep(8, key, b.room(8, 400))
	a.release(a.get(8, key)) // b's is now the oldest
	reading := a.get(8, key)
	if a.room(8, 700) != nil || b.bytes() != 1600 {
		t.Error("a bucket that is larger than what is left drove another model's out in vain")
	}
	a.keep(16, key, a.room(16, 500))
	if b.get(8, key) != nil || b.bytes() != 0 || a.bytes() != 3600 || pool.Bytes() != 3600 {
		t.Errorf("%d and %d bytes of %d, want 3600 and 0", a.bytes(), b.bytes(), pool.Bytes())
	}
	if b.room(8, 800) != nil {
		t.Error("a filter that another model reads was given up")
	}
	a.release(reading)
	if x := b.room(8, 800); x == nil || pool.Bytes() != 3200 {
		t.Errorf("%d bytes held, want 3200", pool.Bytes())
	} else {
		b.keep(8, key, x)
	}
	b.leave()
	if pool.Bytes() != a.bytes() || len(pool.members) != 1 {
		t.Errorf("%d bytes of %d models are left", pool.Bytes(), len(pool.members))
	}
}

// TestSpectraConcurrent: whatever runs at once, the budget holds, and all is
// given back.
func TestSpectraConcurrent(t *testing.T) {
	s := newSpectra(&kernel.Go, NewFilterPool(4000))
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 0))
			for range 2000 {
				n, key := 8<<r.IntN(3), filterKey{layer: r.IntN(4)}
				x := s.get(n, key)
				if x != nil {
					s.release(x)
				} else if x = s.room(n, 100+r.IntN(300)); x != nil {
					if r.IntN(3) == 0 {
						s.release(x)
					} else {
						s.keep(n, key, x)
					}
				}
				if held := s.bytes(); held > 4000 || held < 0 {
					t.Errorf("%d bytes held of 4000", held)
					return
				}
			}
		})
	}
	wait.Wait()
	kept := 0
	for _, b := range s.buckets {
		if b.idle() == 0 {
			t.Error("an empty bucket, or one in use, is left")
		}
		kept += b.idle()
	}
	if kept != s.bytes() {
		t.Errorf("%d bytes held, but %d kept", s.bytes(), kept)
	}
}

// TestStoppedRun: a pass that is given up at any step, or that fails, holds no
// filters, and neither does the run that starts anew.
func TestStoppedRun(t *testing.T) {
	ids := make([]int32, 90)
	whole := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Threads: 2})
	want := slices.Clone(run(t, whole, PoolClass, false, alone(ids)).Vector(0))
	for steps := range 12 {
		for _, way := range []string{"stop", "start", "fault"} {
			m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{Threads: 2})
			r := m.NewRun()
			r.Start([]Sequence{alone(ids)}, PoolClass, false)
			for range steps {
				r.Step()
			}
			if r.at == len(r.tasks) {
				break
			}
			switch way {
			case "stop":
				r.Stop()
			case "start":
				r.Start([]Sequence{alone(ids[:5])}, PoolClass, false)
			case "fault":
				unit := r.doUnit
				r.doUnit = func(_, _ int) { panic("unit of the test") }
				for !r.Step() {
				}
				r.doUnit = unit
			}
			if way != "start" && r.Err() == nil {
				t.Errorf("%s after %d steps: no error", way, steps)
			}
			kept := 0
			for _, b := range m.spectra.buckets {
				kept += b.idle()
			}
			if m.FilterBytes() != kept || r.filters != [2]layerFilter{} {
				t.Errorf("%s after %d steps: %d bytes held, %d of them kept", way, steps, m.FilterBytes(), kept)
			}
			runAgain(t, r, PoolClass, false, alone(ids))
			if !slices.Equal(r.Vector(0), want) {
				t.Errorf("%s after %d steps: other bits in the next pass", way, steps)
			}
		}
	}
}

// TestFilterBudgetBits: kept, partly kept and remade filters give equal bits.
func TestFilterBudgetBits(t *testing.T) {
	ids := make([]int32, 90)
	for i := range ids {
		ids[i] = int32(i * 11 % 1000)
	}
	var want []float32
	for _, budget := range []int{0, -1, 40000, 150000} {
		m := load(t, tinyConfig(t), file(t, "tiny/model.safetensors"), LoadOptions{FilterBudget: budget})
		r := m.NewRun()
		for _, n := range []int{90, 30, 90, 7, 90} {
			runAgain(t, r, PoolClass, false, alone(ids[:n]))
			if n != 90 {
				continue
			}
			if want == nil {
				want = slices.Clone(r.Vector(0))
			}
			if !slices.Equal(r.Vector(0), want) {
				t.Fatalf("budget %d gives other bits", budget)
			}
		}
		if budget > 0 && m.FilterBytes() > budget {
			t.Errorf("%d bytes of filters, budget %d", m.FilterBytes(), budget)
		}
	}
}

// TestPassMemory: scratch follows the text's own length.
func TestPassMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 440 MB of weights")
	}
	m := load(t, bigConfig(32768), bigWeights(), LoadOptions{Overwrite: true, FilterBudget: -1, Threads: 2})
	for _, c := range []struct{ length, most int }{{5, 1 << 20}, {128, 12 << 20}, {32768, 400 << 20}} {
		r := m.NewRun()
		r.Start([]Sequence{{IDs: make([]int32, c.length), Length: c.length}}, PoolClass, false)
		r.Step()
		r.Step() // the features' memory is taken when they are made
		t.Logf("%d tokens: %.2f MB", c.length, float64(r.Bytes())/1e6)
		if r.Bytes() > c.most {
			t.Errorf("%d tokens take %d bytes, want at most %d", c.length, r.Bytes(), c.most)
		}
	}
}
