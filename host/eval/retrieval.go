package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
)

// heldOut is the material of the retrieval tests, as host/train/heldout.py
// writes it.
type heldOut struct {
	Texts []struct{ Source, Title, Text string }
	Tasks []task
}

// task is a retrieval test: for each query the one right document is sought.
type task struct {
	Name      string
	Documents []excerpt
	Queries   []struct {
		Excerpt  excerpt
		Document int
	}
}

// excerpt is a text's number and byte ranges, from, to, from, to, …, that are
// joined by line ends; -1-i alone is the title of text i.
type excerpt []int

func readHeldOut(path string) (heldOut, error) {
	var h heldOut
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.NewDecoder(z).Decode(&h); err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

func (h heldOut) excerpt(e excerpt) string {
	if e[0] < 0 {
		return h.Texts[-1-e[0]].Title
	}
	var parts []string
	for i := 1; i+1 < len(e); i += 2 {
		parts = append(parts, h.Texts[e[0]].Text[e[i]:e[i+1]])
	}
	return strings.Join(parts, "\n")
}

func (h heldOut) excerpts(es []excerpt) []string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = h.excerpt(e)
	}
	return texts
}

// ranking is how well a system finds the right documents, in percent.
type ranking struct {
	NDCG   float64 `json:"ndcg"`   // nDCG@10: 1/log2(1+rank), 0 past rank 10
	Recall float64 `json:"recall"` // recall@1
}

// rank ranks all documents for each query. A document with the right one's
// score stands before it.
func (t task) rank(score func(query, document int) float64) ranking {
	var r ranking
	for i, q := range t.Queries {
		right, rank := score(i, q.Document), 1
		for d := range t.Documents {
			if d != q.Document && score(i, d) >= right {
				rank++
			}
		}
		if rank <= 10 {
			r.NDCG += 100 / math.Log2(1+float64(rank)) / float64(len(t.Queries))
		}
		if rank == 1 {
			r.Recall += 100 / float64(len(t.Queries))
		}
	}
	return r
}

// teachers are scores of other models on the same material.
type teachers struct {
	STS       map[string]map[string]float64 `json:"sts"`       // by system and set
	Retrieval map[string]map[string]ranking `json:"retrieval"` // by task and system
	Code      map[string]ranking            `json:"code"`      // by system
	Triples   map[string]map[string]float64 `json:"triples"`   // by system and kind
}

func readTeachers(path string) (teachers, error) {
	var t teachers
	data, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
