package batch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/parquetfile"
)

// Request says what a job embeds and where to.
type Request struct {
	Inputs     []string // patterns of files: .jsonl, .ndjson, .csv, .txt, each also with .gz, and .parquet
	Folder     string   // gets the vectors; made if there is none
	Format     string   // one of Formats; empty means the first
	Text       bool     // texts stand beside their vectors
	Columns    Columns
	Duplicates string // what becomes of equal ids: error (also if empty), first or last
	Shards     int    // files of vectors; 0 means one for each 32 MiB of input, at most 512
	Options    Options
}

// How is what the bytes of a folder depend on.
type How struct {
	Model      string  `json:"model"`
	Space      string  `json:"space"` // of the vectors, see core.SpaceOf
	Dimension  int     `json:"dimension"`
	Format     string  `json:"format"`
	Text       bool    `json:"text"`
	Columns    Columns `json:"columns"`
	Duplicates string  `json:"on_duplicate"`
	Shards     int     `json:"shards"`
	Options    Options `json:"options"`
}

// Counts are what became of documents.
type Counts struct {
	Documents  int   `json:"documents"` // with a vector
	Rows       int   `json:"rows"`      // vectors: documents, or their passages
	Rejected   int   `json:"rejected"`
	Duplicates int   `json:"duplicates"` // left out
	Tokens     int64 `json:"tokens"`
	Truncated  int   `json:"truncated"`
}

func (c *Counts) add(o Counts) {
	c.Documents += o.Documents
	c.Rows += o.Rows
	c.Rejected += o.Rejected
	c.Duplicates += o.Duplicates
	c.Tokens += o.Tokens
	c.Truncated += o.Truncated
}

// File is a file of a finished folder.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Shard is what one shard came to.
type Shard struct {
	Counts
	Files []File `json:"files"`
}

// Manifest is written last, as manifest.json: a folder with one is whole.
type Manifest struct {
	Version int `json:"version"`
	How
	Inputs []Input `json:"inputs"`
	Total  Counts  `json:"total"`
	Parts  []Shard `json:"parts"` // by shard
}

const (
	manifestName = "manifest.json"
	workName     = ".m2embed" // what is only needed until the manifest is there
	lockName     = ".m2embed.lock"
	planName     = "plan.json"
	version      = 1
)

// plan is what a job keeps while it runs.
type plan struct {
	How
	Inputs    []Input `json:"inputs"`
	Documents []int   `json:"documents"` // of each shard, without duplicates
	Bytes     int64   `json:"bytes"`     // of all texts
}

// Job is a folder on its way.
type Job struct {
	folder string
	plan   plan
	lock   *flock.Flock
	// Whole says that the folder has its manifest and nothing is to be done.
	Whole bool
}

// Prepare begins a job, or takes up one that was interrupted: it reads all input
// once, checks ids, and spreads the documents over spool files in the folder,
// which need as much room as the texts. A folder belongs to one job at a time,
// until Close.
//
// # Errors
//
// Patterns that match nothing, files that cannot be read, equal ids, a folder that
// holds something else or is in use. Nothing is left behind then.
func Prepare(ctx context.Context, e *Embedder, r Request) (j *Job, err error) {
	how, err := r.how(e)
	if err != nil {
		return nil, err
	}
	names, err := expand(r.Inputs)
	if err != nil {
		return nil, err
	}
	_, missing := os.Stat(r.Folder)
	if err := os.MkdirAll(r.Folder, 0o777); err != nil {
		return nil, err
	}
	j = &Job{folder: r.Folder}
	if err := j.acquire(); err != nil {
		return nil, err
	}
	held := j
	defer func() {
		if err != nil {
			held.Close()
			if missing != nil {
				os.Remove(r.Folder) // which fails if others have put something there
			}
		}
	}()
	files, total, err := sizes(names)
	if err != nil {
		return nil, err
	}
	if how.Shards == 0 {
		how.Shards = int(min(max((total+32<<20-1)/(32<<20), 1), 512))
	}
	if m, err := ReadManifest(r.Folder); err == nil {
		if err := same(ctx, r.Folder, m.How, how, m.Inputs, files); err != nil {
			return nil, err
		}
		j.Whole, j.plan = true, plan{How: how}
		return j, os.RemoveAll(j.work())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(j.work(), planName))
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &j.plan); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w; remove %s to begin again", planName, err, r.Folder)
		}
		return j, same(ctx, r.Folder, j.plan.How, how, j.plan.Inputs, files)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := j.empty(); err != nil {
		return nil, err
	}
	j.plan.How = how
	if err := j.read(ctx, names, e.options.MaxBytes); err != nil {
		return nil, errors.Join(err, os.RemoveAll(j.work()))
	}
	return j, nil
}

