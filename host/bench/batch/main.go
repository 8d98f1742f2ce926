// Command batch measures what jobs of "m2embed batch" cost beside the bare engine:
// its rate, four processes beside one, memory over a large input, and other ways to
// embed the same texts. What is compared takes turns. It writes testdata/bench/batch.md.
//
//	go run ./host/bench/batch
//	go run ./host/bench/batch -parts memory    a part; the others are as they were measured before
//	go run ./host/bench/batch -parts peers -peers .cache/bench/batchpeer
//
// Peers are sentence-transformers and Ray Data, which -peers installs with PyTorch, of
// 5 GB, into the folder that it names.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/kernel"
	"m2embed/host"
	"m2embed/host/batch"
)

// The worker flags are those of the processes that this one starts.
var (
	wanted      = flag.String("parts", "rates,memory", "`names` of what to measure: rates, memory, peers")
	environment = flag.String("peers", ".cache/bench/batchpeer", "`folder` of a Python environment with sentence-transformers and Ray; made if it is not there")
	documents   = flag.Int("documents", 5000, "`number` of documents of 128 tokens")
	rounds      = flag.Int("rounds", 5, "`number` of rounds")
	large       = flag.Int64("bytes", 2<<30, "`size` of the large input")
	out         = flag.String("out", "testdata/bench/batch.md", "`file` for the report")
	worker      = flag.String("worker", "", "run shards of the prepared `folder`, and nothing else")
	part        = flag.Int("part", 0, "with --worker: the `remainder` of the shards to run")
	parts       = flag.Int("workers", 1, "with --worker: the `number` of workers")
	threads     = flag.Int("threads", 2, "with --worker: `threads` of a forward pass")
)

func main() {
	flag.Parse()
	err := errors.New("no arguments are taken")
	switch {
	case flag.NArg() > 0:
	case *worker != "":
		err = work()
	default:
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/batch:", err)
		os.Exit(1)
	}
}

// shards of a job: enough for four workers to end together.
const shards = 16

// work is a worker.
func work() error {
	j, err := batch.OpenJob(*worker)
	if err != nil {
		return err
	}
	e, err := batch.Open("", host.Options{Threads: *threads}, j.How().Options)
	if err != nil {
		return err
	}
	defer e.Close()
	for _, k := range j.Pending() {
		if k%*parts != *part {
			continue
		}
		if _, err := j.Shard(context.Background(), e, k, func(batch.Progress) {}); err != nil {
			return err
		}
	}
	return nil
}

// texts have 128 tokens each: 126 words of the vocabulary, and two special ones.
func texts(n int) []string {
	words := strings.Fields("river stone light carries the old bridge over water while people talk about bread and rain")
	all := make([]string, n)
	for i := range all {
		var b strings.Builder
		for k := range 126 {
			b.WriteString(words[(k*7+i*3+k*k%5+i/16)%len(words)])
			b.WriteByte(' ')
		}
		all[i] = b.String()
	}
	return all
}

// sample is what a run took, in seconds.
type sample struct{ wall, processor float64 }

// measure times what runs in this process and in its children.
func measure(f func() error) (sample, error) {
	before, start := processorSeconds(), time.Now()
	err := f()
	return sample{time.Since(start).Seconds(), processorSeconds() - before}, err
}

type bench struct {
	folder, program string
	list            []string
	model           *host.Model
	embedder        *batch.Embedder
	peak            int64 // of workers, bytes
}

