package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgvector/pgvector-go"
	pgxvector "github.com/pgvector/pgvector-go/pgx"
)

// Postgres is an index in a PostgreSQL database that has the extension pgvector. It
// holds the same documents and passages as an [Index], and answers the same queries
// by one statement each; what differs in the ranking, [Postgres.Query] says. It is
// safe for concurrent use, and many processes may write to one database.
type Postgres struct {
	place   string // the address without its password
	options Options
	pool    *pgxpool.Pool
	space   string // of the database
	model   string
	column  string // type of the vectors, "" for words alone
}

// postgresFormat is the version of the tables; those of another are refused.
const postgresFormat = "2"

// postgresLock is taken, for one transaction, by whoever writes.
const postgresLock = 0x6d32656d // "m2em"

const postgresSchema = `
CREATE TABLE m2embed_meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE m2embed_documents(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE NOT NULL, title text NOT NULL, hash bytea NOT NULL,
	stamp text NOT NULL, modified bigint NOT NULL, fields jsonb NOT NULL);
CREATE TABLE m2embed_passages(
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document bigint NOT NULL REFERENCES m2embed_documents ON DELETE CASCADE,
	start bigint NOT NULL, stop bigint NOT NULL, line bigint NOT NULL, page bigint NOT NULL, heading text NOT NULL, text text NOT NULL,
	turns jsonb NOT NULL, one_line boolean NOT NULL,
	words tsvector NOT NULL, exact tsvector NOT NULL, draw integer NOT NULL);
CREATE INDEX m2embed_passages_document ON m2embed_passages(document);
CREATE INDEX m2embed_passages_words ON m2embed_passages USING gin(words);
CREATE INDEX m2embed_passages_exact ON m2embed_passages USING gin(exact);
CREATE INDEX m2embed_passages_draw ON m2embed_passages(draw, id);
`

// Store is an index wherever it is kept: an [Index] or a [Postgres].
type Store interface {
	Add(ctx context.Context, documents ...Document) (Added, error)
	Remove(ctx context.Context, ids ...string) (int, error)
	Query(ctx context.Context, query string, q Query) (Answer, error)
	Stamps(ctx context.Context) (map[string]string, error)
	Info(ctx context.Context) (Info, error)
	Close() error
}

// OpenStore opens, or makes, the index in a database where place is the address of
// one, and in a file otherwise.
func OpenStore(ctx context.Context, place string, o Options) (Store, error) {
	if IsPostgres(place) {
		pg, err := OpenPostgres(ctx, place, o)
		if err != nil {
			return nil, err // no nil in an interface
		}
		return pg, nil
	}
	ix, err := Open(place, o)
	if err != nil {
		return nil, err
	}
	return ix, nil
}

// IsPostgres reports whether a place for an index is the address of a database and
// no file.
func IsPostgres(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// OpenPostgres opens the index in a database, or makes one: tables whose names begin
// with m2embed_, in the first schema of the connection's search_path. Address is a
// connection URL, postgres://user:password@host:port/database?sslmode=…; passwords
// may also come from ~/.pgpass and PGPASSWORD.
//
// # Errors
//
// [ErrSpace], [ErrDamaged] and [ErrReadOnly] wrapped with what was found; no message
// holds the password.
func OpenPostgres(ctx context.Context, address string, o Options) (*Postgres, error) {
	u, err := url.Parse(address)
	if err != nil || !IsPostgres(address) {
		return nil, errors.New("open index: want an address as postgres://user@host:5432/database")
	}
	u.RawQuery = "" // it may hold a password, too
	pg := &Postgres{place: u.Redacted(), options: o}
	if err := pg.open(ctx, address); err != nil {
		return nil, pg.failed("open index", err)
	}
	return pg, nil
}

func (pg *Postgres) open(ctx context.Context, address string) error {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return err
	}
	config.MaxConns = min(config.MaxConns, 4)
	config.ConnConfig.RuntimeParams["application_name"] = "m2embed"
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		var has bool
		if err := c.QueryRow(ctx, "SELECT to_regtype('vector') IS NOT NULL").Scan(&has); err != nil || !has {
			return err
		}
		return pgxvector.RegisterTypes(ctx, c)
	}
	if pg.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if err := pg.prepare(ctx); err != nil {
		pg.pool.Close()
		return err
	}
	return nil
}

