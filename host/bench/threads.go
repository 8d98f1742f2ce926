package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"m2embed/core/kernel"
	"m2embed/core/model"
	"m2embed/host/bench/checkpoints"
	"m2embed/host/bench/share"
)

// threadsRow is one model on one number of threads over texts of one length.
type threadsRow struct {
	Model   string  `json:"model"`
	Texts   int     `json:"texts"`
	Length  int     `json:"length"`
	Threads int     `json:"threads"`
	Rounds  int     `json:"rounds"`
	Median  float64 `json:"tokens_per_second"`
}

// text is what a pass of the part threads runs: so many texts of a length.
type text struct{ texts, length int }

func (t text) String() string {
	if t.texts == 1 {
		return fmt.Sprint(t.length)
	}
	return fmt.Sprintf("%d × %d", t.texts, t.length)
}

// batches are the texts that run together beside those that run alone; no pass
// takes more than 1,024 rows of short texts.
var batches = []text{{4, 16}, {8, 128}, {2, 512}}

// threadCounts are the powers of two up to the processors, and those.
func threadCounts(processors int) (counts []int) {
	for n := 1; n < processors; n *= 2 {
		counts = append(counts, n)
	}
	return append(counts, processors)
}

// scaling takes turns between numbers of threads. Once a text takes longer than
// a fifth of the budget, it is run on no fewer threads, and once on the others.
func (b *bench) scaling() error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	kernels, err := b.kernelSet()
	if err != nil {
		return err
	}
	counts := []int(b.threads)
	if len(counts) == 0 {
		counts = threadCounts(runtime.GOMAXPROCS(0))
	}
	var texts []text
	for _, length := range b.lengths {
		texts = append(texts, text{1, length})
	}
	texts = append(texts, batches...)
	b.result.Threads = nil
	for _, m := range []struct{ name, folder string }{
		{"80M f32", b.path("f32")}, {"80M int8", b.path("int8")}, {"small int8", smallModel},
	} {
		if err := b.scale(m.name, m.folder, kernels, counts, texts); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scale(name, folder string, kernels *kernel.Set, counts []int, texts []text) error {
	runs := make([]*model.Run, len(counts))
	for i, threads := range counts {
		m, done, err := load(folder, kernels, threads, 0)
		if err != nil {
			return err
		}
		defer done()
		runs[i] = m.NewRun()
	}
	for _, t := range texts {
		input := make([]model.Sequence, t.texts)
		for i := range input {
			input[i] = model.Sequence{IDs: share.IDs(t.length), Length: t.length}
		}
		once := func(r *model.Run) float64 {
			start := time.Now()
			r.Start(input, model.PoolMeanHidden, false)
			if err := r.Finish(); err != nil {
				panic(err) // the benchmark's own model
			}
			return time.Since(start).Seconds()
		}
		// From the most threads on, which also makes the filters and finds the
		// threads' pace: what takes too long is not run on fewer.
		times := make([][]float64, len(counts))
		begin, slow := time.Now(), false
		for i := len(counts) - 1; i >= 0 && !slow; i-- {
			once(runs[i])
			times[i] = []float64{once(runs[i])}
			slow = times[i][0] > b.budget.Seconds()/5
		}
		for round := 0; !slow && round < 15 && (round < 1 || time.Since(begin) < b.budget); round++ {
			for i, r := range runs {
				// The cores sleep in the turns of fewer threads: what comes first is
				// not counted.
				for settle := time.Now(); time.Since(settle) < 20*time.Millisecond; {
					once(r)
				}
				if round == 0 {
					times[i] = nil
				}
				times[i] = append(times[i], once(r))
			}
		}
		for i, list := range times {
			if len(list) > 0 {
				tokens := float64(t.texts * t.length)
				b.result.Threads = append(b.result.Threads, threadsRow{name, t.texts, t.length, counts[i], len(list), tokens / median(list)})
			}
		}
		fmt.Fprintf(os.Stderr, "   %s, %v tokens (%.0f s)\n", name, t, time.Since(b.start).Seconds())
		if err := b.save(); err != nil {
			return err
		}
	}
	return nil
}

// worst is by how much the slowest number of threads is slower than the best of
// those below it, as a part of that one; 0 where more threads are never slower.
func worst(rates []float64) (loss float64) {
	best := 0.0
	for _, rate := range rates {
		loss = max(loss, (best-rate)/max(best, rate))
		best = max(best, rate)
	}
	return loss
}

func (r result) threadsTable(line func(string, ...any)) {
	line("\n## Tokens/s over the number of threads\n")
	line("Texts × tokens of one pass; medians of turns. Loss: by how much a number of threads is slower than the best smaller one, at most.")
	type key struct {
		model string
		text
	}
	rates := map[key]map[int]float64{}
	var counts []int
	var keys []key
	for _, row := range r.Threads {
		k := key{row.Model, text{row.Texts, row.Length}}
		if rates[k] == nil {
			rates[k], keys = map[int]float64{}, append(keys, k)
		}
		rates[k][row.Threads] = row.Median
		if !slices.Contains(counts, row.Threads) {
			counts = append(counts, row.Threads)
		}
	}
	slices.Sort(counts)
	line("\n| model | tokens | %s | loss |\n| --- | ---: |%s ---: |", strings.Trim(strings.ReplaceAll(fmt.Sprint(counts), " ", " | "), "[]"), strings.Repeat(" ---: |", len(counts)))
	for _, k := range keys {
		row, list := fmt.Sprintf("| %s | %v |", k.model, k.text), []float64{}
		for _, n := range counts {
			if rate := rates[k][n]; rate > 0 {
				row, list = row+fmt.Sprintf(" %.0f |", rate), append(list, rate)
			} else {
				row += " – |"
			}
		}
		line("%s %.0f %% |", row, 100*worst(list))
	}
}
