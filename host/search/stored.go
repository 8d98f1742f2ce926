package search

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
)

// StoredPassage is a passage as it lies in the index.
type StoredPassage struct {
	Number   int64  // ascending in the order in which passages were added
	Document string // its ID
	Title    string // of the document
	Start    int    // byte of the document's text
	Text     string
	Heading  string // titles of the sections it stands in, outermost first, joined by " > "
	// Vector is (D) 8-bit integers in the vector's direction; nil in an index of
	// words alone.
	Vector []byte
}

// Passages yields all passages by document and place. It ends with the first
// error of yield, which must not use the index.
func (ix *Index) Passages(ctx context.Context, yield func(StoredPassage) error) error {
	tx, err := ix.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return explain(err)
	}
	defer tx.Rollback()
	documents, err := tx.QueryContext(ctx, "SELECT "+documentColumns+" FROM documents ORDER BY name")
	if err != nil {
		return explain(err)
	}
	defer documents.Close()
	b := &block{}
	for documents.Next() {
		var d documentRow
		if err := d.scan(documents); err != nil {
			return explain(err)
		}
		p := StoredPassage{Document: d.name, Title: d.title, Number: d.first}
		for range d.passages {
			i := indexOf(b.heads, p.Number)
			if i < 0 {
				if b, err = readBlock(ctx, tx, p.Number); err != nil {
					return explain(err)
				}
				if b == nil {
					return errBlock
				}
				i = indexOf(b.heads, p.Number)
			}
			if i < 0 {
				return errBlock
			}
			p.Start, p.Text, p.Heading = b.texts[i].start, b.texts[i].text, b.texts[i].heading
			if width := len(b.vectors) / len(b.heads); width > 4 {
				p.Vector = b.vectors[i*width : (i+1)*width-4] // without their scale, which follows from them
			} else if width > 0 {
				return errBlock
			}
			if err := yield(p); err != nil {
				return err
			}
			p.Number++
		}
	}
	return explain(documents.Err())
}

// Column is where a word of a passage stands.
type Column uint8

// The columns of an index, which count 1, 0.7 and 0.5.
const (
	InText    Column = iota
	InHeading        // the document's title and the headings above the passage
	InParts          // the pieces of compound words such as getUserName
)

// Occurrence is one word of a passage.
type Occurrence struct {
	Stem    string // Porter's, without case and accents
	Passage int64  // its Number
	Column  Column
	Offset  int // words before it in the column
}

// Occurrences yields all words of the index by stem, passage, column and offset.
// It ends with the first error of yield, which must not use the index.
func (ix *Index) Occurrences(ctx context.Context, yield func(Occurrence) error) error {
	tx, err := ix.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return explain(err)
	}
	defer tx.Rollback()
	all, err := segments(tx)
	if err != nil {
		return explain(err)
	}
	cursors := make([]*segmentCursor, len(all))
	gone := make([][]int64, len(all))
	for i := range all {
		if gone[i], err = goneBetween(tx, all[i].first, all[i].last); err != nil {
			return explain(err)
		}
		if cursors[i], err = newSegmentCursor(tx, &all[i]); err != nil {
			return explain(err)
		}
		defer cursors[i].close()
	}
	for {
		first := -1
		for i, c := range cursors {
			if !c.ended && (first < 0 || bytes.Compare(c.chunk.word, cursors[first].chunk.word) < 0) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		// Segments of one word follow each other by passages.
		if err := cursors[first].occurrences(gone[first], yield); err != nil {
			return err
		}
		if err := cursors[first].next(); err != nil {
			return explain(err)
		}
	}
}

// occurrences yields those of the cursor's word, but in passages that are gone.
func (c *segmentCursor) occurrences(gone []int64, yield func(Occurrence) error) error {
	stem := string(c.chunk.word)
	r := newPostingReader(c.list())
	for r.next(0) {
		for i, p := range r.block {
			if _, is := slices.BinarySearch(gone, p.id); is {
				continue
			}
			r.at = i
			for column, at := range r.hits() {
				for _, offset := range at {
					if err := yield(Occurrence{stem, p.id, Column(column), int(offset)}); err != nil {
						return err
					}
				}
			}
		}
	}
	return r.err()
}
