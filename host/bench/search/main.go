// Command search measures the index of host/search: how long a query takes over
// many passages, how fast they go in, and the room they take. Passages are drawn
// word by word from the frequencies of testdata/eval/heldout.json.gz, with names
// and numbers among them; their vectors are drawn by lot, as a scan takes as long
// over any; queries are embedded by the embedded model and ask for two to eight
// words.
//
//	go run ./host/bench/search -passages 100000
//
// With -rate it measures instead how fast texts go in, embedding included, beside
// the embedding alone of the same passages, in turns.
//
// With -export the passages, their vectors and the queries lie in a folder
// afterwards, for the programs in peers.
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"m2embed/core/model"
	"m2embed/host"
	"m2embed/host/npy"
	"m2embed/host/search"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "search:", err)
		os.Exit(1)
	}
}

// passageWords is how many words a passage has: 192 tokens, about.
const passageWords = 140

// lot is an embedder of vectors by lot.
type lot struct {
	r *rand.Rand
	d int
}

func (l lot) Embed(_ context.Context, texts ...string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = make([]float32, l.d)
		for k := range out[i] {
			out[i][k] = float32(l.r.NormFloat64())
		}
	}
	return out, nil
}

func run() error {
	passages := flag.Int("passages", 100000, "`number` of passages")
	queries := flag.Int("queries", 200, "`number` of queries")
	folder := flag.String("folder", "", "`folder` that keeps the index for the next run; empty for none")
	rounds := flag.Int("rate", 0, "`rounds` of indexing and embedding 4,000 passages in turns, and nothing else")
	out := flag.String("export", "", "`folder` to write the passages, their vectors and the queries into, and measure nothing")
	flag.Parse()
	if *folder == "" {
		var err error
		if *folder, err = os.MkdirTemp("", "m2embed-bench"); err != nil {
			return err
		}
		defer os.RemoveAll(*folder)
	}
	words, err := vocabulary()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if *rounds > 0 {
		return rate(ctx, *folder, *rounds, words)
	}
	m, err := host.Open("", host.Options{Threads: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	path := filepath.Join(*folder, fmt.Sprintf("search-%d.db", *passages))
	size, err := fill(ctx, path, *passages, words, m.Info().Dimension)
	if err != nil {
		return err
	}
	ix, err := search.Open(path, search.Options{Embedder: m, Space: "bench", ReadOnly: true})
	if err != nil {
		return err
	}
	defer ix.Close()
	r := rand.New(rand.NewPCG(3, 4))
	asked := make([]string, *queries)
	for i := range asked {
		q := make([]string, 2+r.IntN(7))
		for k := range q {
			q[k] = words[r.IntN(len(words))]
		}
		asked[i] = strings.Join(q, " ")
	}
	words = nil
	if *out != "" {
		return export(ctx, *out, ix, m, asked)
	}
	start := time.Now()
	if _, err := ix.Query(ctx, "the first query", search.Query{}); err != nil {
		return err
	}
	fmt.Printf("first query, all vectors read: %.0f ms\n", ms(time.Since(start)))
	info, err := ix.Info(ctx)
	if err != nil {
		return err
	}
	if size > 0 {
		fmt.Printf("%d passages: %d B a passage, %d of them text\n", info.Passages, info.Bytes/int64(info.Passages), size/info.Passages)
	}
	for _, kind := range []struct {
		name string
		mode search.Mode
	}{{"both", search.Both}, {"words", search.Words}, {"meaning", search.Meaning}} {
		var took []time.Duration
		for _, q := range asked {
			start := time.Now()
			if _, err := ix.Query(ctx, q, search.Query{Mode: kind.mode}); err != nil {
				return err
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		fmt.Printf("%s: median %.1f ms, p95 %.1f ms, best %.1f ms\n", kind.name, ms(took[len(took)/2]), ms(took[len(took)*95/100]), ms(took[0]))
	}
	return nil
}

// recorder keeps the texts that it embeds.
type recorder struct {
	search.Embedder
	texts []string
}

func (r *recorder) Embed(ctx context.Context, texts ...string) ([][]float32, error) {
	r.texts = append(r.texts, texts...)
	return r.Embedder.Embed(ctx, texts...)
}

// rate indexes documents of ten passages each with all threads, and embeds the same
// passages by themselves.
func rate(ctx context.Context, folder string, rounds int, words []string) error {
	m, err := host.Open("", host.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	r := rand.New(rand.NewPCG(1, 2))
	documents := make([]search.Document, 400)
	for i := range documents {
		documents[i] = search.Document{ID: fmt.Sprint(i), Text: paragraphs(r, words, 10*passageWords)}
	}
	var whole, bare []float64 // passages a second
	for round := range rounds {
		e := &recorder{Embedder: m}
		ix, err := search.Open(filepath.Join(folder, fmt.Sprintf("rate-%d.db", round)), search.Options{Embedder: e, Space: m.Info().Space})
		if err != nil {
			return err
		}
		start := time.Now()
		a, err := ix.Add(ctx, documents...)
		took := time.Since(start).Seconds()
		if err := errors.Join(err, ix.Close()); err != nil {
			return err
		}
		start = time.Now()
		if _, err := m.Embed(ctx, e.texts...); err != nil {
			return err
		}
		whole, bare = append(whole, float64(a.Passages)/took), append(bare, float64(a.Passages)/time.Since(start).Seconds())
	}
	slices.Sort(whole)
	slices.Sort(bare)
	w, b := whole[rounds/2], bare[rounds/2]
	fmt.Printf("indexed: %.0f passages a second, embedded alone: %.0f, %.0f %%\n", w, b, 100*w/b)
	return nil
}

// paragraphs are so many words, in paragraphs of twenty.
func paragraphs(r *rand.Rand, words []string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(words[r.IntN(len(words))])
		if i%20 == 19 {
			b.WriteString(".\n\n")
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// vocabulary is all words of the texts in their order, with repetition: a draw
// from it has their frequencies.
func vocabulary() ([]string, error) {
	f, err := os.Open("testdata/eval/heldout.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var h struct {
		Texts []struct{ Text string }
	}
	if err := json.NewDecoder(z).Decode(&h); err != nil {
		return nil, err
	}
	var words []string
	for _, t := range h.Texts {
		words = append(words, strings.Fields(t.Text)...)
	}
	return words, nil
}

// fill makes the index unless it is there, and returns the bytes of all texts.
func fill(ctx context.Context, path string, passages int, words []string, d int) (size int, err error) {
	if _, err := os.Stat(path); err == nil {
		return 0, nil
	}
	r := rand.New(rand.NewPCG(1, 2))
	ix, err := search.Open(path, search.Options{Embedder: lot{r, d}, Space: "bench"})
	if err != nil {
		return 0, err
	}
	defer ix.Close()
	start := time.Now()
	for n := 0; n < passages; {
		var documents []search.Document
		for range 200 {
			text := paragraphs(r, words, passageWords)
			documents = append(documents, search.Document{ID: fmt.Sprint(n + len(documents)), Text: text})
			size += len(text)
		}
		a, err := ix.Add(ctx, documents...)
		if err != nil {
			return 0, err
		}
		n += a.Documents
	}
	took := time.Since(start)
	fmt.Printf("indexed without embedding: %.0f passages a second\n", float64(passages)/took.Seconds())
	return size, nil
}

// export writes passages.txt and queries.txt, one a line, and vectors.npy and
// queries.npy, all of unit length.
func export(ctx context.Context, folder string, ix *search.Index, m *host.Model, queries []string) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	d := m.Info().Dimension
	texts, vectors, err := exportTo(folder, "passages.txt", "vectors.npy", d)
	if err != nil {
		return err
	}
	err = ix.Passages(ctx, func(p search.StoredPassage) error {
		row := make([]float32, d)
		for i, x := range p.Vector {
			row[i] = float32(int8(x))
		}
		if _, err := fmt.Fprintln(texts, strings.Join(strings.Fields(p.Text), " ")); err != nil {
			return err
		}
		return vectors.WriteRow(unit(row))
	})
	if err := errors.Join(err, vectors.Close(), texts.Flush()); err != nil {
		return err
	}
	if texts, vectors, err = exportTo(folder, "queries.txt", "queries.npy", d); err != nil {
		return err
	}
	for _, q := range queries {
		v, err := m.For(model.TaskQuery).Embed(ctx, q)
		if err != nil {
			return err
		}
		fmt.Fprintln(texts, q)
		if err := vectors.WriteRow(unit(v[0])); err != nil {
			return err
		}
	}
	return errors.Join(vectors.Close(), texts.Flush())
}

func exportTo(folder, texts, vectors string, d int) (*bufio.Writer, *npy.Writer, error) {
	t, err := os.Create(filepath.Join(folder, texts))
	if err != nil {
		return nil, nil, err
	}
	v, err := os.Create(filepath.Join(folder, vectors))
	if err != nil {
		return nil, nil, err
	}
	w, err := npy.NewWriter(v, d)
	return bufio.NewWriter(t), w, err
}

func unit(v []float32) []float32 {
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(squares))
	}
	return out
}
