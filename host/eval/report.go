package main

import (
	"fmt"
	"slices"
	"strings"
)

// order is that of the systems in the tables; the models stand first.
var order = []string{
	averaged, bm25, "MiniLM (256)", "MiniLM, best chunk", "MiniLM, mean of chunks", "bge-small, best chunk", "bge-small, mean of chunks",
	"mpnet (384)", "both", miniLM, "mpnet", bge,
}

// Names of systems in teachers.json and development.json.
const (
	miniLM = "MiniLM"
	bge    = "bge-small"
)

// Ways in which other models are scored on the long documents.
const (
	beginning    = "beginning"
	bestChunk    = "best chunk"
	meanOfChunks = "mean of chunks"
)

// shortSets are those of which the mean is taken; longSet asks about long documents.
var shortSets = []string{"cisi", "cacm", "npl", "dbpedia"}

const longSet = "leval-question"

// markdown is the report on the models, the embedded one first.
func markdown(all []*evaluation) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	var names []string
	for _, e := range all {
		names = append(names, e.info.Name)
	}
	line("# Quality of %s\n", strings.Join(names, " and "))
	line("One run of `./build.sh eval`.\n")
	for _, e := range all {
		line("- %s: hidden size %d, %d layers, engine %s, %d tokens embedded in %.0f s, %.0f s in all", e.info.Name, e.config.HiddenSize, e.config.NumHiddenLayers, e.info.Engine, e.tokens, e.embedded, e.seconds)
	}
	line("")
	line("\"MiniLM\" is all-MiniLM-L6-v2, which reads 256 tokens, \"mpnet\" all-mpnet-base-v2, \"both\" the mean of their cosines, \"bge-small\" bge-small-en-v1.5, queries after its instruction. Their scores are those that `host/train` computed on the same files (`testdata/eval/README.md`). \"%s\" are the embedded model's own word embeddings without its layers.", averaged)
	comparison(line, all)
	similarityTable(line, all)
	heldOutTable(line, all)
	return b.String()
}

// comparison is the table of the models beside BM25, MiniLM and bge-small.
func comparison(line func(string, ...any), all []*evaluation) {
	line("\n## Beside other models\n")
	line("nDCG@10 in percent where nothing else is said. The sets of abstracts (cisi, cacm, npl), encyclopedia entries (dbpedia) and long documents (%s: questions about texts of up to 32,768 tokens) are not in the repository; each is searched through an index of `host/search`, \"with words\" by vectors and BM25 together, as a query does it by default. BM25 is that of stems, of whole words for code. 40 to 93 queries in each of the first four: two points are noise. \"Questions → code\": 500 functions of five packages that no training text comes from, each sought by its comment's first sentence. Of triples (a sentence, the same in other words, the same with one change) right is what puts the other words nearer, 60 a kind.\n", longSet)
	header, rule := "| |", "| --- |"
	for _, e := range all {
		header += " " + e.info.Name + " |"
		rule += " ---: |"
	}
	line("%s BM25 | MiniLM | bge-small |", header)
	line("%s ---: | ---: | ---: |", rule)
	first := all[0]
	row := func(name string, own func(*evaluation) (float64, bool), others ...float64) {
		text := "| " + name + " |"
		for _, e := range all {
			value, ok := own(e)
			text += cell(value, ok)
		}
		for _, v := range others {
			text += cell(v, v > 0)
		}
		line("%s", text)
	}
	measured := func(of func(*evaluation) float64) func(*evaluation) (float64, bool) {
		return func(e *evaluation) (float64, bool) { return of(e), true }
	}
	sts := func(name string) float64 { return first.teachers.STS[name][meanOfSets] }
	row("similarity (Spearman, mean of seven sets)", measured(func(e *evaluation) float64 { return e.sts[e.info.Name][meanOfSets] }), 0, sts(miniLM), sts(bge))
	row("the same with 64 numbers", measured(func(e *evaluation) float64 { return e.sts64 }), 0, 0, 0)
	row("the same with activations in 32 bits", measured(func(e *evaluation) float64 { return e.stsFloat }), 0, 0, 0)

	developed := func(sets []string, way string) func(*evaluation) (float64, bool) {
		return func(e *evaluation) (float64, bool) {
			scores, ok := e.development.of(e.info)
			if !ok {
				return 0, false
			}
			return meanOf(scores, sets, way)
		}
	}
	other := func(name string, sets []string, way string) float64 {
		v, _ := meanOf(first.development[name].Sets, sets, way)
		return v
	}
	words := func(sets []string) float64 {
		v, _ := developed(sets, byWords)(first)
		return v
	}
	for _, set := range append(slices.Clone(shortSets), "") {
		name, sets := set, []string{set}
		if set == "" {
			name, sets = "their mean", shortSets
		}
		row(name, developed(sets, wholeDocuments), words(sets), other(miniLM, sets, beginning), other(bge, sets, beginning))
		row(name+", with words", developed(sets, fused), words(sets), 0, 0)
	}
	long := []string{longSet}
	row("long documents, their beginning", func(*evaluation) (float64, bool) { return 0, false }, 0, other(miniLM, long, beginning), other(bge, long, beginning))
	row("long documents, best passage read alone", developed(long, bestPassage), words(long), other(miniLM, long, bestChunk), other(bge, long, bestChunk))
	row("long documents, best span of one pass", developed(long, bestSpan), 0, 0, 0)
	row("long documents, mean of chunks", func(*evaluation) (float64, bool) { return 0, false }, 0, other(miniLM, long, meanOfChunks), other(bge, long, meanOfChunks))
	row("long documents, one vector of the whole", developed(long, wholeDocuments), 0, 0, 0)
	row("long documents, with words", developed(long, fused), words(long), 0, 0)

	row("questions → code", measured(func(e *evaluation) float64 { return e.codeNDCG }), first.codeWords, first.teachers.Code[miniLM].NDCG, first.teachers.Code[bge].NDCG)
	row("the same with 64 numbers", measured(func(e *evaluation) float64 { return e.code64 }), 0, 0, 0)
	for _, kind := range []string{"negation", "number", "roles"} {
		text := "| told apart of 60: " + kind + " |"
		for _, e := range all {
			text += fmt.Sprintf(" %.0f |", e.told[kind])
		}
		text += " – |"
		for _, name := range []string{miniLM, bge} {
			if told, ok := first.teachers.Triples[name]; ok {
				text += fmt.Sprintf(" %.0f |", told[kind])
			} else {
				text += " – |"
			}
		}
		line("%s", text)
	}
	text := "| tokens/s of one thread at 512 tokens |"
	for _, e := range all {
		text += fmt.Sprintf(" %.0f |", e.speed)
	}
	line("%s – | – | – |", text)
}

