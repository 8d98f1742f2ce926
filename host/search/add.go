package search

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"m2embed/core/passage"
)

// Document is a text to be found.
type Document struct {
	ID       string            // its name, a path say, in UTF-8; a document of the same ID is replaced
	Text     string            // UTF-8
	Title    string            // searched with each of its passages
	Headings []passage.Heading // of the text
	Pages    []int             // bytes at which pages begin, ascending; nil for a text without
	Line     int               // at which Text begins in its file, 1 if it is 0; -1 where it has no lines
	OneLine  bool              // all of Text stands at Line, as that of a row or an object does
	Fields   map[string]string // for filters
	Modified time.Time
	// Stamp is kept for the caller, who may tell by it whether a document must be
	// read again: a size and a time, say.
	Stamp string
}

// Added says what Add did.
type Added struct{ Documents, Unchanged, Passages int }

// embedBatch is how many passages are embedded in one call, and so how often a
// cancelled context is seen.
const embedBatch = 64

// piece is a passage on its way into the file.
type piece struct {
	passage.Passage
	document int
	shown
	vector []byte
}

// Add puts documents into the index, all or none; those of unchanged text and
// fields cost nothing. They are embedded before the file is locked.
func (ix *Index) Add(ctx context.Context, documents ...Document) (Added, error) {
	added, err := ix.add(ctx, documents)
	if err != nil {
		return Added{}, fmt.Errorf("add to index %s: %w", ix.path, explain(err))
	}
	return added, nil
}

func (ix *Index) add(ctx context.Context, documents []Document) (Added, error) {
	if ix.options.ReadOnly {
		return Added{}, fmt.Errorf("%w: it was opened for reading", ErrReadOnly)
	}
	if ix.space != ix.options.Space {
		return Added{}, ix.options.otherSpace(ix.space, ix.model)
	}
	last := map[string]int{}
	for i, d := range documents {
		if d.ID == "" || !utf8.ValidString(d.ID) {
			return Added{}, fmt.Errorf("document %d has the ID %.200q, want one of UTF-8", i, d.ID)
		}
		last[d.ID] = i
	}
	known, err := ix.db.PrepareContext(ctx, "SELECT hash FROM documents WHERE name=?")
	if err != nil {
		return Added{}, err
	}
	defer known.Close()
	var added Added
	hashes := make([][]byte, len(documents)) // nil: another of the same ID follows
	same := make([]bool, len(documents))
	var pieces []piece
	for i := range documents {
		d := &documents[i]
		if last[d.ID] != i {
			continue
		}
		d.Text = strings.ToValidUTF8(d.Text, "\uFFFD")
		hashes[i] = ix.options.hash(d)
		var old []byte
		err := known.QueryRowContext(ctx, d.ID).Scan(&old)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Added{}, err
		}
		if same[i] = string(old) == string(hashes[i]); same[i] {
			added.Unchanged++
			continue
		}
		cut := ix.options.cut(i, d)
		for _, p := range cut {
			if len(p.text) > mostPassage {
				return Added{}, fmt.Errorf("document %.200q has a passage of %d MiB without a space, want at most %d", d.ID, len(p.text)>>20, mostPassage>>20)
			}
		}
		pieces = append(pieces, cut...)
		added.Documents++
		added.Passages += len(cut)
	}
	err = ix.options.embed(ctx, documents, pieces, func(p *piece, v []float32) (err error) {
		p.vector, err = quantize(v)
		return err
	})
	if err != nil {
		return Added{}, err
	}
	ix.writing.Lock()
	defer ix.writing.Unlock()
	return added, ix.change(ctx, func(w *writer) error {
		var replaced []string
		for i, d := range documents {
			if hashes[i] != nil && !same[i] {
				replaced = append(replaced, d.ID)
			}
		}
		if _, err := w.remove(replaced); err != nil {
			return err
		}
		for i := range documents {
			switch {
			case hashes[i] == nil:
			case same[i]:
				if err := w.restamp(&documents[i]); err != nil {
					return err
				}
			default:
				n := sort.Search(len(pieces), func(k int) bool { return pieces[k].document > i })
				if err := w.add(&documents[i], hashes[i], pieces[:n]); err != nil {
					return err
				}
				pieces = pieces[n:]
			}
		}
		return nil
	})
}

