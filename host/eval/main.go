// Command eval measures how good a model's vectors are: agreement with human
// judgements of similarity, and retrieval of documents that no training stage
// has seen, at lengths up to 8,192 tokens. It runs the engine that users run.
// Beside it stand BM25, averaged word vectors, and the teachers' scores, which
// host/train/compare.py has computed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/host"
	"m2embed/host/base"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("model", "", "`folder` of a model; without it the embedded model and host/base are measured")
	data := flag.String("data", "testdata/eval", "`folder` with the material and the scores of other models")
	out := flag.String("out", "testdata/bench", "`folder` for eval.md; empty for none")
	sets := flag.String("retrieval", "", "`folder` with retrieval sets (*.json.gz) to search through a real index, and nothing else; the scores are kept in "+developmentFile)
	indexes := flag.String("indexes", "", "`folder` that keeps the indexes of --retrieval for the next run")
	whole := flag.Bool("whole", true, "with --retrieval, also measure the vectors of whole documents and of spans within them")
	another := flag.String("embedder", "", "`NAME=COMMAND` of another model to search with in --retrieval: it answers a JSON array of texts in a line by one of vectors, as minilm.py does")
	flag.Parse()
	if *sets != "" {
		return withModel(*path, func(m *host.Model) error {
			e := &evaluation{model: m, info: named(*path, m), wholeToo: *whole}
			if *another != "" {
				var err error
				if e.other, err = startEmbedder(*another); err != nil {
					return err
				}
				defer e.other.close()
				e.info, e.wholeToo = host.Info{Name: e.other.name}, false
			}
			return e.searchSets(*sets, *indexes, *data)
		})
	}
	if *another != "" {
		return errors.New("--embedder is for --retrieval")
	}
	paths := []string{*path}
	if *path == "" {
		paths = append(paths, basePath)
	}
	var all []*evaluation
	for _, path := range paths {
		err := withModel(path, func(m *host.Model) error {
			e, err := evaluate(path, m, *data)
			all = append(all, e)
			return err
		})
		if err != nil {
			return err
		}
	}
	text := markdown(all)
	fmt.Print(text)
	if *out == "" {
		return nil
	}
	if err := os.MkdirAll(*out, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "eval.md"), []byte(text), 0o666)
}

// basePath is the larger model, from the repository's root.
const basePath = "host/base"

// named gives the model of basePath its name.
func named(path string, m *host.Model) host.Info {
	info := m.Info()
	if filepath.Clean(path) == basePath {
		info.Name = base.Name
	}
	return info
}

