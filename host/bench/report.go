package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"m2embed/core/kernel"
	"m2embed/host/bench/share"
)

// result is everything that a run found, as it stands in bench.json.
type result struct {
	Machine    machineInfo    `json:"machine"`
	Quick      bool           `json:"quick"`
	Seconds    float64        `json:"seconds"`
	Kernels    []kernelRow    `json:"kernels"`
	Speed      []speedRow     `json:"speed"`
	Int8Cosine []cosineRow    `json:"int8_cosine"`
	Tokenizers []tokenizerRow `json:"tokenizers"`
	Memory     []memoryRow    `json:"memory"`
	Kept       []share.Row    `json:"share_filters_kept"`
	Anew       []share.Row    `json:"share_filters_anew"`
	Threads    []threadsRow   `json:"threads"`
	Latency    []latencyRow   `json:"latency"`
	Notes      []string       `json:"notes"`
}

type machineInfo struct {
	Processor string   `json:"processor"`
	Cores     int      `json:"cores"`
	System    string   `json:"system"`
	Go        string   `json:"go"`
	Node      string   `json:"node"`
	Peer      string   `json:"peer"` // the other engine, with versions
	Kernels   []string `json:"kernels"`
	Used      string   `json:"kernels_used"` // by the models
	Load      string   `json:"load_average"`
}

