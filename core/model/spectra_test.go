package model

import (
	"slices"
	"testing"

	"m2embed/core/kernel"
)

// TestSpectraBudget: memory stays within the budget, the bucket not used for
// longest goes first, and a bucket larger than the budget keeps its beginning.
func TestSpectraBudget(t *testing.T) {
	s := newSpectra(&kernel.Go, 4000)
	fill := func(n, layer, floats int) bool {
		v := s.room(n, floats)
		if v == nil {
			return false
		}
		s.keep(n, filterKey{layer: layer}, v)
		return true
	}
	if !fill(8, 0, 250) || !fill(8, 1, 250) || !fill(16, 0, 250) {
		t.Fatal("no room within the budget")
	}
	s.get(8, filterKey{layer: 0}) // 16 is now the oldest
	if !fill(32, 0, 300) {
		t.Fatal("an old bucket did not make room")
	}
	if s.get(16, filterKey{layer: 0}) != nil || s.get(8, filterKey{layer: 1}) == nil {
		t.Error("another bucket than the oldest was given up")
	}
	for layer := 1; fill(64, layer, 300); layer++ {
	}
	if s.get(64, filterKey{layer: 1}) == nil || s.get(64, filterKey{layer: 3}) == nil || s.get(64, filterKey{layer: 4}) != nil {
		t.Error("a large bucket does not keep what fits")
	}
	if s.bytes() > 4000 {
		t.Errorf("%d bytes held of 4000", s.bytes())
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