// how settles a request's defaults.
func (r Request) how(e *Embedder) (How, error) {
	info := e.model.Info()
	h := How{
		Model: info.Name, Space: e.model.SpaceOf(e.core), Dimension: cmp.Or(e.options.Dimensions, info.Dimension), Format: r.Format, Text: r.Text,
		Columns: r.Columns, Duplicates: r.Duplicates, Shards: r.Shards, Options: e.options,
	}
	h.Options.TokenBudget = 0 // no byte depends on it
	if h.Format == "" {
		h.Format = Formats[0]
	}
	if h.Duplicates == "" {
		h.Duplicates = "error"
	}
	switch {
	case r.Folder == "":
		return h, errors.New("no output folder is named")
	case !slices.Contains(Formats, h.Format):
		return h, fmt.Errorf("format %q, want one of %s", h.Format, strings.Join(Formats, ", "))
	case !slices.Contains([]string{"error", "first", "last"}, h.Duplicates):
		return h, fmt.Errorf("on duplicate ids %q, want error, first or last", h.Duplicates)
	case h.Shards < 0 || h.Shards > 512:
		return h, fmt.Errorf("%d shards, want 1 to 512", h.Shards)
	}
	return h, nil
}

func (j *Job) work() string { return filepath.Join(j.folder, workName) }

func (j *Job) spoolName(k int) string {
	return filepath.Join(j.work(), fmt.Sprintf("spool-%05d", k))
}

func (j *Job) doneName(k int) string {
	return filepath.Join(j.work(), fmt.Sprintf("done-%05d.json", k))
}

// acquire makes the folder this job's.
func (j *Job) acquire() error {
	name := filepath.Join(j.folder, lockName)
	lock := flock.New(name)
	ok, err := lock.TryLock()
	if err != nil {
		return plain("write into "+j.folder, err)
	}
	if ok {
		// A run that ended in between has taken the name away with its lock, and
		// the next one locks a file of its own.
		own, err := lock.Stat()
		named, gone := os.Stat(name)
		if ok = err == nil && gone == nil && os.SameFile(own, named); !ok {
			lock.Unlock()
		}
	}
	if !ok {
		return fmt.Errorf("another run writes into %s", j.folder)
	}
	j.lock = lock
	return nil
}

// Close lets others use the folder.
func (j *Job) Close() error {
	if j.lock == nil {
		return nil
	}
	err := os.Remove(j.lock.Path())
	return errors.Join(j.lock.Unlock(), err)
}

// sizes are the files' names and sizes.
func sizes(names []string) (files []Input, total int64, err error) {
	for _, n := range names {
		stat, err := os.Stat(n)
		if err != nil {
			return nil, 0, err
		}
		files = append(files, Input{Name: n, Bytes: stat.Size()})
		total += stat.Size()
	}
	return files, total, nil
}