func machine() machineInfo {
	m := machineInfo{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	data, _ := os.ReadFile("/proc/cpuinfo")
	first, _, _ := strings.Cut(string(data), "\n\n")
	facts := map[string]string{}
	for line := range strings.Lines(first) {
		key, value, _ := strings.Cut(line, ":")
		facts[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	m.Processor = fmt.Sprintf("%s (family %s, model %s)", facts["model name"], facts["cpu family"], facts["model"])
	if out, err := exec.Command("node", "--version").Output(); err == nil {
		m.Node = strings.TrimSpace(string(out))
	}
	for _, s := range kernel.Sets() {
		m.Kernels = append(m.Kernels, s.Name)
	}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	return m
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[n/2]
}

func least(values []float64) float64 { return slices.Min(values) }

func (r result) json() []byte {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		panic(err)
	}
	return append(data, '\n')
}

// speed finds the row of an engine, nil if there is none.
func (r result) speed(engine string, length, threads int) *speedRow {
	for i, s := range r.Speed {
		if s.Engine == engine && s.Length == length && s.Threads == threads {
			return &r.Speed[i]
		}
	}
	return nil
}

// column collects what a row field takes over all rows, in order.
func column[T comparable](rows []speedRow, of func(speedRow) T) []T {
	var values []T
	for _, r := range rows {
		if v := of(r); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func (r result) lengths() []int {
	return column(r.Speed, func(s speedRow) int { return s.Length })
}

func (r result) engines() []string {
	return column(r.Speed, func(s speedRow) string { return s.Engine })
}

func (r result) markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	m := r.Machine
	line("# Speed and memory\n")
	line("%s, %d cores, %s, %s, Node %s; kernels %s; load average at the start %s. One run of `./build.sh bench`, %.0f s; what is compared took turns.",
		m.Processor, m.Cores, m.System, m.Go, m.Node, strings.Join(m.Kernels, ", "), m.Load, r.Seconds)
	line("Other programs shared the cores where the load average says so: then the median is what a user got there, the best is nearer to what the machine can do.")
	for _, n := range r.Notes {
		line("\n%s", n)
	}
	if len(r.Speed) > 0 {
		r.speedTables(line)
	}
	if len(r.Threads) > 0 {
		r.threadsTable(line)
	}
	if len(r.Latency) > 0 {
		r.latencyTable(line)
	}
	if len(r.Kept) > 0 {
		line("\n## The long convolution's share of a pass, f32, one thread\n")
		line("%s", share.Markdown(r.Kept, r.Anew))
	}
	if len(r.Kernels) > 0 {
		line("\n## Kernels, one thread, per second of processor time\n")
		line("| operation | set | median | best | unit |\n| --- | --- | ---: | ---: | --- |")
		for _, k := range r.Kernels {
			line("| %s | %s | %s | %s | %s |", k.Operation, k.Set, digits(k.Rate), digits(k.Best), k.Unit)
		}
	}
	if len(r.Tokenizers) > 0 {
		line("\n## Tokenizer, English text, one core, MB/s\n")
		line("| bytes a text | ours | ours with offsets | Rust tokenizers library | its Node binding | ours with offsets : library |\n| ---: | ---: | ---: | ---: | ---: | ---: |")
		for _, t := range r.Tokenizers {
			ratio := "–"
			if t.Rust > 0 {
				ratio = digits(t.Offsets/t.Rust) + "×"
			}
			line("| %d | %s | %s | %s | %s | %s |", t.Bytes, digits(t.Ours), digits(t.Offsets), digits(t.Rust), digits(t.Node), ratio)
		}
	}
	if len(r.Memory) > 0 {
		r.memoryTable(line)
	}
	return b.String()
}

func (r result) speedTables(line func(string, ...any)) {
	header, rule := "| engine | threads |", "| --- | ---: |"
	for _, l := range r.lengths() {
		header += fmt.Sprintf(" %d |", l)
		rule += " ---: |"
	}
	line("\n## Tokens/s over the length of the text\n")
	line("m2embed: the 80M shape with random weights and the embedded small model, %s kernels, filters cached up to the default budget. The peer, %s: a BERT-base-shaped encoder (12 layers, 768, 3072, 12 heads) with random weights. Median, and the best in brackets.\n", r.Machine.Used, r.Machine.Peer)
	line("%s\n%s", header, rule)
	for _, threads := range []int{1, 2} {
		for _, engine := range r.engines() {
			row := fmt.Sprintf("| %s | %d |", engine, threads)
			for _, l := range r.lengths() {
				if s := r.speed(engine, l, threads); s != nil {
					row += fmt.Sprintf(" %.0f (%.0f) |", s.Median, s.Best)
				} else {
					row += " – |"
				}
			}
			line("%s", row)
		}
	}
	line("\n## Tokens per second of processor time, 1 thread\n")
	line("What an engine costs, however many others share the cores; medians.\n")
	line("%s\n%s", strings.Replace(header, " threads |", "", 1), strings.Replace(rule, " ---: |", "", 1))
	for _, engine := range r.engines() {
		row := fmt.Sprintf("| %s |", engine)
		for _, l := range r.lengths() {
			if s := r.speed(engine, l, 1); s != nil {
				row += fmt.Sprintf(" %.0f |", s.Processor)
			} else {
				row += " – |"
			}
		}
		line("%s", row)
	}
	line("\n## Ratios of medians\n")
	line("%s\n%s", strings.Replace(header, "| engine | threads |", "| ratio | |", 1), strings.Replace(rule, "---: |", "--- |", 1))
	ratio := func(name, a string, threadsA int, b string, threadsB int) {
		row, any := fmt.Sprintf("| %s | |", name), false
		for _, l := range r.lengths() {
			x, y := r.speed(a, l, threadsA), r.speed(b, l, threadsB)
			if x == nil || y == nil {
				row += " – |"
				continue
			}
			row += fmt.Sprintf(" %.2f |", x.Median/y.Median)
			any = true
		}
		if any {
			line("%s", row)
		}
	}
	const ours, theirs = "m2embed 80M ", "onnxruntime BERT-base "
	ratio("m2embed f32 : onnxruntime f32, 1 thread", ours+"f32", 1, theirs+"f32", 1)
	ratio("m2embed int8 : onnxruntime int8, 1 thread", ours+"int8", 1, theirs+"int8", 1)
	ratio("m2embed int8 : f32, 1 thread", ours+"int8", 1, ours+"f32", 1)
	ratio("m2embed f32, 2 threads : 1", ours+"f32", 2, ours+"f32", 1)
	ratio("m2embed int8, 2 threads : 1", ours+"int8", 2, ours+"int8", 1)
	ratio("onnxruntime f32, 2 threads : 1", theirs+"f32", 2, theirs+"f32", 1)
	if len(r.Int8Cosine) > 0 {
		var parts []string
		for _, c := range r.Int8Cosine {
			parts = append(parts, fmt.Sprintf("%d: %.6f", c.Length, c.Cosine))
		}
		line("\nCosine of int8 to f32, the same text: %s.", strings.Join(parts, ", "))
	}
	line("\n![tokens per second of processor time over the length](speed.svg)")
}

func (r result) memoryTable(line func(string, ...any)) {
	line("\n## Memory\n")
	line("Each in a process of its own; peak resident memory, the mapped file's touched pages included. MB = 10⁶ bytes.\n")
	line("| what | weights file | peak | peak : file | above the weights | of that filters kept | activations | ready after | in all |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, m := range r.Memory {
		over, filters, activations, ready := "–", "–", "–", "–"
		if m.Over > 0 {
			over = fmt.Sprintf("%.0f MB", m.Over)
			filters = fmt.Sprintf("%.0f MB", m.Filters)
		}
		if m.Activations > 0 {
			activations = fmt.Sprintf("%.2f MB", m.Activations)
		}
		if m.Ready > 0 {
			ready = fmt.Sprintf("%.0f ms", m.Ready)
		}
		line("| %s | %.0f MB | %.0f MB | %.2f | %s | %s | %s | %s | %.1f s |", m.What, m.File, m.Peak, m.Peak/m.File, over, filters, activations, ready, m.Seconds)
	}
	line("\nFor orientation, not measured here: the note that m2embed grew from reports 256 GB for one 32,768-token text in an early MLX port, 64 GB in a later one, and 96.2 MB for a text of a few tokens padded to 32,768 rows; the original in PyTorch peaks at 4.0 GiB for 32,768 tokens (float32).")
}

// digits prints three significant figures.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v > 0:
		return fmt.Sprintf("%.2f", v)
	}
	return "–"
}
