// Command serve measures m2embed serve: short texts beside long ones, many
// clients at once, what HTTP and JSON cost, starting, and memory. It takes turns
// between what it compares, also between servers, and writes serve.md.
//
//	go run ./host/bench/serve                  about 15 minutes on two idle cores
//	go run ./host/bench/serve -quick           fewer rounds
//	go run ./host/bench/serve -infinity .cache/bench/infinity
//
// Peers run a BERT-base-shaped encoder with random weights: onnxruntime (npm
// onnxruntime-node) behind a server of a few lines with dynamic batching, and
// infinity_emb, whose PyPI package and PyTorch, of 6 GB, -infinity installs into the
// folder that it names.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/kernel"
	"m2embed/host"
	"m2embed/host/bench/checkpoints"
)

func main() {
	var b bench
	flag.BoolVar(&b.quick, "quick", false, "fewer rounds")
	flag.StringVar(&b.cache, "cache", ".cache/bench", "`folder` for generated weights and peers")
	flag.StringVar(&b.infinity, "infinity", "", "`folder` of a Python environment with infinity_emb; made if it is not there")
	flag.StringVar(&b.only, "model", "", "`name` of our only model to measure, m2-bert-small say")
	peers := flag.Bool("peers", true, "measure other servers, too")
	out := flag.String("out", "testdata/bench/serve.md", "`file` of the results")
	flag.Parse()
	err := b.run(*peers)
	if err == nil {
		err = os.WriteFile(*out, []byte(b.markdown()), 0o644)
		fmt.Print(b.markdown())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	quick    bool
	cache    string
	infinity string
	only     string
	notes    []string
	starts   []startRow
	beside   []besideRow
	overhead []overheadRow
	crowd    []crowdRow
}

// models are ours, small ones first.
func (b *bench) models() []served {
	return []served{{"m2-bert-small", ""}, {"80M f32", filepath.Join(b.cache, "f32")}, {"80M int8", filepath.Join(b.cache, "int8")}}
}

// served is a model of ours.
type served struct{ name, folder string }

func (b *bench) run(peers bool) error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	program := filepath.Join(b.cache, "m2embed")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "./host/cmd/m2embed").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, m := range b.models() {
		if b.only != "" && b.only != m.name {
			continue
		}
		b.say("%s", m.name)
		if err := b.ours(program, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if !peers {
		return nil
	}
	b.say("servers beside each other")
	return b.peers(program)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "== "+format+"\n", args...)
}

// rounds is a number of rounds, less where it is to be quick.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(1, n/3)
	}
	return n
}

// text has so many tokens, two special ones included, in every vocabulary here.
func text(tokens int) string {
	return strings.TrimSpace(strings.Repeat("the ", tokens-2))
}

// ours measures a model of ours: the start, and a server of it.
func (b *bench) ours(program string, m served) error {
	start := startRow{model: m.name}
	for range b.rounds(9) {
		s, err := startOurs(program, m)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		start.ready = append(start.ready, s.ready)
		start.rest = append(start.rest, s.memory())
		s.stop()
	}
	start.weights = weightsMB(m)
	b.starts = append(b.starts, start)

	s, err := startOurs(program, m)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := b.shortBesideLong(s, m.name); err != nil {
		return err
	}
	return b.againstEngine(s, m)
}

