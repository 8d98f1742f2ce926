package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"m2embed/host/search"
)

// TestIndex indexes a folder, again, changes it, and searches in it.
func TestIndex(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"a.md": "# Jobs\n\nSet CRON_CHECK to run the nightly job.", "sub/b.txt": "Parcels are sent back within a month.",
		"c.bin": "\x00\x01", ".hidden": "CRON_CHECK", "empty.txt": "", "faq.csv": "question;answer;topic\nWhere is the key?;Under the mat, r\xe9ally;home\nWhen do trains leave?;At noon;travel\n",
		"page.html": "<title>Garden</title><script>CRON_CHECK</script><h2>Tulips</h2><p>Bulbs are planted in autumn.", "bad.json": "[1", "ignored.log": "CRON_CHECK", ".gitignore": "*.log",
	} {
		put(name, text)
	}
	db := filepath.Join(folder, "notes.db")
	try := func(want int, args ...string) (string, string) {
		t.Helper()
		var out, notes bytes.Buffer
		if code := run(context.Background(), args, nil, &out, &notes); code != want {
			t.Fatalf("%q: exit code %d, want %d: %s", args, code, want, notes.String())
		}
		return out.String(), notes.String()
	}
	notes := func(_, s string) string { return s }
	if got := notes(try(exitFailure, "index", folder, "--into", db)); !strings.Contains(got, "4 files indexed (5 documents, 5 passages), 0 unchanged, 2 without text") || !strings.Contains(got, "bad.json: line 1") {
		t.Error(got)
	}
	os.Remove(filepath.Join(folder, "bad.json"))
	if got := notes(try(exitOK, "index", folder, "--into", db)); !strings.Contains(got, "0 files indexed (0 documents, 0 passages), 4 unchanged") {
		t.Error(got)
	}
	found := func(query string, more ...string) match {
		t.Helper()
		out, _ := try(exitOK, append([]string{"search", query, "--in", db, "--json", "--top", "1"}, more...)...)
		var m match
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&m); err != nil {
			t.Fatalf("%s: %v: %s", query, err, out)
		}
		return m
	}
	if m := found("CRON_CHECK"); !strings.HasSuffix(m.ID, "a.md") || m.Line != 3 || m.Heading != "Jobs" || !m.Good || len(m.Marks) == 0 || !strings.HasPrefix(m.Text[m.Marks[0][0]:m.Marks[0][1]], "CRON") {
		t.Errorf("%+v", m)
	}
	if m := found("where do I find the key", "--where", "topic=home"); !strings.HasSuffix(m.ID, "faq.csv#1") || m.Line != 2 || m.Title != "Where is the key?" || m.Text != "Under the mat, réally" {
		t.Errorf("%+v", m)
	}
	if m := found("bulbs", "--by", "words", "--glob", "*.html"); m.Line != 0 || m.Heading != "Tulips" || m.Title != "Garden" {
		t.Errorf("%+v", m)
	}
	if out, got := try(exitOK, "search", "sending a parcel back", "--in", db, "--top", "1"); !strings.Contains(out, "b.txt:1") || !strings.Contains(got, "good match in 5 documents, 5 passages") {
		t.Error(out, got)
	}
	if out, got := try(exitOK, "search", "zyxwvu", "--by", "words", "--in", db); out != "" || !strings.Contains(got, "no good match (--all") {
		t.Error(out, got)
	}

	// One row less, a file less, a file that is another.
	put("faq.csv", "question;answer;topic\nWhen do trains leave?;At noon sharp;travel\n")
	put("sub/b.txt", "Letters are stamped.")
	os.Remove(filepath.Join(folder, "page.html"))
	if got := notes(try(exitOK, "index", folder, "--into", db)); !strings.Contains(got, "2 files indexed (2 documents, 2 passages), 1 unchanged, 2 removed") {
		t.Error(got)
	}
	if got := notes(try(exitOK, "index", filepath.Join(folder, "sub"), "--into", db)); !strings.Contains(got, "0 files indexed (0 documents, 0 passages), 1 unchanged,") || strings.Contains(got, "removed") {
		t.Error(got)
	}
	if m := found("stamped letters"); !strings.HasSuffix(m.ID, "b.txt") {
		t.Errorf("%+v", m)
	}

	try(exitUsage, "index", folder)
	try(exitUsage, "search", "--in", db)
	try(exitUsage, "search", "x")
	try(exitUsage, "search", "x", folder, "--in", db)
	try(exitUsage, "search", "x", "--in", db, "--after", "May")
	try(exitFailure, "search", "x", "--in", filepath.Join(folder, "none.db"))
	if got := notes(try(exitFailure, "index", filepath.Join(folder, "none"), "--into", db)); !strings.Contains(got, "not read") {
		t.Error(got)
	}
	try(exitUsage, "index", folder, "--into", db, "--largest", "0")
}

