package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	jobs "m2embed/host/batch"
)

var batchCommand = &command{
	name:     "batch",
	synopsis: "[flags] --input PATTERN --output FOLDER",
	summary:  "Embed files of documents into a folder, shard by shard.",
	details: `
Input is JSON lines (.jsonl, .ndjson), CSV with a header, text with a document a
line (each also compressed, .gz), and Parquet, by file names with the patterns
* ? and [a-z]; quote them. Ids are the field id, or FILE:NUMBER where there is
none.

Documents go into shards by a hash of their ids and stand in them by id, so the
same input leaves the same bytes. A run that was killed goes on with the shards
that are not done when it is started again in the same way. A folder is whole
when manifest.json stands in it, which is written last, with counts, the vector
space and the SHA-256 of each file; --verify checks it. While it runs, the folder
also holds a copy of all texts.

Documents without a vector stand in rejected-*.jsonl with a reason: empty,
invalid-utf8, too-large (bytes), too-long (tokens, under --truncation refuse),
malformed. They do not end the run.

Columns: id, tokens, truncated, text if it is asked for, and vector; with
--passages a row for each passage, with the bytes start and end. A .npy has a
file .ids.jsonl beside it.

--runner direct works in this process. The others hand the shards to Apache Beam:
they start the program m2embed-beam, from beside this one or the search path; see
host/beam/README.md.

Examples:

  m2embed batch --input 'docs/*.jsonl.gz' --output vectors/
  m2embed batch --input reviews.csv --text-field body --output v/ --format npy
  m2embed batch --verify --output vectors/

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`,
	define: func(c *call) func() error {
		b := &batchFlags{call: c, model: defineModel(c), vector: defineVector(c)}
		f := c.flags
		f.StringArrayVar(&b.request.Inputs, "input", nil, "`pattern` of files; may be given several times")
		f.StringVar(&b.request.Folder, "output", "", "`folder` for the vectors, made if there is none")
		f.StringVar(&b.request.Format, "format", jobs.Formats[0], "`"+strings.Join(jobs.Formats, "|")+"` of the vectors")
		f.StringVar(&b.request.Columns.ID, "id-field", "", "`name` of the field with the id (default id)")
		f.StringVar(&b.request.Columns.Text, "text-field", "", "`name` of the field with the text (default text)")
		f.BoolVar(&b.request.Text, "text", false, "put the texts beside their vectors")
		f.BoolVar(&b.passages, "passages", false, "cut documents into passages, with a vector for each out of the document's own forward pass")
		f.IntVar(&b.target, "passage-tokens", 192, "`tokens` that passages aim at")
		f.StringVar(&b.request.Duplicates, "on-duplicate", "error", "`error|first|last`: what becomes of documents with the same id")
		f.IntVar(&b.request.Shards, "shards", 0, "`number` of files (default: one for each 32 MiB of input)")
		f.IntVar(&b.maxBytes, "max-bytes", jobs.DefaultMaxBytes, "`bytes` of a text, above which it is rejected")
		f.BoolVar(&b.verify, "verify", false, "only check that the folder is whole")
		f.StringVar(&b.runner, "runner", "direct", "`direct|prism|flink|spark|dataflow`: what hands out the work")
		f.StringVar(&b.endpoint, "endpoint", "", "`address` of the runner's job service")
		f.StringVar(&b.environment, "environment", "", "`LOOPBACK|PROCESS|DOCKER|EXTERNAL`: how the runner starts workers (default LOOPBACK)")
		f.StringVar(&b.config, "environment-config", "", "`text` for it: a command, a container image or the address of a worker pool")
		f.IntVar(&b.workers, "workers", 1, "`number` of jobs at the same time, each with workers of its own, for runners that give a job one worker (prism)")
		quiet := f.Bool("quiet", false, "no progress bar and no summary")
		return func() error {
			b.quiet = *quiet
			return b.run()
		}
	},
}

type batchFlags struct {
	call          *call
	model         *modelFlags
	vector        *vectorFlags
	request       jobs.Request
	passages      bool
	target        int
	maxBytes      int
	verify, quiet bool

	runner, endpoint, environment, config string
	workers                               int
}

// options are the embedder's, from flags whose values were checked.
func (b *batchFlags) options() jobs.Options {
	v := b.vector
	o := jobs.Options{
		Padding: v.padding, Pooling: v.pooling, MaxLength: v.options.MaxLength,
		Dimensions: v.options.Dimensions, Task: v.options.Task, MaxBytes: b.maxBytes,
	}
	if v.truncation != "keep-sep" {
		o.Truncation = v.truncation
	}
	if v.normalize != "default" {
		o.Normalize = v.normalize
	}
	if b.passages {
		o.Passages = b.target
	}
	return o
}

func (b *batchFlags) check() error {
	c := b.call
	if err := c.noArguments(); err != nil {
		return err
	}
	if b.request.Folder == "" {
		return usagef("want --output FOLDER")
	}
	if b.verify {
		return nil
	}
	if err := b.vector.check(); err != nil {
		return err
	}
	switch {
	case len(b.request.Inputs) == 0:
		return usagef("want --input PATTERN")
	case b.maxBytes < 1 || b.maxBytes > 1<<30:
		return usagef("--max-bytes %d, want 1 to %d", b.maxBytes, 1<<30)
	case b.target < 1 || c.set("passage-tokens") && !b.passages:
		return usagef("--passage-tokens %d, want at least 1, and --passages", b.target)
	case b.request.Shards < 0 || b.request.Shards > 512:
		return usagef("--shards %d, want 1 to 512", b.request.Shards)
	case b.workers < 1 || b.workers > 256:
		return usagef("--workers %d, want 1 to 256", b.workers)
	case b.runner != "direct" && b.runner != "prism" && b.runner != "flink" && b.runner != "spark" && b.runner != "dataflow":
		return usagef("--runner %q, want one of direct, prism, flink, spark, dataflow", b.runner)
	case b.runner == "direct" && (b.endpoint+b.environment+b.config != "" || c.set("workers")):
		return usagef("--endpoint, --environment, --environment-config and --workers need a --runner other than direct")
	}
	return nil
}

