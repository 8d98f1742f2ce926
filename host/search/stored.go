package search

import (
	"context"
	"fmt"
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
	rows, err := ix.db.QueryContext(ctx, `SELECT p.id, d.name, d.title, p.start, p.text, p.heading, p.vector
		FROM passages p JOIN documents d ON d.id = p.document ORDER BY d.name, p.start, p.id`)
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p StoredPassage
		if err := rows.Scan(&p.Number, &p.Document, &p.Title, &p.Start, &p.Text, &p.Heading, &p.Vector); err != nil {
			return explain(err)
		}
		if n := len(p.Vector); n > 4 {
			p.Vector = p.Vector[:n-4] // without their scale, which follows from them
		} else if p.Vector != nil {
			return fmt.Errorf("%w: the vector of passage %d has %d bytes", ErrDamaged, p.Number, n)
		}
		if err := yield(p); err != nil {
			return err
		}
	}
	return explain(rows.Err())
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
	conn, err := ix.db.Conn(ctx) // a temporary table belongs to its connection
	if err != nil {
		return explain(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE VIRTUAL TABLE IF NOT EXISTS temp.occurrences USING fts5vocab('main', 'words', 'instance')"); err != nil {
		return explain(err)
	}
	rows, err := conn.QueryContext(ctx, `SELECT term, doc, CASE col WHEN 'text' THEN 0 WHEN 'heading' THEN 1 ELSE 2 END AS place, "offset"
		FROM temp.occurrences ORDER BY term, doc, place, "offset"`)
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var o Occurrence
		if err := rows.Scan(&o.Stem, &o.Passage, &o.Column, &o.Offset); err != nil {
			return explain(err)
		}
		if err := yield(o); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}
