package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"m2embed/core/passage"
	"m2embed/host"
	"m2embed/host/search"
)

var indexCommand = &command{
	name:     "index",
	synopsis: "[flags] PATH… --into FILE",
	summary:  "Index text files to be searched by words and meaning.",
	details: `
PATHs are files and folders, read with all below them but what begins with a
dot; links are not followed. Files of UTF-8 text are indexed, Markdown by its
headings. What has not changed since it was indexed costs nothing, so a run that
was interrupted goes on where it ended. Files that are no text are counted; those
that cannot be read are listed, and the exit code is 1.

Example:

  m2embed index handbook/ --into notes.db
  m2embed search "how do I return a parcel" --in notes.db
`,
	define: func(c *call) func() error {
		which := defineModel(c)
		into := c.flags.String("into", "", "`file` of the index, made if there is none")
		return func() error { return index(c, which, *into) }
	},
}

// longestFile is the most bytes of a file that is indexed: texts are held whole.
const longestFile = 32 << 20

// openIndex opens an index for the vectors of a model.
func openIndex(path string, m *host.Model, readOnly bool) (*search.Index, error) {
	o := search.Options{Embedder: m, Space: m.Info().Space, Model: m.Info().Name, ReadOnly: readOnly}
	if t := m.Tokenizer(); t != nil {
		o.Tokens = func(text string) []int { return passage.Tokens(t, text) }
	}
	return search.Open(path, o)
}

func index(c *call, which *modelFlags, into string) error {
	if into == "" || len(c.args) == 0 {
		return usagef("want --into FILE and files or folders to index")
	}
	m, err := which.open()
	if err != nil {
		return err
	}
	defer m.Close()
	ix, err := openIndex(into, m, false)
	if err != nil {
		return err
	}
	defer ix.Close()
	stamps, err := ix.Stamps(c.ctx)
	if err != nil {
		return err
	}
	var indexed, unchanged, skipped int
	var failed []string
	for _, root := range c.args {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case c.ctx.Err() != nil:
				return c.ctx.Err()
			case err != nil:
				failed = append(failed, err.Error())
				return nil
			case path != root && strings.HasPrefix(entry.Name(), "."):
				if entry.IsDir() {
					return filepath.SkipDir
				}
				return nil
			case !entry.Type().IsRegular():
				return nil
			}
			d, err := readDocument(path, stamps)
			switch {
			case errors.Is(err, errUnchanged):
				unchanged++
				return nil
			case errors.Is(err, errNoText):
				skipped++
				return nil
			case err != nil:
				failed = append(failed, err.Error())
				return nil
			}
			if _, err := ix.Add(c.ctx, d); err != nil {
				return err
			}
			indexed++
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.note("%s indexed, %d unchanged, %d skipped as no text", counted(indexed, "file"), unchanged, skipped)
	for _, f := range failed {
		c.note("not read: %s", oneLine(errors.New(f)))
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s could not be read", counted(len(failed), "file"))
	}
	return nil
}

var (
	errUnchanged = errors.New("unchanged")
	errNoText    = errors.New("no text")
)

// readDocument reads a file of text that is not as its stamp says.
func readDocument(path string, stamps map[string]string) (search.Document, error) {
	id := path
	if full, err := filepath.Abs(path); err == nil {
		id = full
	}
	f, err := os.Open(path)
	if err != nil {
		return search.Document{}, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return search.Document{}, err
	}
	d := search.Document{
		ID: id, Title: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Modified: stat.ModTime(),
		Stamp: fmt.Sprintf("%d %d", stat.Size(), stat.ModTime().UnixNano()),
	}
	if stamps[id] == d.Stamp {
		return d, errUnchanged
	}
	// The size may grow while it is read.
	data, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err != nil {
		return d, err
	}
	if bytes.IndexByte(data[:min(len(data), 8192)], 0) >= 0 {
		return d, errNoText
	}
	if len(data) > longestFile {
		return d, fmt.Errorf("%s: more than %d MiB", path, longestFile>>20)
	}
	if !utf8.Valid(data) {
		return d, errNoText
	}
	d.Text = strings.TrimPrefix(string(data), "\ufeff")
	if e := strings.ToLower(filepath.Ext(path)); e == ".md" || e == ".markdown" {
		d.Headings = passage.Markdown(d.Text)
	}
	return d, nil
}

// searchIndex searches in an index.
func searchIndex(c *call, which *modelFlags, path string, top int, asJSON bool) error {
	if len(c.args) != 1 {
		return usagef("%s, want a query beside --in", counted(len(c.args), "argument"))
	}
	m, err := which.open()
	if err != nil {
		return err
	}
	defer m.Close()
	ix, err := openIndex(path, m, true)
	if err != nil {
		return err
	}
	defer ix.Close()
	return printAnswer(c.ctx, c, ix, top, asJSON)
}

// found is a hit as JSON.
type found struct {
	Rank    int     `json:"rank"`
	Score   float64 `json:"score"`
	ID      string  `json:"id"`
	Line    int     `json:"line"`
	Heading string  `json:"heading,omitempty"`
	Start   int     `json:"start"`
	End     int     `json:"end"`
	Text    string  `json:"text"`
}

func printAnswer(ctx context.Context, c *call, ix *search.Index, top int, asJSON bool) error {
	a, err := ix.Query(ctx, c.args[0], search.Query{Top: top})
	if err != nil {
		return err
	}
	for i, h := range a.Hits {
		if asJSON {
			err = writeJSON(c.stdout, found{i + 1, h.Score, h.ID, h.Line, h.Heading, h.Start, h.End, h.Text})
		} else {
			_, err = fmt.Fprintf(c.stdout, "%6.3f  %s:%d  %s\n", h.Score, h.ID, h.Line, excerpt(h.Text, 100))
		}
		if err != nil {
			return err
		}
	}
	c.note("%d good", a.Good)
	return nil
}
