package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"m2embed/core/tokenizer"
	"m2embed/host"
	"m2embed/host/bench/checkpoints"
)

// latencyRow is how long one short query takes, in microseconds.
type latencyRow struct {
	Model    string  `json:"model"`
	Threads  int     `json:"threads"`
	Tokens   int     `json:"tokens"`
	Tokenize float64 `json:"tokenize"`
	After    float64 `json:"one_after_the_other"` // median
	Tail     float64 `json:"tail"`                // 99 of 100 take less
	Idle     float64 `json:"idle"`                // median, each after a pause
}

// query is a text of 16 tokens with the special ones.
const query = "which threads does an engine wake when it embeds a short text"

// pause is how long a process is idle before a query: its threads sleep by then.
const pause = 5 * time.Millisecond

// latency takes turns between one thread and one a processor.
func (b *bench) latency() error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	b.result.Latency = nil
	for _, m := range []struct{ name, folder string }{
		{"small int8", smallModel}, {"80M int8", b.path("int8")}, {"80M f32", b.path("f32")},
	} {
		counts := slices.Compact([]int{1, runtime.GOMAXPROCS(0)})
		rows, embeds := make([]latencyRow, len(counts)), make([]func() float64, len(counts))
		for i, threads := range counts {
			opened, err := host.Open(m.folder, host.Options{Threads: threads})
			if err != nil {
				return err
			}
			defer opened.Close()
			encoded, err := opened.Tokenize(query, tokenizer.Options{})
			if err != nil {
				return err
			}
			tokenize := times(b.budget/10, func() float64 {
				start := time.Now()
				opened.Tokenize(query, tokenizer.Options{})
				return microseconds(start)
			})
			rows[i] = latencyRow{Model: m.name, Threads: threads, Tokens: len(encoded.IDs), Tokenize: median(tokenize)}
			embeds[i] = func() float64 {
				start := time.Now()
				if _, err := opened.Embed(context.Background(), query); err != nil {
					panic(err) // the benchmark's own model
				}
				return microseconds(start)
			}
		}
		after, idle := make([][]float64, len(counts)), make([][]float64, len(counts))
		for range 5 { // turns
			for i, embed := range embeds {
				after[i] = append(after[i], times(b.budget/50, embed)...)
				idle[i] = append(idle[i], times(b.budget/50, func() float64 {
					time.Sleep(pause)
					return embed()
				})...)
			}
		}
		for i, r := range rows {
			slices.Sort(after[i])
			r.After, r.Tail, r.Idle = median(after[i]), after[i][len(after[i])*99/100], median(idle[i])
			b.result.Latency = append(b.result.Latency, r)
		}
	}
	return nil
}

// times repeats a measurement for a while, after some that don't count.
func times(long time.Duration, measure func() float64) (list []float64) {
	for range 3 {
		measure()
	}
	for start := time.Now(); len(list) == 0 || time.Since(start) < long; {
		list = append(list, measure())
	}
	return list
}

func microseconds(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) / 1e3 }

func (r result) latencyTable(line func(string, ...any)) {
	line("\n## One short query, milliseconds\n")
	line("A text of %d tokens through the Go package, its tokens made in between; medians of turns. Idle: each query %v after the one before, when the threads sleep.\n", r.Latency[0].Tokens, pause)
	line("| model | threads | of that tokenizing | one after the other | 99 of 100 below | idle |\n| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, l := range r.Latency {
		line("| %s | %d | %s | %s | %s | %s |", l.Model, l.Threads, fmt.Sprintf("%.4f", l.Tokenize/1e3), digits(l.After/1e3), digits(l.Tail/1e3), digits(l.Idle/1e3))
	}
}
