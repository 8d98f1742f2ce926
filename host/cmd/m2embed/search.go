package main

import (
	"cmp"
	"fmt"
	"slices"

	"m2embed/core"
	"m2embed/core/model"
)

var searchCommand = &command{
	name:     "search",
	synopsis: "[flags] QUERY [PATH…]",
	summary:  "Find texts by words and meaning, in files or in an index.",
	details: `
PATHs are files and folders, read as m2embed index does. What they hold is kept
in an index in the user's cache folder, so that only what has changed is read
again. With --in an index made by m2embed index is searched, and nothing is read.

"Quoted words" in a query must be there as they are, words with a minus in front
must not; a star ends the beginning of a word. Only good matches are shown: those
that stand out by their words or their meaning. --all shows the others, too.

With --input or --text, or where lines come from standard input and no PATH is
named, the query is compared with each line, or text, by meaning alone; nothing
is kept. --padding, --pooling and the like are for that; --task is that of the
query (default query).

With --json a match is an object a line, with the members rank, score, id (file,
and part of it), title, line, page, heading, start, end, text, marks (bytes of
the text that are words of the query), good, cosine, bm25, fields and modified.

Examples:

  m2embed search "how do I return a parcel" handbook/ mail.mbox
  m2embed search '"port 5222" -tls' --in notes.db
  m2embed search --interactive ~/notes
  m2embed search "how do I return a parcel" --input faq.txt --top 3

Exit codes: 0 done, 1 failed, or a file could not be read, 2 wrong usage.
`,
	define: func(c *call) func() error {
		in := defineInput(c)
		in.defineBatch()
		which, how := defineModel(c), defineVector(c)
		find := defineFind(c)
		return func() error {
			find.reading.fields, find.reading.title = in.field, in.title
			lines := in.file != "" || in.ids != "" || len(in.texts) > 0
			if piped := c.stdin != nil && !isTerminal(c.stdin); piped && len(c.args) == 1 && find.in == "" && !find.converse {
				lines = true
			}
			if !lines {
				return find.run(which)
			}
			return rankLines(c, in, which, how, find.top, find.json)
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
	if len(c.args) != 1 {
		return usagef("%s, want a query; texts to search come from a file, --input or --text", counted(len(c.args), "argument"))
	}
	work, err := openEmbedding(c, nil, in, which, how)
	if err != nil {
		return err
	}
	defer work.close()
	var query []float32
	asked := *how
	asked.options.Task = cmp.Or(how.options.Task, model.TaskQuery)
	how.options.Task = model.TaskDocument
	first := &embedding{call: c, model: work.model, vector: &asked, quiet: true}
	err = first.run(textSource(c.args), 1, func(_ int, _ item, e core.Embedding) error { query = e.Vector; return nil })
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	var best []hit
	better := func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Index, b.Index))
	}
	err = work.run(work.source, in.batch, func(i int, in item, e core.Embedding) error {
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
