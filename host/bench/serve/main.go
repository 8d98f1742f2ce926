// Command serve measures m2embed serve: short texts beside long ones, many
// clients at once, what HTTP and JSON cost, starting, and memory. It takes turns
// between what it compares, also between servers, and writes serve.md. A round in
// which other programs used the processors is measured again.
//
//	go run ./host/bench/serve                  about 15 minutes on two idle cores
//	go run ./host/bench/serve -quick           fewer rounds
//	go run ./host/bench/serve -parts beside    a part; the others are as they were measured before
//	go run ./host/bench/serve -infinity .cache/bench/infinity
//
// Peers run a BERT-base-shaped encoder with random weights: onnxruntime (npm
// onnxruntime-node) behind a server of a few lines with dynamic batching, and
// infinity_emb, whose PyPI package and PyTorch, of 6 GB, -infinity installs into the
// folder that it names.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
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
	parts := flag.String("parts", "start,beside,http,peers", "`names` of what to measure")
	models := flag.String("models", "m2-bert-small,80M f32,80M int8", "`names` of our models that are measured")
	out := flag.String("out", "testdata/bench/serve.md", "`file` of the results")
	flag.Parse()
	err := b.run(strings.Split(*parts, ","), strings.Split(*models, ","))
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
	results
}

// results are those of each part that was measured, now or before. The rows of
// models are by name.
type results struct {
	Machine  string
	Start    map[string]*startRow
	Beside   map[string]*besideRow
	Overhead map[string]*overheadRow
	Crowd    []crowdRow
	Notes    []string // on servers that are missing in Crowd
}

// models are ours, small ones first.
func (b *bench) models() []served {
	return []served{{"m2-bert-small", ""}, {"80M f32", filepath.Join(b.cache, "f32")}, {"80M int8", filepath.Join(b.cache, "int8")}}
}

// served is a model of ours.
type served struct{ name, folder string }