// TestSearchPaths searches in files without an index of one's own.
func TestSearchPaths(t *testing.T) {
	cache, folder := t.TempDir(), t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, cache)
	}
	path := filepath.Join(folder, "a.txt")
	if err := os.WriteFile(path, []byte("The ferry leaves at seven.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	search := func(stdin io.Reader, args ...string) (string, string) {
		t.Helper()
		var out, notes bytes.Buffer
		if code := run(context.Background(), append([]string{"search"}, args...), stdin, &out, &notes); code != exitOK {
			t.Fatalf("%q: exit code %d: %s", args, code, notes.String())
		}
		return out.String(), notes.String()
	}
	if out, notes := search(nil, "ferry", folder); !strings.Contains(out, "a.txt:1") || !strings.Contains(notes, "1 file indexed") {
		t.Error(out, notes)
	}
	if out, notes := search(nil, "ferry", folder); !strings.Contains(out, "a.txt:1") || strings.Contains(notes, "indexed") {
		t.Error(out, notes)
	}
	if err := os.WriteFile(path, []byte("The bus is late.\nThe ferry sank.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	out, notes := search(strings.NewReader("ferry\n\n\"no such phrase here\"\nbus\n"), "--interactive", folder)
	if strings.Count(out, "a.txt:2") != 1 || strings.Count(out, "a.txt:1") != 1 || strings.Count(notes, "1 good match in") != 2 || strings.Count(notes, "no good match") != 1 {
		t.Error(out, notes)
	}
}

// TestPretty writes a hit for a terminal.
func TestPretty(t *testing.T) {
	h := search.Hit{ID: "b/c.pdf", Page: 3, Line: 9, Score: 0.5, Title: "c", Heading: "One > Two", Text: "x ferry\x1b[2J y\n\nferries", Marks: []search.Mark{{Start: 2, End: 7}, {Start: 15, End: 22}}}
	if got, want := pretty(h, true), bold+"b/c.pdf, page 3"+plain+"  "+dim+"0.500"+plain+"  "+dim+"One > Two"+plain+"\n  x "+marked+"ferry"+plain+" [2J y "+marked+"ferries"+plain+"\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := pretty(h, false); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	h.Text = strings.Repeat("wörd ", 300) + "ferry" + strings.Repeat(" wörd", 300)
	h.Marks = []search.Mark{{Start: 300 * 6, End: 300*6 + 5}}
	got := pretty(h, false)
	if !strings.Contains(got, "… ") || !strings.Contains(got, "ferry") || len(got) > 700 {
		t.Errorf("%q", got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(line)); n > 81 {
			t.Errorf("%d characters in %q", n, line)
		}
	}
}

// notesBuffer may be read while it is written to.
type notesBuffer struct {
	lock sync.Mutex
	b    bytes.Buffer
}

func (n *notesBuffer) Write(p []byte) (int, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.b.Write(p)
}

func (n *notesBuffer) String() string {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.b.String()
}

// TestWatch indexes what changes until it is stopped.
func TestWatch(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "notes.db")
	ctx, cancel := context.WithCancel(context.Background())
	notes := new(notesBuffer)
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"index", folder, "--into", db, "--watch"}, nil, io.Discard, notes)
	}()
	wait := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(notes.String(), text); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %q in %q", text, notes.String())
			}
		}
	}
	wait("watching")
	path := filepath.Join(folder, "sub", "a.txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("The ferry leaves."), 0o666); err != nil {
		t.Fatal(err)
	}
	wait("1 file indexed")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wait("1 removed")
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, notes.String())
	}
}

// TestIndexOfNothing: what could not be indexed leaves no file.
func TestIndexOfNothing(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "k.db")
	var out, notes bytes.Buffer
	if code := run(context.Background(), []string{"index", filepath.Join(folder, "nothere"), "--into", db}, nil, &out, &notes); code != exitFailure || !strings.Contains(notes.String(), "nothere: no such file") {
		t.Errorf("exit code %d: %s", code, notes.String())
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestIndexNames: names that are not UTF-8 are read, and known again.
func TestIndexNames(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "d\xff"), 0o777); err != nil {
		t.Skip(err)
	}
	for name, text := range map[string]string{"caf\xe9.txt": "The first harbour.", "d\xff/é.txt": "The second windmill."} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
			t.Skip(err)
		}
	}
	db := filepath.Join(t.TempDir(), "k.db")
	for _, want := range []string{"2 files indexed (2 documents, 2 passages), 0 unchanged", "0 files indexed (0 documents, 0 passages), 2 unchanged"} {
		var out, notes bytes.Buffer
		if code := run(context.Background(), []string{"index", folder, "--into", db}, nil, &out, &notes); code != exitOK || !strings.Contains(notes.String(), want) || strings.Contains(notes.String(), "removed") {
			t.Errorf("exit code %d: %s", code, notes.String())
		}
	}
	var out, notes bytes.Buffer
	if code := run(context.Background(), []string{"search", "harbour", "--in", db, "--json"}, nil, &out, &notes); code != exitOK || !strings.Contains(out.String(), `caf\\xe9.txt`) {
		t.Errorf("exit code %d: %s%s", code, out.String(), notes.String())
	}
}
