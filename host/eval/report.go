package main

import (
	"fmt"
	"slices"
	"strings"
)

// order is that of the systems in the tables; the model stands first.
var order = []string{averaged, bm25, "MiniLM (256)", "mpnet (384)", "both", "MiniLM, mean of chunks", "MiniLM", "mpnet"}

// systems lists the keys of a table, the model first.
func (e *evaluation) systems(has func(name string) bool) []string {
	names := []string{e.model.Info().Name}
	for _, name := range order {
		if has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (e *evaluation) markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c := e.model.Config()
	line("# Quality of %s\n", e.model.Info().Name)
	line("One run of `./build.sh eval`: hidden size %d, %d layers, engine %s, %d tokens embedded in %.0f s, %.0f s in all.", c.HiddenSize, c.NumHiddenLayers, e.model.Info().Engine, e.tokens, e.embedded, e.seconds)
	line("")
	line("\"MiniLM\" is all-MiniLM-L6-v2, cut at 256 tokens as published, \"mpnet\" all-mpnet-base-v2, \"both\" the mean of their cosines, which taught the short texts. Their scores are those that `host/train/compare.py` computed on the same files (`testdata/eval/README.md`). \"%s\" are the model's own word embeddings without its layers.", averaged)
	line("\n## Similarity\n")
	line("100 × Spearman's correlation of cosine and human judgement on `testdata/eval/sts-dev.tsv`. The file lacks the 750 pairs of MSRvid, so that its 2012 column cannot be compared with published STS12 scores.\n")
	columns := append(append([]string{}, years...), meanOfSets)
	columns = append(columns, setsOf(e.pairs)...)
	line("| | %s |", strings.Join(columns, " | "))
	line("| --- |%s", strings.Repeat(" ---: |", len(columns)))
	all := map[string]map[string]float64{}
	for _, of := range []map[string]map[string]float64{e.teachers.STS, e.sts} {
		for name, scores := range of {
			all[name] = scores
		}
	}
	for _, name := range e.systems(func(name string) bool { return all[name] != nil }) {
		row := "| " + name + " |"
		for _, c := range columns {
			if score, ok := all[name][c]; ok {
				row += fmt.Sprintf(" %.1f |", score)
			} else {
				row += " – |"
			}
		}
		line("%s", row)
	}
	line("\n## Retrieval on documents that were not trained on\n")
	line("nDCG@10 / recall@1 in percent; one right document a query. A section that is the query is cut out of its document; a sentence of the last quarter stands in it.\n")
	names := e.systems(func(name string) bool {
		return slices.ContainsFunc(e.ranked, func(systems map[string]ranking) bool { _, ok := systems[name]; return ok })
	})
	line("| test | queries | documents | %s |", strings.Join(names, " | "))
	line("| --- | ---: | ---: |%s", strings.Repeat(" ---: |", len(names)))
	for i, t := range e.heldOut.Tasks {
		row := fmt.Sprintf("| %s | %d | %d |", t.Name, len(t.Queries), len(t.Documents))
		for _, name := range names {
			if r, ok := e.ranked[i][name]; ok {
				row += fmt.Sprintf(" %.1f / %.1f |", r.NDCG, r.Recall)
			} else {
				row += " – |"
			}
		}
		line("%s", row)
	}
	return b.String()
}
