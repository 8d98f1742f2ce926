package embed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/memfs"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/batch"
	"m2embed/host/small"
)

// kept is what pipelines of this process put out, by the name of their keepFn.
var kept = struct {
	sync.Mutex
	results map[string][]Result
	lost    map[string][]Rejected
	times   map[string][]string
}{results: map[string][]Result{}, lost: map[string][]Rejected{}, times: map[string][]string{}}

type keepResults struct{ Name string }

func (k *keepResults) ProcessElement(w beam.Window, t beam.EventTime, r Result) {
	kept.Lock()
	defer kept.Unlock()
	kept.results[k.Name] = append(kept.results[k.Name], r)
	kept.times[k.Name] = append(kept.times[k.Name], fmt.Sprint(r.ID, " ", t.Milliseconds(), " ", w))
}

type keepRejected struct{ Name string }

func (k *keepRejected) ProcessElement(r Rejected) {
	kept.Lock()
	defer kept.Unlock()
	kept.lost[k.Name] = append(kept.lost[k.Name], r)
}

// page is a struct of a user.
type page struct{ URL, Body string }

func toPair(d Document) (string, string) { return d.ID, d.Text }
func toText(d Document) string           { return d.Text }
func toPage(d Document) page             { return page{d.ID, d.Text} }

// stamp gives documents times, three seconds apart.
func stamp(d Document) (beam.EventTime, Document) {
	var n int
	fmt.Sscanf(d.ID, "d%d", &n)
	return mtime.FromMilliseconds(int64(3000 * n)), d
}

func init() {
	register.DoFn3x0[beam.Window, beam.EventTime, Result](&keepResults{})
	register.DoFn1x0[Rejected](&keepRejected{})
	register.Function1x2(toPair)
	register.Function1x1(toText)
	register.Function1x1(toPage)
	register.Function1x2(stamp)
}

func TestMain(m *testing.M) {
	*jobopts.EnvironmentType = "loopback"
	beam.Init()
	os.Exit(m.Run())
}

// corpus are documents of many lengths, with some that have no vector.
func corpus() []Document {
	var all []Document
	for i := range 40 {
		all = append(all, Document{ID: fmt.Sprint("d", i), Text: strings.TrimSpace(strings.Repeat(fmt.Sprintf("Word %d of a story. ", i), 1+i*i%23))})
	}
	return append(all, Document{ID: "empty", Text: " "}, Document{ID: "bytes", Text: "\xff\xfe"}, Document{ID: "long", Text: strings.Repeat("word ", 400)})
}

// run runs one pipeline on Prism and returns what it put out.
func run(t *testing.T, name string, o Options, prepare func(s beam.Scope, documents beam.PCollection) beam.PCollection) (map[string]Result, map[string]string, map[string]int64) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	results, rejected := Texts(s, prepare(s, beam.Reshuffle(s, beam.CreateList(s, corpus()))), o)
	beam.ParDo0(s, &keepResults{name}, results)
	beam.ParDo0(s, &keepRejected{name}, rejected)
	done, err := prism.Execute(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	kept.Lock()
	defer kept.Unlock()
	byID, reasons, counts := map[string]Result{}, map[string]string{}, map[string]int64{}
	for _, r := range kept.results[name] {
		if _, double := byID[r.ID]; double {
			t.Errorf("%s: %s is there twice", name, r.ID)
		}
		byID[r.ID] = r
	}
	for _, r := range kept.lost[name] {
		reasons[r.ID] = r.Reason
	}
	for _, c := range done.Metrics().AllMetrics().Counters() {
		counts[c.Name()] += c.Result()
	}
	return byID, reasons, counts
}

