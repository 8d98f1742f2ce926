package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/core/model"
	"m2embed/host"
	"m2embed/host/internal/atomicfile"
)

// numbers are what a model is measured by beside similarity and the retrieval of
// held-out documents.
type numbers struct {
	code      retrievalSet
	triples   []triple
	sts64     float64 // mean of sets, of the shortest nested length
	stsFloat  float64 // mean of sets, of the same weights with activations in 32 bits
	codeNDCG  float64
	code64    float64
	codeWords float64            // of BM25
	told      map[string]float64 // how many triples of a kind
	speed     float64            // tokens/s of one thread
}

// triple is a sentence, the same in other words, and the same with one change.
type triple struct{ kind, sentence, otherWords, change string }

func readTriples(path string) ([]triple, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var triples []triple
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s: line %d has %d fields, want 4", path, len(triples)+1, len(fields))
		}
		triples = append(triples, triple{fields[0], fields[1], fields[2], fields[3]})
	}
	return triples, lines.Err()
}

// countTold returns, by kind, of how many triples the other words are nearer than the
// change. Vectors are those of the first triple's three texts, the second's, …
func countTold(triples []triple, vectors [][]float32) map[string]float64 {
	told := map[string]float64{}
	for i, t := range triples {
		v := vectors[3*i : 3*i+3]
		if dot(v[0], v[1]) > dot(v[0], v[2]) {
			told[t.kind]++
		} else {
			told[t.kind] += 0
		}
	}
	return told
}

// shortened returns the first n values of vectors, of length 1.
func shortened(vectors [][]float32, n int) [][]float32 {
	out := make([][]float32, len(vectors))
	for i, v := range vectors {
		norm := max(math.Sqrt(dot(v[:n], v[:n])), 1e-12)
		out[i] = make([]float32, n)
		for k := range out[i] {
			out[i][k] = float32(float64(v[k]) / norm)
		}
	}
	return out
}

// ndcgOf ranks a set's documents, in the order of s.ids, by their vectors.
func (s retrievalSet) ndcgOf(queries map[string][]float32, documents [][]float32) (float64, error) {
	q, err := s.measure(func(query string) ([]string, error) {
		scores := make([]float64, len(documents))
		for i, d := range documents {
			scores[i] = dot(queries[query], d)
		}
		return s.order(scores), nil
	})
	return q.ndcg, err
}

func (e *evaluation) measureNumbers() error {
	fmt.Fprintln(os.Stderr, "code, triples, lengths, floats")
	n := min(e.config.HiddenSize, slices.Min(append(slices.Clone(e.config.MatryoshkaDimensions), e.config.HiddenSize)))
	e.sts64 = scorePairs(e.pairs, shortened(e.pairVectors, n))[meanOfSets]

	documents, err := e.embed(model.TaskDocument, e.code.texts())
	if err != nil {
		return err
	}
	var asked []string
	for _, id := range e.code.ids {
		asked = append(asked, e.code.queries[id])
	}
	found, err := e.embed(model.TaskQuery, asked)
	if err != nil {
		return err
	}
	queries, queries64 := map[string][]float32{}, map[string][]float32{}
	for i, v := range shortened(found, n) {
		queries[asked[i]], queries64[asked[i]] = found[i], v
	}
	if e.codeNDCG, err = e.code.ndcgOf(queries, documents); err != nil {
		return err
	}
	if e.code64, err = e.code.ndcgOf(queries64, shortened(documents, n)); err != nil {
		return err
	}
	words := newIndex(e.code.texts())
	q, err := e.code.measure(func(query string) ([]string, error) { return e.code.order(words.scores(query)), nil })
	if err != nil {
		return err
	}
	e.codeWords = q.ndcg

	var texts []string
	for _, t := range e.triples {
		texts = append(texts, t.sentence, t.otherWords, t.change)
	}
	vectors, err := e.embed(model.TaskDocument, texts)
	if err != nil {
		return err
	}
	e.told = countTold(e.triples, vectors)
	return e.measureFloat()
}