func (b *bench) run(parts, models []string) error {
	if err := checkpoints.Make(b.cache); err != nil {
		return err
	}
	b.results = results{Start: map[string]*startRow{}, Beside: map[string]*besideRow{}, Overhead: map[string]*overheadRow{}}
	if data, err := os.ReadFile(b.resultsFile()); err == nil {
		if err := json.Unmarshal(data, &b.results); err != nil {
			return fmt.Errorf("%s: %w", b.resultsFile(), err)
		}
	}
	program := filepath.Join(b.cache, "m2embed")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "./host/cmd/m2embed").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, part := range parts {
		measure := map[string]func(program string, m served) error{"start": b.start, "beside": b.shortBesideLong, "http": b.againstEngine}[part]
		if measure == nil && part != "peers" {
			return fmt.Errorf("there is no part %q", part)
		}
		for _, m := range b.models() {
			if part == "peers" || !slices.Contains(models, m.name) {
				continue
			}
			b.say("%s of %s", part, m.name)
			if err := measure(program, m); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		if part == "peers" {
			b.say("servers beside each other")
			if err := b.peers(program); err != nil {
				return err
			}
		}
		b.Machine = machine()
		data, err := json.Marshal(b.results)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.resultsFile(), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// resultsFile keeps the parts that were measured.
func (b *bench) resultsFile() string { return filepath.Join(b.cache, "serve.json") }

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

// start measures the start and the memory of a model of ours.
func (b *bench) start(program string, m served) error {
	row := &startRow{Weights: weightsMB(m)}
	for range b.rounds(7) {
		err := b.undisturbed(&row.Others, nil, func() (func(), error) {
			s, err := startOurs(program, m)
			if err != nil {
				return nil, err
			}
			defer s.stop()
			time.Sleep(time.Second)
			ready, rest := s.ready, s.memory()
			return func() { row.Ready, row.Rest = append(row.Ready, ready), append(row.Rest, rest) }, nil
		})
		if err != nil {
			return err
		}
	}
	s, err := startOurs(program, m)
	if err != nil {
		return err
	}
	defer s.stop()
	row.Unfinished = s.unfinished()
	b.Start[m.name] = row
	return nil
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
	Idle, Busy    []float64 // seconds of short requests
	Alone, Shared []float64 // tokens a second of long ones, by round
	Others        []float64
}

// shortBesideLong measures 16-token requests, ten a second, alone and beside two
// clients that send texts of 32,768 tokens without end; and these alone.
func (b *bench) shortBesideLong(program string, m served) error {
	s, err := startOurs(program, m)
	if err != nil {
		return err
	}
	defer s.stop()
	row := &besideRow{}
	short, long := s.body(text(16)), s.body(text(longTokens))
	if _, err := s.ask(short); err != nil {
		return err
	}
	took, err := s.ask(long)
	if err != nil {
		return err
	}
	span, rounds := 5*time.Second, b.rounds(6)
	if took > 2*time.Second {
		span, rounds = 2*took, b.rounds(2)
	}
	for range rounds {
		err := b.undisturbed(&row.Others, []*server{s}, func() (func(), error) {
			idle, err := s.paced(short, 5*time.Second)
			if err != nil {
				return nil, err
			}
			alone, _, err := s.endless(long, 2, span, nil)
			if err != nil {
				return nil, err
			}
			shared, busy, err := s.endless(long, 2, span, short)
			return func() {
				row.Idle, row.Busy = append(row.Idle, idle...), append(row.Busy, busy...)
				row.Alone, row.Shared = append(row.Alone, longTokens*alone), append(row.Shared, longTokens*shared)
			}, err
		})
		if err != nil {
			return err
		}
	}
	b.Beside[m.name] = row
	return nil
}

// overheadRow compares the server with the engine in this process.
type overheadRow struct {
	HTTP, Engine []float64 // seconds of one text of 512 tokens
	Empty        []float64 // seconds of a request that is for nothing, after such a text in this process
	Crowd, Batch []float64 // texts of 128 tokens a second
	// Seconds of processor time that such a text costs the engine in a call with 64,
	// the server, and the clients.
	Engine64, Server64, Client64 []float64
	Others                       []float64
}

// clients is the number of those that ask at once.
const clients = 64

// againstEngine measures the engine in this process and the server in turn: one
// text of 512 tokens, and 64 clients with texts of 128 tokens against one call
// with 64.
func (b *bench) againstEngine(program string, m served) error {
	s, err := startOurs(program, m)
	if err != nil {
		return err
	}
	defer s.stop()
	opened, err := host.Open(m.folder, host.Options{})
	if err != nil {
		return err
	}
	defer opened.Close()
	row := &overheadRow{}
	embed := func(texts []core.Input) (float64, error) {
		start := time.Now()
		_, err := opened.EmbedInputs(context.Background(), texts, core.Options{})
		return time.Since(start).Seconds(), err
	}
	one, many := core.Texts(text(512)), make([]core.Input, 0, clients)
	for range clients {
		many = append(many, core.Texts(text(128))...)
	}
	body := s.body(text(512))
	if _, err := s.ask(body); err != nil {
		return err
	}
	// again repeats something for some time and returns what each took.
	again := func(span time.Duration, ask func() (float64, error)) (all []float64, err error) {
		for begun := time.Now(); time.Since(begun) < span; {
			seconds, err := ask()
			if err != nil {
				return nil, err
			}
			all = append(all, seconds)
		}
		return all, nil
	}
	for range b.rounds(9) {
		err := b.undisturbed(&row.Others, []*server{s}, func() (func(), error) {
			var engine, http, empty []float64
			for range 4 {
				some, err := again(250*time.Millisecond, func() (float64, error) { return embed(one) })
				if err != nil {
					return nil, err
				}
				engine = append(engine, some...)
				if some, err = again(250*time.Millisecond, func() (float64, error) {
					took, err := s.ask(body)
					return took.Seconds(), err
				}); err != nil {
					return nil, err
				}
				http = append(http, some...)
				if some, err = again(100*time.Millisecond, func() (float64, error) {
					if _, err := embed(one); err != nil {
						return 0, err
					}
					took, err := s.greet()
					return took.Seconds(), err
				}); err != nil {
					return nil, err
				}
				empty = append(empty, some...)
			}
			return func() {
				row.Engine, row.HTTP, row.Empty = append(row.Engine, engine...), append(row.HTTP, http...), append(row.Empty, empty...)
			}, nil
		})
		if err != nil {
			return err
		}
	}
	for range b.rounds(6) {
		err := b.undisturbed(&row.Others, []*server{s}, func() (func(), error) {
			begun, own := time.Now(), processor("self")
			calls, err := again(3*time.Second, func() (float64, error) { return embed(many) })
			if err != nil {
				return nil, err
			}
			texts := float64(len(calls) * len(many))
			batch, engine := texts/time.Since(begun).Seconds(), (processor("self")-own)/texts
			own, its := processor("self"), s.processor()
			crowd, answers, err := s.crowd(s.body(text(128)), clients, 3*time.Second)
			n := float64(len(answers))
			client, server := (processor("self")-own)/n, (s.processor()-its)/n
			return func() {
				row.Batch, row.Crowd = append(row.Batch, batch), append(row.Crowd, crowd)
				row.Engine64, row.Server64, row.Client64 = append(row.Engine64, engine), append(row.Server64, server), append(row.Client64, client)
			}, err
		})
		if err != nil {
			return err
		}
	}
	b.Overhead[m.name] = row
	return nil
}

// crowdRow is one server of several that took turns.
type crowdRow struct {
	Server        string
	Rate          []float64 // texts of 128 tokens a second of 64 clients
	Latency       []float64 // seconds of these
	Single        []float64 // seconds of texts of 16 tokens of one client
	Beside        []float64 // of these beside four clients with texts of 512 tokens
	Ready, Memory float64   // seconds to the start, MB at the end
	Others        []float64
}

// peers lets servers of the same shape take turns.
func (b *bench) peers(program string) error {
	b.Notes = nil
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
			b.Notes = append(b.Notes, err.Error())
			continue
		}
		servers = append(servers, s)
	}
	rows := make([]crowdRow, len(servers))
	for round := range b.rounds(3) + 1 {
		for i, s := range servers {
			r := &rows[i]
			err := b.undisturbed(&r.Others, servers, func() (func(), error) {
				rate, latency, err := s.crowd(s.body(text(128)), clients, 5*time.Second)
				if err != nil {
					return nil, err
				}
				single, err := s.paced(s.body(text(16)), 4*time.Second)
				if err != nil {
					return nil, err
				}
				_, beside, err := s.endless(s.body(text(512)), 4, 5*time.Second, s.body(text(16)))
				return func() {
					r.Rate, r.Latency = append(r.Rate, rate), append(r.Latency, latency...)
					r.Single, r.Beside = append(r.Single, single...), append(r.Beside, beside...)
				}, err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round == 0 { // it warmed up
				*r = crowdRow{}
			}
			r.Server, r.Ready, r.Memory = s.name, s.ready, s.memory()
		}
	}
	b.Crowd = rows
	return nil
}

// calm is the part of the processors' time that other programs may have in a round.
const calm = 0.03

// undisturbed measures a round, up to four times (twice if it is to be quick) until other programs have little
// of the processors, and keeps the one in which they had least, and how much.
func (b *bench) undisturbed(others *[]float64, servers []*server, measure func() (keep func(), err error)) error {
	var best func()
	least := math.Inf(1)
	tries := 4
	if b.quick {
		tries = 2
	}
	for range tries {
		before := usage(servers)
		keep, err := measure()
		if err != nil {
			return err
		}
		after := usage(servers)
		part := 0.0
		if all := after.all - before.all; all > 0 {
			part = max(0, ((after.busy-before.busy)-(after.own-before.own))/all)
		}
		if part < least {
			best, least = keep, part
		}
		if part <= calm {
			break
		}
		b.say("others had %.0f %% of the processors", 100*part)
	}
	best()
	*others = append(*others, least)
	return nil
}

// used is processor time since some moment, in seconds.
type used struct {
	all, busy float64 // of all processors, and what they did not idle
	own       float64 // of this process, its ended children and the servers
}

// tick is in how many parts /proc counts a second: USER_HZ.
const tick = 100

// usage reads /proc, and is zero where that is missing.
func usage(servers []*server) (u used) {
	data, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(data), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // the name, and guests, whose time counts as user's already
			continue
		}
		u.all += n / tick
		if i != 4 && i != 5 { // idle, and waiting for a disk
			u.busy += n / tick
		}
	}
	u.own = processor("self")
	for _, s := range servers {
		u.own += s.processor()
	}
	return u
}

// processor is the processor time of a process and its ended children, in seconds.
func processor(pid string) (seconds float64) {
	data, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	for i := 11; i < 15 && i < len(fields); i++ { // utime, stime, and those of children
		n, _ := strconv.ParseFloat(fields[i], 64)
		seconds += n / tick
	}
	return seconds
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
	return fmt.Sprintf("%s, %d cores, %s/%s, %s, %s kernels", name, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), kernel.Active().Name)
}
