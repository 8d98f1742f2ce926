package batch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// mixture writes documents of 5 to 30,000 tokens out of the project's own texts,
// most of them short, and lines that are none among them. It returns the reasons
// of those, by id.
func mixture(t *testing.T, name string, n int) map[string]string {
	t.Helper()
	var pool []string
	for _, pattern := range []string{"../../*.md", "../../host/*/*.md", "../../core/*.md", "*.go", "../*.go", "../../core/*/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			data, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			pool = append(pool, strings.Fields(string(data))...)
		}
	}
	if len(pool) < 30_000 {
		t.Fatalf("%d words, want some ten thousand", len(pool))
	}
	poison := []struct{ line, id, reason string }{
		{`{"id":"poison-0","text":""}`, "poison-0", ReasonEmpty},
		{`{"id":"poison-1","text":" \n\t"}`, "poison-1", ReasonEmpty},
		{`{"id":"poison-2"}`, "poison-2", ReasonMalformed},
		{`{"id":"poison-3","text":["a"]}`, "poison-3", ReasonMalformed},
		{`{"id":"poison-4","text":"\ud800"}`, "poison-4", ReasonInvalidUTF8},
		{`{"id":"poison-5","text":"` + "\xc0\xaf" + `"}`, "poison-5", ReasonInvalidUTF8},
		{`{"id":"poison-6","text":"` + strings.Repeat("x", 2<<20) + `"}`, "poison-6", ReasonTooLarge},
		{`{"id":"poison-7","text":"` + strings.Repeat("x", 8<<20) + `"}`, "", ReasonTooLarge},
		{`{"id":{},"text":"a"}`, "", ReasonMalformed},
		{`not JSON`, "", ReasonMalformed},
	}
	reasons := map[string]string{}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(5, 6))
	line := 0
	put := func(s string) { line++; w.WriteString(s + "\n") }
	for i := range n {
		for k, p := range poison {
			if i == (2*k+1)*n/(2*len(poison)) {
				put(p.line)
				if p.id == "" {
					p.id = fmt.Sprintf("%s:%d", name, line)
				}
				reasons[p.id] = p.reason
			}
		}
		words := int(4 * math.Pow(5000, math.Pow(r.Float64(), 8)))
		from := r.IntN(len(pool) - words%len(pool))
		text, err := json.Marshal(strings.Join(pool[from:from+words%len(pool)], " "))
		if err != nil {
			t.Fatal(err)
		}
		put(fmt.Sprintf(`{"id":"document-%d","text":%s}`, i, text))
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if len(reasons) != len(poison) {
		t.Fatalf("%d of %d are in the file", len(reasons), len(poison))
	}
	return reasons
}

// TestManyDocuments runs 100,000 documents with ten poisonous ones, undisturbed and
// with interruptions and other batches: all are there once, with the same bytes.
// M2EMBED_SOAK is 1, or another number of documents.
func TestManyDocuments(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("M2EMBED_SOAK"))
	if err != nil {
		t.Skip("takes minutes; M2EMBED_SOAK=1 runs it")
	}
	if n == 1 {
		n = 100_000
	}
	folder := filepath.ToSlash(t.TempDir())
	in := folder + "/in.jsonl"
	reasons := mixture(t, in, n)
	o := Options{MaxBytes: 1 << 20}
	request := Request{Inputs: []string{in}, Folder: folder + "/whole", Format: "jsonl", Shards: 23}
	whole := job(t, openSmall(t, o), request)

	request.Folder = folder + "/disturbed"
	o.TokenBudget = 3000
	disturbed := openSmall(t, o)
	var m *Manifest
	stops := 0
	for m == nil {
		ctx, cancel := context.WithCancel(context.Background())
		j, err := Prepare(ctx, disturbed, request)
		if err != nil {
			t.Fatal(err)
		}
		// More than a shard, so that each turn gets some done.
		left := n / 7
		m, err = j.Run(ctx, disturbed, func(p Progress) {
			if left -= p.Documents; left <= 0 {
				cancel()
			}
		})
		cancel()
		if closed := j.Close(); closed != nil {
			t.Fatal(closed)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		stops++
	}
	if stops < 4 {
		t.Errorf("interrupted %d times, want at least 3", stops-1)
	}
	if !reflect.DeepEqual(whole, m) {
		t.Error("bytes depend on interruptions or batches")
	}
	if _, err := Verify(context.Background(), request.Folder); err != nil {
		t.Error(err)
	}
	if m.Total.Documents != n || m.Total.Rejected != len(reasons) {
		t.Errorf("%+v of %d documents and %d that are none", m.Total, n, len(reasons))
	}
	seen := make(map[string]bool, n)
	longest := 0
	for _, part := range m.Parts {
		for _, f := range part.Files {
			data, err := os.ReadFile(filepath.Join(request.Folder, f.Name))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(data)) {
				var row struct {
					ID, Reason string
					Tokens     int
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatal(err)
				}
				if row.Reason != reasons[row.ID] {
					t.Errorf("%s has the reason %q, want %q", row.ID, row.Reason, reasons[row.ID])
				}
				if seen[row.ID] {
					t.Errorf("%s is there twice", row.ID)
				}
				seen[row.ID] = true
				longest = max(longest, row.Tokens)
			}
		}
	}
	if len(seen) != n+len(reasons) {
		t.Errorf("%d documents, want %d", len(seen), n+len(reasons))
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d documents, %d tokens, the longest %d; %d interruptions; %d MB from the system", n, m.Total.Tokens, longest, stops-1, memory.Sys>>20)
}