func run() error {
	folder, err := os.MkdirTemp("", "m2embed-bench-batch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bench{folder: folder, list: texts(*documents)}
	if b.program, err = os.Executable(); err != nil {
		return err
	}
	if b.model, err = host.Open("", host.Options{Threads: 2}); err != nil {
		return err
	}
	defer b.model.Close()
	if b.embedder, err = batch.New(b.model, batch.Options{}); err != nil {
		return err
	}
	if err := b.write(); err != nil {
		return err
	}
	before, err := os.ReadFile(*out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	report := fmt.Sprintf("# Jobs of many documents\n\n%s/%s, %d processors, %s kernels. Written by `go run ./host/bench/batch`.\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernel.Active().Name)
	chosen := strings.Split(*wanted, ",")
	for _, part := range []struct {
		name, title string
		measure     func() (string, error)
	}{{"rates", "Beside the bare engine", b.rates}, {"memory", "Memory", b.large}, {"peers", "Beside other ways", b.peers}} {
		text := section(string(before), part.title)
		if at := slices.Index(chosen, part.name); at >= 0 {
			chosen = slices.Delete(chosen, at, at+1)
			if text, err = part.measure(); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
		if text != "" {
			report += fmt.Sprintf("\n## %s\n\n%s\n", part.title, strings.TrimSpace(text))
		}
	}
	if len(chosen) > 0 {
		return fmt.Errorf("there is no part %q", chosen)
	}
	fmt.Print(report)
	return os.WriteFile(*out, []byte(report), 0o666)
}

// section is what stands below a title in an earlier report: a part that is not
// measured stays as it was.
func section(report, title string) string {
	_, text, _ := strings.Cut(report, "\n## "+title+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// rates compares jobs with the bare engine.
func (b *bench) rates() (string, error) {
	ways := []struct {
		name string
		run  func(round int) (sample, error)
	}{
		{"bare engine, 2 threads", b.bare},
		{"job in this process, 2 threads: read, spread, embed, write", b.job},
		{"job in one worker process, 2 threads", func(round int) (sample, error) { return b.workers(round, 1) }},
		{"job in four worker processes, 1 thread each", func(round int) (sample, error) { return b.workers(round, 4) }},
	}
	found := make([][]sample, len(ways))
	for round := range *rounds {
		for i := range ways {
			i = (i + round) % len(ways)
			s, err := ways[i].run(round)
			if err != nil {
				return "", fmt.Errorf("%s: %w", ways[i].name, err)
			}
			found[i] = append(found[i], s)
		}
	}
	r := &strings.Builder{}
	fmt.Fprintf(r, `m2-bert-small, %d documents of 128 tokens to Parquet, medians of %d rounds that took turns. Processor time is of all threads,
starts of processes included: it says what a way costs, however many others share the processors.

| way | documents/s | : bare | documents a second of processor time | : bare |
| --- | ---: | ---: | ---: | ---: |
`, *documents, *rounds)
	for i, w := range ways {
		n := float64(*documents)
		wall := n / median(found[i], func(s sample) float64 { return s.wall })
		used := n / median(found[i], func(s sample) float64 { return s.processor })
		// Ratios round by round, so that what slows a round down slows both.
		fmt.Fprintf(r, "| %s | %.0f | %.2f | %.0f | %.2f |\n", w.name, wall, ratio(found[0], found[i], func(s sample) float64 { return s.wall }),
			used, ratio(found[0], found[i], func(s sample) float64 { return s.processor }))
	}
	fmt.Fprintf(r, "\nFour processes take %.2f times the processor time of one, and %.2f times as long. A worker's memory peaked at %.0f MB.\n",
		ratio(found[3], found[2], func(s sample) float64 { return s.processor }),
		ratio(found[3], found[2], func(s sample) float64 { return s.wall }), float64(b.peak)/1e6)
	return r.String(), nil
}

func median(of []sample, value func(sample) float64) float64 {
	var all []float64
	for _, s := range of {
		all = append(all, value(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ratio is the median, over rounds, of a's value over b's.
func ratio(a, b []sample, value func(sample) float64) float64 {
	var all []sample
	for i := range a {
		all = append(all, sample{wall: value(a[i]) / value(b[i])})
	}
	return median(all, func(s sample) float64 { return s.wall })
}

func (b *bench) input() string { return filepath.Join(b.folder, "in.jsonl") }

func (b *bench) write() error {
	return writeDocuments(b.input(), b.list)
}

func writeDocuments(name string, texts []string) error {
	return writeFile(name, func(w *bufio.Writer) {
		for i, text := range texts {
			fmt.Fprintf(w, `{"id":"document-%d","text":%q}`+"\n", i, text)
		}
	})
}

func writeFile(name string, fill func(w *bufio.Writer)) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fill(w)
	return errors.Join(w.Flush(), f.Close())
}

// bare embeds the texts by as many as a job does.
func (b *bench) bare(int) (sample, error) {
	return measure(func() error {
		for group := range slices.Chunk(b.list, batch.DefaultTokenBudget/128) {
			if _, err := b.model.EmbedInputs(context.Background(), core.Texts(group...), core.Options{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) request(name string) batch.Request {
	return batch.Request{Inputs: []string{b.input()}, Folder: filepath.Join(b.folder, name), Shards: shards}
}

// job runs a whole job in this process.
func (b *bench) job(round int) (sample, error) {
	return measure(func() error {
		j, err := batch.Prepare(context.Background(), b.embedder, b.request(fmt.Sprint("job", round)))
		if err != nil {
			return err
		}
		defer j.Close()
		m, err := j.Run(context.Background(), b.embedder, func(batch.Progress) {})
		if err == nil && m.Total.Tokens != int64(128**documents) {
			err = fmt.Errorf("%d tokens of %d documents, want 128 each", m.Total.Tokens, *documents)
		}
		return err
	})
}

// workers runs a job in n processes on two processors.
func (b *bench) workers(round, n int) (sample, error) {
	return measure(func() error {
		j, err := batch.Prepare(context.Background(), b.embedder, b.request(fmt.Sprint("workers", n, "-", round)))
		if err != nil {
			return err
		}
		defer j.Close()
		var started []*exec.Cmd
		for i := range n {
			c := exec.Command(b.program, "--worker", filepath.Join(b.folder, fmt.Sprint("workers", n, "-", round)),
				fmt.Sprint("--part=", i), fmt.Sprint("--workers=", n), fmt.Sprint("--threads=", max(2/n, 1)))
			c.Stderr = os.Stderr
			if err := c.Start(); err != nil {
				return err
			}
			started = append(started, c)
		}
		var failed error
		for _, c := range started {
			failed = errors.Join(failed, c.Wait())
			b.peak = max(b.peak, peak(c.ProcessState))
		}
		if failed != nil {
			return failed
		}
		_, err = j.Finish()
		return err
	})
}

// large runs jobs of the command over a large input and one of a tenth of it:
// memory does not follow the size.
func (b *bench) large() (string, error) {
	r := &strings.Builder{}
	r.WriteString("`m2embed batch --text` over JSON lines of 186 kB, cut at 128 tokens, and a line of 30 MB in their middle, which is rejected as\n" +
		"too-large. A worker may have 600 MB.\n\n| input | documents | peak memory | took |\n| ---: | ---: | ---: | ---: |\n")
	for _, bytes := range []int64{*large / 10, *large} {
		n, peak, took, err := b.overLines(bytes)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(r, "| %.2f GB | %d | %.0f MB | %s |\n", float64(bytes)/1e9, n, peak, took.Round(time.Second))
	}
	return r.String(), nil
}

// overLines runs the command over lines of so many bytes together, and a line of 30 MB
// among them. It returns the number of documents, and the process's peak of memory in MB.
func (b *bench) overLines(bytes int64) (n int, most float64, took time.Duration, err error) {
	name, folder := filepath.Join(b.folder, "large.jsonl"), filepath.Join(b.folder, "large")
	text := strings.Join(b.list[:min(len(b.list), 260)], "")
	n = int(bytes) / len(text)
	err = writeFile(name, func(w *bufio.Writer) {
		for i := range n {
			if i == n/2 {
				fmt.Fprintf(w, `{"id":"large","text":"%s"}`+"\n", strings.Repeat("large ", 5_000_000))
			}
			fmt.Fprintf(w, `{"id":"document-%d","text":%q}`+"\n", i, text)
		}
	})
	if err != nil {
		return 0, 0, 0, err
	}
	c := exec.Command("bin/m2embed", "batch", "--input", name, "--output", folder, "--max-length", "128", "--text", "--quiet", "--threads", "2")
	c.Stderr = os.Stderr
	start := time.Now()
	if err := c.Run(); err != nil {
		return 0, 0, 0, err
	}
	took = time.Since(start)
	m, err := batch.Verify(context.Background(), folder)
	if err == nil && (m.Total.Documents != n || m.Total.Rejected != 1) {
		err = fmt.Errorf("%d documents and %d rejected of %d and 1", m.Total.Documents, m.Total.Rejected, n)
	}
	return n, float64(peak(c.ProcessState)) / 1e6, took, errors.Join(err, os.Remove(name), os.RemoveAll(folder))
}
