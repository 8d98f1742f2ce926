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

// column is one of a table: its head, and what it has of a row.
type column[R any] struct {
	head   string
	number bool // on the right
	cell   func(r R) string
}

// number is a column of numbers in a format.
func number[R any](head, format string, of func(r R) float64) column[R] {
	return column[R]{head, true, func(r R) string { return fmt.Sprintf(format, of(r)) }}
}

// milliseconds is a column of a quantile of seconds.
func milliseconds[R any](head, format string, part float64, of func(r R) []float64) column[R] {
	return number(head, format, func(r R) float64 { return 1000 * quantile(of(r), part) })
}

// promise is a column that says whether something is kept.
func promise[R any](head string, kept func(r R) bool) column[R] {
	return column[R]{head, false, func(r R) string { return met(kept(r)) }}
}

// others is the last column of a table.
func others[R any](of func(r R) []float64) column[R] {
	return column[R]{"others", true, func(r R) string { return fmt.Sprintf("%.0f %%", 100*quantile(of(r), 1)) }}
}

// row is one of a table, by its name.
type row[R any] struct {
	name string
	of   R
}

// rowsOf are those that were measured, in the order of the models.
func rowsOf[R any](b *bench, measured map[string]*R) (rows []row[*R]) {
	for _, m := range b.models() {
		if r := measured[m.name]; r != nil {
			rows = append(rows, row[*R]{m.name, r})
		}
	}
	return rows
}

// table writes rows, whose names are under a head of their own.
func table[R any](text *strings.Builder, head string, rows []row[R], columns ...column[R]) {
	fmt.Fprintf(text, "\n| %s |", head)
	for _, c := range columns {
		fmt.Fprintf(text, " %s |", c.head)
	}
	text.WriteString("\n| --- |")
	for _, c := range columns {
		if c.number {
			text.WriteString(" ---: |")
		} else {
			text.WriteString(" --- |")
		}
	}
	text.WriteString("\n")
	for _, r := range rows {
		fmt.Fprintf(text, "| %s |", r.name)
		for _, c := range columns {
			fmt.Fprintf(text, " %s |", c.cell(r.of))
		}
		text.WriteString("\n")
	}
}

func (b *bench) markdown() string {
	text := &strings.Builder{}
	line := func(format string, args ...any) { fmt.Fprintf(text, format+"\n", args...) }
	line("# The server\n")
	line("%s. Written by `go run ./host/bench/serve`, in which all that is compared took turns; client and server shared the cores. Medians, unless another quantile is named. The last column of a table is the part of the processors' time that other programs had in the worst round.", b.Machine)
	line("\n## Start and memory\n")
	line("Memory at rest is measured a second after the start. Then 100 clients send bodies of 8 MB without their end.")
	b.startTable(text)
	line("\n## 16 tokens beside 32,768 without end\n")
	line("Two clients send texts of 32,768 tokens one after the other; a third asks ten times a second, at random moments, whether or not it has been answered.")
	b.besideTable(text)
	line("\n## HTTP and JSON\n")
	line("One text of 512 tokens against the same call in a program; 64 clients with 128 tokens each against calls with 64 such texts.\n")
	line("The best tenth is in brackets: it is nearer to what happens where nobody else uses the cores.\n")
	line("An empty request asks for nothing (/healthz), after 512 tokens in the client: most of it is waking the server and then the client.\n")
	line("Processor time is that of one of the 64 texts: in a call of the engine, in the server, and beside it in the clients, who have the same cores.")
	b.overheadTable(text)
	if len(b.Crowd) == 0 {
		return text.String()
	}
	line("\n## Beside other servers\n")
	line("64 clients with texts of 128 tokens; one that sends 16 tokens ten times a second, alone and beside four that send 512 without end.")
	b.crowdTable(text)
	for _, n := range b.Notes {
		line("\n%s.", n)
	}
	return text.String()
}

func (b *bench) startTable(text *strings.Builder) {
	type r = *startRow
	ready, rest := func(s r) float64 { return 1000 * median(s.Ready) }, func(s r) float64 { return median(s.Rest) }
	table(text, "model", rowsOf(b, b.Start),
		number("ready after", "%.0f ms", ready),
		promise("≤ 150 ms", func(s r) bool { return ready(s) <= 150 }),
		number("at rest", "%.1f MB", rest),
		number("weights", "%.1f MB", func(s r) float64 { return s.Weights }),
		number("more", "%.1f MB", func(s r) float64 { return max(rest(s)-s.Weights, 0) }),
		promise("≤ 60 MB", func(s r) bool { return rest(s)-s.Weights <= 60 }),
		number("100 unfinished bodies", "%.1f MB", func(s r) float64 { return s.Unfinished }),
		promise("≤ 64 MB", func(s r) bool { return s.Unfinished <= 64 }),
		others(func(s r) []float64 { return s.Others }))
}

