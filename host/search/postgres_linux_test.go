package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
			find(t, name, pg)
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
	t.Run("lost", func(t *testing.T) { testLostConnection(t, address) })
}

// testLostConnection has the server end the connection while it adds and while it
// searches, at a place of its own choice and at any moment.
func testLostConnection(t *testing.T, address string) {
	place := another(t, address, "lost")
	pg := openPostgres(t, place, Options{Embedder: bag{}, Space: "bag"})
	if _, err := pg.Add(t.Context(), notes...); err != nil {
		t.Fatal(err)
	}
	before, err := pg.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := func(what string, err error) {
		t.Helper()
		if err == nil || strings.Count(err.Error(), "the connection to the database was lost") != 1 || len(err.Error()) > 400 {
			t.Errorf("%s: %v", what, err)
		}
	}
	admin, err := pgx.Connect(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	terminate := func(which string) (ended int) {
		t.Helper()
		if err := admin.QueryRow(t.Context(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name='m2embed'"+which).Scan(&ended); err != nil {
			t.Error(err)
		}
		return ended
	}
	// waiting runs what waits for another's lock, and ends its connection there.
	waiting := func(lock string, do func() error) error {
		t.Helper()
		other, err := pgx.Connect(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close(context.Background())
		if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE m2embed_passages IN "+lock+" MODE"); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() { failed <- do() }()
		for deadline := time.Now().Add(time.Minute); terminate(" AND wait_event_type='Lock'") == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		return <-failed
	}
	changed := append([]Document{{ID: "new", Text: "A lighthouse."}}, notes...)
	changed[1].Text = "Another text."
	lost("add", waiting("SHARE", func() error { _, err := pg.Add(t.Context(), changed...); return err }))
	lost("remove", waiting("SHARE", func() error { _, err := pg.Remove(t.Context(), "cron.md", "rust.md"); return err }))
	lost("search", waiting("ACCESS EXCLUSIVE", func() error { _, err := pg.Query(t.Context(), "harbour", Query{}); return err }))
	if after, err := pg.Info(t.Context()); err != nil || after.Documents != before.Documents || after.Passages != before.Passages {
		t.Errorf("afterwards %+v, %v, want %+v", after, err, before)
	}
	if found := ids(t, pg, "CRON_CHECK", Query{Top: 1}); found != "cron.md" {
		t.Errorf("afterwards %q is found", found)
	}
	if a, err := pg.Add(t.Context(), changed...); err != nil || a.Documents != 2 || a.Unchanged != 4 {
		t.Errorf("the same again: %+v, %v", a, err)
	}

	r := rand.New(rand.NewPCG(1, 2))
	documents := make([]Document, 30)
	ended := 0
	for i := range 40 {
		for k := range documents {
			documents[k] = Document{ID: fmt.Sprint("many ", k), Text: strings.Repeat(fmt.Sprintf("Round %d of text %d. ", i, k), 100)}
		}
		done := make(chan error, 1)
		go func() { _, err := pg.Add(t.Context(), documents...); done <- err }()
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
		terminate("")
		if err := <-done; err != nil {
			ended++
			lost("at any moment", err)
		}
		want := fmt.Sprintf("round %d", i)
		a, err := pg.Query(t.Context(), "\""+want+"\"", Query{Top: 100, Mode: Words})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(a.Hits); n != 0 && n != len(documents) {
			t.Fatalf("%d of %d documents are there, want all or none", n, len(documents))
		}
	}
	t.Logf("%d of 40 additions were ended", ended)
	if ended == 0 {
		t.Error("no addition was ended")
	}
	if _, err := pg.Add(t.Context(), documents...); err != nil {
		t.Error(err)
	}
	if after, err := pg.Info(t.Context()); err != nil || after.Documents != 36 {
		t.Errorf("at the end %+v, %v, want 36 documents", after, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pg.Add(ctx, Document{ID: "late", Text: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
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
