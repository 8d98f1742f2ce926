package main

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"m2embed/core/model"
	"m2embed/host"
)

// TestMaterial: the code has one function a question, and there are 60 triples a
// kind, no two texts of a triple alike.
func TestMaterial(t *testing.T) {
	code, err := readRetrievalSet("../../testdata/eval/code.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(code.ids) != 500 || len(code.queries) != 500 {
		t.Errorf("%d functions, %d questions, want 500 of each", len(code.ids), len(code.queries))
	}
	functions := map[string]bool{}
	for id, function := range code.documents {
		question := code.queries[id]
		if functions[function] || question == "" || strings.Contains(function, question) || code.relevance[id][id] != 1 {
			t.Errorf("%s: the question %q stands in the function, or the function is there twice", id, question)
		}
		functions[function] = true
	}
	triples, err := readTriples("../../testdata/eval/triples.tsv")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, x := range triples {
		counts[x.kind]++
		if x.sentence == x.otherWords || x.sentence == x.change || x.otherWords == x.change {
			t.Errorf("%v: two texts are the same", x)
		}
	}
	if want := map[string]int{"negation": 60, "number": 60, "roles": 60}; !reflect.DeepEqual(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

func TestCountTold(t *testing.T) {
	triples := []triple{{kind: "a"}, {kind: "a"}, {kind: "b"}}
	near, far := []float32{1, 0}, []float32{0, 1}
	got := countTold(triples, [][]float32{near, near, far, near, far, near, near, near, near})
	if want := map[string]float64{"a": 1, "b": 0}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v: equal similarities tell nothing apart", got, want)
	}
}

func TestShortened(t *testing.T) {
	got := shortened([][]float32{{3, 4, 12}, {0, 0, 1}}, 2)
	if want := [][]float32{{0.6, 0.8}, {0, 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestDevelopment: scores are kept by set, and those of other weights are not shown
// as a model's own.
func TestDevelopment(t *testing.T) {
	folder := t.TempDir()
	now, before := host.Info{Name: "m", Space: "2"}, host.Info{Name: "m", Space: "1"}
	for _, x := range []struct {
		of  host.Info
		set string
	}{{before, "cisi"}, {now, "cacm"}, {now, "npl"}} {
		if err := keepDevelopment(folder, x.of, x.set, map[string]float64{byWords: 50, fused: float64(len(x.set))}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := readDevelopment(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.of(before); ok {
		t.Error("scores of weights that were replaced are still there")
	}
	scores, ok := d.of(now)
	if mean, whole := meanOf(scores, []string{"cacm", "npl"}, fused); !ok || !whole || mean != 3.5 {
		t.Errorf("%v, mean %v, want 3.5", scores, mean)
	}
	if _, whole := meanOf(scores, []string{"cacm", "cisi"}, fused); whole {
		t.Error("a mean over a set that was not scored")
	}
	if err := os.WriteFile(filepath.Join(folder, developmentFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := readDevelopment(folder); err == nil || !strings.Contains(err.Error(), developmentFile) {
		t.Errorf("a broken file: %v", err)
	}
}

// TestNumbers: the embedded model tells negations and numbers apart, loses little by
// 8 bits and by 64 numbers, and finds code.
func TestNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds 1,500 texts")
	}
	e := embeddedModel(t)
	e.pairs = e.pairs[:400]
	if err := e.similarity(); err != nil {
		t.Fatal(err)
	}
	if err := e.measureNumbers(); err != nil {
		t.Fatal(err)
	}
	own := e.sts[e.info.Name][meanOfSets]
	t.Logf("pairs %.1f, with 64 numbers %.1f, in 32 bits %.1f, code %.1f, with 64 %.1f, by words %.1f, told apart %v", own, e.sts64, e.stsFloat, e.codeNDCG, e.code64, e.codeWords, e.told)
	if math.Abs(own-e.stsFloat) > 1 || own-e.sts64 > 4 || own-e.sts64 == 0 {
		t.Errorf("pairs: %v, with 64 numbers %v, in 32 bits %v", own, e.sts64, e.stsFloat)
	}
	if e.codeNDCG < 60 || e.codeNDCG == e.code64 || e.told["negation"] < 35 || e.told["number"] < 25 {
		t.Errorf("code %v, told apart %v", e.codeNDCG, e.told)
	}
}

// TestReport: every system has its column and every row as many cells.
func TestReport(t *testing.T) {
	var all []*evaluation
	for _, name := range []string{"small", "base"} {
		e := &evaluation{info: host.Info{Name: name, Space: name}, config: model.Config{HiddenSize: 8}, pairs: []pair{{set: "2012.a"}}}
		e.sts = map[string]map[string]float64{name: {meanOfSets: 70}}
		e.ranked = []map[string]ranking{{name: {NDCG: 50}, name + spanSuffix: {NDCG: 60}, bm25: {NDCG: 40}}}
		e.heldOut.Tasks = []task{{Name: "title"}}
		e.told = map[string]float64{"roles": 1}
		e.development = development{}
		e.development[name] = struct {
			Space string                        `json:"space,omitempty"`
			Sets  map[string]map[string]float64 `json:"sets"`
		}{name, map[string]map[string]float64{longSet: {bestSpan: 72.25}}}
		all = append(all, e)
	}
	text := markdown(all)
	for _, want := range []string{
		"| | small | base | BM25 | MiniLM | bge-small |",
		"| similarity (Spearman, mean of seven sets) | 70.0 | 70.0 | – | – | – |",
		"| long documents, best span of one pass | 72.2 | 72.2 | – | – | – |",
		"| cisi | – | – | – | – | – |",
		"| told apart of 60: roles | 1 | 1 | – | – | – |",
		"| title | 0 | 0 | 50.0 / 0.0 | 60.0 / 0.0 | 50.0 / 0.0 | 60.0 / 0.0 | 40.0 / 0.0 |",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	cells := 0
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		if n := strings.Count(line, "|"); cells != 0 && n != cells {
			t.Errorf("%d bars, want %d: %s", n, cells, line)
		} else {
			cells = n
		}
	}
}
