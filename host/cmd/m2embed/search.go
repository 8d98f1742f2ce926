package main

import (
	"cmp"
	"fmt"
	"slices"

	"m2embed/core"
)

var searchCommand = &command{
	name:     "search",
	synopsis: "[flags] QUERY [FILE]",
	summary:  "Rank the lines of a file by their similarity to a query.",
	details: `
FILE is the same as --input FILE. Prints the best texts with their cosines, best
first, or with --json an object a line with the members rank, similarity, index
and text. All texts are embedded anew; nothing is stored.

With --in the query is searched for in an index, by words and meaning: "quoted
words" must be there, words with a minus in front must not.

Example:

  m2embed search "how do I return a parcel" faq.txt --top 3
`,
	define: func(c *call) func() error {
		in := defineInput(c)
		in.defineBatch()
		which, how := defineModel(c), defineVector(c)
		top := c.flags.Int("top", 10, "`number` of texts to print")
		asJSON := c.flags.Bool("json", false, "write JSON lines")
		from := c.flags.String("in", "", "`file` of an index to search in by words and meaning; see m2embed index")
		return func() error {
			if c.set("in") {
				return searchIndex(c, which, *from, *top, *asJSON)
			}
			return rankLines(c, in, which, how, *top, *asJSON)
		}
	},
}

// hit is a text that may be among the best.
type hit struct {
	Rank       int     `json:"rank"`
	Similarity float64 `json:"similarity"`
	Index      int     `json:"index"`
	Text       string  `json:"text"`
}

func rankLines(c *call, in *inputFlags, which *modelFlags, how *vectorFlags, top int, asJSON bool) error {
	if top < 1 || top > 1<<20 {
		return usagef("--top %d, want 1 to %d", top, 1<<20)
	}
	if len(c.args) == 2 && in.file == "" && in.ids == "" && len(in.texts) == 0 {
		in.file, c.args = c.args[1], c.args[:1]
	}
	if len(c.args) != 1 {
		return usagef("%s, want a query; texts to search come from a file, --input or --text", counted(len(c.args), "argument"))
	}
	work, err := openEmbedding(c, nil, in, which, how)
	if err != nil {
		return err
	}
	defer work.close()
	var query []float32
	first := &embedding{call: c, model: work.model, vector: how, quiet: true}
	err = first.run(textSource(c.args), 1, func(_ int, _ core.Input, e core.Embedding) error { query = e.Vector; return nil })
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	var best []hit
	better := func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Index, b.Index))
	}
	err = work.run(work.source, in.batch, func(i int, in core.Input, e core.Embedding) error {
		h := hit{Similarity: core.Cosine(query, e.Vector), Index: i, Text: in.Text}
		at, _ := slices.BinarySearchFunc(best, h, better)
		if at < top {
			best = slices.Insert(best, at, h)
			best = best[:min(len(best), top)]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if work.texts == 0 {
		return errNoTexts(in)
	}
	for i, h := range best {
		h.Rank = i + 1
		if asJSON {
			err = writeJSON(c.stdout, h)
		} else {
			_, err = fmt.Fprintf(c.stdout, "%7.4f  %d  %s\n", h.Similarity, h.Index+1, excerpt(h.Text, 100))
		}
		if err != nil {
			return err
		}
	}
	c.note("%s", work.summary())
	return nil
}