// same compares what a folder holds with what is asked for. It reads the files of
// the input for their sums: one may be edited and keep its size.
func same(ctx context.Context, folder string, has, want How, inputs, files []Input) error {
	a, b := reflect.ValueOf(has), reflect.ValueOf(want)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			return fmt.Errorf("%s holds vectors of another run: %s is %s there, and %s now; name another folder, or remove it", folder, name, describe(x), describe(y))
		}
	}
	if len(inputs) != len(files) {
		return fmt.Errorf("%s holds vectors of %d files, and %d are named now; name another folder, or remove it", folder, len(inputs), len(files))
	}
	for i := range files {
		if inputs[i].Name != files[i].Name || inputs[i].Bytes != files[i].Bytes {
			return fmt.Errorf("%s holds vectors of %s with %d bytes, and %s with %d bytes is named now; name another folder, or remove it",
				folder, inputs[i].Name, inputs[i].Bytes, files[i].Name, files[i].Bytes)
		}
	}
	for _, was := range inputs {
		now, err := digest(ctx, was.Name)
		if err != nil {
			return err
		}
		if now != was {
			return fmt.Errorf("%s holds vectors of %s as it was, which has changed since; name another folder, or remove it", folder, was.Name)
		}
	}
	return nil
}

func describe(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	return short(string(b))
}

// empty refuses a folder with anything of others in it, and takes away what a
// run left that was killed while it read.
func (j *Job) empty() error {
	entries, err := os.ReadDir(j.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != workName && e.Name() != lockName {
			return fmt.Errorf("%s is not empty: there is %s; name a new folder", j.folder, short(e.Name()))
		}
	}
	if err := os.RemoveAll(j.work()); err != nil {
		return err
	}
	return os.Mkdir(j.work(), 0o777)
}

