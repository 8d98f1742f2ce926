package main

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// TestSimulate holds the simulation against what can be computed.
func TestSimulate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		shards, cores int
		want          float64
	}{{1, 1, 10}, {1, 5, 10}, {6, 3, 20}, {7, 3, 30}, {512, 64, 80}} {
		if end, vain := simulate(r, c.shards, c.cores, 10, trouble{}); end != c.want || vain != 0 {
			t.Errorf("%d shards of 10 s on %d cores take %g s and %g in vain, want %g and 0", c.shards, c.cores, end, vain, c.want)
		}
	}
	// One slow core of two gets a quarter of the shards, and not half.
	if end, _ := simulate(r, 400, 2, 1, trouble{slowShare: 1, slowBy: 3}); end != 600 {
		t.Errorf("two cores that are slow by 3 take %g s, want 600", end)
	}
	// A shard of length s on a worker with deaths at rate d takes (e^(d s) − 1) / d
	// in the mean, without the time until another one stands in.
	const length, life = 3600.0, 1.0 // an hour each
	sum, n := 0.0, 20000
	for range n {
		end, _ := simulate(r, 1, 1, length, trouble{lifeHours: life})
		sum += end
	}
	want := (math.E - 1) * 3600
	if got := sum / float64(n); math.Abs(got/want-1) > 0.04 {
		t.Errorf("mean of %g s, want %g", got, want)
	}
	// More trouble never helps, and work in vain is only where workers die.
	_, vain := simulate(r, 100, 4, 3600, trouble{lifeHours: 2})
	if vain <= 0 {
		t.Error("no work in vain where workers die")
	}
}

// TestGuide: the guide has these tables.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../beam/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{"costs": costs(), "plans": plans()} {
		if !strings.Contains(string(guide), table) {
			t.Errorf("host/beam/README.md has another table of %s; go run ./host/bench/cluster prints\n%s", name, table)
		}
	}
}