func withModel(path string, do func(*host.Model) error) error {
	m, err := host.Open(path, host.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// evaluate measures everything of one model.
func evaluate(path string, m *host.Model, data string) (*evaluation, error) {
	start := time.Now()
	e, err := newEvaluation(path, m, data)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{e.similarity, e.retrieval, e.measureNumbers, e.measureSpeed} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if e.development, err = readDevelopment(data); err != nil {
		return nil, err
	}
	if _, ok := e.development.of(e.info); !ok {
		if _, err := os.Stat(developmentSets); err == nil {
			fmt.Fprintln(os.Stderr, "the sets of", developmentSets)
			e.wholeToo = true
			if err := e.searchSets(developmentSets, "", data); err != nil {
				return nil, err
			}
			if e.development, err = readDevelopment(data); err != nil {
				return nil, err
			}
		}
	}
	e.seconds = time.Since(start).Seconds()
	return e, nil
}

// evaluation holds a model, the material and what has been found.
type evaluation struct {
	path        string
	model       *host.Model
	info        host.Info
	config      model.Config
	words       *wordTable
	pairs       []pair
	pairVectors [][]float32
	heldOut     heldOut
	teachers    teachers
	numbers
	development development
	sts         map[string]map[string]float64 // by system and set
	ranked      []map[string]ranking          // by task and system
	tokens      int                           // that the model has read
	embedded    float64                       // seconds it took
	seconds     float64
	wholeToo    bool      // with the sets of --retrieval
	other       *embedder // searched with there in place of the model, whose tokenizer cuts for both
}

// Names of the systems that are computed here.
const (
	averaged = "mean of the word table"
	bm25     = "BM25"
	// spanSuffix stands behind a model's name where the best of its passages' vectors
	// counts, all out of one pass over the document.
	spanSuffix = ", best span"
)

func newEvaluation(path string, m *host.Model, folder string) (*evaluation, error) {
	e := &evaluation{path: path, model: m, info: named(path, m), config: m.Config(), sts: map[string]map[string]float64{}}
	var err error
	if e.pairs, err = readPairs(filepath.Join(folder, "sts-dev.tsv")); err != nil {
		return nil, err
	}
	if e.heldOut, err = readHeldOut(filepath.Join(folder, "heldout.json.gz")); err != nil {
		return nil, err
	}
	if e.teachers, err = readTeachers(filepath.Join(folder, "teachers.json")); err != nil {
		return nil, err
	}
	if e.code, err = readRetrievalSet(filepath.Join(folder, "code.json.gz")); err != nil {
		return nil, err
	}
	if e.triples, err = readTriples(filepath.Join(folder, "triples.tsv")); err != nil {
		return nil, err
	}
	files, err := host.OpenFiles(path, host.Options{NoCache: true})
	if err != nil {
		return nil, err
	}
	defer files.Close()
	e.words, err = newWordTable(files.Weights, m.Tokenizer())
	return e, err
}

// embed returns the model's vectors of texts for a task, in order.
func (e *evaluation) embed(task string, texts []string) ([][]float32, error) {
	if e.other != nil {
		return e.other.embed(texts)
	}
	start := time.Now()
	vectors := make([][]float32, 0, len(texts))
	for len(texts) > 0 {
		n := min(32, len(texts))
		found, err := e.model.EmbedInputs(context.Background(), core.Texts(texts[:n]...), core.Options{Task: task, Normalize: core.Yes})
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			vectors = append(vectors, f.Vector)
			e.tokens += f.Length
		}
		texts = texts[n:]
	}
	e.embedded += time.Since(start).Seconds()
	return vectors, nil
}

func (e *evaluation) similarity() error {
	var texts []string
	for _, p := range e.pairs {
		texts = append(texts, p.first, p.second)
	}
	vectors, err := e.embed(model.TaskDocument, texts)
	if err != nil {
		return err
	}
	means := make([][]float32, len(texts))
	for i, t := range texts {
		if means[i], err = e.words.vector(t); err != nil {
			return err
		}
	}
	e.pairVectors = vectors
	e.sts[e.info.Name] = scorePairs(e.pairs, vectors)
	e.sts[averaged] = scorePairs(e.pairs, means)
	return nil
}

func (e *evaluation) retrieval() error {
	for _, t := range e.heldOut.Tasks {
		fmt.Fprintln(os.Stderr, t.Name)
		documents, queries := e.heldOut.excerpts(t.Documents), make([]string, len(t.Queries))
		for i, q := range t.Queries {
			queries[i] = e.heldOut.excerpt(q.Excerpt)
		}
		systems := map[string]ranking{}
		own, spans, err := e.embedSpans(documents)
		if err != nil {
			return err
		}
		asked, err := e.embed(model.TaskQuery, queries)
		if err != nil {
			return err
		}
		systems[e.info.Name] = t.rank(func(q, d int) float64 { return dot(asked[q], own[d]) })
		systems[e.info.Name+spanSuffix] = t.rank(func(q, d int) float64 { return bestDot(asked[q], spans[d]) })
		means := make([][]float32, len(documents))
		for i, d := range documents {
			if means[i], err = e.words.vector(d); err != nil {
				return err
			}
		}
		for i, q := range queries {
			if asked[i], err = e.words.vector(q); err != nil {
				return err
			}
		}
		systems[averaged] = t.rank(func(q, d int) float64 { return dot(asked[q], means[d]) })
		index := newIndex(documents)
		scores := make([][]float64, len(queries))
		for i, q := range queries {
			scores[i] = index.scores(q)
		}
		systems[bm25] = t.rank(func(q, d int) float64 { return scores[q][d] })
		for name, r := range e.teachers.Retrieval[t.Name] {
			systems[name] = r
		}
		e.ranked = append(e.ranked, systems)
	}
	return nil
}
