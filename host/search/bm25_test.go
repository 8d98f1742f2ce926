package search

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// reference is FTS5 with the words of an index, by the ids of its passages.
func reference(t *testing.T, ix *Index) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE VIRTUAL TABLE words USING fts5(text, heading, parts, tokenize='porter unicode61 remove_diacritics 2'); BEGIN"); err != nil {
		t.Fatal(err)
	}
	v, release, err := ix.view(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	defer release()
	texts := textReader{ctx: context.Background(), tx: v.tx}
	for row, id := range ix.rows.ids {
		if ix.rows.documents[row] == 0 {
			continue
		}
		p, ok, err := texts.read(id)
		if err != nil || !ok {
			t.Fatal(id, ok, err)
		}
		var title string
		if err := v.tx.QueryRow("SELECT title FROM documents WHERE id=?", ix.rows.documents[row]).Scan(&title); err != nil {
			t.Fatal(err)
		}
		above := title + "\n" + p.heading
		if _, err := db.Exec("INSERT INTO words(rowid, text, heading, parts) VALUES(?,?,?,?)", id, p.text, above, parts(p.text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestBM25 compares scores with those of SQLite's FTS5, in an index of several
// segments, and again when documents are replaced and gone.
func TestBM25(t *testing.T) {
	ix := open(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	documents := handbooks(t)
	r := rand.New(rand.NewPCG(3, 9))
	for from := 0; from < len(documents); {
		to := min(len(documents), from+1+r.IntN(12))
		add(t, ix, documents[from:to]...)
		from = to
	}
	check := func() {
		t.Helper()
		if err := ix.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		db := reference(t, ix)
		v, release, err := ix.view(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		defer release()
		compared := 0
		for _, words := range bm25Wordings(r, documents) {
			compared += compareBM25(t, db, v, words[0], words[1])
		}
		if compared < 10000 {
			t.Errorf("%d scores compared", compared)
		}
	}
	check()
	for i := range 40 {
		d := documents[(i*7)%len(documents)]
		d.Text = "Replaced: " + d.Text[:len(d.Text)/2]
		add(t, ix, d)
	}
	if _, err := ix.Remove(context.Background(), "1", "2", "3", "5", "8", "13", "21", "34", "55", "89", "144", "233", "no such"); err != nil {
		t.Fatal(err)
	}
	check()
}

// bm25Wordings are queries as FTS5 writes them and as words.
func bm25Wordings(r *rand.Rand, documents []Document) (all [][2]string) {
	for range 150 {
		words := strings.Fields(documents[r.IntN(len(documents))].Text)
		at, n := r.IntN(len(words)-3), 1+r.IntN(3)
		piece := wordsOf(strings.Join(words[at:at+n], " "))
		if len(piece) == 0 {
			continue
		}
		all = append(all, [2]string{quoted(piece), strings.Join(piece, " ")})
	}
	return append(all, [2]string{`"the"`, "the"}, [2]string{`"of the"`, "of the"}, [2]string{`"gover"*`, "gover*"}, [2]string{`"the state"*`, "the state*"},
		[2]string{`parts : "user name"`, "parts:user name"}, [2]string{`parts : "get set"`, "parts:get set"}, [2]string{`"t"*`, "t*"})
}

func quoted(words []string) string { return `"` + strings.Join(words, " ") + `"` }

func compareBM25(t *testing.T, db *sql.DB, v *view, expression, words string) (compared int) {
	t.Helper()
	w := wording{}
	words, w.parts = strings.CutPrefix(words, "parts:")
	words, w.prefix = strings.CutSuffix(words, "*")
	w.words = strings.Join(stemmer{}.stems(wordsOf(words)), " ")
	scores := make([]float64, len(v.ix.rows.ids))
	if err := v.score(w, 1, scores); err != nil {
		t.Fatal(err)
	}
	matches, err := v.matches(w, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query("SELECT rowid, -bm25(words, 1.0, 0.7, 0.5) FROM words WHERE words MATCH ?", expression)
	if err != nil {
		t.Fatal(expression, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var want float64
		if err := rows.Scan(&id, &want); err != nil {
			t.Fatal(err)
		}
		row := v.ix.rows.at(id)
		if row < 0 || math.Abs(scores[row]-want) > 1e-6*max(1, want) {
			t.Fatalf("%s: passage %d has %g, want %g", expression, id, scores[max(row, 0)], want)
		}
		scores[row] = 0
		compared++
	}
	for row, s := range scores {
		if s != 0 {
			t.Fatalf("%s: passage %d has %g, and FTS5 does not find it", expression, v.ix.rows.ids[row], s)
		}
	}
	if len(matches) != compared {
		t.Fatalf("%s: %d matches, want %d", expression, len(matches), compared)
	}
	return compared
}

// TestStems compares stems with those of FTS5's tokenizer.
func TestStems(t *testing.T) {
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2'); CREATE VIRTUAL TABLE terms USING fts5vocab(words, instance); BEGIN"); err != nil {
		t.Fatal(err)
	}
	var all []string
	seen := map[string]bool{}
	for _, d := range handbooks(t) {
		for _, w := range wordsOf(d.Text) {
			if !seen[w] {
				seen[w] = true
				all = append(all, w)
			}
		}
	}
	all = append(all, "ÜBERGRÖSSEN", "naïve", "straße", "Ελλάδα", "Москва", strings.Repeat("running", 9)+"s", strings.Repeat("x", 80)+"ing")
	for i, w := range all {
		if _, err := db.Exec("INSERT INTO words(rowid, text) VALUES(?,?)", i+1, w); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.Query("SELECT term, doc FROM terms")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	stems, others, n := stemmer{}, []string{}, 0
	for rows.Next() {
		var term string
		var i int
		if err := rows.Scan(&term, &i); err != nil {
			t.Fatal(err)
		}
		n++
		if got := stems.stem(all[i-1]); got != term {
			others = append(others, fmt.Sprintf("%s: %s, want %s", all[i-1], got, term))
		}
	}
	// FTS5 takes bytes for letters, and folds Greek in its own way.
	if n < 20000 || len(others) > 5 {
		t.Errorf("%d of %d stems are others: %.2000q", len(others), n, others)
	}
}