func TestTexts(t *testing.T) {
	how := batch.Options{Truncation: "refuse", MaxLength: 300}
	model, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	want := map[string]core.Embedding{}
	tokens := 0
	for _, d := range corpus()[:40] {
		e, err := model.EmbedInputs(context.Background(), core.Texts(d.Text), core.Options{MaxLength: 300})
		if err != nil {
			t.Fatal(err)
		}
		want[d.ID] = e[0]
		tokens += e[0].Tokens
	}
	same := func(s beam.Scope, c beam.PCollection) beam.PCollection { return c }
	for _, c := range []struct {
		name    string
		options Options
		prepare func(beam.Scope, beam.PCollection) beam.PCollection
		byText  bool
	}{
		{"documents", Options{Embed: how}, same, false},
		{"small batches", Options{Embed: batch.Options{Truncation: "refuse", MaxLength: 300, TokenBudget: 50}}, same, false},
		{"pairs", Options{Embed: how}, func(s beam.Scope, c beam.PCollection) beam.PCollection { return beam.ParDo(s, toPair, c) }, false},
		{"texts", Options{Embed: how}, func(s beam.Scope, c beam.PCollection) beam.PCollection { return beam.ParDo(s, toText, c) }, true},
		{"pages", Options{Embed: how, IDField: "URL", TextField: "Body"}, func(s beam.Scope, c beam.PCollection) beam.PCollection { return beam.ParDo(s, toPage, c) }, false},
	} {
		results, reasons, counts := run(t, c.name, c.options, c.prepare)
		if len(results) != 40 || len(reasons) != 3 {
			t.Errorf("%s: %d results and %d rejected of 40 and 3", c.name, len(results), len(reasons))
		}
		for _, d := range corpus()[:40] {
			id := d.ID
			if c.byText {
				id = d.Text
			}
			r := results[id]
			if w := want[d.ID]; !reflect.DeepEqual(r.Vector, w.Vector) || r.Tokens != w.Tokens || r.Length != w.Length {
				t.Errorf("%s: %s is not as the engine makes it", c.name, d.ID)
			}
		}
		if !c.byText && (reasons["empty"] != batch.ReasonEmpty || reasons["bytes"] != batch.ReasonInvalidUTF8 || reasons["long"] != batch.ReasonTooLong) {
			t.Errorf("%s: reasons %v", c.name, reasons)
		}
		if counts["texts"] != 43 || counts["failed"] != 3 || counts["truncated"] != 0 || counts["tokens"] != int64(tokens) {
			t.Errorf("%s: counted %v, want 43 texts, 3 failed, %d tokens", c.name, counts, tokens)
		}
	}
}

// TestTextsWindows demands that results keep times and windows.
func TestTextsWindows(t *testing.T) {
	run(t, "windows", Options{Embed: batch.Options{MaxLength: 50}}, func(s beam.Scope, c beam.PCollection) beam.PCollection {
		return beam.WindowInto(s, window.NewFixedWindows(10e9), beam.ParDo(s, stamp, c))
	})
	found := map[string]bool{}
	for _, k := range kept.times["windows"] {
		found[k] = true
	}
	for i := range 40 {
		start := int64(3000 * i / 10000 * 10000)
		if w := fmt.Sprintf("d%d %d %v", i, 3000*i, window.IntervalWindow{Start: typex.EventTime(start), End: typex.EventTime(start + 10000)}); !found[w] {
			t.Errorf("no result %q in %v", w, kept.times["windows"])
		}
	}
}

// TestTextsRemoteModel opens a model from one of Beam's file systems.
func TestTextsRemoteModel(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for name, data := range map[string][]byte{"config.json": small.Config, "tokenizer.json": small.Tokenizer, "model.safetensors": small.Weights} {
		memfs.Write("memfs://models/copy/"+name, data)
	}
	same := func(s beam.Scope, c beam.PCollection) beam.PCollection { return c }
	results, _, _ := run(t, "remote", Options{Model: "memfs://models/copy", Embed: batch.Options{MaxLength: 30}}, same)
	builtIn, _, _ := run(t, "built in", Options{Embed: batch.Options{MaxLength: 30}}, same)
	if !reflect.DeepEqual(results, builtIn) || len(results) != 41 {
		t.Errorf("%d results are not those of the model that is built in, %d", len(results), len(builtIn))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if half, _ := filepath.Glob(filepath.Join(cache, "m2embed", "beam", "*.part")); len(half) > 0 {
		t.Errorf("%v is left over", half)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if folder, err := fetch(context.Background(), "memfs://models/copy/"); err != nil || !strings.HasPrefix(folder, cache) {
				t.Errorf("fetched to %q, %v", folder, err)
			}
		})
	}
	wait.Wait()
	for _, url := range []string{"memfs://models/none", "nowhere://x"} {
		if _, err := Open(context.Background(), Options{Model: url}); err == nil || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestTextsRefuses(t *testing.T) {
	for name, make := range map[string]func(s beam.Scope){
		"numbers": func(s beam.Scope) { Texts(s, beam.Create(s, 1, 2), Options{}) },
		"no field": func(s beam.Scope) {
			Texts(s, beam.ParDo(s, toPage, beam.CreateList(s, corpus())), Options{IDField: "URL"})
		},
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "embed.Texts") {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			_, s := beam.NewPipelineWithRoot()
			make(s)
		}()
	}
}