// hash is of all that is found or shown, and of how it is cut.
func (o *Options) hash(d *Document) []byte {
	h := sha256.New()
	fields, _ := json.Marshal(d.Fields) // keys in order
	fmt.Fprintf(h, "%d %d %d %d %q %s %v %v\n", o.Passage.Target, o.Passage.Max, o.Passage.Overlap, len(d.Text), d.Title, fields, d.Headings, d.Pages)
	if d.Line < 0 || d.Line > 1 {
		fmt.Fprintf(h, "line %d\n", d.Line)
	}
	if d.OneLine {
		fmt.Fprintln(h, "one line")
	}
	h.Write([]byte(d.Text))
	return h.Sum(nil)[:16]
}

// cut cuts a document into passages.
func (o *Options) cut(document int, d *Document) []piece {
	starts := passage.Words
	if o.Tokens != nil {
		starts = o.Tokens
	}
	how := o.Passage
	how.Headings = d.Headings
	var pieces []piece
	line, at := max(d.Line, 1), 0
	for _, p := range passage.Cut(d.Text, starts(d.Text), how) {
		if p.Start >= at {
			line += strings.Count(d.Text[at:p.Start], "\n")
		} else {
			line -= strings.Count(d.Text[p.Start:at], "\n")
		}
		at = p.Start
		line := line
		if d.Line < 0 {
			line = 0
		} else if d.OneLine {
			line = max(d.Line, 1)
		}
		page := sort.SearchInts(d.Pages, p.Start+1)
		pieces = append(pieces, piece{Passage: p, document: document, shown: shown{
			start: p.Start, line: line, page: page, heading: strings.Join(p.Headings, " > "), text: d.Text[p.Start:p.End], oneLine: d.OneLine,
		}})
	}
	return pieces
}

// embed makes the vectors of passages, each below its document's title and its
// headings, and has keep keep them.
func (o *Options) embed(ctx context.Context, documents []Document, pieces []piece, keep func(*piece, []float32) error) error {
	if o.Embedder == nil {
		return ctx.Err()
	}
	for first := 0; first < len(pieces); first += embedBatch {
		batch := pieces[first:min(first+embedBatch, len(pieces))]
		texts := make([]string, len(batch))
		for i, p := range batch {
			d := &documents[p.document]
			texts[i] = p.Passage.Text(d.Text)
			if d.Title != "" && !strings.HasPrefix(texts[i], d.Title) {
				texts[i] = d.Title + "\n" + texts[i]
			}
		}
		vectors, err := o.Embedder.Embed(ctx, texts...)
		if err != nil {
			return err
		}
		if len(vectors) != len(batch) {
			return fmt.Errorf("the embedder made %d vectors of %d texts", len(vectors), len(batch))
		}
		for i, v := range vectors {
			if err := keep(&batch[i], v); err != nil {
				return fmt.Errorf("%s: %w", documents[batch[i].document].ID, err)
			}
		}
	}
	return nil
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// Remove takes documents out of the index and returns how many there were.
func (ix *Index) Remove(ctx context.Context, ids ...string) (removed int, err error) {
	if ix.options.ReadOnly {
		return 0, fmt.Errorf("remove from index %s: %w: it was opened for reading", ix.path, ErrReadOnly)
	}
	ix.writing.Lock()
	defer ix.writing.Unlock()
	err = ix.change(ctx, func(w *writer) error {
		removed, err = w.remove(ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove from index %s: %w", ix.path, explain(err))
	}
	return removed, nil
}
