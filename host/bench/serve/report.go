package main

import (
	"fmt"
	"slices"
	"strings"
)

// startRow is starts of a server.
type startRow struct {
	Ready      []float64 // seconds to the first answer
	Rest       []float64 // MB resident a second later
	Weights    float64   // MB of the file
	Unfinished float64   // MB that 100 unfinished bodies of 8 MB add
	Others     []float64 // see undisturbed
}

// quantile is the value below which a part of the values lies.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// met says whether a promise is kept.
func met(kept bool) string {
	if kept {
		return "yes"
	}
	return "**no**"
}

// worst is the largest part as a percentage.
func worst(parts []float64) string { return fmt.Sprintf("%.0f %%", 100*quantile(parts, 1)) }

func (b *bench) markdown() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("# The server\n")
	line("%s. Written by `go run ./host/bench/serve`, in which all that is compared took turns; client and server shared the cores. Medians, unless another quantile is named. The last column of a table is the part of the processors' time that other programs had in the worst round.", b.Machine)
	line("\n## Start and memory\n")
	line("Memory at rest is measured a second after the start. Then 100 clients send bodies of 8 MB without their end.\n")
	line("| model | ready after | ≤ 150 ms | at rest | weights | more | ≤ 60 MB | 100 unfinished bodies | ≤ 64 MB | others |\n| --- | ---: | --- | ---: | ---: | ---: | --- | ---: | --- | ---: |")
	for _, m := range b.models() {
		s := b.Start[m.name]
		if s == nil {
			continue
		}
		ready, rest := 1000*median(s.Ready), median(s.Rest)
		line("| %s | %.0f ms | %s | %.1f MB | %.1f MB | %.1f MB | %s | %.1f MB | %s | %s |", m.name, ready, met(ready <= 150), rest, s.Weights, max(rest-s.Weights, 0), met(rest-s.Weights <= 60),
			s.Unfinished, met(s.Unfinished <= 64), worst(s.Others))
	}
	line("\n## 16 tokens beside 32,768 without end\n")
	line("Two clients send texts of 32,768 tokens one after the other; a third asks ten times a second, at random moments, whether or not it has been answered.\n")
	line("| model | idle p50 | p99 | beside p50 | p99 | p50 ≤ 5 × idle | p99 ≤ 20 × idle p50 + 25 ms | long ones lose | ≤ 15 %% | requests | others |\n| --- | ---: | ---: | ---: | ---: | --- | --- | ---: | --- | ---: | ---: |")
	for _, m := range b.models() {
		r := b.Beside[m.name]
		if r == nil {
			continue
		}
		i50, i99, b50, b99 := 1000*median(r.Idle), 1000*quantile(r.Idle, 0.99), 1000*median(r.Busy), 1000*quantile(r.Busy, 0.99)
		loss := 100 * (1 - median(r.Shared)/median(r.Alone))
		line("| %s | %.1f ms | %.1f | %.1f | %.1f | %.1f ×: %s | %.0f: %s | %.0f %% | %s | %d | %s |", m.name, i50, i99, b50, b99,
			b50/i50, met(b50 <= 5*i50), 20*i50+25, met(b99 <= 20*i50+25), loss, met(loss <= 15), len(r.Busy), worst(r.Others))
	}
	line("\n## HTTP and JSON\n")
	line("One text of 512 tokens against the same call in a program; 64 clients with 128 tokens each against calls with 64 such texts.\n")
	line("The best tenth is in brackets: it is nearer to what happens where nobody else uses the cores.\n")
	line("Processor time is that of one of the 64 texts: in a call of the engine, in the server, and beside it in the clients, who have the same cores.\n")
	line("| model | 512 tokens, engine | server | more | ≤ 5 %% | 64 texts in a call | 64 clients | part | ≥ 90 %% | processor time, engine | server | more | clients | others |\n| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
	for _, m := range b.models() {
		r := b.Overhead[m.name]
		if r == nil {
			continue
		}
		engine, server := 1000*median(r.Engine), 1000*median(r.HTTP)
		best, bestServer := 1000*quantile(r.Engine, 0.1), 1000*quantile(r.HTTP, 0.1)
		more, part := 100*(server/engine-1), 100*median(r.Crowd)/median(r.Batch)
		line("| %s | %.2f (%.2f) ms | %.2f (%.2f) ms | %.1f (%.1f) %% | %s | %.0f/s | %.0f/s | %.0f %% | %s | %.2f ms | %.2f ms | %.0f %% | %.2f ms | %s |", m.name, engine, best, server, bestServer,
			more, 100*(bestServer/best-1), met(more <= 5), median(r.Batch), median(r.Crowd), part, met(part >= 90),
			1000*median(r.Engine64), 1000*median(r.Server64), 100*(median(r.Server64)/median(r.Engine64)-1), 1000*median(r.Client64), worst(r.Others))
	}
	if len(b.Crowd) == 0 {
		return text.String()
	}
	line("\n## Beside other servers\n")
	line("64 clients with texts of 128 tokens; one that sends 16 tokens ten times a second, alone and beside four that send 512 without end.\n")
	line("| server | requests/s | p50 | p99 | 16 tokens p50 | p99 | beside p50 | p99 | ready after | memory | others |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range b.Crowd {
		line("| %s | %.1f | %.0f ms | %.0f | %.1f | %.1f | %.0f | %.0f | %.1f s | %.0f MB | %s |", r.Server, median(r.Rate), 1000*median(r.Latency), 1000*quantile(r.Latency, 0.99),
			1000*median(r.Single), 1000*quantile(r.Single, 0.99), 1000*median(r.Beside), 1000*quantile(r.Beside, 0.99), r.Ready, r.Memory, worst(r.Others))
	}
	for _, n := range b.Notes {
		line("\n%s.", n)
	}
	return text.String()
}
