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

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// format is the version of the schema; a file of another is refused.
const format = "1"

// application marks the file as an index, in SQLite's header.
const application = 0x6d32656d // "m2em"

const schema = `
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE documents(
	id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, title TEXT NOT NULL, hash BLOB NOT NULL,
	stamp TEXT NOT NULL, modified INTEGER NOT NULL, fields TEXT NOT NULL);
CREATE TABLE passages(
	id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
	line INTEGER NOT NULL, page INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL, vector BLOB);
CREATE INDEX passages_document ON passages(document);
CREATE VIRTUAL TABLE words USING fts5(text, heading, parts, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO words(words, rank) VALUES('rank', 'bm25(1.0, 0.7, 0.5)');
`

// Errors that a caller may want to tell apart.
var (
	// ErrSpace: the vectors of the index are of another model.
	ErrSpace = errors.New("the index holds vectors of another model")
	// ErrDamaged: the file is no index, or not a whole one.
	ErrDamaged = errors.New("not a whole index")
	// ErrReadOnly: the file or its folder cannot be written to.
	ErrReadOnly = errors.New("the index cannot be written to")
)

// openFile opens or makes the file.
func openFile(path string, readOnly bool) (*sql.DB, error) {
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
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	slashed := filepath.ToSlash(full)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive
	}
	values := url.Values{"_pragma": {"busy_timeout(20000)", "synchronous(full)", "cache_size(-16000)", "temp_store(memory)"}}
	if readOnly {
		values.Set("mode", "ro")
	} else {
		values["_pragma"] = append(values["_pragma"], "journal_mode(wal)")
		values.Set("_txlock", "immediate")
	}
	if immutable {
		values.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed, RawQuery: values.Encode()}).String())
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
			if _, err := tx.Exec("INSERT INTO meta VALUES('format', ?), ('space', ?), ('removals', '0')", format, ix.options.Space); err != nil {
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
	if err := ix.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name IN ('meta','documents','passages','words')").Scan(&found); err != nil {
		return explain(err)
	}
	if program != application || found != 4 {
		return fmt.Errorf("%w: a SQLite file of another program", ErrDamaged)
	}
	var version, space string
	if err := ix.db.QueryRowContext(ctx, "SELECT (SELECT value FROM meta WHERE key='format'), (SELECT value FROM meta WHERE key='space')").Scan(&version, &space); err != nil {
		return explain(err)
	}
	if version != format {
		return fmt.Errorf("the index has format %s, this program reads %s: make it anew", version, format)
	}
	if ix.options.Embedder != nil && space != ix.options.Space {
		return fmt.Errorf("%w: of %q, this is %q; index into a new file", ErrSpace, space, ix.options.Space)
	}
	ix.space = space
	return nil
}

// explain says in words what SQLite's codes mean for the user.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("SQLITE_BUSY") || has("database is locked"):
		return fmt.Errorf("another process has been writing to the index for 20 seconds; try again later: %w", err)
	case has("SQLITE_FULL") || has("disk is full"):
		return fmt.Errorf("the disk is full; what was indexed before is kept: %w", err)
	case has("readonly") || has("READONLY") || has("unable to open database file"):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case has("malformed") || has("not a database") || has("CORRUPT"):
		return fmt.Errorf("%w, the file is damaged; delete it and index anew: %w", ErrDamaged, err)
	}
	return err
}