func (b *bench) besideTable(text *strings.Builder) {
	type r = *besideRow
	idle, busy := func(s r) []float64 { return s.Idle }, func(s r) []float64 { return s.Busy }
	loss := func(s r) float64 { return 100 * (1 - median(s.Shared)/median(s.Alone)) }
	table(text, "model", rowsOf(b, b.Beside),
		milliseconds("idle p50", "%.1f ms", 0.5, idle),
		milliseconds("p99", "%.1f", 0.99, idle),
		milliseconds("beside p50", "%.1f", 0.5, busy),
		milliseconds("p99", "%.1f", 0.99, busy),
		column[r]{"p50 ≤ 5 × idle", false, func(s r) string {
			times := median(s.Busy) / median(s.Idle)
			return fmt.Sprintf("%.1f ×: %s", times, met(times <= 5))
		}},
		column[r]{"p99 ≤ 20 × idle p50 + 25 ms", false, func(s r) string {
			most := 20*median(s.Idle) + 0.025
			return fmt.Sprintf("%.0f: %s", 1000*most, met(quantile(s.Busy, 0.99) <= most))
		}},
		number("long ones lose", "%.0f %%", loss),
		promise("≤ 15 %", func(s r) bool { return loss(s) <= 15 }),
		number("requests", "%.0f", func(s r) float64 { return float64(len(s.Busy)) }),
		others(func(s r) []float64 { return s.Others }))
}

func (b *bench) overheadTable(text *strings.Builder) {
	type r = *overheadRow
	both := func(head string, of func(s r) []float64) column[r] {
		return column[r]{head, true, func(s r) string {
			return fmt.Sprintf("%.2f (%.2f) ms", 1000*median(of(s)), 1000*quantile(of(s), 0.1))
		}}
	}
	more := func(s r, part float64) float64 { return 100 * (quantile(s.HTTP, part)/quantile(s.Engine, part) - 1) }
	rate := func(head string, of func(s r) []float64) column[r] {
		return number(head, "%.0f/s", func(s r) float64 { return median(of(s)) })
	}
	part := func(s r) float64 { return 100 * median(s.Crowd) / median(s.Batch) }
	table(text, "model", rowsOf(b, b.Overhead),
		both("512 tokens, engine", func(s r) []float64 { return s.Engine }),
		both("server", func(s r) []float64 { return s.HTTP }),
		column[r]{"more", true, func(s r) string { return fmt.Sprintf("%.1f (%.1f) %%", more(s, 0.5), more(s, 0.1)) }},
		promise("≤ 5 %", func(s r) bool { return more(s, 0.5) <= 5 }),
		milliseconds("empty request", "%.2f ms", 0.5, func(s r) []float64 { return s.Empty }),
		rate("64 texts in a call", func(s r) []float64 { return s.Batch }),
		rate("64 clients", func(s r) []float64 { return s.Crowd }),
		number("part", "%.0f %%", part),
		promise("≥ 90 %", func(s r) bool { return part(s) >= 90 }),
		milliseconds("processor time, engine", "%.2f ms", 0.5, func(s r) []float64 { return s.Engine64 }),
		milliseconds("server", "%.2f ms", 0.5, func(s r) []float64 { return s.Server64 }),
		number("more", "%.0f %%", func(s r) float64 { return 100 * (median(s.Server64)/median(s.Engine64) - 1) }),
		milliseconds("clients", "%.2f ms", 0.5, func(s r) []float64 { return s.Client64 }),
		others(func(s r) []float64 { return s.Others }))
}

func (b *bench) crowdTable(text *strings.Builder) {
	type r = crowdRow
	latency, single, beside := func(s r) []float64 { return s.Latency }, func(s r) []float64 { return s.Single }, func(s r) []float64 { return s.Beside }
	var rows []row[r]
	for _, s := range b.Crowd {
		rows = append(rows, row[r]{s.Server, s})
	}
	table(text, "server", rows,
		number("requests/s", "%.1f", func(s r) float64 { return median(s.Rate) }),
		milliseconds("p50", "%.0f ms", 0.5, latency),
		milliseconds("p99", "%.0f", 0.99, latency),
		milliseconds("16 tokens p50", "%.1f", 0.5, single),
		milliseconds("p99", "%.1f", 0.99, single),
		milliseconds("beside p50", "%.0f", 0.5, beside),
		milliseconds("p99", "%.0f", 0.99, beside),
		number("ready after", "%.1f s", func(s r) float64 { return s.Ready }),
		number("memory", "%.0f MB", func(s r) float64 { return s.Memory }),
		others(func(s r) []float64 { return s.Others }))
}
