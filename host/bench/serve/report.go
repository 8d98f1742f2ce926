package main

import (
	"fmt"
	"slices"
	"strings"
)

// startRow is starts of a server.
type startRow struct {
	model   string
	ready   []float64 // seconds to the first answer
	rest    []float64 // MB resident a second later
	weights float64   // MB of the file
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

func (b *bench) markdown() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("# The server\n")
	line("%s. Written by `go run ./host/bench/serve`, in which all that is compared took turns; client and server shared the cores. Medians, unless another quantile is named.", machine())
	for _, n := range b.notes {
		line("\n%s.", n)
	}
	line("\n## Start\n")
	line("| model | ready after | wanted | at rest | weights | more | wanted |\n| --- | ---: | --- | ---: | ---: | ---: | --- |")
	for _, s := range b.starts {
		ready, rest := 1000*median(s.ready), median(s.rest)
		line("| %s | %.0f ms | ≤ 150: %s | %.0f MB | %.0f MB | %.0f MB | ≤ 60: %s |", s.model, ready, met(ready <= 150), rest, s.weights, max(rest-s.weights, 0), met(rest-s.weights <= 60))
	}
	line("\n## 16 tokens beside 32,768 without end\n")
	line("Two clients send texts of 32,768 tokens one after the other; a third asks ten times a second, at random moments, whether or not it has been answered.\n")
	line("| model | idle p50 | p99 | beside p50 | p99 | p50 ≤ 5 × idle | p99 ≤ 20 × idle p50 + 25 ms | long ones lose | ≤ 15 %% | requests |\n| --- | ---: | ---: | ---: | ---: | --- | --- | ---: | --- | ---: |")
	for _, r := range b.beside {
		i50, i99, b50, b99 := 1000*median(r.idle), 1000*quantile(r.idle, 0.99), 1000*median(r.busy), 1000*quantile(r.busy, 0.99)
		loss := 100 * (1 - median(r.shared)/median(r.alone))
		line("| %s | %.1f ms | %.1f | %.1f | %.1f | %.1f ×: %s | %.0f: %s | %.0f %% | %s | %d |", r.model, i50, i99, b50, b99,
			b50/i50, met(b50 <= 5*i50), 20*i50+25, met(b99 <= 20*i50+25), loss, met(loss <= 15), len(r.busy))
	}
	line("\n## HTTP and JSON\n")
	line("One text of 512 tokens against the same call in a program; 64 clients with 128 tokens each against calls with 64 such texts.\n")
	line("The best tenth is in brackets: it is nearer to what happens where nobody else uses the cores.\n")
	line("| model | 512 tokens, engine | server | more | ≤ 5 %% | 64 texts in a call | 64 clients | part | ≥ 90 %% |\n| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- |")
	for _, r := range b.overhead {
		engine, server := 1000*median(r.engine), 1000*median(r.http)
		best, bestServer := 1000*quantile(r.engine, 0.1), 1000*quantile(r.http, 0.1)
		more, part := 100*(server/engine-1), 100*median(r.crowd)/median(r.batch)
		line("| %s | %.2f (%.2f) ms | %.2f (%.2f) ms | %.1f (%.1f) %% | %s | %.0f/s | %.0f/s | %.0f %% | %s |", r.model, engine, best, server, bestServer,
			more, 100*(bestServer/best-1), met(more <= 5), median(r.batch), median(r.crowd), part, met(part >= 90))
	}
	if len(b.crowd) == 0 {
		return text.String()
	}
	line("\n## Beside other servers\n")
	line("64 clients with texts of 128 tokens; one that sends 16 tokens ten times a second, alone and beside four that send 512 without end.\n")
	line("| server | requests/s | p50 | p99 | 16 tokens p50 | p99 | beside p50 | p99 | ready after | memory |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range b.crowd {
		line("| %s | %.1f | %.0f ms | %.0f | %.1f | %.1f | %.0f | %.0f | %.1f s | %.0f MB |", r.server, median(r.rate), 1000*median(r.latency), 1000*quantile(r.latency, 0.99),
			1000*median(r.single), 1000*quantile(r.single, 0.99), 1000*median(r.beside), 1000*quantile(r.beside, 0.99), r.ready, r.memory)
	}
	return text.String()
}