func cell(value float64, ok bool) string {
	if !ok {
		return " – |"
	}
	return fmt.Sprintf(" %.1f |", value)
}

// meanOf is the mean over sets of one way of searching, if all of them were scored.
func meanOf(scores map[string]map[string]float64, sets []string, way string) (float64, bool) {
	sum := 0.0
	for _, set := range sets {
		v, ok := scores[set][way]
		if !ok {
			return 0, false
		}
		sum += v / float64(len(sets))
	}
	return sum, true
}

// systems lists the columns of a table, the models first.
func systems(all []*evaluation, has func(name string) bool) []string {
	var names []string
	for _, e := range all {
		names = append(names, e.info.Name)
	}
	for _, name := range order {
		if has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func similarityTable(line func(string, ...any), all []*evaluation) {
	line("\n## Similarity\n")
	line("100 × Spearman's correlation of cosine and human judgement on `testdata/eval/sts-dev.tsv`. The file lacks the 750 pairs of MSRvid, so that its 2012 column cannot be compared with published STS12 scores.\n")
	columns := append(append([]string{}, years...), meanOfSets)
	columns = append(columns, setsOf(all[0].pairs)...)
	line("| | %s |", strings.Join(columns, " | "))
	line("| --- |%s", strings.Repeat(" ---: |", len(columns)))
	found := map[string]map[string]float64{}
	for name, scores := range all[0].teachers.STS {
		found[name] = scores
	}
	for _, e := range slices.Backward(all) { // so that the word table is the embedded model's
		for name, scores := range e.sts {
			found[name] = scores
		}
	}
	for _, name := range systems(all, func(name string) bool { return found[name] != nil }) {
		row := "| " + name + " |"
		for _, c := range columns {
			score, ok := found[name][c]
			row += cell(score, ok)
		}
		line("%s", row)
	}
}

func heldOutTable(line func(string, ...any), all []*evaluation) {
	line("\n## Retrieval on documents that were not trained on\n")
	line("nDCG@10 / recall@1 in percent; one right document a query. A section that is the query is cut out of its document; a sentence of the last quarter stands in it. Our models have one vector a document, or with \"best span\" the best of those of its passages, all out of one pass over it; MiniLM (256) reads its beginning, \"best chunk\" is the best of the vectors of all its chunks of 254 tokens, \"mean of chunks\" their mean.\n")
	first := all[0]
	own := map[string]*evaluation{}
	var names []string
	for _, e := range all {
		for _, name := range []string{e.info.Name, e.info.Name + spanSuffix} {
			own[name] = e
			names = append(names, name)
		}
	}
	for _, name := range order {
		if slices.ContainsFunc(first.ranked, func(found map[string]ranking) bool { _, ok := found[name]; return ok }) {
			names = append(names, name)
		}
	}
	line("| test | queries | documents | %s |", strings.Join(names, " | "))
	line("| --- | ---: | ---: |%s", strings.Repeat(" ---: |", len(names)))
	for i, t := range first.heldOut.Tasks {
		row := fmt.Sprintf("| %s | %d | %d |", t.Name, len(t.Queries), len(t.Documents))
		for _, name := range names {
			from := first
			if own[name] != nil {
				from = own[name]
			}
			if r, ok := from.ranked[i][name]; ok {
				row += fmt.Sprintf(" %.1f / %.1f |", r.NDCG, r.Recall)
			} else {
				row += " – |"
			}
		}
		line("%s", row)
	}
}
