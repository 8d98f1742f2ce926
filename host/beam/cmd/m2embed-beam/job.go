package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"m2embed/host/batch"
	"m2embed/host/beam/embed"
)

func init() { register.DoFn2x1[context.Context, int, error](&shardFn{}) }

// shardFn embeds shards. Its elements are numbers: documents come from the folder
// and vectors go there, under names that they get when they are whole, so a runner
// holds none of them in memory and may run a shard again, or twice at a time.
type shardFn struct {
	Folder, Model, Engine string
	Threads               int

	job      *batch.Job
	embedder *batch.Embedder
}

var (
	countDocuments = beam.NewCounter("m2embed", "texts")
	countTokens    = beam.NewCounter("m2embed", "tokens")
	countTruncated = beam.NewCounter("m2embed", "truncated")
	countFailed    = beam.NewCounter("m2embed", "failed")
	shardTime      = beam.NewDistribution("m2embed", "shard_milliseconds")
)

// Setup opens the folder and the model.
func (f *shardFn) Setup(ctx context.Context) (err error) {
	if f.job, err = batch.OpenJob(f.Folder); err != nil {
		return err
	}
	f.embedder, err = embed.Open(ctx, embed.Options{Model: f.Model, Engine: f.Engine, Threads: f.Threads, Embed: f.job.How().Options})
	return err
}

// ProcessElement embeds one shard.
func (f *shardFn) ProcessElement(ctx context.Context, shard int) error {
	began := time.Now()
	s, err := f.job.Shard(ctx, f.embedder, shard, func(batch.Progress) {})
	if err != nil {
		return err
	}
	countDocuments.Inc(ctx, int64(s.Documents+s.Rejected))
	countTokens.Inc(ctx, s.Tokens)
	countTruncated.Inc(ctx, int64(s.Truncated))
	countFailed.Inc(ctx, int64(s.Rejected))
	shardTime.Update(ctx, time.Since(began).Milliseconds())
	return nil
}

// runJob runs the shards that are left, of this part, as one job.
func runJob(ctx context.Context) error {
	of, parts := 0, 1
	if *part != "" {
		if _, err := fmt.Sscanf(*part, "%d/%d", &of, &parts); err != nil || parts < 1 || of < 0 || of >= parts {
			return fmt.Errorf("--part %q, want I/N with I below N", *part)
		}
	}
	j, err := batch.OpenJob(*folder)
	if err != nil {
		return err
	}
	var left []any
	for _, k := range j.Pending() {
		if k%parts == of {
			left = append(left, k)
		}
	}
	if len(left) == 0 {
		return nil
	}
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, &shardFn{Folder: *folder, Model: *model, Engine: *engine, Threads: *threads}, beam.Reshuffle(s, beam.Create(s, left...)))
	_, err = beam.Run(ctx, *runner, p)
	return err
}

// runJobs runs n jobs at a time, each from a process of its own, for runners that
// give a job one worker and end it when that dies. A job that failed is started
// again as long as shards are being done.
func runJobs(ctx context.Context, program string, n int) error {
	failures := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { failures[i] = runPart(ctx, program, i, n) })
	}
	wait.Wait()
	return errors.Join(failures...)
}

// patience is how often a job may fail without one more shard being done.
const patience = 3

func runPart(ctx context.Context, program string, i, n int) error {
	j, err := batch.OpenJob(*folder)
	if err != nil {
		return err
	}
	for failed := 0; ; {
		before := len(j.Pending())
		args := []string{fmt.Sprintf("--part=%d/%d", i, n)}
		flag.Visit(func(f *flag.Flag) {
			if f.Name != "workers" && f.Name != "part" && f.Name != "threads" && f.Name != "tied" {
				args = append(args, "--"+f.Name+"="+f.Value.String())
			}
		})
		t := *threads
		if t == 0 {
			t = max(runtime.NumCPU()/n, 1)
		}
		args = append(args, "--tied", fmt.Sprintf("--threads=%d", t), "--endpoint="+flag.Lookup("endpoint").Value.String())
		run := exec.CommandContext(ctx, program, args...)
		run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
		run.WaitDelay = grace
		var said tail
		run.Stderr = &said
		if _, err := run.StdinPipe(); err != nil { // open until the job ends, or this process does
			return err
		}
		err := run.Run()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if failed++; len(j.Pending()) < before {
			failed = 0
		}
		if failed >= patience {
			return fmt.Errorf("job %d of %d: %w: %s", i, n, err, strings.TrimSpace(string(said)))
		}
	}
}

// tail keeps the end of what a process says.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - 1000; over > 0 {
		*t = (*t)[over:]
	}
	return len(p), nil
}
