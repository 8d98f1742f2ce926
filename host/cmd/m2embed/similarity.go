package main

import (
	"encoding/json"
	"fmt"

	"m2embed/core"
)

// maxCompared bounds the texts of a matrix.
const maxCompared = 2048

var similarityCommand = &command{
	name:     "similarity",
	synopsis: "[flags] TEXT TEXT…",
	summary:  "Compare texts: the cosines of their vectors.",
	details: `
Prints a matrix with a row and a column for each text, or with --json an object
with the members texts, similarity and space, the name of the vectors' space.

Example:

  m2embed similarity "a cat on the sofa" "a kitten on the couch" "tax law"
`,
	define: func(c *call) func() error {
		in := defineInput(c)
		which, how := defineModel(c), defineVector(c)
		asJSON := c.flags.Bool("json", false, "write JSON")
		return func() error { return similarity(c, in, which, how, *asJSON) }
	},
}

func similarity(c *call, in *inputFlags, which *modelFlags, how *vectorFlags, asJSON bool) error {
	work, err := openEmbedding(c, c.args, in, which, how)
	if err != nil {
		return err
	}
	defer work.close()
	var texts []string
	var vectors [][]float32
	err = work.run(work.source, defaultBatch, func(i int, in item, e core.Embedding) error {
		if i >= maxCompared {
			return fmt.Errorf("more than %d texts", maxCompared)
		}
		texts, vectors = append(texts, in.Text), append(vectors, e.Vector)
		return nil
	})
	if err != nil {
		return err
	}
	if len(texts) < 2 {
		return usagef("%s, want two or more", counted(len(texts), "text"))
	}
	matrix := make([][]float64, len(texts))
	for i := range matrix {
		matrix[i] = make([]float64, len(texts))
		for j := range matrix[i] {
			matrix[i][j] = core.Cosine(vectors[i], vectors[j])
		}
	}
	if asJSON {
		return writeJSON(c.stdout, struct {
			Texts      []string    `json:"texts"`
			Similarity [][]float64 `json:"similarity"`
			Space      string      `json:"space"`
		}{texts, matrix, work.model.SpaceOf(how.options)})
	}
	for i := range matrix {
		for j := range matrix[i] {
			if _, err := fmt.Fprintf(c.stdout, "%7.4f ", matrix[i][j]); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(c.stdout, " %s\n", excerpt(texts[i], 60)); err != nil {
			return err
		}
	}
	c.note("%s", work.summary())
	return nil
}

func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
