package search

import (
	"context"
	"fmt"
)

// Check reads the whole file and says what is wrong with it, or nil.
func (ix *Index) Check(ctx context.Context) error {
	var found string
	if err := ix.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return explain(err)
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, found)
	}
	v, release, err := ix.view(ctx, ix.space != "")
	if err != nil {
		return explain(err)
	}
	defer v.close()
	defer release()
	for _, check := range []func() error{v.checkDocuments, v.checkTexts, v.checkWords} {
		if err := check(); err != nil {
			return explain(err)
		}
	}
	return nil
}

// checkDocuments compares documents with their passages.
func (v *view) checkDocuments() error {
	found, err := v.tx.QueryContext(v.ctx, "SELECT "+documentColumns+" FROM documents")
	if err != nil {
		return err
	}
	defer found.Close()
	left := v.ix.rows.alive()
	for found.Next() {
		var d documentRow
		if err := d.scan(found); err != nil {
			return err
		}
		for p := d.first; p < d.first+min(d.passages, mostPassages); p++ {
			if row := v.ix.rows.at(p); row < 0 || v.ix.rows.documents[row] != d.id {
				return fmt.Errorf("%w: passage %d of document %d is missing", ErrDamaged, p, d.id)
			}
			left--
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: %d passages without document", ErrDamaged, left)
	}
	return found.Err()
}

// checkTexts reads all blocks.
func (v *view) checkTexts() error {
	for _, r := range v.ix.rows.blocks {
		b, err := readBlock(v.ctx, v.tx, r.id)
		if err != nil {
			return err
		}
		if b == nil || b.id != r.id {
			return errBlock
		}
	}
	return nil
}

// checkWords counts the words of all passages in the segments.
func (v *view) checkWords() error {
	all, err := segments(v.tx)
	if err != nil {
		return err
	}
	rows := &v.ix.rows
	counted := make([]uint64, len(rows.ids))
	before := int64(0)
	for i := range all {
		s := &all[i]
		gone, err := goneBetween(v.tx, s.first, s.last)
		if err != nil {
			return err
		}
		if s.first <= before || s.last < s.first || int64(len(gone)) > s.passages {
			return errPostings
		}
		before = s.last
		if err := v.countWords(s, counted); err != nil {
			return err
		}
	}
	for row, n := range counted {
		if rows.documents[row] != 0 && n != uint64(rows.words[row]) {
			return fmt.Errorf("%w: %d words of passage %d are found, want %d", ErrDamaged, n, rows.ids[row], rows.words[row])
		}
	}
	return nil
}

func (v *view) countWords(s *segment, counted []uint64) error {
	c, err := newSegmentCursor(v.tx, s)
	if err != nil {
		return err
	}
	defer c.close()
	for !c.ended {
		r := newPostingReader(c.list())
		before := s.base()
		for r.next(0) {
			for i, p := range r.block {
				r.at = i
				r.hits()
				if p.id <= before || p.id > s.last || r.damaged {
					return errPostings
				}
				before = p.id
				if row := v.ix.rows.at(p.id); row >= 0 {
					counted[row] += uint64(p.hits[0]) + uint64(p.hits[1]) + uint64(p.hits[2])
				}
			}
		}
		if err := r.err(); err != nil {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}