// prepare makes the tables in a new database and checks those of an old one.
func (pg *Postgres) prepare(ctx context.Context) error {
	if !pg.options.ReadOnly {
		if err := pg.create(ctx); err != nil {
			return err
		}
		pg.pool.Reset() // a connection that made the extension does not know its types yet
	}
	var there bool
	if err := pg.pool.QueryRow(ctx, "SELECT to_regclass('m2embed_meta') IS NOT NULL").Scan(&there); err != nil {
		return err
	}
	if !there {
		return errors.New("the database holds no index; make one with m2embed index")
	}
	var version string
	err := pg.pool.QueryRow(ctx, `SELECT coalesce((SELECT value FROM m2embed_meta WHERE key='format'), ''), coalesce((SELECT value FROM m2embed_meta WHERE key='space'), ''),
		coalesce((SELECT value FROM m2embed_meta WHERE key='model'), ''), coalesce((SELECT value FROM m2embed_meta WHERE key='vector'), '')`).Scan(&version, &pg.space, &pg.model, &pg.column)
	if err != nil {
		return err
	}
	if version != postgresFormat {
		return fmt.Errorf("the index has format %.20q, this program reads %s: drop the tables m2embed_* and index anew", version, postgresFormat)
	}
	if pg.options.Embedder != nil && pg.space != pg.options.Space {
		return pg.options.otherSpace(pg.space, pg.model)
	}
	return nil
}

// create makes the tables where there are none. The width of the vectors is that of
// one the embedder makes.
func (pg *Postgres) create(ctx context.Context) error {
	return pg.write(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('m2embed_meta') IS NOT NULL").Scan(&there); err != nil || there {
			return err
		}
		if _, err := tx.Exec(ctx, postgresSchema); err != nil {
			return err
		}
		column := ""
		if pg.options.Embedder != nil {
			vectors, err := pg.options.Embedder.Embed(ctx, "width")
			if err != nil {
				return err
			}
			if len(vectors) != 1 || len(vectors[0]) == 0 {
				return errors.New("the embedder made no vector")
			}
			if column, err = createVectors(ctx, tx, len(vectors[0])); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO m2embed_meta VALUES('format', $1), ('space', $2), ('model', $3), ('vector', $4)",
			postgresFormat, pg.options.Space, pg.options.Model, column)
		return err
	})
}

// createVectors adds the column of vectors and its HNSW index: halfvec where
// pgvector has it, as 16 bits keep more of a vector than any ranking sees. Vectors
// wider than HNSW takes are scanned.
func createVectors(ctx context.Context, tx pgx.Tx, width int) (column string, err error) {
	var half bool
	err = tx.QueryRow(ctx, "SELECT true FROM pg_extension WHERE extname='vector'").Scan(&half)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = tx.Exec(ctx, "CREATE EXTENSION vector")
	}
	if err != nil {
		return "", err
	}
	if err := tx.QueryRow(ctx, "SELECT to_regtype('halfvec') IS NOT NULL").Scan(&half); err != nil {
		return "", err
	}
	kind, widest := "vector", 2000
	if half {
		kind, widest = "halfvec", 4000
	}
	column = fmt.Sprintf("%s(%d)", kind, width)
	if _, err := tx.Exec(ctx, "ALTER TABLE m2embed_passages ADD COLUMN vector "+column); err != nil {
		return "", err
	}
	if width <= widest {
		_, err = tx.Exec(ctx, "CREATE INDEX m2embed_passages_vector ON m2embed_passages USING hnsw(vector "+kind+"_cosine_ops)")
	}
	return column, err
}

// write runs a transaction that no other writer runs beside.
func (pg *Postgres) write(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pg.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", postgresLock); err != nil {
			return err
		}
		return do(tx)
	})
}

// Close ends the connections. No call may be under way.
func (pg *Postgres) Close() error {
	pg.pool.Close()
	return nil
}

