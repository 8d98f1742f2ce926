package search

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"m2embed/host/internal/hosttest"
)

// noise is an embedder whose vectors know nothing of their texts: what is found
// with it is found by words, against a meaning that speaks for anything else.
type noise struct{}

func (noise) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		h := fnv.New64a()
		h.Write([]byte(text))
		r := rand.New(rand.NewPCG(h.Sum64(), 1))
		for range 64 {
			out[i] = append(out[i], float32(r.NormFloat64()))
		}
	}
	return out, ctx.Err()
}

// handbooks are 303 texts of manuals, laws, news and novels.
func handbooks(t testing.TB) []Document {
	t.Helper()
	titles, texts := hosttest.HeldOut(t, "../..")
	documents := make([]Document, len(texts))
	for i := range texts {
		documents[i] = Document{ID: fmt.Sprint(i), Title: titles[i], Text: texts[i]}
	}
	return documents
}

// exactQueries are names, numbers and turns of phrase that one or two of the
// handbooks have; before the bar is what is asked, behind it what the text holds
// where that is not the same.
var exactQueries = []string{
	"HOMEBREW_NO_AUTO_UPDATE", "PYTHONASYNCIODEBUG", "ESF-15", "CVE-2021", "about_Path_Syntax", "unwrap_or", "set_modified",
	"ValidateNotNullOrEmpty", "validate not null|ValidateNotNullOrEmpty", "--greedy-auto-updates", "3,000,000,000", "/usr/local",
	"src/main.rs", "5986", "UTF-16", "SHA-256", "10.20.1", "node 10.20.1|10.20.1", "99.9886", "U-238", "VT100 codes|VT100", "1,314",
	"RFC 2119", "__getattr__", "isascending|isAscending", "$PSVersionTable", "m-23-22|M-23-22", "kN/C", "C#", "as_mut_ptr", "as mut ptr|as_mut_ptr",
	"there is nothing more", "be that as it may", "was in there when you", "over and over in a", "then you can be more",
	"as more and more of", "homebrew no auto update|HOMEBREW_NO_AUTO_UPDATE", "port 5985|5985",
}

// TestExactText: names, numbers and phrases that stand in the text are among the
// first ten documents, though the vectors know nothing of them.
func TestExactText(t *testing.T) {
	documents := handbooks(t)
	ix := open(t, filepath.Join(t.TempDir(), "x.db"), Options{Embedder: noise{}, Space: "noise"})
	add(t, ix, documents...)
	plain := make([]string, len(documents))
	for i, d := range documents {
		plain[i] = strings.ToLower(d.Title + "\n" + strings.Join(strings.Fields(d.Text), " "))
	}
	holders := func(text string) (ids []string) {
		for i, p := range plain {
			if strings.Contains(p, strings.ToLower(text)) {
				ids = append(ids, documents[i].ID)
			}
		}
		return ids
	}
	check := func(kind, query, holds string) bool {
		a, err := ix.Query(context.Background(), query, Query{})
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		right := holders(holds)
		if len(right) == 0 {
			t.Errorf("%s: no text holds %q", kind, holds)
		}
		for _, h := range a.Hits {
			if slices.Contains(right, h.ID) {
				return true
			}
		}
		t.Logf("%s: %q is not among the first ten; %d texts hold %q", kind, query, len(right), holds)
		return false
	}
	found := 0
	for _, q := range exactQueries {
		query, holds, ok := strings.Cut(q, "|")
		if !ok {
			holds = query
		}
		if check("chosen", query, holds) {
			found++
		}
	}
	if found*100 < 95*len(exactQueries) {
		t.Errorf("%d of %d chosen queries found their text", found, len(exactQueries))
	}
	// And whatever the texts hold, drawn by lot.
	r := rand.New(rand.NewPCG(5, 6))
	for kind, pattern := range map[string]string{
		"names":   `[A-Za-z]+(?:_[A-Za-z]+)+|[a-z]+[A-Z][A-Za-z]+|[A-Z][a-z]+[A-Z][A-Za-z]+`,
		"numbers": `[0-9]+(?:[.,:][0-9]+)+|[A-Z]+-?[0-9]{2,}|[0-9]{3,}`,
		"paths":   `--[a-z]+(?:-[a-z]+)+|(?:[a-z]+/){2,}[a-z.]+`,
		"phrases": `[A-Za-z]+(?: [a-z]+){4}`,
	} {
		re := regexp.MustCompile(`(?:^|[ (])(` + pattern + `)(?:[ ,;)])`)
		drawn := map[string]bool{}
		for i, d := range documents {
			if kind == "phrases" && i%3 != 0 {
				continue
			}
			all := re.FindAllStringSubmatch(strings.Join(strings.Fields(d.Text), " "), -1)
			for range min(1, len(all)) {
				q := all[r.IntN(len(all))][1]
				if n := len(holders(q)); n >= 1 && n <= 5 {
					drawn[q] = true
				}
			}
		}
		found := 0
		for q := range drawn {
			if check(kind, q, q) {
				found++
			}
		}
		t.Logf("%s: %d of %d", kind, found, len(drawn))
		if found*100 < 95*len(drawn) || len(drawn) < 5 {
			t.Errorf("%s: %d of %d drawn from the texts were found", kind, found, len(drawn))
		}
	}
}
