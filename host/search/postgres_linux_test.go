package search

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"m2embed/core/passage"
	"m2embed/host/internal/hosttest"
)

func openPostgres(t *testing.T, address string, o Options) *Postgres {
	t.Helper()
	pg, err := OpenPostgres(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	return pg
}

// another is an empty schema of its own in the database.
func another(t *testing.T, address, name string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return address + "&search_path=" + name + ",public"
}

func TestPostgres(t *testing.T) {
	for _, p := range hosttest.PostgresPackages {
		t.Run(p.Vector, func(t *testing.T) { testPostgres(t, hosttest.Postgres(t, p), p.Vector) })
	}
}

func testPostgres(t *testing.T, address, vector string) {
	if _, err := OpenPostgres(t.Context(), address, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "holds no index") {
		t.Errorf("empty database: %v", err)
	}
	t.Run("finds", func(t *testing.T) {
		for name, o := range map[string]Options{"words": {}, "meaning": {Embedder: bag{}, Space: "bag"}} {
			pg := openPostgres(t, another(t, address, name), o)
			documents := append([]Document{}, notes...)
			documents[0].Headings = passage.Markdown(documents[0].Text)
			if a, err := pg.Add(t.Context(), documents...); err != nil || a.Documents != 5 || a.Passages < 5 {
				t.Fatalf("added %+v, %v", a, err)
			}
			for query, want := range map[string]string{
				"CRON_CHECK": "cron.md", "cron check": "cron.md", "port 5222": "cron.md", "10.0.0.1": "cron.md", "E0308": "rust.md",
				"user name": "rust.md", "getusername": "rust.md", `"turn the other cheek"`: "bible.txt", "turn the other cheek": "bible.txt",
				"harbours": "port.txt", "harb*": "port.txt", "cafe NAIVE": "naïve.txt", "nightly job": "cron.md", "übergrößen": "naïve.txt",
			} {
				a, err := pg.Query(t.Context(), query, Query{})
				if err != nil || len(a.Hits) == 0 || a.Hits[0].ID != want {
					t.Errorf("%s: %s: %v, %v, want %s first", name, query, a.Hits, err, want)
					continue
				}
				if h := a.Hits[0]; !h.Good || len(h.Marks) == 0 || h.Start < 0 || h.End-h.Start != len(h.Text) {
					t.Errorf("%s: %s: %+v", name, query, h)
				}
			}
			for _, c := range []struct {
				query string
				q     Query
				want  string
			}{
				{"port -wine", Query{All: true, Mode: Words}, "cron.md"},
				{`port -"wine is"`, Query{All: true, Mode: Words}, "cron.md"},
				{`"other cheeks"`, Query{}, ""},
				{`"port 5222" "nightly job"`, Query{}, ""}, // in two passages, see below
				{"port", Query{Fields: map[string]string{"kind": "manual"}}, "cron.md"},
				{"port", Query{Fields: map[string]string{"kind": "x\"y"}}, ""},
				{"port", Query{Fields: map[string]string{"kind'": "\x00"}}, ""},
				{"port", Query{Glob: "*.txt", Mode: Words}, "port.txt"},
				{"port cheek", Query{After: time.Unix(1500, 0), Mode: Words}, "bible.txt"},
				{"port cheek", Query{Before: time.Unix(1500, 0), Mode: Words}, "cron.md"},
				{"the", Query{Mode: Words, Glob: "bible*"}, "bible.txt"},
				{`"`, Query{Mode: Words}, ""}, {`-`, Query{Mode: Words}, ""}, {`"" AND NEAR( * ^ :`, Query{Mode: Words}, ""},
				{"\u0301* \u0301 \"\u0301\" \x00 ' \\ :* & | ! <->", Query{Mode: Words}, ""},
				{"zebra", Query{Mode: Words}, ""},
			} {
				if c.query == `"port 5222" "nightly job"` {
					if a, err := pg.Info(t.Context()); err != nil || a.Passages == 5 {
						c.want = "cron.md" // in one passage
					}
				}
				if found := ids(t, pg, c.query, c.q); found != c.want {
					t.Errorf("%s: %s %+v: %q, want %q", name, c.query, c.q, found, c.want)
				}
			}
			if name == "meaning" {
				if want := vector + "(64)"; pg.column != want {
					t.Errorf("vectors are %q, want %q", pg.column, want)
				}
				if found := ids(t, pg, "ships at night", Query{Mode: Meaning, Top: 1, All: true}); found != "port.txt" {
					t.Errorf("by meaning: %q", found)
				}
				if found := ids(t, pg, "ships at night", Query{Top: 10, All: true, Glob: "r*"}); found != "rust.md" {
					t.Errorf("by both, filtered: %q", found)
				}
			}
		}
	})
	t.Run("keeps", func(t *testing.T) {
		place := another(t, address, "keeps")
		pg := openPostgres(t, place, Options{Embedder: bag{}, Space: "bag", Model: "bag of words"})
		again := []Document{{ID: "a", Text: "old harbour"}, {ID: "a", Text: "new\x00 lighthouse \xff"}, {ID: "b", Text: ""}}
		if _, err := pg.Add(t.Context(), again...); err != nil {
			t.Fatal(err)
		}
		if a, err := pg.Add(t.Context(), again...); err != nil || a.Documents != 0 || a.Unchanged != 2 {
			t.Errorf("unchanged: %+v, %v", a, err)
		}
		if _, err := pg.Add(t.Context(), Document{ID: "a", Text: "newest windmill", Stamp: "7"}); err != nil {
			t.Fatal(err)
		}
		if found := ids(t, pg, "lighthouse harbour", Query{Mode: Words}); found != "" {
			t.Errorf("replaced text finds %q", found)
		}
		if found := ids(t, pg, "windmills", Query{}); found != "a" {
			t.Errorf("new text finds %q", found)
		}
		if s, err := pg.Stamps(t.Context()); err != nil || len(s) != 2 || s["a"] != "7" {
			t.Errorf("stamps %v, %v", s, err)
		}
		if n, err := pg.Remove(t.Context(), "a", "none"); err != nil || n != 1 {
			t.Errorf("removed %d, %v", n, err)
		}
		if i, err := pg.Info(t.Context()); err != nil || i.Documents != 1 || i.Passages != 0 || i.Model != "bag of words" || i.Bytes == 0 {
			t.Errorf("info %+v, %v", i, err)
		}
		for _, o := range []Options{{Embedder: bag{}, Space: "other"}, {Embedder: bag{}, Space: "other", ReadOnly: true}} {
			if _, err := OpenPostgres(t.Context(), place, o); !errors.Is(err, ErrSpace) {
				t.Errorf("another space: %v", err)
			}
		}
		if _, err := pg.Add(t.Context(), Document{ID: "bad\xff", Text: "x"}); err == nil {
			t.Error("an ID that is no UTF-8 was taken")
		}
		reader := openPostgres(t, place, Options{Embedder: bag{}, Space: "bag", ReadOnly: true})
		if _, err := reader.Add(t.Context(), Document{ID: "c", Text: "x"}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("add to a reader: %v", err)
		}
		if _, err := pg.pool.Exec(t.Context(), "UPDATE m2embed_meta SET value='99' WHERE key='format'"); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPostgres(t.Context(), place, Options{}); err == nil || !strings.Contains(err.Error(), `format "99"`) {
			t.Errorf("another format: %v", err)
		}
	})
	t.Run("together", func(t *testing.T) {
		place := another(t, address, "together")
		const writers, each = 4, 20
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				pg, err := OpenPostgres(t.Context(), place, Options{Embedder: bag{}, Space: "bag"})
				if err != nil {
					t.Error(err)
					return
				}
				defer pg.Close()
				for i := range each {
					if _, err := pg.Add(t.Context(), Document{ID: fmt.Sprint(w, " ", i), Text: fmt.Sprintf("harbour %d of lighthouse %d", i, w)}, Document{ID: "shared", Text: fmt.Sprint("mill ", w, " ", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		pg := openPostgres(t, place, Options{Embedder: bag{}, Space: "bag"})
		if i, err := pg.Info(t.Context()); err != nil || i.Documents != writers*each+1 || i.Passages != i.Documents {
			t.Errorf("%+v, %v", i, err)
		}
		if found := ids(t, pg, "harbour 13 lighthouse 2", Query{Top: 1}); found != "2 13" {
			t.Errorf("found %q", found)
		}
	})
	t.Run("lost", func(t *testing.T) {
		place := another(t, address, "lost")
		pg := openPostgres(t, place, Options{Embedder: bag{}, Space: "bag"})
		if _, err := pg.Add(t.Context(), notes...); err != nil {
			t.Fatal(err)
		}
		before, err := pg.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The server ends the connection in the middle of a transaction that has
		// written.
		err = pg.write(t.Context(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "DELETE FROM m2embed_documents"); err != nil {
				return err
			}
			var backend int
			if err := tx.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&backend); err != nil {
				return err
			}
			other, err := pgx.Connect(t.Context(), address)
			if err != nil {
				return err
			}
			defer other.Close(context.Background())
			if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend($1, 5000)", backend); err != nil {
				return err
			}
			_, err = tx.Exec(t.Context(), "SELECT 1")
			return err
		})
		if err = pg.failed("add to index", err); err == nil || !strings.Contains(err.Error(), "connection to the database was lost") {
			t.Errorf("lost connection: %v", err)
		}
		if after, err := pg.Info(t.Context()); err != nil || after.Passages != before.Passages || after.Documents != 5 {
			t.Errorf("afterwards %+v, %v, want %+v", after, err, before)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := pg.Add(ctx, Document{ID: "late", Text: "x"}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestPostgresAddress(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, address := range []string{
		"postgres://u:s3cret@" + closed.Addr().String() + "/db?sslmode=disable", "postgres://u:s3cret@host:port:x/db", "postgres://u:s3cret@h/db?sslmode=odd",
		"postgres://" + closed.Addr().String() + "/db?sslmode=disable&password=s3cret", "notes.db", "",
	} {
		pg, err := OpenPostgres(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, %v", address, pg, err)
		}
	}
	if u, err := url.Parse("postgres://a/b"); err != nil || !IsPostgres(u.String()) || IsPostgres("postgres") {
		t.Error("addresses are not told from files")
	}
}

func TestGlobRegexp(t *testing.T) {
	for glob, want := range map[string]string{
		"*.md": `^.*\.md$`, "a?[^x-z]": `^a.[^x-z]$`, "[]]": `^[\]]$`, `[\d]`: `^[\\d]$`, "[": "(?!)", "[^": "(?!)", "[^]": "(?!)", "": "^$", "é*": "^é.*$",
	} {
		if got := globRegexp(glob); got != want {
			t.Errorf("%s: %s, want %s", glob, got, want)
		}
	}
}
