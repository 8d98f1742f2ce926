package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestTwoWriters: two that write at once wait for each other, and nothing is lost.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var all sync.WaitGroup
	for w := range 2 {
		ix := open(t, path, Options{Embedder: bag{}, Space: "bag"})
		all.Go(func() {
			for n := range 20 {
				d := Document{ID: fmt.Sprintf("%d-%d", w, n), Text: fmt.Sprintf("Writer %d wrote sentence %d.", w, n), Stamp: "s"}
				if _, err := ix.Add(context.Background(), d, Document{ID: "shared", Text: d.Text}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ix := open(t, path, Options{Embedder: bag{}, Space: "bag"})
	if i, err := ix.Info(context.Background()); err != nil || i.Documents != 41 || i.Passages != 41 {
		t.Errorf("%+v, %v, want 41 documents of a passage each", i, err)
	}
	if err := ix.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestNoRoom: what does not fit is refused in words, and what was there stays.
func TestNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	ix := open(t, path, Options{})
	add(t, ix, notes...)
	ix.db.SetMaxOpenConns(1) // the limit is a connection's
	var pages int
	if err := ix.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := ix.db.Exec(fmt.Sprintf("PRAGMA max_page_count=%d", pages+3)); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	var long strings.Builder
	for range 20000 {
		fmt.Fprintf(&long, "w%d ", r.IntN(1e9))
	}
	_, err := ix.Add(context.Background(), Document{ID: "long", Text: long.String()})
	if !errors.Is(err, ErrFull) || strings.Count(err.Error(), "what was indexed before is kept") != 1 {
		t.Errorf("a full disk: %v", err)
	}
	if got := ids(t, ix, "harbour", Query{}); got != "port.txt" {
		t.Errorf("afterwards %q is found", got)
	}
	if err := ix.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDamage changes bytes all over a file: each is either of no account or said
// to be damage, and nothing panics.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.db")
	ix := open(t, path, Options{Embedder: bag{}, Space: "bag"})
	add(t, ix, notes...)
	ix.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	seen := 0
	for n := range 60 {
		bad := bytes.Clone(whole)
		for range 1 + n%20 {
			at := r.IntN(len(bad) - 64)
			for i := range 1 + n%64 {
				bad[at+i] = byte(r.Uint32())
			}
		}
		path := filepath.Join(folder, fmt.Sprint(n, ".db"))
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		ix, err := Open(path, Options{Embedder: bag{}, Space: "bag"})
		if err == nil {
			_, err = ix.Query(context.Background(), `port "5222" -wine`, Query{All: true})
			if e := ix.Check(context.Background()); err == nil {
				err = e
			}
			if _, e := ix.Add(context.Background(), Document{ID: "new", Text: "A new text."}); err == nil {
				err = e
			}
			ix.Close()
		}
		if err != nil {
			seen++
			if len(err.Error()) > 600 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d of 60 damaged files were noticed", seen)
	}
}

// TestFlippedBits changes one bit of a file, 200 times: each answer is that of the whole
// file, or a sentence that says so.
func TestFlippedBits(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.db")
	o := Options{Embedder: bag{}, Space: "bag"}
	ix := open(t, path, o)
	add(t, ix, notes...)
	add(t, ix, handbooks(t)[:24]...)
	ix.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o.ReadOnly = true
	ask := func(path string) (string, error) {
		ix, err := Open(path, o)
		if err != nil {
			return "", err
		}
		defer ix.Close()
		var said strings.Builder
		for _, q := range []string{"turn the other cheek", "how do I run the nightly job", `"port 5222"`, "user name"} {
			a, err := ix.Query(context.Background(), q, Query{Top: 20, All: true})
			if err != nil {
				return "", err
			}
			for _, h := range a.Hits {
				fmt.Fprintf(&said, "%+v\n", h)
			}
		}
		return said.String(), nil
	}
	want, err := ask(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 8))
	noticed := 0
	for range 200 {
		bad := bytes.Clone(whole)
		at := r.IntN(len(bad))
		bad[at] ^= 1 << r.IntN(8)
		path := filepath.Join(folder, "bad.db")
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := ask(path)
		switch {
		case err != nil:
			if noticed++; len(err.Error()) > 600 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		case got != want:
			t.Errorf("the bit at byte %d of page %d changes the answers without a word", at%4096, at/4096)
		}
	}
	t.Logf("%d pages, %d of 200 noticed", len(whole)/4096, noticed)
	if noticed < 50 {
		t.Errorf("%d of 200 were noticed", noticed)
	}
}
