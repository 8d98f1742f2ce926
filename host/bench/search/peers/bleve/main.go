// Command bleve measures queries by words with bleve over what the program above
// writes with -export: passages, one a line, and queries. Its index is made in the same
// folder by the first run.
//
//	cd host/bench/search/peers/bleve && go run . FOLDER
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bleve:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("want the folder of the export")
	}
	runtime.GOMAXPROCS(1)
	folder := os.Args[1]
	path := filepath.Join(folder, "bleve")
	ix, err := bleve.Open(path)
	if errors.Is(err, bleve.ErrorIndexPathDoesNotExist) {
		ix, err = fill(path, filepath.Join(folder, "passages.txt"))
	}
	if err != nil {
		return err
	}
	defer ix.Close()
	queries, err := lines(filepath.Join(folder, "queries.txt"))
	if err != nil {
		return err
	}
	var took []time.Duration
	for round := range 2 { // the first reads the index
		took = took[:0]
		for _, text := range queries {
			query := bleve.NewMatchQuery(text)
			query.SetField("text")
			start := time.Now()
			if _, err := ix.Search(bleve.NewSearchRequestOptions(query, 10, 0, false)); err != nil {
				return fmt.Errorf("round %d, %q: %w", round, text, err)
			}
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("bleve, words: median %.1f ms, p95 %.1f ms, best %.1f ms\n", ms(took[len(took)/2]), ms(took[len(took)*95/100]), ms(took[0]))
	return nil
}

// fill makes the index, with English stems and stop words, of text that is not kept.
func fill(path, passages string) (bleve.Index, error) {
	text := bleve.NewTextFieldMapping()
	text.Analyzer, text.Store, text.IncludeInAll, text.DocValues = en.AnalyzerName, false, false, false
	mapping := bleve.NewIndexMapping()
	mapping.DefaultMapping.AddFieldMappingsAt("text", text)
	mapping.ScoringModel = "bm25"
	ix, err := bleve.New(path, mapping)
	if err != nil {
		return nil, err
	}
	all, err := lines(passages)
	if err != nil {
		return nil, err
	}
	for first := 0; first < len(all); first += 1000 {
		batch := ix.NewBatch()
		for i, text := range all[first:min(first+1000, len(all))] {
			if err := batch.Index(strconv.Itoa(first+i), map[string]string{"text": text}); err != nil {
				return nil, err
			}
		}
		if err := ix.Batch(batch); err != nil {
			return nil, err
		}
	}
	return ix, nil
}

func lines(path string) (all []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		all = append(all, in.Text())
	}
	return all, in.Err()
}
