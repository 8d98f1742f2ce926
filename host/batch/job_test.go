package batch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"m2embed/core"
	"m2embed/host"
)

func put(t *testing.T, name, data string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func zipped(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(data))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// corpus writes files of all kinds into a folder; it returns the documents and
// the reasons of those that are none, by id.
func corpus(t *testing.T, folder string) (texts map[string]string, poison map[string]string) {
	t.Helper()
	texts, poison = map[string]string{}, map[string]string{}
	var lines, packed, table, plain strings.Builder
	type pair struct {
		Key  int64  `parquet:"id"`
		Body string `parquet:"text"`
	}
	var pairs []pair
	for i := range 60 {
		id, text := fmt.Sprint("doc-", i), strings.TrimSpace(story(i, 3+i*i%70))
		switch i % 5 {
		case 0:
			fmt.Fprintf(&lines, `{"id":%q,"text":%q,"other":[1]}`+"\n\n", id, text)
		case 1:
			fmt.Fprintf(&packed, `{"text":%q,"id":%q}`+"\r\n", text, id)
		case 2:
			fmt.Fprintf(&table, "%q,x,\"%s\"\n", id, text)
		case 3:
			plain.WriteString(text + "\n")
			id = fmt.Sprintf("%s/e.txt:%d", filepath.ToSlash(folder), i/5+1)
		case 4:
			pairs = append(pairs, pair{int64(i), text})
			id = fmt.Sprint(i)
		}
		texts[id] = text
	}
	lines.WriteString(`{"id":"white","text":"  "}` + "\n" + `{"id":"none"}` + "\nno json\n" +
		`{"id":"bytes","text":"` + "\xff" + `"}` + "\n" + `{"id":"large","text":"` + strings.Repeat("x ", 3000) + `"}` + "\n")
	for id, reason := range map[string]string{
		"white": ReasonEmpty, "none": ReasonMalformed, "bytes": ReasonInvalidUTF8, "large": ReasonTooLarge,
		filepath.ToSlash(folder) + "/a.jsonl:27": ReasonMalformed,
	} {
		poison[id] = reason
	}
	put(t, filepath.Join(folder, "a.jsonl"), "\ufeff"+lines.String())
	put(t, filepath.Join(folder, "b.jsonl.gz"), zipped(t, packed.String()))
	put(t, filepath.Join(folder, "c.csv"), "id,n,text\n"+table.String())
	put(t, filepath.Join(folder, "e.txt"), plain.String())
	if err := parquet.WriteFile(filepath.Join(folder, "d.parquet"), pairs); err != nil {
		t.Fatal(err)
	}
	return texts, poison
}

var limits = Options{MaxBytes: 5000}

// job runs a whole job.
func job(t *testing.T, e *Embedder, r Request) *Manifest {
	t.Helper()
	j, err := Prepare(context.Background(), e, r)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	m, err := j.Run(context.Background(), e, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content is all that stands in a folder.
func content(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, folder)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestJob(t *testing.T) {
	in := t.TempDir()
	texts, poison := corpus(t, in)
	e := openSmall(t, limits)
	out := t.TempDir()
	request := Request{Inputs: []string{in + "/*"}, Folder: filepath.Join(out, "jsonl"), Format: "jsonl", Text: true, Shards: 3}
	m := job(t, e, request)
	if m.Total.Documents != len(texts) || m.Total.Rejected != len(poison) || m.Total.Rows != len(texts) || len(m.Inputs) != 5 || m.Space != e.Model().Info().Space {
		t.Errorf("manifest says %+v, want %d documents and %d rejected", m.Total, len(texts), len(poison))
	}
	found := map[string]bool{}
	for k := range 3 {
		data := content(t, request.Folder)[fmt.Sprintf("/part-%05d-of-00003.jsonl", k)]
		before := ""
		for line := range strings.Lines(data) {
			var r struct {
				ID, Text string
				Vector   []float32
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			alone, err := e.Model().EmbedInputs(context.Background(), core.Texts(texts[r.ID]), core.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Text != texts[r.ID] || !reflect.DeepEqual(r.Vector, alone[0].Vector) || found[r.ID] || r.ID <= before {
				t.Errorf("%s is not as it should be", r.ID)
			}
			found[r.ID], before = true, r.ID
		}
		for line := range strings.Lines(content(t, request.Folder)[fmt.Sprintf("/rejected-%05d-of-00003.jsonl", k)]) {
			var r Rejected
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if poison[r.ID] != r.Reason || r.Detail == "" || len(r.Detail) > 700 {
				t.Errorf("rejected %+v, want %q", r, poison[r.ID])
			}
			found[r.ID] = true
		}
	}
	if len(found) != len(texts)+len(poison) {
		t.Errorf("%d documents of %d", len(found), len(texts)+len(poison))
	}
	if _, err := Verify(context.Background(), request.Folder); err != nil {
		t.Error(err)
	}

	// Another batch size, and shards in other processes and another order.
	small := openSmall(t, Options{MaxBytes: 5000, TokenBudget: 20})
	other := request
	other.Folder = filepath.Join(out, "again")
	j, err := Prepare(context.Background(), e, other)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := OpenJob(other.Folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{2, 0, 1, 2} {
		if _, err := worker.Shard(context.Background(), small, k, func(Progress) {}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Finish(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	if want, got := content(t, request.Folder), content(t, other.Folder); !reflect.DeepEqual(want, got) {
		t.Error("bytes depend on batches or on the order of shards")
	}

	// The same once more, and another into the same folder.
	if j, err := Prepare(context.Background(), e, request); err != nil || !j.Whole || len(j.Pending()) != 0 {
		t.Errorf("a whole folder: %+v, %v", j, err)
	} else {
		j.Close()
	}
	other.Format = "npy"
	if _, err := Prepare(context.Background(), e, other); err == nil || !strings.Contains(err.Error(), `format is "jsonl" there`) {
		t.Errorf("another format into a whole folder: %v", err)
	}
}

func TestJobParquetAndPassages(t *testing.T) {
	in := t.TempDir()
	texts, _ := corpus(t, in)
	e := openSmall(t, Options{MaxBytes: 5000, Passages: 20})
	folder := filepath.Join(t.TempDir(), "out")
	m := job(t, e, Request{Inputs: []string{in + "/*"}, Folder: folder, Text: true})
	type passage struct {
		ID     string    `parquet:"id"`
		Start  int64     `parquet:"start"`
		End    int64     `parquet:"end"`
		Tokens int32     `parquet:"tokens"`
		Text   string    `parquet:"text"`
		Vector []float32 `parquet:"vector,list"`
	}
	name := filepath.Join(folder, "part-00000-of-00001.parquet")
	rows, err := parquet.ReadFile[passage](name)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != m.Total.Rows || len(rows) <= len(texts) {
		t.Errorf("%d rows, the manifest says %d", len(rows), m.Total.Rows)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if texts[r.ID][r.Start:r.End] != r.Text || len(r.Vector) != m.Dimension || r.Tokens < 1 {
			t.Errorf("row %+v of %q", r, texts[r.ID])
		}
		seen[r.ID] = true
	}
	if len(seen) != len(texts) {
		t.Errorf("passages of %d documents, want %d", len(seen), len(texts))
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if space, _ := f.Lookup("m2embed.space"); space != e.Model().Info().Space {
		t.Errorf("space %q in the metadata", space)
	}
}

// TestJobKilled kills the process at any moment, until it gets through: the bytes
// are those of a run that nobody disturbed.
func TestJobKilled(t *testing.T) {
	if in := os.Getenv("M2EMBED_TEST_INPUT"); in != "" {
		e, err := Open("", host.Options{Threads: 1}, Options{MaxBytes: 5000, TokenBudget: 60})
		if err != nil {
			t.Fatal(err)
		}
		job(t, e, Request{Inputs: []string{in + "/*"}, Folder: os.Getenv("M2EMBED_TEST_OUTPUT"), Format: "jsonl", Shards: 12})
		return
	}
	in, out := t.TempDir(), t.TempDir()
	corpus(t, in)
	whole, killed := filepath.Join(out, "whole"), filepath.Join(out, "killed")
	job(t, openSmall(t, limits), Request{Inputs: []string{in + "/*"}, Folder: whole, Format: "jsonl", Shards: 12})
	died := 0
	for i := range 40 {
		child := exec.Command(os.Args[0], "-test.run", "^TestJobKilled$")
		child.Env = append(os.Environ(), "M2EMBED_TEST_INPUT="+in, "M2EMBED_TEST_OUTPUT="+killed)
		var said bytes.Buffer
		child.Stdout, child.Stderr = &said, &said
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Each shard that is done makes the next run shorter.
		deadline := time.Now().Add(time.Minute)
		for before := done(killed); done(killed) == before && time.Now().Before(deadline) && i < 8; {
			if _, err := os.Stat(filepath.Join(killed, manifestName)); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if i < 8 {
			child.Process.Kill()
		}
		err := child.Wait()
		if err == nil {
			break
		}
		if i >= 8 {
			t.Fatalf("%v: %s", err, said.String())
		}
		died++
		if _, err := Verify(context.Background(), killed); err == nil && done(killed) > 0 {
			t.Error("half a folder passes for a whole one")
		}
	}
	if died < 3 {
		t.Errorf("killed %d times, want at least 3", died)
	}
	if _, err := Verify(context.Background(), killed); err != nil {
		t.Error(err)
	}
	if want, got := content(t, whole), content(t, killed); !reflect.DeepEqual(want, got) {
		t.Error("the bytes are not those of a run without kills")
	}
}

func done(folder string) int {
	names, _ := filepath.Glob(filepath.Join(folder, workName, "done-*.json"))
	return len(names)
}

func TestJobRefuses(t *testing.T) {
	in := t.TempDir()
	e := openSmall(t, limits)
	good := put(t, filepath.Join(in, "good.jsonl"), `{"id":"a","text":"b"}`+"\n")
	type other struct{ Body string }
	if err := parquet.WriteFile(filepath.Join(in, "other.parquet"), []other{{"x"}}); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(in, "taken")
	if err := os.Mkdir(taken, 0o777); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(taken, "thesis.txt"), "x")
	blocked := put(t, filepath.Join(in, "file"), "x")
	long := zipped(t, strings.Repeat(`{"text":"some words"}`+"\n", 2000))
	for name, c := range map[string]struct {
		request Request
		want    string
	}{
		"no match":       {Request{Inputs: []string{in + "/*.tsv"}}, "matches no file"},
		"bad pattern":    {Request{Inputs: []string{in + "/[.jsonl"}}, "syntax error"},
		"folder":         {Request{Inputs: []string{taken}}, "no regular file"},
		"no kind":        {Request{Inputs: []string{blocked}}, "ends in none of"},
		"cut gzip":       {Request{Inputs: []string{put(t, filepath.Join(in, "cut.jsonl.gz"), long[:len(long)/2])}}, "cut off"},
		"more than gzip": {Request{Inputs: []string{put(t, filepath.Join(in, "tail.jsonl.gz"), long+"something else")}}, "what follows the compressed data"},
		"damaged gzip":   {Request{Inputs: []string{put(t, filepath.Join(in, "sum.jsonl.gz"), long[:len(long)-8]+"\x00\x00\x00\x00"+long[len(long)-4:])}}, "damaged"},
		"no gzip":        {Request{Inputs: []string{put(t, filepath.Join(in, "no.txt.gz"), "plain")}}, "not gzip"},
		"no column":      {Request{Inputs: []string{filepath.Join(in, "other.parquet")}}, `no column "text", there are ["Body"]`},
		"no csv column":  {Request{Inputs: []string{put(t, filepath.Join(in, "x.csv"), "a,b\n1,2\n")}}, `no column "text"`},
		"open quote":     {Request{Inputs: []string{put(t, filepath.Join(in, "q.csv"), "id,text\n1,\"open\n")}}, "record 1"},
		"no parquet":     {Request{Inputs: []string{put(t, filepath.Join(in, "no.parquet"), "PAR1 not really PAR1")}}, "not a Parquet file"},
		"equal ids":      {Request{Inputs: []string{put(t, filepath.Join(in, "two.jsonl"), strings.Repeat(`{"id":"a","text":"b"}`+"\n", 2))}}, `id "a" is there twice`},
		"nothing":        {Request{Inputs: []string{put(t, filepath.Join(in, "empty.txt"), "\n \n")}}, "no documents"},
		"taken":          {Request{Inputs: []string{good}, Folder: taken}, "is not empty: there is thesis.txt"},
		"output is file": {Request{Inputs: []string{good}, Folder: blocked}, "not a directory"},
		"format":         {Request{Inputs: []string{good}, Format: "xml"}, "want one of parquet"},
		"duplicates":     {Request{Inputs: []string{good}, Duplicates: "merge"}, "want error, first or last"},
		"shards":         {Request{Inputs: []string{good}, Shards: 1000}, "want 1 to 512"},
		"no input":       {Request{}, "no input"},
	} {
		if c.request.Folder == "" {
			c.request.Folder = filepath.Join(t.TempDir(), "out")
		}
		j, err := Prepare(context.Background(), e, c.request)
		if err == nil {
			j.Close()
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || len(err.Error()) > 600 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want something of %q", name, err, c.want)
		}
		if _, err := ReadManifest(c.request.Folder); err == nil {
			t.Errorf("%s: the folder looks whole", name)
		}
		if _, err := os.Stat(c.request.Folder); c.request.Folder != taken && c.request.Folder != blocked && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder is there: %v", name, err)
		}
	}
	for policy, want := range map[string]string{"first": "one", "last": "two"} {
		folder := filepath.Join(t.TempDir(), "out")
		name := put(t, filepath.Join(in, "same.jsonl"), `{"id":"a","text":"one"}`+"\n"+`{"id":"a","text":"two"}`+"\n")
		m := job(t, e, Request{Inputs: []string{name}, Folder: folder, Format: "jsonl", Text: true, Duplicates: policy})
		if m.Total.Documents != 1 || m.Total.Duplicates != 1 || !strings.Contains(content(t, folder)["/part-00000-of-00001.jsonl"], want) {
			t.Errorf("%s: %+v", policy, m.Total)
		}
	}
	folder := filepath.Join(t.TempDir(), "out")
	j, err := Prepare(context.Background(), e, Request{Inputs: []string{good}, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(context.Background(), e, Request{Inputs: []string{good}, Folder: folder}); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("two runs into one folder: %v", err)
	}
	j.Close()
	put(t, good, `{"id":"a","text":"c"}`+"\n")
	if _, err := Prepare(context.Background(), e, Request{Inputs: []string{good}, Folder: folder}); err == nil || !strings.Contains(err.Error(), "has changed since") {
		t.Errorf("input that changed and kept its size, before the end: %v", err)
	}
	done := filepath.Join(t.TempDir(), "out")
	job(t, e, Request{Inputs: []string{good}, Folder: done})
	put(t, good, `{"id":"a","text":"d"}`+"\n")
	if _, err := Prepare(context.Background(), e, Request{Inputs: []string{good}, Folder: done}); err == nil || !strings.Contains(err.Error(), "has changed since") {
		t.Errorf("input that changed and kept its size, after the end: %v", err)
	}
	put(t, good, `{"id":"a","text":"something else"}`+"\n")
	if _, err := Prepare(context.Background(), e, Request{Inputs: []string{good}, Folder: folder}); err == nil || !strings.Contains(err.Error(), "bytes is named now") {
		t.Errorf("input that changed: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	own := t.TempDir()
	if _, err := Prepare(ctx, e, Request{Inputs: []string{good}, Folder: own}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, err := os.ReadDir(own); err != nil || len(left) != 0 {
		t.Errorf("a folder that was there holds %v, %v", left, err)
	}
}

// TestJobOfAnother: a folder, whole or not, of other options or another model.
func TestJobOfAnother(t *testing.T) {
	in := t.TempDir()
	r := Request{Inputs: []string{put(t, filepath.Join(in, "x.jsonl"), `{"id":"a","text":"b"}`+"\n")}, Folder: filepath.Join(t.TempDir(), "out")}
	e := openSmall(t, limits)
	tiny, err := Open("../../testdata/tiny", host.Options{Threads: 1}, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tiny.Close() })
	others := map[string]*Embedder{
		`model is "m2-bert-small" there, and "tiny" now`: tiny,
		"options is": openSmall(t, Options{MaxBytes: 5000, MaxLength: 8}),
		"space is":   openSmall(t, Options{MaxBytes: 5000, Normalize: "no"}),
	}
	refuses := func(state string) {
		t.Helper()
		before := content(t, r.Folder)
		for want, other := range others {
			if _, err := Prepare(context.Background(), other, r); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "name another folder") {
				t.Errorf("%s: %v, want %q", state, err, want)
			}
		}
		if !reflect.DeepEqual(before, content(t, r.Folder)) {
			t.Errorf("%s: the folder has changed", state)
		}
	}
	j, err := Prepare(context.Background(), e, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	refuses("begun")
	job(t, e, r)
	refuses("whole")
}

// TestJobCancelled: a run that is cancelled within a shard leaves no half files, and
// the next one goes on.
func TestJobCancelled(t *testing.T) {
	in := t.TempDir()
	corpus(t, in)
	e := openSmall(t, Options{MaxBytes: 5000, TokenBudget: 60})
	r := Request{Inputs: []string{in + "/*"}, Folder: filepath.Join(t.TempDir(), "out"), Format: "jsonl", Shards: 3}
	j, err := Prepare(context.Background(), e, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := 35
	if _, err := j.Run(ctx, e, func(p Progress) {
		if left -= p.Documents; left == 0 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	for name := range content(t, r.Folder) {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s is left over", name)
		}
	}
	if n := done(r.Folder); n == 0 || n == 3 {
		t.Errorf("%d of 3 shards are done", n)
	}
	job(t, e, r)
	if _, err := Verify(context.Background(), r.Folder); err != nil {
		t.Error(err)
	}
}

// losing takes a file away while another one is read.
type losing struct {
	context.Context
	name string
	asks int
}

func (l *losing) Err() error {
	if l.asks++; l.asks == 2 {
		os.Remove(l.name)
	}
	return l.Context.Err()
}

// TestJobLosesFile: a file disappears after its name was found, or before the job
// is taken up again.
func TestJobLosesFile(t *testing.T) {
	in := t.TempDir()
	e := openSmall(t, limits)
	write := func() string {
		put(t, filepath.Join(in, "a.jsonl"), `{"id":"a","text":"b"}`+"\n")
		return put(t, filepath.Join(in, "b.jsonl"), `{"id":"b","text":"c"}`+"\n")
	}
	lost := write()
	r := Request{Inputs: []string{in + "/*.jsonl"}, Folder: filepath.Join(t.TempDir(), "out")}
	if _, err := Prepare(&losing{Context: context.Background(), name: lost}, e, r); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "b.jsonl") {
		t.Errorf("while it is read: %v", err)
	}
	if _, err := os.Stat(r.Folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	write()
	j, err := Prepare(context.Background(), e, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Close(), os.Remove(lost)); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(context.Background(), e, r); err == nil || !strings.Contains(err.Error(), "vectors of 2 files, and 1 are named now") {
		t.Errorf("before the job is taken up again: %v", err)
	}
	write()
	if m := job(t, e, r); m.Total.Documents != 2 {
		t.Errorf("with the file back: %+v", m.Total)
	}
}

func TestVerify(t *testing.T) {
	in := t.TempDir()
	e := openSmall(t, limits)
	name := put(t, filepath.Join(in, "x.jsonl"), `{"id":"a","text":"b"}`+"\n")
	for what, harm := range map[string]func(folder string) error{
		"has ":               func(f string) error { return os.Truncate(filepath.Join(f, "part-00000-of-00001.jsonl"), 10) },
		"not as it was":      func(f string) error { return flip(filepath.Join(f, "part-00000-of-00001.jsonl")) },
		"no such file":       func(f string) error { return os.Remove(filepath.Join(f, "part-00000-of-00001.jsonl")) },
		"no manifest.json":   func(f string) error { return os.Remove(filepath.Join(f, manifestName)) },
		"is damaged":         func(f string) error { return os.Truncate(filepath.Join(f, manifestName), 30) },
		"not in manifest":    func(f string) error { return os.WriteFile(filepath.Join(f, "more.txt"), nil, 0o666) },
		"cannot be harmless": nil,
	} {
		folder := filepath.Join(t.TempDir(), "out")
		job(t, e, Request{Inputs: []string{name}, Folder: folder, Format: "jsonl"})
		if harm == nil {
			if _, err := Verify(context.Background(), folder); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := harm(folder); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(context.Background(), folder); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

func flip(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(name, data, 0o666)
}

// TestRecords: what each line of JSON comes to.
func TestRecords(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.jsonl")
	place := filepath.ToSlash(name) + ":1"
	for _, c := range []struct{ line, id, text, reason string }{
		{`{"id":"a","text":"\ud83d\ude00 \u0041\/"}`, "a", "😀 A/", ""},
		{`{"id":"a","text":"real \ufffd sign"}`, "a", "real \ufffd sign", ""},
		{`{"id":7,"text":"b"}`, "7", "b", ""},
		{`{"id":1e400,"text":"b"}`, "1e400", "b", ""},
		{`{"text":"b"}`, place, "b", ""},
		{`{"id":"a","text":"high \ud83d alone"}`, "a", "", ReasonInvalidUTF8},
		{`{"id":"a","text":"low \ude00 alone"}`, "a", "", ReasonInvalidUTF8},
		{`{"id":"a","text":"turned \ude00\ud83d"}`, "a", "", ReasonInvalidUTF8},
		{`{"id":"a","text":"bytes ` + "\xff" + `"}`, "a", "", ReasonInvalidUTF8},
		{`{"id":"half \ud83d","text":"b"}`, place, "", ReasonInvalidUTF8},
		{`{"id":"` + "\xff" + `","text":"b"}`, place, "", ReasonInvalidUTF8},
		{`{"id":"","text":"b"}`, place, "", ReasonMalformed},
		{`{"id":[1],"text":"b"}`, place, "", ReasonMalformed},
		{`{"id":null,"text":"b"}`, place, "", ReasonMalformed},
		{`{"id":"a","text":null}`, "a", "", ReasonMalformed},
		{`{"id":"a","text":7}`, "a", "", ReasonMalformed},
		{`{"id":"a"}`, "a", "", ReasonMalformed},
		{`{"id":"a","id":"b","text":"c"}`, place, "", ReasonMalformed},
		{`{"id":"a","text":"b","text":"c"}`, place, "", ReasonMalformed},
		{`{"id":"a","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `,"text":"b"}`, place, "", ReasonMalformed},
		{`null`, place, "", ReasonMalformed},
		{`["a"]`, place, "", ReasonMalformed},
		{`{"id":"a","text":"b"`, place, "", ReasonMalformed},
	} {
		put(t, name, c.line+"\n")
		var got []record
		if _, err := readFile(context.Background(), name, Columns{}, 1000, func(r record) error { got = append(got, r); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 {
			t.Errorf("%s: %d records", c.line, len(got))
			continue
		}
		reason := ""
		if got[0].rejected != nil {
			reason = got[0].rejected.Reason
		}
		if got[0].ID != c.id || got[0].Text != c.text || reason != c.reason {
			t.Errorf("%s: %+v with reason %q, want %q %q %q", c.line, got[0].Document, reason, c.id, c.text, c.reason)
		}
	}
}

// FuzzRecords reads files of all kinds: records or an error, never a panic.
func FuzzRecords(f *testing.F) {
	f.Add(0, []byte(`{"id":1,"text":"a"}`+"\n{}\nx\n"))
	f.Add(1, []byte("id,text\n1,\"a\"\"b\"\n2\n"))
	f.Add(2, []byte("a\n\n\xff\n"))
	var table bytes.Buffer
	type pair struct{ ID, Text string }
	if err := parquet.Write(&table, []pair{{"a", "b"}, {"c", "d"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(3, table.Bytes())
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		name := "x." + []string{"jsonl", "csv", "txt", "parquet"}[kind&3]
		readHashed(context.Background(), name, bytes.NewReader(data), int64(len(data)), Columns{}, 100, func(r record) error {
			if r.ID == "" || r.rejected == nil && len(r.Text) > 100 || r.rejected != nil && r.rejected.Reason == "" || !utf8.ValidString(r.ID) {
				t.Errorf("record %+v", r)
			}
			return nil
		})
	})
}