// weightsMB is what the model's file has.
func weightsMB(m served) float64 {
	path := filepath.Join("host/small", "model.safetensors")
	if m.folder != "" {
		path = filepath.Join(m.folder, "model.safetensors")
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1e6
}

// longTokens is the length of the load beside which short texts are measured.
const longTokens = checkpoints.Longest

// besideRow is short texts of one client with and without long ones beside them.
type besideRow struct {
	model         string
	idle, busy    []float64 // seconds of short requests
	alone, shared []float64 // tokens a second of long ones, by round
}

// shortBesideLong measures 16-token requests, ten a second, alone and beside two
// clients that send texts of 32,768 tokens without end; and these alone.
func (b *bench) shortBesideLong(s *server, model string) error {
	row := besideRow{model: model}
	short, long := s.body(text(16)), s.body(text(longTokens))
	took, err := s.ask(long)
	if err != nil {
		return err
	}
	// Long enough for some long texts, and for some hundred short ones in all.
	span := max(8*time.Second, 3*took)
	rounds := b.rounds(6)
	if took > 3*time.Second {
		rounds = b.rounds(3)
	}
	for range rounds {
		idle, err := s.paced(short, 8*time.Second)
		if err != nil {
			return err
		}
		alone, _, err := s.endless(long, 2, span, nil)
		if err != nil {
			return err
		}
		shared, busy, err := s.endless(long, 2, span, short)
		if err != nil {
			return err
		}
		row.idle, row.busy = append(row.idle, idle...), append(row.busy, busy...)
		row.alone, row.shared = append(row.alone, longTokens*alone), append(row.shared, longTokens*shared)
	}
	b.beside = append(b.beside, row)
	return nil
}

// overheadRow compares the server with the engine in this process.
type overheadRow struct {
	model        string
	http, engine []float64 // seconds of one text of 512 tokens
	crowd, batch []float64 // texts of 128 tokens a second
}

// clients is the number of those that ask at once.
const clients = 64

// againstEngine measures the engine in this process and the server in turn: one
// text of 512 tokens, and 64 clients with texts of 128 tokens against one call
// with 64.
func (b *bench) againstEngine(s *server, m served) error {
	opened, err := host.Open(m.folder, host.Options{})
	if err != nil {
		return err
	}
	defer opened.Close()
	row := overheadRow{model: m.name}
	ctx := context.Background()
	embed := func(texts []core.Input) (float64, error) {
		start := time.Now()
		_, err := opened.EmbedInputs(ctx, texts, core.Options{})
		return time.Since(start).Seconds(), err
	}
	one, many := core.Texts(text(512)), make([]core.Input, 0, clients)
	for range clients {
		many = append(many, core.Texts(text(128))...)
	}
	body := s.body(text(512))
	for range b.rounds(9) {
		for begun := time.Now(); time.Since(begun) < 2*time.Second; {
			seconds, err := embed(one)
			if err != nil {
				return err
			}
			row.engine = append(row.engine, seconds)
		}
		for begun := time.Now(); time.Since(begun) < 2*time.Second; {
			took, err := s.ask(body)
			if err != nil {
				return err
			}
			row.http = append(row.http, took.Seconds())
		}
	}
	for range b.rounds(6) {
		texts, begun := 0, time.Now()
		for time.Since(begun) < 5*time.Second {
			if _, err := embed(many); err != nil {
				return err
			}
			texts += len(many)
		}
		row.batch = append(row.batch, float64(texts)/time.Since(begun).Seconds())
		rate, _, err := s.crowd(s.body(text(128)), clients, 5*time.Second)
		if err != nil {
			return err
		}
		row.crowd = append(row.crowd, rate)
	}
	b.overhead = append(b.overhead, row)
	return nil
}

// crowdRow is one server of several that took turns.
type crowdRow struct {
	server        string
	rate          []float64 // texts of 128 tokens a second of 64 clients
	latency       []float64 // seconds of these
	single        []float64 // seconds of texts of 16 tokens of one client
	beside        []float64 // of these beside four clients with texts of 512 tokens
	ready, memory float64   // seconds to the start, MB at the end
}

// peers lets servers of the same shape take turns.
func (b *bench) peers(program string) error {
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, m := range b.models()[1:] {
		s, err := startOurs(program, m)
		if err != nil {
			return err
		}
		s.name = "m2embed serve, " + m.name
		servers = append(servers, s)
	}
	for _, start := range []func() (*server, error){b.startONNX, b.startInfinity} {
		s, err := start()
		if err != nil {
			b.notes = append(b.notes, err.Error())
			continue
		}
		servers = append(servers, s)
	}
	rows := make([]crowdRow, len(servers))
	for round := range b.rounds(4) + 1 {
		for i, s := range servers {
			r := &rows[i]
			rate, latency, err := s.crowd(s.body(text(128)), clients, 10*time.Second)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			single, err := s.paced(s.body(text(16)), 5*time.Second)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			_, beside, err := s.endless(s.body(text(512)), 4, 5*time.Second, s.body(text(16)))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 || b.quick { // else it warmed up
				r.rate, r.latency = append(r.rate, rate), append(r.latency, latency...)
				r.single, r.beside = append(r.single, single...), append(r.beside, beside...)
			}
			r.server, r.ready, r.memory = s.name, s.ready, s.memory()
		}
	}
	b.crowd = rows
	return nil
}

// machine says what ran.
func machine() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	name := ""
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			name = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	before, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%s, %d cores, %s/%s, %s, %s kernels; load average at the end %s", name, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), kernel.Active().Name, before)
}