// measureFloat scores similarity by the same weights in 32 bits.
func (e *evaluation) measureFloat() error {
	files, err := host.OpenFiles(e.path, host.Options{NoCache: true})
	if err != nil {
		return err
	}
	defer files.Close()
	floats, err := core.Open(files.ConfigJSON, files.Tokenizer, floatWeights{files.Weights}, core.OpenOptions{})
	if err != nil {
		return err
	}
	defer floats.Close()
	var vectors [][]float32
	for pairs := range slices.Chunk(e.pairs, 16) {
		var texts []string
		for _, p := range pairs {
			texts = append(texts, p.first, p.second)
		}
		found, err := floats.Embed(context.Background(), core.Texts(texts...), core.Options{Normalize: core.Yes})
		if err != nil {
			return err
		}
		for _, f := range found {
			vectors = append(vectors, f.Vector)
		}
	}
	e.stsFloat = scorePairs(e.pairs, vectors)[meanOfSets]
	return nil
}

// measureSpeed takes the median of nine texts of 512 tokens on one thread.
func (e *evaluation) measureSpeed() error {
	m, err := host.Open(e.path, host.Options{Threads: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	const tokens, rounds = 512, 9
	in := core.Texts(strings.Repeat("the same words again and again ", tokens))
	var times []float64
	for range rounds + 1 {
		start := time.Now()
		if _, err := m.EmbedInputs(context.Background(), in, core.Options{MaxLength: tokens}); err != nil {
			return err
		}
		times = append(times, time.Since(start).Seconds())
	}
	times = times[1:] // the first makes the filters
	slices.Sort(times)
	e.speed = tokens / times[rounds/2]
	return nil
}

// floatWeights gives a checkpoint's 8-bit tensors as float32.
type floatWeights struct{ core.Weights }

func (f floatWeights) Tensor(name string) (checkpoint.Tensor, error) {
	t, err := f.Weights.Tensor(name)
	if err != nil || t.DType != checkpoint.I8 {
		return t, err
	}
	scales, err := f.Weights.Tensor(name + checkpoint.ScaleSuffix)
	if err != nil {
		return t, err
	}
	scale, err := scales.Float32(nil)
	if err != nil {
		return t, err
	}
	row := len(t.Data) / len(scale)
	out := make([]byte, 0, 4*len(t.Data))
	for i, b := range t.Data {
		bits := math.Float32bits(float32(int8(b)) * scale[i/row])
		out = append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	t.DType, t.Data = checkpoint.F32, out
	return t, nil
}

// developmentFile holds the scores on the development sets, and developmentSets is
// where those lie, from the repository's root: they are not part of it.
const (
	developmentFile = "development.json"
	developmentSets = "../shared/eval/retrieval"
)

// development is, by model, what it scores on sets that are not in the repository.
type development map[string]struct {
	Space string                        `json:"space,omitempty"` // of the vectors that were scored; other models have none
	Sets  map[string]map[string]float64 `json:"sets"`            // nDCG@10 by set and way of searching
}

func readDevelopment(folder string) (development, error) {
	path := filepath.Join(folder, developmentFile)
	d := development{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// of returns a model's scores, if they are those of the same weights.
func (d development) of(m host.Info) (map[string]map[string]float64, bool) {
	for _, scored := range d {
		if scored.Space == m.Space {
			return scored.Sets, true
		}
	}
	return nil, false
}

// keepDevelopment adds a model's scores on a set. Those of other weights under its name go.
func keepDevelopment(folder string, m host.Info, set string, scores map[string]float64) error {
	d, err := readDevelopment(folder)
	if err != nil {
		return err
	}
	own := d[m.Name]
	if own.Space != m.Space || own.Sets == nil {
		own.Space, own.Sets = m.Space, map[string]map[string]float64{}
	}
	if own.Sets[set] == nil {
		own.Sets[set] = map[string]float64{}
	}
	maps.Copy(own.Sets[set], scores) // beside other ways
	d[m.Name] = own
	data, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(folder, developmentFile), append(data, '\n'))
}
