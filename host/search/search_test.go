package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"m2embed/core/kernel"
	"m2embed/core/passage"
)

// bag is an embedder for tests: words hashed into 64 numbers.
type bag struct{}

func (bag) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = make([]float32, 64)
		out[i][0] = 0.1
		for _, w := range folded(text) {
			h := fnv.New32a()
			h.Write([]byte(stem(w)))
			out[i][h.Sum32()%64]++
		}
	}
	return out, ctx.Err()
}

func open(t testing.TB, path string, o Options) *Index {
	t.Helper()
	ix, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ix.Close() })
	return ix
}

func add(t testing.TB, ix *Index, documents ...Document) Added {
	t.Helper()
	a, err := ix.Add(context.Background(), documents...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ids(t testing.TB, ix Store, query string, q Query) string {
	t.Helper()
	a, err := ix.Query(context.Background(), query, q)
	if err != nil {
		t.Fatalf("%q: %v", query, err)
	}
	var found []string
	for _, h := range a.Hits {
		found = append(found, h.ID)
		if h.Start < 0 || h.End-h.Start != len(h.Text) || h.Line < 1 {
			t.Errorf("%q: hit at %d to %d, line %d, of %d bytes", query, h.Start, h.End, h.Line, len(h.Text))
		}
	}
	return strings.Join(found, " ")
}

var notes = []Document{
	{ID: "cron.md", Text: "# Jobs\n\nSet CRON_CHECK to run the nightly job.\n\n## Ports\n\nThe server listens on port 5222 of 10.0.0.1.", Fields: map[string]string{"kind": "manual"}, Modified: time.Unix(1000, 0)},
	{ID: "bible.txt", Text: "Whosoever shall smite thee on thy right cheek, turn to him the other also: turn the other cheek.", Modified: time.Unix(2000, 0)},
	{ID: "rust.md", Text: "error[E0308]: mismatched types. The function getUserName returns a String.", Fields: map[string]string{"kind": "error"}},
	{ID: "port.txt", Text: "The port of Hamburg is a harbour for ships; jobs are checked at night. Port wine is checked, too."},
	{ID: "naïve.txt", Text: "Un café naïve, übergrößen und straße."},
}

// asked are queries and which of the notes stands first.
var asked = map[string]string{
	"CRON_CHECK": "cron.md", "cron check": "cron.md", "port 5222": "cron.md", "10.0.0.1": "cron.md", "E0308": "rust.md",
	"user name": "rust.md", "getusername": "rust.md", `"turn the other cheek"`: "bible.txt", "turn the other cheek": "bible.txt",
	"harbours": "port.txt", "harb*": "port.txt", "cafe NAIVE": "naïve.txt", "nightly job": "cron.md", "übergrößen": "naïve.txt",
}

// demanded are queries with all of the notes that are found.
var demanded = []struct {
	query string
	q     Query
	want  string
}{
	{"port -wine", Query{All: true, Mode: Words}, "cron.md"},
	{`port -"wine is"`, Query{All: true, Mode: Words}, "cron.md"},
	{`"other cheeks"`, Query{}, ""}, // the very words
	{`"port 5222" "nightly job"`, Query{}, "cron.md"},
	{"port", Query{Fields: map[string]string{"kind": "manual"}}, "cron.md"},
	{"port", Query{Fields: map[string]string{"kind": "x\"y"}}, ""},
	{"port", Query{Fields: map[string]string{"kind'": "\x00"}}, ""},
	{"port", Query{Glob: "*.txt", Mode: Words}, "port.txt"},
	{"port cheek", Query{After: time.Unix(1500, 0), Mode: Words}, "bible.txt"},
	{"port cheek", Query{Before: time.Unix(1500, 0), Mode: Words}, "cron.md"},
	{"the", Query{Mode: Words, Glob: "bible*"}, "bible.txt"},
	{`"`, Query{Mode: Words}, ""}, {`-`, Query{Mode: Words}, ""}, {`"" AND NEAR( * ^ :`, Query{Mode: Words}, ""},
	{"\u0301* \u0301 \"\u0301\" \x00 ' \\ :* & | ! <->", Query{Mode: Words}, ""},
	{strings.Repeat("so it was ", 8) + `"not there" -harbour`, Query{Mode: Words, All: true, Top: 1}, "port.txt"},
	{"zebra", Query{Mode: Words}, ""},
}

// find adds the notes to an empty index, and asks.
func find(t *testing.T, name string, ix Store) {
	t.Helper()
	documents := append([]Document{}, notes...)
	documents[0].Headings = passage.Markdown(documents[0].Text)
	documents[0].Pages = []int{0, strings.Index(documents[0].Text, "## Ports")}
	if a, err := ix.Add(t.Context(), documents...); err != nil || a.Documents != 5 || a.Passages < 5 {
		t.Fatalf("%s: added %+v, %v", name, a, err)
	}
	for query, want := range asked {
		a, err := ix.Query(t.Context(), query, Query{})
		if err != nil || len(a.Hits) == 0 || a.Hits[0].ID != want {
			t.Errorf("%s: %s: %v, %v, want %s first", name, query, a.Hits, err, want)
			continue
		}
		if h := a.Hits[0]; !h.Good || len(h.Marks) == 0 || h.Start < 0 || h.End-h.Start != len(h.Text) {
			t.Errorf("%s: %s: %+v", name, query, h)
		}
	}
	// The place is that of the words, not that of the passage's beginning.
	for query, want := range map[string]Hit{
		"CRON_CHECK": {Line: 3, Page: 1, Heading: "Jobs"}, "port 5222": {Line: 7, Page: 2, Heading: "Jobs > Ports"}, "ports": {Line: 5, Page: 2, Heading: "Jobs > Ports"},
	} {
		a, err := ix.Query(t.Context(), query, Query{Glob: "cron.md"})
		if err != nil || len(a.Hits) != 1 {
			t.Errorf("%s: %s: %v, %v", name, query, a.Hits, err)
		} else if h := a.Hits[0]; h.Line != want.Line || h.Page != want.Page || h.Heading != want.Heading {
			t.Errorf("%s: %s is in line %d, page %d, %q; want %d, %d, %q", name, query, h.Line, h.Page, h.Heading, want.Line, want.Page, want.Heading)
		}
	}
	for _, c := range demanded {
		if got := ids(t, ix, c.query, c.q); got != c.want {
			t.Errorf("%s: %q %+v: %q, want %q", name, c.query, c.q, got, c.want)
		}
	}
}

func TestWordsAreFound(t *testing.T) {
	for name, o := range map[string]Options{"words": {}, "both": {Embedder: bag{}, Space: "bag"}} {
		ix := open(t, filepath.Join(t.TempDir(), "a b#?%.db"), o)
		find(t, name, ix)
		if err := ix.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestTurns cuts a text of short pages and sections, one by one and together, with
// overlap: each word is found at its page and under its heading.
func TestTurns(t *testing.T) {
	var d Document
	d.ID, d.Line = "x", 10
	for i := range 60 {
		if i%3 == 0 {
			d.Pages = append(d.Pages, len(d.Text))
		}
		if i%2 == 0 {
			title := fmt.Sprint("Part ", i)
			d.Headings = append(d.Headings, passage.Heading{Start: len(d.Text), End: len(d.Text) + len(title), Level: 1 + i/2%3, Title: title})
			d.Text += title + "\n\n"
		}
		d.Text += fmt.Sprintf("Word%dx and others.\n\n", i)
	}
	for _, o := range []passage.Options{{}, {Target: 4}, {Target: 20, Overlap: 10}, {Target: 2000}} {
		ix := open(t, "", Options{Passage: o})
		add(t, ix, d)
		for i := range 60 {
			a, err := ix.Query(t.Context(), fmt.Sprintf("word%dx", i), Query{Mode: Words})
			if err != nil || len(a.Hits) != 1 {
				t.Fatal(a, err)
			}
			h := a.Hits[0]
			at := strings.Index(d.Text, fmt.Sprintf("Word%dx", i))
			if line := 10 + strings.Count(d.Text[:at], "\n"); h.Line != line || h.Page != 1+i/3 || !strings.HasSuffix(h.Heading, fmt.Sprint("Part ", i/2*2)) || strings.Count(h.Heading, ">") != i/2%3 {
				t.Errorf("%+v: word %d in line %d, page %d, %q; want line %d, page %d", o, i, h.Line, h.Page, h.Heading, line, 1+i/3)
			}
		}
		if err := ix.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	d.OneLine = true
	ix := open(t, "", Options{})
	add(t, ix, d)
	if a, err := ix.Query(t.Context(), "word50x", Query{}); err != nil || a.Hits[0].Line != 10 {
		t.Errorf("%+v, %v, want line 10", a, err)
	}
}

func TestPlaces(t *testing.T) {
	ix := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Passage: passage.Options{Target: 16, Max: 24}})
	d := notes[0]
	d.Headings, d.Pages = passage.Markdown(d.Text), []int{0, strings.Index(d.Text, "## Ports")}
	add(t, ix, d)
	a, err := ix.Query(context.Background(), "5222", Query{})
	if err != nil || len(a.Hits) != 1 {
		t.Fatal(a, err)
	}
	h := a.Hits[0]
	if h.Page != 2 || h.Heading != "Jobs > Ports" || h.Line != 7 || d.Text[h.Start:h.End] != h.Text || h.Text[h.Marks[0].Start:h.Marks[0].End] != "5222" {
		t.Errorf("%+v", h)
	}
}

func TestChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	o := Options{Embedder: bag{}, Space: "bag"}
	ix, reader := open(t, path, o), open(t, path, o)
	add(t, ix, notes...)
	if got := ids(t, reader, "cheek", Query{}); got != "bible.txt" {
		t.Errorf("another reader finds %q", got)
	}
	if a := add(t, ix, notes...); a.Unchanged != 5 || a.Documents != 0 {
		t.Errorf("the same again: %+v", a)
	}
	changed := notes[1]
	changed.Text = "An elbow."
	if a := add(t, ix, changed); a.Documents != 1 {
		t.Errorf("a changed one: %+v", a)
	}
	if got := ids(t, reader, "cheek", Query{Mode: Words}); got != "" {
		t.Errorf("the old text is found in %q", got)
	}
	if got := ids(t, reader, "elbow", Query{}); got != "bible.txt" {
		t.Errorf("the new text is found in %q", got)
	}
	if n, err := ix.Remove(context.Background(), "bible.txt", "none"); n != 1 || err != nil {
		t.Errorf("removed %d: %v", n, err)
	}
	if got := ids(t, reader, "elbow", Query{Mode: Words}); got != "" {
		t.Errorf("the removed text is found in %q", got)
	}
	if i, err := reader.Info(context.Background()); err != nil || i.Documents != 4 || i.Bytes == 0 {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestRefusals(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.db")
	ix := open(t, path, Options{Embedder: bag{}, Space: "one"})
	add(t, ix, notes...)
	ix.Close()
	if _, err := Open(path, Options{Embedder: bag{}, Space: "two"}); !errors.Is(err, ErrSpace) {
		t.Errorf("another space: %v", err)
	}
	old := filepath.Join(folder, "old.db")
	db, err := sql.Open("sqlite", old)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(fmt.Sprintf("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID; CREATE TABLE documents(id); INSERT INTO meta VALUES('format', '1'); PRAGMA application_id=%d", application))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{true, false} {
		if _, err := Open(old, Options{ReadOnly: readOnly}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "index anew") {
			t.Errorf("the format of before: %v", err)
		}
	}
	if _, err := Open(folder, Options{}); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := Open(filepath.Join(folder, "none.db"), Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	text := filepath.Join(folder, "text")
	os.WriteFile(text, []byte("some text that is no index"), 0o666)
	if _, err := Open(text, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a text: %v", err)
	}
	read := open(t, path, Options{ReadOnly: true, Embedder: bag{}, Space: "one"})
	if _, err := read.Add(context.Background(), notes...); !errors.Is(err, ErrReadOnly) {
		t.Errorf("adding to what is open for reading: %v", err)
	}
	if _, err := open(t, filepath.Join(folder, "new.db"), Options{}).Add(context.Background(), Document{ID: "bad\xff", Text: "x"}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("an ID that is no UTF-8: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{16, 100, 5000, len(whole) / 2} {
		cut := filepath.Join(folder, fmt.Sprint("cut", n))
		os.WriteFile(cut, whole[:n], 0o666)
		bad, err := Open(cut, Options{})
		if err == nil {
			if _, err = bad.Query(context.Background(), "port", Query{}); err == nil {
				err = bad.Check(context.Background())
			}
			bad.Close()
		}
		if err == nil {
			t.Errorf("cut at %d bytes, the index is as good as whole", n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	again := open(t, path, Options{Embedder: bag{}, Space: "one"})
	if _, err := again.Add(ctx, Document{ID: "new", Text: "new"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestScan compares the scan with plain sums, across blocks and as vectors come.
func TestScan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range []int{1, 17, 64, 256} {
		var set vectorSet
		set.dimension = d
		var want [][]byte
		for _, n := range []int{1, 5, blockRows - 6, 1, 70} { // what load does
			set.reopen()
			for range n {
				v := make([]float32, d)
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
				q, err := quantize(v)
				if err != nil {
					t.Fatal(err)
				}
				if err := set.append(q); err != nil {
					t.Fatal(err)
				}
				want = append(want, q)
			}
			set.finish()
			query := make([]float32, d)
			for i := range query {
				query[i] = float32(r.NormFloat64())
			}
			unit := unitVector(query)
			got, err := set.cosines(query)
			if err != nil || len(got) != len(want) {
				t.Fatal(len(got), err)
			}
			for i, w := range want {
				var sum, squares float64
				for k := range d {
					sum += float64(int8(w[k])) * float64(unit[k])
					squares += float64(int8(w[k])) * float64(int8(w[k]))
				}
				if cos := sum / math.Sqrt(squares); math.Abs(cos-float64(got[i])) > 0.01 {
					t.Fatalf("%s, %d numbers, vector %d of %d: cosine %g, want %g", kernel.Active().Name, d, i, len(want), got[i], cos)
				}
			}
		}
	}
}

func TestParse(t *testing.T) {
	for query, want := range map[string]string{
		"":             "[] [] []",
		"the ports":    `["port"] [] []`,
		"the":          `["the"] [] []`,
		"CRON_CHECK":   `["cron check" parts:"cron check" "cron" "check"] [] []`,
		"don't":        `["don t"] [] []`,
		`"a b" c`:      `["c" "a b" "a b"] ["a b"] []`,
		`a -b -"c d"`:  `["a"] [] ["b" "c d"]`,
		`x -b -"c d"`:  `["x"] [] ["b" "c d"]`,
		"getUserName":  `["getusernam" parts:"get user name" "user" "name"] [] []`,
		"wor*":         `["wor"*] [] []`,
		`he said "yes`: `["said" "ye"] [] []`,
		"- -- - \"\" ": "[] [] []",
	} {
		w := wantedOf(parse(query), stemmer{})
		if got := fmt.Sprint(w.score, w.must, w.not); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	if got := meaning(`find "two words" -not -"of these" wor*`); got != "find two words wor" {
		t.Errorf("%q", got)
	}
	if got := split("HTTPServer2 utf8 x1 getHTTP"); !reflect.DeepEqual(got, []string{"HTTP", "Server", "2", "utf", "8", "x1", "get", "HTTP"}) {
		t.Errorf("%q", got)
	}
}

// TestRerank: all texts come back, the best first, whatever is in them; the marks
// of the query language are words like others.
func TestRerank(t *testing.T) {
	texts := []string{"", "Port wine is checked.", "The server listens on port 5222.", "The nightly job.", " \n", "5222"}
	for query, want := range map[string]int{
		"on which port does the server listen": 2,
		`-nightly "the * job`:                  3,
		"server port 5222":                     2,
		`"-`:                                   5, // nothing that is like a text
	} {
		got, err := Rerank(t.Context(), Options{Embedder: bag{}}, query, texts)
		if err != nil || len(got) != len(texts) || got[0].Index != want {
			t.Errorf("%q: %v, %v, want %d first", query, got, err, want)
		}
		seen := map[int]bool{}
		for i, r := range got {
			seen[r.Index] = true
			if r.Score < 0 || r.Score > 1 || i > 0 && r.Score > got[i-1].Score {
				t.Errorf("%q: score %v behind %v", query, r.Score, got[max(i-1, 0)].Score)
			}
		}
		if len(seen) != len(texts) {
			t.Errorf("%q: %d texts, want %d", query, len(seen), len(texts))
		}
	}
	if got, err := Rerank(t.Context(), Options{Embedder: bag{}}, "x", nil); err != nil || len(got) != 0 {
		t.Errorf("no texts: %v, %v", got, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rerank(stopped, Options{Embedder: bag{}}, "x", texts); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	ix := open(f, filepath.Join(f.TempDir(), "x.db"), Options{})
	add(f, ix, notes...)
	for _, q := range []string{`a "b" -c d*`, `"`, `-"x`, "parts : NEAR(a b)", "\x00\xff*", "a.b_c:D9 -- -"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := ix.Query(context.Background(), query, Query{All: true}); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	})
}