// Info counts. Bytes are those of the tables and their indexes.
func (pg *Postgres) Info(ctx context.Context) (Info, error) {
	i := Info{Space: pg.space, Model: pg.model}
	err := pg.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM m2embed_documents), (SELECT count(*) FROM m2embed_passages),
		pg_total_relation_size('m2embed_documents') + pg_total_relation_size('m2embed_passages')`).Scan(&i.Documents, &i.Passages, &i.Bytes)
	return i, pg.failed("read index", err)
}

// Stamps returns the stamp of each document by its ID.
func (pg *Postgres) Stamps(ctx context.Context) (map[string]string, error) {
	stamps := map[string]string{}
	rows, err := pg.pool.Query(ctx, "SELECT name, stamp FROM m2embed_documents")
	if err == nil {
		var name, stamp string
		_, err = pgx.ForEachRow(rows, []any{&name, &stamp}, func() error { stamps[name] = stamp; return nil })
	}
	return stamps, pg.failed("read index", err)
}

// Remove takes documents out of the index and returns how many there were.
func (pg *Postgres) Remove(ctx context.Context, ids ...string) (removed int, err error) {
	err = pg.write(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, "DELETE FROM m2embed_documents WHERE name = ANY($1)", ids)
		removed = int(done.RowsAffected())
		return err
	})
	if err != nil {
		return 0, pg.failed("remove from index", err)
	}
	return removed, nil
}

// Add puts documents into the index, all or none; those of unchanged text and
// fields cost nothing. They are embedded before the transaction begins. Of documents
// with the same ID the last counts.
func (pg *Postgres) Add(ctx context.Context, documents ...Document) (Added, error) {
	added, err := pg.add(ctx, documents)
	if err != nil {
		return Added{}, pg.failed("add to index", err)
	}
	return added, nil
}

func (pg *Postgres) add(ctx context.Context, documents []Document) (Added, error) {
	if pg.options.ReadOnly {
		return Added{}, fmt.Errorf("%w: it was opened for reading", ErrReadOnly)
	}
	if pg.space != pg.options.Space {
		return Added{}, pg.options.otherSpace(pg.space, pg.model)
	}
	documents, err := storable(documents)
	if err != nil {
		return Added{}, err
	}
	names := make([]string, len(documents))
	for i, d := range documents {
		names[i] = d.ID
	}
	old := map[string]string{}
	rows, err := pg.pool.Query(ctx, "SELECT name, hash FROM m2embed_documents WHERE name = ANY($1)", names)
	if err != nil {
		return Added{}, err
	}
	var name string
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&name, &hash}, func() error { old[name] = string(hash); return nil }); err != nil {
		return Added{}, err
	}
	var added Added
	var pieces []piece
	var vectors [][]float32
	hashes := make([][]byte, len(documents))
	for i := range documents {
		hashes[i] = pg.options.hash(&documents[i])
		if old[documents[i].ID] == string(hashes[i]) {
			added.Unchanged++
			continue
		}
		cut := pg.options.cut(i, &documents[i])
		pieces = append(pieces, cut...)
		added.Documents++
		added.Passages += len(cut)
	}
	err = pg.options.embed(ctx, documents, pieces, func(_ *piece, v []float32) error {
		v, err := unit(v)
		vectors = append(vectors, v)
		return err
	})
	if err != nil {
		return Added{}, err
	}
	return added, pg.write(ctx, func(tx pgx.Tx) error {
		ids, err := upsert(ctx, tx, documents, hashes, old)
		if err != nil || len(ids) == 0 {
			return err
		}
		return pg.copyPassages(ctx, tx, documents, ids, pieces, vectors)
	})
}

// storable are documents of text that PostgreSQL takes: UTF-8 without NUL, which
// becomes a space. Where an ID comes twice, it is the last.
func storable(documents []Document) ([]Document, error) {
	last := map[string]int{}
	for i, d := range documents {
		if d.ID == "" || !utf8.ValidString(d.ID) || strings.Contains(d.ID, "\x00") {
			return nil, fmt.Errorf("document %d has the ID %.200q, want one of UTF-8 without NUL", i, d.ID)
		}
		last[d.ID] = i
	}
	var kept []Document
	for i, d := range documents {
		if last[d.ID] != i {
			continue
		}
		d.Text, d.Title, d.Stamp = clean(d.Text), clean(d.Title), clean(d.Stamp)
		fields := make(map[string]string, len(d.Fields))
		for key, value := range d.Fields {
			fields[clean(key)] = clean(value)
		}
		d.Fields = fields
		d.Headings = slices.Clone(d.Headings)
		for i := range d.Headings {
			d.Headings[i].Title = clean(d.Headings[i].Title)
		}
		kept = append(kept, d)
	}
	return kept, nil
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", " ")
}

// unit scales a vector to length 1; that of a zero vector is nil.
func unit(v []float32) ([]float32, error) {
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	if math.IsNaN(squares) || math.IsInf(squares, 0) {
		return nil, errors.New("a vector is not finite")
	}
	if squares == 0 {
		return nil, nil
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(squares))
	}
	return out, nil
}

// upsert writes documents, without their passages, and returns the ids of those
// whose passages are to be written, by their number.
func upsert(ctx context.Context, tx pgx.Tx, documents []Document, hashes [][]byte, old map[string]string) (map[int]int64, error) {
	ids := map[int]int64{}
	var changed []int64
	batch := &pgx.Batch{}
	for i, d := range documents {
		if old[d.ID] == string(hashes[i]) {
			batch.Queue("UPDATE m2embed_documents SET stamp=$1, modified=$2 WHERE name=$3", d.Stamp, seconds(d.Modified), d.ID)
			continue
		}
		fields, err := json.Marshal(d.Fields)
		if err != nil {
			return nil, err
		}
		batch.Queue(`INSERT INTO m2embed_documents(name, title, hash, stamp, modified, fields) VALUES($1,$2,$3,$4,$5,$6)
			ON CONFLICT(name) DO UPDATE SET title=excluded.title, hash=excluded.hash, stamp=excluded.stamp, modified=excluded.modified, fields=excluded.fields
			RETURNING id`, d.ID, d.Title, hashes[i], d.Stamp, seconds(d.Modified), string(fields)).QueryRow(func(row pgx.Row) error {
			var id int64
			if err := row.Scan(&id); err != nil {
				return err
			}
			ids[i] = id
			changed = append(changed, id)
			return nil
		})
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	_, err := tx.Exec(ctx, "DELETE FROM m2embed_passages WHERE document = ANY($1)", changed)
	return ids, err
}

// copyPassages writes passages with COPY, into a table from which the server makes
// their words.
func (pg *Postgres) copyPassages(ctx context.Context, tx pgx.Tx, documents []Document, ids map[int]int64, pieces []piece, vectors [][]float32) error {
	columns := []string{"document", "start", "stop", "line", "page", "heading", "text", "turns", "one_line", "body", "above", "parts"}
	table := `CREATE TEMP TABLE m2embed_incoming(number bigint GENERATED ALWAYS AS IDENTITY, document bigint, start bigint, stop bigint, line bigint, page bigint,
		heading text, text text, turns jsonb, one_line boolean, body text, above text, parts text`
	into, from := "", ""
	if pg.column != "" {
		columns, table = append(columns, "vector"), table+", vector vector"
		into, from = ", vector", ", vector::"+pg.column
	}
	if _, err := tx.Exec(ctx, table+") ON COMMIT DROP"); err != nil {
		return err
	}
	at := 0
	var found turner
	source := pgx.CopyFromFunc(func() ([]any, error) {
		if at == len(pieces) {
			return nil, nil
		}
		p, d := &pieces[at], &documents[pieces[at].document]
		if found.document != d {
			found = turner{document: d}
		}
		turns, err := json.Marshal(found.of(p))
		if err != nil {
			return nil, err
		}
		row := []any{ids[p.document], p.Start, p.End, p.line, p.page, p.heading, p.text, string(turns), p.oneLine,
			foldedText(p.text), foldedText(d.Title + "\n" + p.Context()), foldedText(parts(p.text))}
		if pg.column != "" {
			var v any
			if vectors[at] != nil {
				v = pgvector.NewVector(vectors[at])
			}
			row = append(row, v)
		}
		at++
		return row, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"m2embed_incoming"}, columns, source); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO m2embed_passages(document, start, stop, line, page, heading, text, turns, one_line, words, exact, draw`+into+`)
		SELECT document, start, stop, line, page, heading, text, turns, one_line,
			setweight(to_tsvector('english', body), 'A') || setweight(to_tsvector('english', above), 'B') || setweight(to_tsvector('english', parts), 'C'),
			setweight(to_tsvector('simple', body), 'A') || setweight(to_tsvector('simple', above), 'B'),
			hashtext(text)`+from+` FROM m2embed_incoming ORDER BY number`)
	return err
}

