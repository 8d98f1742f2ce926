package search

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
)

// mostPassages bounds what a damaged file can say of a document.
const mostPassages = 1 << 24

// writer changes the file, in one transaction.
type writer struct {
	ctx    context.Context
	tx     *sql.Tx
	number int64  // of the change
	next   int64  // id of the next passage
	open   *block // the last one
	words  batch
}

// change runs a transaction. The caller holds ix.writing.
func (ix *Index) change(ctx context.Context, do func(*writer) error) error {
	tx, err := ix.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &writer{ctx: ctx, tx: tx, words: batch{words: ix.stems}}
	err = tx.QueryRow("SELECT (SELECT value FROM meta WHERE key='change'), (SELECT value FROM meta WHERE key='next')").Scan(&w.number, &w.next)
	if err != nil {
		return err
	}
	if w.number++; w.number <= 1 || w.next < 1 {
		return errBlock
	}
	if err := do(w); err != nil {
		return err
	}
	if w.open != nil {
		if err := w.open.write(tx, w.number); err != nil {
			return err
		}
	}
	if err := w.words.write(tx); err != nil {
		return err
	}
	if err := tidy(tx); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE meta SET value=iif(key='next', ?, ?) WHERE key IN ('next', 'change')", w.next, w.number); err != nil {
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
	inserted, err := w.tx.Exec("INSERT INTO documents(name, title, hash, stamp, modified, fields, first, passages) VALUES(?,?,?,?,?,?,?,?)",
		d.ID, d.Title, hash, d.Stamp, seconds(d.Modified), string(fields), w.next, len(pieces))
	if err != nil {
		return err
	}
	document, err := inserted.LastInsertId()
	if err != nil {
		return err
	}
	for _, p := range pieces {
		s := shown{start: p.Start, line: p.line, page: p.page, heading: p.heading(), text: p.text}
		if err := w.room(s); err != nil {
			return err
		}
		n := w.words.add(w.next, [columns]string{p.text, d.Title + "\n" + p.Context(), parts(p.text)})
		w.open.heads = append(w.open.heads, head{w.next, document, n})
		w.open.texts = append(w.open.texts, s)
		w.open.vectors = append(w.open.vectors, p.vector...)
		w.next++
	}
	return nil
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
		if err := w.open.write(w.tx, w.number); err != nil {
			return err
		}
		w.open = &block{id: w.next}
	}
	return nil
}

// remove takes documents out and returns how many there were. It comes before add.
func (w *writer) remove(names []string) (removed int, err error) {
	var ids []int64
	known, err := w.tx.Prepare("SELECT id, first, passages FROM documents WHERE name=?")
	if err != nil {
		return 0, err
	}
	defer known.Close()
	for _, name := range names {
		var id, first, passages int64
		err := known.QueryRow(name).Scan(&id, &first, &passages)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if first < 1 || passages < 0 || passages > w.next-first || passages > mostPassages {
			return 0, errBlock
		}
		if _, err := w.tx.Exec("DELETE FROM documents WHERE id=?", id); err != nil {
			return 0, err
		}
		for i := range passages {
			ids = append(ids, first+i)
		}
		removed++
	}
	slices.Sort(ids)
	return removed, removePassages(w.ctx, w.tx, ids, w.number)
}
