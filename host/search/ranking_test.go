package search_test

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2embed/host"
	"m2embed/host/internal/hosttest"
	"m2embed/host/search"
)

var update = flag.Bool("update", false, "write testdata/ranking.json anew")

// ranking is what other implementations of this search have to agree with: the
// page reads the same file. Documents are the beginnings of the held-out texts
// of testdata/eval, 400 characters below their titles.
type ranking struct {
	Documents int
	Queries   []rankedQuery
}

type rankedQuery struct {
	Query string
	Mode  string
	Want  []int // numbers of the first ten documents
	Good  int
}

var modes = map[string]search.Mode{"both": search.Both, "words": search.Words, "meaning": search.Meaning}

// TestRanking holds the first ten answers of development queries to a golden file.
// A change of the ranking is written down by -update, and site/src/search/rank.ts
// follows: its own test reads the same file.
func TestRanking(t *testing.T) {
	const documents = 150
	titles, texts := hosttest.HeldOut(t, "../..")
	model, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	ix, err := search.Open(filepath.Join(t.TempDir(), "i.db"), search.Options{Embedder: model, Queries: model.For("query"), Space: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	var all []search.Document
	var ids []string
	for i := range documents {
		id := titles[i] + string(rune('a'+i%26)) + string(rune('a'+i/26))
		ids = append(ids, id)
		runes := []rune(texts[i])
		all = append(all, search.Document{ID: id, Title: titles[i], Text: titles[i] + "\n\n" + string(runes[:min(400, len(runes))])})
	}
	added, err := ix.Add(context.Background(), all...)
	if err != nil {
		t.Fatal(err)
	}
	if added.Passages != documents {
		t.Fatalf("%d passages of %d documents", added.Passages, documents)
	}
	got := ranking{Documents: documents}
	path := filepath.Join("testdata", "ranking.json")
	if *update {
		for i, title := range titles {
			if title == "" {
				continue
			}
			got.Queries = append(got.Queries, rankedQuery{Query: title, Mode: []string{"both", "words", "meaning"}[i%3]})
		}
		for _, q := range []string{"how do I install it", "\"for example\"", "state -government", "getUserName utf8", "democra* war", "the of and", "HTTP 404", "don't panic", "2019 energy", "what is a vector in physics"} {
			for _, mode := range []string{"both", "words", "meaning"} {
				got.Queries = append(got.Queries, rankedQuery{Query: q, Mode: mode})
			}
		}
	} else {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got.Queries {
		q := &got.Queries[i]
		a, err := ix.Query(context.Background(), q.Query, search.Query{Mode: modes[q.Mode], Top: documents, All: true})
		if err != nil {
			t.Fatal(err)
		}
		first, scores, good := []int{}, map[int]float64{}, 0
		for i, h := range a.Hits {
			document := slices.Index(ids, h.ID)
			scores[document] = h.Score
			if i >= 10 {
				continue
			}
			first = append(first, document)
			if h.Good {
				good++
			}
		}
		if *update {
			q.Want, q.Good = first, good
			continue
		}
		// Processors round the query's vector differently: near ties may change places.
		tolerance, slack := 0.02, 1
		if q.Mode == "words" {
			tolerance, slack = 1e-9, 0
		}
		same := len(first) == len(q.Want) && max(good, q.Good)-min(good, q.Good) <= slack
		for i := 0; same && i < len(first); i++ {
			score, found := scores[q.Want[i]]
			same = found && math.Abs(score-a.Hits[i].Score) <= tolerance
		}
		if !same {
			t.Errorf("%s, %s: %v, %d of them good; want %v, %d", q.Query, q.Mode, first, good, q.Want, q.Good)
		}
	}
	if *update {
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append([]byte(strings.ReplaceAll(string(b), "},{", "},\n{")), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
