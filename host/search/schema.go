package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// format is the version of the schema; a file of another is refused.
const format = "4"

// patience is how many seconds a writer waits for another.
const patience = 20

// application marks the file as an index, in SQLite's header.
const application = 0x6d32656d // "m2em"

// schema has passages in blocks (see [block]) and their words in segments (see
// [segment]). Each change of the passages has a number, meta's "change"; documents
// have the id of their first passage, and how many. SQLite does not notice changed
// bytes: what is packed is [sealed], rows of documents and segments have a sum, and
// meta has how many passages and segments there must be.
const schema = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents(
	id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, title TEXT NOT NULL, hash BLOB NOT NULL, stamp TEXT NOT NULL,
	modified INTEGER NOT NULL, fields TEXT NOT NULL, first INTEGER NOT NULL, passages INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE heads(id INTEGER PRIMARY KEY, change INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE vectors(id INTEGER PRIMARY KEY, data BLOB);
CREATE TABLE texts(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE segments(
	id INTEGER PRIMARY KEY AUTOINCREMENT, level INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	passages INTEGER NOT NULL, bytes INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE chunks(id INTEGER PRIMARY KEY AUTOINCREMENT, segment INTEGER NOT NULL, first BLOB NOT NULL, docs BLOB NOT NULL, positions BLOB NOT NULL);
CREATE INDEX chunks_segment ON chunks(segment, first);
CREATE TABLE gone(id INTEGER PRIMARY KEY);
`

// Errors that a caller may want to tell apart.
var (
	// ErrSpace: the vectors of the index are of another model.
	ErrSpace = errors.New("the index holds vectors of another model")
	// ErrDamaged: the file is no index, or not a whole one.
	ErrDamaged = errors.New("not a whole index")
	// ErrReadOnly: the file or its folder cannot be written to.
	ErrReadOnly = errors.New("the index cannot be written to")
	// ErrFormat: the index is of another version of this program.
	ErrFormat = errors.New("the index is of another version")
	// ErrFull: there is no room for what was to be added.
	ErrFull = errors.New("the disk is full")
)

// openFile opens or makes the file; one without a name is in memory.
func openFile(path string, readOnly bool) (*sql.DB, error) {
	if path == "" {
		db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate&_pragma=temp_store(memory)")
		if err == nil {
			db.SetMaxOpenConns(1) // each would have a memory of its own
		}
		return db, err
	}
	stat, err := os.Stat(path)
	switch {
	case err == nil && stat.IsDir():
		return nil, errors.New("it is a folder, want a file")
	case err != nil && (readOnly || !errors.Is(err, os.ErrNotExist)):
		return nil, err
	case err == nil && stat.Size() > 0:
		if err := checkHeader(path); err != nil {
			return nil, err
		}
	case !readOnly:
		if err := begin(path); err != nil {
			return nil, explain(err)
		}
	}
	db, err := connect(path, readOnly, false)
	if err != nil && readOnly {
		// Where no shared memory can be made beside it, nobody writes to it either.
		if _, e := os.Stat(path + "-wal"); errors.Is(e, os.ErrNotExist) {
			db, err = connect(path, true, true)
		}
	}
	return db, err
}

// begin makes an empty file from which free pages can be given back; that is settled
// before there are tables.
func begin(path string) error {
	db, err := sql.Open("sqlite", fileURL(path, url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience*1000)}}))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec("PRAGMA auto_vacuum=incremental; PRAGMA journal_mode=wal")
	return errors.Join(err, db.Close())
}

// fileURL names a file for SQLite.
func fileURL(path string, values url.Values) string {
	slashed := filepath.ToSlash(path)
	if full, err := filepath.Abs(path); err == nil {
		slashed = filepath.ToSlash(full)
	}
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: values.Encode()}).String()
}

// checkHeader refuses what is no SQLite file before SQLite touches it.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [16]byte
	if n, _ := f.Read(head[:]); string(head[:n]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: the file does not begin as SQLite's do", ErrDamaged)
	}
	return nil
}

func connect(path string, readOnly, immutable bool) (*sql.DB, error) {
	values := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience*1000), "synchronous(full)", "cache_size(-16000)", "temp_store(memory)"}}
	if readOnly {
		values.Set("mode", "ro")
	} else {
		values["_pragma"] = append(values["_pragma"], "journal_mode(wal)")
		values.Set("_txlock", "immediate")
	}
	if immutable {
		values.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", fileURL(path, values))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

// prepare makes the schema in a new file and checks that of an old one.
func (ix *Index) prepare(ctx context.Context) error {
	if !ix.options.ReadOnly {
		tx, err := ix.db.BeginTx(ctx, nil)
		if err != nil {
			return explain(err)
		}
		defer tx.Rollback()
		var tables int
		if err := tx.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
			return explain(err)
		}
		if tables == 0 {
			if _, err := tx.Exec(schema + fmt.Sprintf("PRAGMA application_id=%d;", application)); err != nil {
				return explain(err)
			}
			if _, err := tx.Exec("INSERT INTO meta VALUES('format', ?), ('space', ?), ('model', ?), ('change', 1), ('next', 1), ('passages', 0), ('segments', 0)", format, ix.options.Space, ix.options.Model); err != nil {
				return explain(err)
			}
			if err := tx.Commit(); err != nil {
				return explain(err)
			}
		}
	}
	var program, found int
	if err := ix.db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&program); err != nil {
		return explain(err)
	}
	if err := ix.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name IN ('meta','documents')").Scan(&found); err != nil {
		return explain(err)
	}
	if program != application || found != 2 {
		return fmt.Errorf("%w: a SQLite file of another program", ErrDamaged)
	}
	var version, space, model string
	if err := ix.db.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE key='format'), ''), coalesce((SELECT value FROM meta WHERE key='space'), ''),
		coalesce((SELECT value FROM meta WHERE key='model'), '')`).Scan(&version, &space, &model); err != nil {
		return explain(err)
	}
	if version != format {
		return fmt.Errorf("%w: its format is %.20q, this program reads %s; delete it and index anew", ErrFormat, version, format)
	}
	if err := ix.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name IN ('heads','vectors','texts','segments','chunks','gone')").Scan(&found); err != nil {
		return explain(err)
	}
	if found != 6 {
		return fmt.Errorf("%w: tables are missing", ErrDamaged)
	}
	ix.space, ix.model = space, model
	if ix.options.Embedder != nil && space != ix.options.Space {
		return ix.options.otherSpace(ix.space, ix.model)
	}
	return nil
}

// otherSpace says whose vectors are in the index, and whose were to come.
func (o *Options) otherSpace(space, model string) error {
	if space == "" {
		return fmt.Errorf("%w: it was made without a model, of words alone; index into a new file", ErrSpace)
	}
	if o.Space == "" {
		return fmt.Errorf("%w: of %s; open it with that model", ErrSpace, spaceName(model, space))
	}
	return fmt.Errorf("%w: of %s, this is %s; open it with that model, or index into a new file", ErrSpace, spaceName(model, space), spaceName(o.Model, o.Space))
}

func spaceName(model, space string) string {
	if model == "" {
		return "space " + space
	}
	return model + " (space " + space + ")"
}

// explained is an error that has its words already.
type explained struct{ error }

func (e explained) Unwrap() error { return e.error }

// explain says in words what SQLite's codes mean for the user.
func explain(err error) error {
	if err != nil && (errors.Is(err, errSealed) || strings.Contains(err.Error(), "sql: Scan error")) {
		return errSealed // without database/sql's words: a value of another type, too, is none that was written
	}
	var e *sqlite.Error
	if !errors.As(err, &e) || errors.As(err, new(explained)) {
		return err
	}
	code := e.Code() & 0xff
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		code = sqlite3.SQLITE_FULL // for what lies beside the file
	}
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		err = fmt.Errorf("another process has been writing to the index for %d seconds; try again later: %w", patience, err)
	case sqlite3.SQLITE_FULL:
		err = fmt.Errorf("%w; what was indexed before is kept: %w", ErrFull, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		err = fmt.Errorf("%w; neither the file nor its folder may be read-only: %w", ErrReadOnly, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		err = fmt.Errorf("%w, the file is damaged; delete it and index anew: %w", ErrDamaged, err)
	case sqlite3.SQLITE_IOERR:
		err = fmt.Errorf("the disk could not be read or written: %w", err)
	}
	return explained{err}
}
