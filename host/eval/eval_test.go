package main

import (
	"math"
	"testing"

	"m2embed/host"
)

// embeddedModel is an evaluation of the embedded model, before anything is measured.
func embeddedModel(t *testing.T) *evaluation {
	t.Helper()
	m, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	e, err := newEvaluation("", m, "../../testdata/eval")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestQuality guards the embedded model: its similarities agree with people's
// as they did when it was made (68.7), and its layers are worth their place.
func TestQuality(t *testing.T) {
	e := embeddedModel(t)
	if err := e.similarity(); err != nil {
		t.Fatal(err)
	}
	own, words := e.sts[e.info.Name], e.sts[averaged]
	for _, c := range []struct {
		set   string
		least float64
	}{{meanOfSets, 68}, {"2012", 62}, {"2013", 77.5}} {
		t.Logf("%s: %.2f, word table alone %.2f", c.set, own[c.set], words[c.set])
		if own[c.set] < c.least {
			t.Errorf("%s: %.2f, want at least %v", c.set, own[c.set], c.least)
		}
		if own[c.set] < words[c.set]+5 {
			t.Errorf("%s: %.2f, want more than its word table's %.2f", c.set, own[c.set], words[c.set])
		}
	}
	for _, task := range e.heldOut.Tasks {
		for _, q := range task.Queries {
			if q.Document >= len(task.Documents) || e.heldOut.excerpt(q.Excerpt) == "" {
				t.Fatalf("%s: a query without a text or a document", task.Name)
			}
		}
	}
}

func TestSpearman(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{10, 20, 90}, 1},
		{[]float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{[]float64{1, 2, 2, 3}, []float64{1, 2, 3, 4}, 0.9486832980505138},
		{[]float64{5, 5, 1, 0}, []float64{2, 2, 2, 1}, 0.8164965809277261},
	} {
		if got := spearman(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("spearman(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestRank(t *testing.T) {
	var own task
	own.Documents = make([]excerpt, 12)
	for i := range 12 {
		own.Queries = append(own.Queries, struct {
			Excerpt  excerpt
			Document int
		}{Document: i})
	}
	// Query i finds its document at rank i+1.
	got := own.rank(func(q, d int) float64 {
		if d == q {
			return 0
		}
		if d < q {
			return 1
		}
		return -1
	})
	var gain float64
	for rank := 1; rank <= 10; rank++ {
		gain += 1 / math.Log2(1+float64(rank))
	}
	if want := 100 * gain / 12; math.Abs(got.NDCG-want) > 1e-9 || math.Abs(got.Recall-100.0/12) > 1e-9 {
		t.Errorf("%+v, want nDCG %v and recall %v", got, want, 100.0/12)
	}
	if got := own.rank(func(q, d int) float64 { return 0 }); got.NDCG != 0 || got.Recall != 0 {
		t.Errorf("equal scores: %+v, want nothing found", got)
	}
}

// TestBM25 compares with a value worked out by hand.
func TestBM25(t *testing.T) {
	x := newIndex([]string{"A cat; a CAT!", "the dog", "birds"})
	got := x.scores("cat 7")
	// One document of three holds "cat", twice in 4 words; the mean is 7/3.
	weight := math.Log(1 + 2.5/1.5)
	want := weight * 2 * 2.2 / (2 + 1.2*(0.25+0.75*4/(7.0/3)))
	if math.Abs(got[0]-want) > 1e-12 || got[1] != 0 || got[2] != 0 {
		t.Errorf("%v, want %v and zeros", got, want)
	}
}