// foldedText are the words of a text as the server is to know them, in queries and
// in passages alike: its own parser would take addresses and numbers apart in its
// way.
func foldedText(text string) string { return strings.Join(folded(text), " ") }

// failed says in words what an error of the database means for the user.
func (pg *Postgres) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, pg.place, explainPostgres(err))
}

func explainPostgres(err error) error {
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &server):
		switch server.Code {
		case "28P01", "28000":
			return fmt.Errorf("the database refuses the user or the password: %w", err)
		case "42501":
			return fmt.Errorf("the user may not do this in the database: %w", err)
		case "25006":
			return fmt.Errorf("%w, the database takes no changes: %w", ErrReadOnly, err)
		case "53100":
			return fmt.Errorf("%w, what was indexed before is kept: %w", ErrFull, err)
		case "0A000", "58P01":
			if strings.Contains(server.Message, "extension") {
				return fmt.Errorf("the server has no pgvector; install it there (package postgresql-…-pgvector): %w", err)
			}
		case "42P01", "42703":
			return fmt.Errorf("%w, a table or a column is gone; drop the tables m2embed_* and index anew: %w", ErrDamaged, err)
		case "57P01", "57P02", "57P03", "08006":
			return lostPostgres(err)
		}
	case errors.As(err, &connecting):
		return fmt.Errorf("no connection to the database: %w", err)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "conn closed"):
		return lostPostgres(err)
	}
	return err
}

func lostPostgres(err error) error {
	return fmt.Errorf("the connection to the database was lost; what was indexed before is kept: %w", err)
}