func (b *batchFlags) run() error {
	if err := b.check(); err != nil {
		return err
	}
	c := b.call
	if b.verify {
		m, err := jobs.Verify(c.ctx, b.request.Folder)
		if err != nil {
			return err
		}
		if !b.quiet {
			c.note("%s is whole: %s", b.request.Folder, counts(m))
		}
		return nil
	}
	program, err := b.program()
	if err != nil {
		return err
	}
	b.model.options.Pooling = b.vector.options.Pooling
	m, err := b.model.open()
	if err != nil {
		return err
	}
	defer m.Close()
	e, err := jobs.New(m, b.options())
	if err != nil {
		return err
	}
	began := time.Now()
	j, err := jobs.Prepare(c.ctx, e, b.request)
	if err != nil {
		return err
	}
	defer j.Close()
	if j.Whole {
		if !b.quiet {
			c.note("%s is whole already, nothing to do", b.request.Folder)
		}
		return nil
	}
	var made *jobs.Manifest
	if b.runner == "direct" {
		made, err = b.direct(j, e, began)
	} else {
		made, err = b.beam(program, j)
	}
	if err != nil {
		return err
	}
	if !b.quiet {
		c.note("%s, %s", counts(made), time.Since(began).Round(time.Millisecond))
	}
	if made.Total.Documents == 0 {
		return fmt.Errorf("no document has a vector: %s", rejections(b.request.Folder, made))
	}
	return nil
}

// direct runs all shards in this process.
func (b *batchFlags) direct(j *jobs.Job, e *jobs.Embedder, began time.Time) (*jobs.Manifest, error) {
	var bar *progress
	if !b.quiet {
		bar = newProgress(b.call, "embedding")
	}
	defer bar.finish()
	left := max(j.Left(), 1)
	documents, tokens := 0, int64(0)
	return j.Run(b.call.ctx, e, func(p jobs.Progress) {
		documents += p.Documents
		tokens += p.Tokens
		bar.setTokens(float64(documents)/float64(left), documents, int(tokens), began)
	})
}

// beamProgram knows Apache Beam, which this program would be four times as large
// with.
const beamProgram = "m2embed-beam"

// program finds what runs the work; it is empty for this process.
func (b *batchFlags) program() (string, error) {
	if b.runner == "direct" {
		return "", nil
	}
	if own, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(own), beamProgram); isFile(beside) {
			return beside, nil
		}
	}
	program, err := exec.LookPath(beamProgram)
	if err != nil {
		return "", fmt.Errorf("--runner %s needs the program %s beside m2embed or in the search path; ./build.sh beam builds it", b.runner, beamProgram)
	}
	return program, nil
}

// beam hands the shards to m2embed-beam.
func (b *batchFlags) beam(program string, j *jobs.Job) (*jobs.Manifest, error) {
	folder, err := filepath.Abs(b.request.Folder)
	if err != nil {
		return nil, err
	}
	args := []string{
		"--folder", folder, "--tied", "--runner", b.runner, "--workers", strconv.Itoa(b.workers),
		"--model", b.model.path, "--engine", b.model.options.Engine, "--threads", strconv.Itoa(b.model.options.Threads),
	}
	for _, f := range [][2]string{{"--endpoint", b.endpoint}, {"--environment_type", b.environment}, {"--environment_config", b.config}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	run := exec.CommandContext(b.call.ctx, program, args...)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second
	run.Stderr = b.call.stderr
	if _, err := run.StdinPipe(); err != nil { // tied to it, the program ends with this one
		return nil, err
	}
	if err := run.Run(); err != nil {
		if b.call.ctx.Err() != nil {
			return nil, context.Cause(b.call.ctx)
		}
		return nil, fmt.Errorf("%s: %w", beamProgram, err)
	}
	return j.Finish()
}

func isFile(name string) bool {
	stat, err := os.Stat(name)
	return err == nil && stat.Mode().IsRegular()
}

// counts says what became of documents.
func counts(m *jobs.Manifest) string {
	s := counted(m.Total.Documents, "document")
	if m.Total.Rows != m.Total.Documents {
		s += ", " + counted(m.Total.Rows, "passage")
	}
	s += ", " + counted(int(m.Total.Tokens), "token")
	for _, x := range []struct {
		n    int
		what string
	}{{m.Total.Truncated, "cut"}, {m.Total.Rejected, "rejected"}, {m.Total.Duplicates, "left out as duplicates"}} {
		if x.n > 0 {
			s += fmt.Sprintf(", %s %s", thousands(int64(x.n)), x.what)
		}
	}
	return s
}

// rejections names the file to look into.
func rejections(folder string, m *jobs.Manifest) string {
	for _, s := range m.Parts {
		for _, f := range s.Files {
			if strings.HasPrefix(f.Name, "rejected-") {
				return "see " + filepath.Join(folder, f.Name)
			}
		}
	}
	return "all are left out"
}
