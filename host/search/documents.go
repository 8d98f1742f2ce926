package search

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
)

// documentRow is a row of the table documents.
type documentRow struct {
	id              int64
	name, title     string
	hash            []byte
	stamp           string
	modified        int64  // seconds since 1970, 0 if it is not known
	fields          string // a JSON object
	first, passages int64  // id of the first passage, and how many there are
}

// documentColumns are what [documentRow.scan] reads.
const documentColumns = "id, name, title, hash, stamp, modified, fields, first, passages, sum"

// sum is the CRC-32C of a row without its id, which lies beside it: SQLite itself does
// not notice changed bytes. Where the id has changed, the row is not found.
func (d *documentRow) sum() int64 {
	return int64(crc32.Checksum(fmt.Appendf(nil, "%q %q %x %q %d %q %d %d", d.name, d.title, d.hash, d.stamp, d.modified, d.fields, d.first, d.passages), castagnoli))
}

// scan takes the columns of a row and compares the sum.
func (d *documentRow) scan(row interface{ Scan(...any) error }) error {
	var sum int64
	if err := row.Scan(&d.id, &d.name, &d.title, &d.hash, &d.stamp, &d.modified, &d.fields, &d.first, &d.passages, &sum); err != nil {
		return err
	}
	if sum != d.sum() {
		return errSealed
	}
	return nil
}

// insert writes a row whose id is not given yet.
func (d *documentRow) insert(tx *sql.Tx) error {
	inserted, err := tx.Exec("INSERT INTO documents(name, title, hash, stamp, modified, fields, first, passages, sum) VALUES(?,?,?,?,?,?,?,?,?)",
		d.name, d.title, d.hash, d.stamp, d.modified, d.fields, d.first, d.passages, d.sum())
	if err != nil {
		return err
	}
	d.id, err = inserted.LastInsertId()
	return err
}

// restamp changes what the caller keeps with a document.
func (d *documentRow) restamp(tx *sql.Tx, stamp string, modified int64) error {
	d.stamp, d.modified = stamp, modified
	_, err := tx.Exec("UPDATE documents SET stamp=?, modified=?, sum=? WHERE id=?", stamp, modified, d.sum(), d.id)
	return err
}

// documentReader reads rows by their id, or by their name.
type documentReader struct{ *sql.Stmt }

func documentsBy(ctx context.Context, tx *sql.Tx, column string) (documentReader, error) {
	read, err := tx.PrepareContext(ctx, "SELECT "+documentColumns+" FROM documents WHERE "+column+"=?")
	return documentReader{read}, err
}

// read returns a row, or [sql.ErrNoRows].
func (r documentReader) read(ctx context.Context, key any) (d documentRow, err error) {
	err = d.scan(r.QueryRowContext(ctx, key))
	return d, err
}