// read spreads all documents over the spool files.
func (j *Job) read(ctx context.Context, names []string, maxBytes int) error {
	p := &j.plan
	var spools []string
	for k := range p.Shards {
		spools = append(spools, j.spoolName(k))
	}
	s, err := newSpool(spools)
	if err != nil {
		return plain("write into "+j.folder, err)
	}
	defer s.close()
	found := 0
	for _, n := range names {
		in, err := readFile(ctx, n, p.Columns, maxBytes, func(r record) error {
			found++
			p.Bytes += int64(len(r.Text))
			if err := s.add(shardOf(r.ID, p.Shards), r); err != nil {
				return plain("write into "+j.folder, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.Inputs = append(p.Inputs, in)
	}
	if found == 0 {
		return errors.New("the input holds no documents")
	}
	if err := s.finish(); err != nil {
		return plain("write into "+j.folder, err)
	}
	for _, name := range spools {
		s, err := openShard(ctx, name, p.Duplicates)
		if err != nil {
			return err
		}
		p.Documents = append(p.Documents, len(s.entries))
		s.file.Close()
	}
	return writeWhole(filepath.Join(j.work(), planName), p)
}

// OpenJob opens a prepared job in another process, to run shards of it.
func OpenJob(folder string) (*Job, error) {
	j := &Job{folder: folder}
	data, err := os.ReadFile(filepath.Join(j.work(), planName))
	if err != nil {
		return nil, fmt.Errorf("no job in %s that this machine sees: %w", folder, err)
	}
	if err := json.Unmarshal(data, &j.plan); err != nil {
		return nil, fmt.Errorf("%s: %w", planName, err)
	}
	return j, nil
}

// How says how the job's documents are embedded.
func (j *Job) How() How { return j.plan.How }

// Bytes is the size of all texts.
func (j *Job) Bytes() int64 { return j.plan.Bytes }

// Pending are the shards that are not done.
func (j *Job) Pending() []int {
	var open []int
	if j.Whole {
		return nil
	}
	for k := range j.plan.Shards {
		if _, err := j.done(k); err != nil {
			open = append(open, k)
		}
	}
	return open
}

// done is what a shard came to.
func (j *Job) done(k int) (s Shard, err error) {
	data, err := os.ReadFile(j.doneName(k))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// Progress says what was done since the last report.
type Progress struct {
	Documents int
	Tokens    int64
	Bytes     int64 // of texts
}

// Shard embeds one shard and publishes its files. It may run in any process that
// sees the folder, and more than once: the bytes are the same, and files get
// their names when they are whole.
//
// # Errors
//
// A model of another space than the job's, a disk that is full, and those of
// [Batch.Add].
func (j *Job) Shard(ctx context.Context, e *Embedder, k int, report func(Progress)) (Shard, error) {
	publish, err := j.embed(ctx, e, k, report)
	if err != nil {
		return Shard{}, err
	}
	return publish()
}

// embed makes the files of a shard, all but their names. They get these, and are
// brought to the disk, when what it returns is called, once, which needs neither
// embedder nor context.
func (j *Job) embed(ctx context.Context, e *Embedder, k int, report func(Progress)) (publish func() (Shard, error), err error) {
	if k < 0 || k >= j.plan.Shards {
		return nil, fmt.Errorf("shard %d, there are %d", k, j.plan.Shards)
	}
	if s, err := j.done(k); err == nil {
		return func() (Shard, error) { return s, nil }, nil
	}
	if space := e.model.SpaceOf(e.core); space != j.plan.Space {
		return nil, fmt.Errorf("the model here is of space %s, the job of %s", space, j.plan.Space)
	}
	named := func(err error) error { return fmt.Errorf("shard %d of %s: %w", k, j.folder, err) }
	done, o, err := j.shard(ctx, e, k, report)
	if err != nil {
		return nil, named(err)
	}
	return func() (s Shard, err error) {
		done.Files, err = o.publish(done.Counts)
		o.discard() // nothing of the shard is left over when it is said to be done
		if err != nil {
			return s, named(err)
		}
		return done, writeWhole(j.doneName(k), done)
	}, nil
}

// shard writes all rows of a shard; its output is not published yet.
func (j *Job) shard(ctx context.Context, e *Embedder, k int, report func(Progress)) (done Shard, made *output, err error) {
	in, err := openShard(ctx, j.spoolName(k), j.plan.Duplicates)
	if err != nil {
		return done, nil, err
	}
	defer in.file.Close()
	o, err := j.openOutput(k)
	if err != nil {
		return done, nil, err
	}
	defer func() {
		if err != nil {
			o.discard()
		}
	}()
	done.Duplicates = in.dropped
	yield := func(out Outcome) error {
		report(Progress{1, int64(out.Result.Tokens), int64(len(out.Document.Text))})
		return o.write(&done.Counts, out)
	}
	b := e.NewBatch()
	for _, w := range in.entries {
		if w.rejected != nil {
			if err := b.Flush(ctx, yield); err != nil {
				return done, nil, err
			}
			if err := yield(Outcome{Document: Document{ID: w.id}, Rejected: w.rejected}); err != nil {
				return done, nil, err
			}
			continue
		}
		text, err := in.text(w)
		if err != nil {
			return done, nil, err
		}
		if err := b.Add(ctx, Document{w.id, text}, yield); err != nil {
			return done, nil, err
		}
	}
	if err := b.Flush(ctx, yield); err != nil {
		return done, nil, err
	}
	if err := o.rows.Close(); err != nil {
		return done, nil, err
	}
	return done, o, nil
}

// output are the files of a shard.
type output struct {
	layout layout
	rows   rows
	data   *part
	beside *part // for .npy
	lost   *part
	lines  *json.Encoder // into lost
}

func (j *Job) openOutput(k int) (*output, error) {
	h := j.plan.How
	name := fmt.Sprintf("part-%05d-of-%05d", k, h.Shards)
	o := &output{layout: layout{
		format: h.Format, passages: h.Options.Passages > 0, text: h.Text, dimension: h.Dimension,
		metadata: map[string]string{"m2embed.space": h.Space, "m2embed.model": h.Model},
	}}
	var err error
	open := func(name string) *part {
		if err != nil {
			return nil
		}
		var f *atomicfile.File
		if f, err = atomicfile.Create(filepath.Join(j.folder, name)); err != nil {
			return nil
		}
		return &part{f, name}
	}
	o.data = open(name + "." + h.Format)
	o.lost = open(fmt.Sprintf("rejected-%05d-of-%05d.jsonl", k, h.Shards))
	if h.Format == "npy" {
		o.beside = open(name + ".ids.jsonl")
	}
	if err == nil {
		o.lines = json.NewEncoder(o.lost)
		o.lines.SetEscapeHTML(false)
		o.rows, err = o.layout.open(o.data, o.beside)
	}
	if err != nil {
		o.discard()
		return nil, err
	}
	return o, nil
}

// part is a file of a shard in the making.
type part struct {
	*atomicfile.File
	name string
}

func (o *output) all() (files []*part) {
	for _, s := range []*part{o.data, o.beside, o.lost} {
		if s != nil {
			files = append(files, s)
		}
	}
	return files
}

func (o *output) discard() {
	for _, s := range o.all() {
		s.Discard()
	}
}

func (o *output) write(c *Counts, out Outcome) error {
	if out.Rejected != nil {
		c.Rejected++
		return o.lines.Encode(out.Rejected)
	}
	r := out.Result
	c.Documents++
	c.Tokens += int64(r.Tokens)
	if r.Truncated {
		c.Truncated++
	}
	if !o.layout.passages {
		c.Rows++
		return o.rows.Write(parquetfile.Row{ID: r.ID, Tokens: r.Tokens, Truncated: r.Truncated, Text: out.Document.Text, Vector: r.Vector})
	}
	for _, p := range r.Passages {
		c.Rows++
		if err := o.rows.Write(parquetfile.Row{ID: r.ID, Start: p.Start, End: p.End, Tokens: p.Tokens, Text: out.Document.Text[p.Start:p.End], Vector: p.Vector}); err != nil {
			return err
		}
	}
	return nil
}

// publish gives the files their names; one of no rejected documents is left out.
func (o *output) publish(c Counts) (files []File, err error) {
	for _, s := range o.all() {
		if s == o.lost && c.Rejected == 0 {
			continue
		}
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, s)
		if err != nil {
			return nil, err
		}
		if err := s.Publish(); err != nil {
			return nil, err
		}
		files = append(files, File{s.name, n, hex.EncodeToString(sum.Sum(nil))})
	}
	return files, nil
}

// Finish writes the manifest, once all shards are done, and takes the spool
// files away.
func (j *Job) Finish() (*Manifest, error) {
	if j.Whole {
		return ReadManifest(j.folder)
	}
	m := &Manifest{Version: version, How: j.plan.How, Inputs: j.plan.Inputs}
	for k := range j.plan.Shards {
		s, err := j.done(k)
		if err != nil {
			return nil, fmt.Errorf("shard %d of %s is not done: %w", k, j.folder, err)
		}
		m.Parts = append(m.Parts, s)
		m.Total.add(s.Counts)
	}
	if err := writeWhole(filepath.Join(j.folder, manifestName), m); err != nil {
		return nil, err
	}
	return m, os.RemoveAll(j.work())
}

// Run does all that is left of a job in this process. While the disk takes a
// shard's files, the next one is embedded.
func (j *Job) Run(ctx context.Context, e *Embedder, report func(Progress)) (*Manifest, error) {
	published := make(chan error, 1)
	published <- nil
	for _, k := range j.Pending() {
		publish, err := j.embed(ctx, e, k, report)
		if before := <-published; before != nil || err != nil {
			if err == nil {
				_, err = publish()
			}
			return nil, errors.Join(before, err)
		}
		go func() {
			_, err := publish()
			published <- err
		}()
	}
	if err := <-published; err != nil {
		return nil, err
	}
	return j.Finish()
}

// Left is the number of documents in shards that are not done.
func (j *Job) Left() (documents int) {
	for _, k := range j.Pending() {
		documents += j.plan.Documents[k]
	}
	return documents
}
