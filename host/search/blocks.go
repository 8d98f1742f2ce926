package search

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// readHeads reads the heads of the block that holds a passage, or would: the last that
// does not begin behind it. It is nil if there is none.
func readHeads(ctx context.Context, tx *sql.Tx, passage int64) (*block, error) {
	b := &block{}
	var heads sealed
	err := tx.QueryRowContext(ctx, "SELECT id, data FROM heads WHERE id<=? ORDER BY id DESC LIMIT 1", passage).Scan(&b.id, &heads)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if b.heads, err = decodeHeads(heads); err != nil {
		return nil, err
	}
	if len(b.heads) == 0 || b.heads[0].id < b.id {
		return nil, errBlock
	}
	return b, nil
}

// readTexts reads the texts of a block.
func readTexts(ctx context.Context, tx *sql.Tx, b *block) error {
	var texts sealed
	err := tx.QueryRowContext(ctx, "SELECT data FROM texts WHERE id=?", b.id).Scan(&texts)
	if err != nil {
		return missing(err)
	}
	if b.texts, err = decodeTexts(texts, len(b.heads), -1); err != nil {
		return err
	}
	return nil
}

// readBlock reads all of a block.
func readBlock(ctx context.Context, tx *sql.Tx, passage int64) (*block, error) {
	b, err := readHeads(ctx, tx, passage)
	if err != nil || b == nil {
		return nil, err
	}
	return b, errors.Join(readTexts(ctx, tx, b), readVectors(ctx, tx, b))
}

// readVectors reads the vectors of a block.
func readVectors(ctx context.Context, tx *sql.Tx, b *block) error {
	if err := tx.QueryRowContext(ctx, "SELECT data FROM vectors WHERE id=?", b.id).Scan((*sealed)(&b.vectors)); err != nil {
		return missing(err)
	}
	if len(b.vectors)%len(b.heads) != 0 {
		return errBlock
	}
	return nil
}

// indexOf returns the number of a passage among heads, -1 if it is not there.
func indexOf(heads []head, passage int64) int {
	return slices.IndexFunc(heads, func(h head) bool { return h.id == passage })
}

// missing is damage where a row is not there that must be.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errBlock
	}
	return err
}

// write puts the block in the place of the one with its id; change is the number of
// the change, by which readers know.
func (b *block) write(tx *sql.Tx, change int64) error {
	if len(b.heads) == 0 {
		for _, table := range []string{"heads", "vectors", "texts"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE id=?", b.id); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := tx.Exec("REPLACE INTO heads(id, change, data) VALUES(?,?,?)", b.id, change, sealed(encodeHeads(b.heads))); err != nil {
		return err
	}
	if _, err := tx.Exec("REPLACE INTO vectors(id, data) VALUES(?,?)", b.id, sealed(b.vectors)); err != nil {
		return err
	}
	_, err := tx.Exec("REPLACE INTO texts(id, data) VALUES(?,?)", b.id, sealed(encodeTexts(b.texts)))
	return err
}

// removePassages takes passages, by ascending ids, out of their blocks and notes
// for the segments that they are gone.
func removePassages(ctx context.Context, tx *sql.Tx, ids []int64, change int64) error {
	note, err := tx.Prepare("INSERT OR IGNORE INTO gone(id) VALUES(?)")
	if err != nil {
		return err
	}
	defer note.Close()
	for len(ids) > 0 {
		b, err := readBlock(ctx, tx, ids[0])
		if err != nil {
			return err
		}
		if b == nil {
			return errBlock
		}
		last, n := b.heads[len(b.heads)-1].id, 0
		for n < len(ids) && ids[n] <= last {
			if _, err := note.Exec(ids[n]); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return errBlock
		}
		b.keep(func(id int64) bool { _, gone := slices.BinarySearch(ids[:n], id); return !gone })
		if err := b.write(tx, change); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// readPassage is the statement of [passageReader].
const readPassage = "SELECT h.id, h.data, t.data FROM heads h JOIN texts t ON t.id=h.id WHERE h.id=(SELECT max(id) FROM heads WHERE id<=?)"

// passageReader reads passages in any order.
type passageReader struct{ *sql.Stmt }

// read returns what is shown of a passage; false if it is not there.
func (r passageReader) read(ctx context.Context, id int64) (shown, bool, error) {
	var block int64
	var heads, texts sealed
	err := r.QueryRowContext(ctx, id).Scan(&block, &heads, &texts)
	if errors.Is(err, sql.ErrNoRows) {
		return shown{}, false, nil
	}
	if err != nil {
		return shown{}, false, err
	}
	all, err := decodeHeads(heads)
	if err != nil {
		return shown{}, false, err
	}
	i := indexOf(all, id)
	if i < 0 {
		return shown{}, false, nil
	}
	found, err := decodeTexts(texts, len(all), i)
	if err != nil {
		return shown{}, false, err
	}
	return found[i], true, nil
}

// textReader reads passages by ascending ids, each block once.
type textReader struct {
	ctx context.Context
	tx  *sql.Tx
	b   *block
}

// read returns what is shown of a passage; false if it is not there.
func (r *textReader) read(id int64) (shown, bool, error) {
	if r.b == nil || id > r.b.heads[len(r.b.heads)-1].id {
		b, err := readHeads(r.ctx, r.tx, id)
		if err != nil || b == nil {
			return shown{}, false, err
		}
		if err := readTexts(r.ctx, r.tx, b); err != nil {
			return shown{}, false, err
		}
		r.b = b
	}
	i := indexOf(r.b.heads, id)
	if i < 0 {
		return shown{}, false, nil
	}
	return r.b.texts[i], true, nil
}
