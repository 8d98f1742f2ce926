package search

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
)

// mostPassages bounds what a damaged file can say of a document.
const mostPassages = 1 << 24

// tally is what meta counts.
type tally struct {
	change   int64 // number of the last change
	next     int64 // id of the next passage
	passages int64 // that are there
	segments int64
}

func readTally(ctx context.Context, tx *sql.Tx) (t tally, err error) {
	err = tx.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key='change'), (SELECT value FROM meta WHERE key='next'),
		(SELECT value FROM meta WHERE key='passages'), (SELECT value FROM meta WHERE key='segments')`).Scan(&t.change, &t.next, &t.passages, &t.segments)
	return t, err
}

func (t *tally) write(tx *sql.Tx) error {
	_, err := tx.Exec("REPLACE INTO meta(key, value) VALUES('change', ?), ('next', ?), ('passages', ?), ('segments', ?)", t.change, t.next, t.passages, t.segments)
	return err
}

func countSegments(tx *sql.Tx) (n int64, err error) {
	err = tx.QueryRow("SELECT count(*) FROM segments").Scan(&n)
	return n, err
}

// writer changes the file, in one transaction.
type writer struct {
	ctx   context.Context
	tx    *sql.Tx
	tally        // as it will be
	open  *block // the last one
	words batch
}

// change runs a transaction. The caller holds ix.writing.
func (ix *Index) change(ctx context.Context, do func(*writer) error) error {
	tx, err := ix.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &writer{ctx: ctx, tx: tx, words: batch{words: ix.stems}}
	if w.tally, err = readTally(ctx, tx); err != nil {
		return err
	}
	if n, err := countSegments(tx); err != nil || n != w.segments {
		return cmp.Or(err, errSealed)
	}
	if w.change++; w.change <= 1 || w.next < 1 {
		return errBlock
	}
	if err := do(w); err != nil {
		return err
	}
	if w.open != nil {
		if err := w.open.write(tx, w.change); err != nil {
			return err
		}
	}
	if err := w.words.write(tx); err != nil {
		return err
	}
	if err := tidy(tx); err != nil {
		return err
	}
	if w.segments, err = countSegments(tx); err != nil {
		return err
	}
	if err := w.tally.write(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// add writes a document that is not there.
func (w *writer) add(d *Document, hash []byte, pieces []piece) error {
	fields, err := json.Marshal(d.Fields)
	if err != nil {
		return err
	}
	row := documentRow{name: d.ID, title: d.Title, hash: hash, stamp: d.Stamp, modified: seconds(d.Modified), fields: string(fields), first: w.next, passages: int64(len(pieces))}
	if err := row.insert(w.tx); err != nil {
		return err
	}
	turns := turner{document: d}
	for _, p := range pieces {
		p.turns = turns.of(&p)
		if err := w.room(p.shown); err != nil {
			return err
		}
		n := w.words.add(w.next, [columns]string{p.text, d.Title + "\n" + p.Context(), parts(p.text)})
		w.open.heads = append(w.open.heads, head{w.next, row.id, n})
		w.open.texts = append(w.open.texts, p.shown)
		w.open.vectors = append(w.open.vectors, p.vector...)
		w.next++
	}
	w.passages += int64(len(pieces))
	return nil
}

// restamp notes what the caller keeps with a document whose text is the same. One
// that another process has removed since stays so.
func (w *writer) restamp(d *Document) error {
	known, err := documentsBy(w.ctx, w.tx, "name")
	if err != nil {
		return err
	}
	defer known.Close()
	row, err := known.read(w.ctx, d.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return row.restamp(w.tx, d.Stamp, seconds(d.Modified))
}

// room sees to it that the open block takes a passage.
func (w *writer) room(s shown) error {
	if w.open == nil {
		b, err := readBlock(w.ctx, w.tx, w.next)
		if err != nil {
			return err
		}
		if b == nil {
			b = &block{id: w.next}
		}
		w.open = b
	}
	if w.open.full(s) {
		if err := w.open.write(w.tx, w.change); err != nil {
			return err
		}
		w.open = &block{id: w.next}
	}
	return nil
}

// remove takes documents out and returns how many there were. It comes before add.
func (w *writer) remove(names []string) (removed int, err error) {
	var ids []int64
	known, err := documentsBy(w.ctx, w.tx, "name")
	if err != nil {
		return 0, err
	}
	defer known.Close()
	for _, name := range names {
		d, err := known.read(w.ctx, name)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if d.first < 1 || d.passages < 0 || d.passages > w.next-d.first || d.passages > mostPassages {
			return 0, errBlock
		}
		if _, err := w.tx.Exec("DELETE FROM documents WHERE id=?", d.id); err != nil {
			return 0, err
		}
		for i := range d.passages {
			ids = append(ids, d.first+i)
		}
		w.passages -= d.passages
		removed++
	}
	slices.Sort(ids)
	return removed, removePassages(w.ctx, w.tx, ids, w.change)
}
