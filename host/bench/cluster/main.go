// Command cluster computes what it takes to embed very many documents with
// "m2embed batch" on many cores: by arithmetic, and by a simulation of workers
// that are slow or die. It prints the tables of host/beam/README.md.
package main

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// model is what a core does with a model and texts of 128 tokens: with one thread,
// measured by ./build.sh bench (testdata/bench/bench.md), and, on a processor
// without AVX-512, beside the jobs of testdata/bench/batch.md.
type model struct {
	name string
	rate float64 // tokens a second and core
}

var models = []model{
	{"m2-bert-small", 194_899},
	{"80M int8", 3_727},
	{"80M f32", 2_097},
	{"m2-bert-small, AVX2", 262 * 128},
}

const (
	tokensEach = 200  // of a document
	bytesEach  = 900  // of a document's text
	efficiency = 0.85 // of the bare engine's rate that a job is held to

	// sizeSpread is the standard deviation of documents' sizes over their mean:
	// of 86,000 chapters, pages, stories, news and captions.
	sizeSpread = 7.06
)

// trouble is what goes wrong.
type trouble struct {
	spread     float64 // of a core's speed, as the standard deviation of its logarithm
	slowShare  float64 // of cores that are slow
	slowBy     float64 // times
	lifeHours  float64 // mean time until a worker dies; 0 for never
	backAfter  float64 // seconds until another one stands in
	shardNoise float64 // of a shard's work, as the standard deviation of its logarithm
}

// usual is the trouble that the tables assume, beside shards of different sizes.
var usual = trouble{spread: 0.1, slowShare: 0.02, slowBy: 3, lifeHours: 7 * 24, backAfter: 120}

// event is a core that becomes free.
type event struct {
	at   float64 // seconds
	core int
}

type events []event

func (e events) Len() int { return len(e) }

func (e events) Less(i, k int) bool {
	return e[i].at < e[k].at || e[i].at == e[k].at && e[i].core < e[k].core
}

func (e events) Swap(i, k int) { e[i], e[k] = e[k], e[i] }

func (e *events) Push(x any) { *e = append(*e, x.(event)) }

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// simulate hands out shards to cores, each the next one when it is free, and
// returns when the last is done, in seconds, and the work that was done in vain,
// in core seconds. A shard whose worker dies runs again from its beginning.
func simulate(r *rand.Rand, shards, cores int, secondsEach float64, t trouble) (end, vain float64) {
	speed := make([]float64, cores)
	free := make(events, cores)
	for i := range cores {
		speed[i] = math.Exp(t.spread * r.NormFloat64())
		if r.Float64() < t.slowShare {
			speed[i] /= t.slowBy
		}
		free[i] = event{0, i}
	}
	heap.Init(&free)
	type shard struct{ work, from float64 } // from: not before this time is its worker known to be dead
	var waiting []shard
	for range shards {
		waiting = append(waiting, shard{secondsEach * math.Exp(t.shardNoise*r.NormFloat64()), 0})
	}
	for len(waiting) > 0 {
		next := heap.Pop(&free).(event)
		s := waiting[0]
		waiting = waiting[1:]
		start := max(next.at, s.from)
		takes := s.work / speed[next.core]
		if t.lifeHours > 0 {
			// Deaths have no memory, so each shard may draw its own.
			if life := r.ExpFloat64() * t.lifeHours * 3600; life < takes {
				vain += life
				waiting = append(waiting, shard{s.work, start + life})
				heap.Push(&free, event{start + life + t.backAfter, next.core})
				continue
			}
		}
		end = max(end, start+takes)
		heap.Push(&free, event{start + takes, next.core})
	}
	return end, vain
}

// runs is how often a plan is simulated.
const runs = 200

// plan simulates one row.
func plan(m model, documents float64, shards, cores int) string {
	work := documents * tokensEach / (m.rate * efficiency) // core seconds
	each := work / float64(shards)
	t := usual
	t.shardNoise = sizeSpread / math.Sqrt(documents/float64(shards)) // a hash spreads documents
	r := rand.New(rand.NewPCG(1, 2))
	var ends, vains []float64
	for range runs {
		end, vain := simulate(r, shards, cores, each, t)
		ends, vains = append(ends, end), append(vains, vain)
	}
	slices.Sort(ends)
	slices.Sort(vains)
	even := work / float64(cores)
	return fmt.Sprintf("| %.0e | %s | %d | %d | %s | %s | %s | %s | %.2f %% |", documents, m.name, cores, shards,
		span(each), span(even), span(ends[runs/2]), span(ends[runs*95/100]), 100*vains[runs*95/100]/work)
}

// span is a time for people.
func span(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 96*3600:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
	return fmt.Sprintf("%.1f days", seconds/86400)
}

// costs is the table of hours without trouble.
func costs() string {
	b := &strings.Builder{}
	b.WriteString("| documents | tokens | text | vectors, 384 / 768 |")
	for i, m := range models {
		fmt.Fprintf(b, " %s%s |", m.name, []string{", 2 / 64 / 1,024 cores", ""}[min(i, 1)])
	}
	b.WriteString("\n|" + strings.Repeat(" ---: |", 4+len(models)) + "\n")
	for _, documents := range []float64{1e5, 1e6, 1e7, 1e8, 1e9} {
		fmt.Fprintf(b, "| %.0e | %.0e | %s | %s / %s |", documents, documents*tokensEach, size(documents*bytesEach), size(documents*384*4), size(documents*768*4))
		for _, m := range models {
			work := documents * tokensEach / (m.rate * efficiency)
			fmt.Fprintf(b, " %s / %s / %s |", span(work/2), span(work/64), span(work/1024))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func size(bytes float64) string {
	if bytes < 1e12 {
		return fmt.Sprintf("%.3g GB", bytes/1e9)
	}
	return fmt.Sprintf("%.3g TB", bytes/1e12)
}

// plans is the table of simulated jobs.
func plans() string {
	b := &strings.Builder{}
	b.WriteString("| documents | model | cores | shards | each takes | even split | median | 95 of 100 | in vain |\n")
	b.WriteString("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, p := range []struct {
		m             model
		documents     float64
		shards, cores int
	}{
		{models[0], 1e6, 27, 2}, {models[3], 1e6, 27, 2}, {models[0], 1e6, 27, 16}, {models[0], 1e6, 128, 16},
		{models[1], 1e6, 27, 16}, {models[1], 1e6, 512, 64},
		{models[0], 1e9, 512, 64}, {models[0], 1e9, 512, 256}, {models[0], 1e9, 8 * 512, 256}, {models[3], 1e9, 8 * 512, 256},
		{models[1], 1e9, 8 * 512, 1024}, {models[1], 1e9, 32 * 512, 1024},
	} {
		b.WriteString(plan(p.m, p.documents, p.shards, p.cores) + "\n")
	}
	return b.String()
}

func main() {
	fmt.Println(costs())
	fmt.Print(plans())
}
