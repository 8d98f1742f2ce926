package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// pair is two sentences and how alike people found them.
type pair struct {
	set           string  // such as "2012.MSRpar"
	human         float64 // 0 to 5
	first, second string
}

// readPairs reads lines of set, human score and two sentences, by tabs.
func readPairs(path string) ([]pair, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var pairs []pair
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s: line %d has %d fields, want 4", path, len(pairs)+1, len(fields))
		}
		human, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(pairs)+1, err)
		}
		pairs = append(pairs, pair{fields[0], human, fields[2], fields[3]})
	}
	return pairs, lines.Err()
}

// meanOfSets and the years are scores beside those of the sets.
const meanOfSets = "mean of sets"

var years = []string{"2012", "2013"}

// setsOf lists the sets in order.
func setsOf(pairs []pair) []string {
	var sets []string
	for _, p := range pairs {
		if !slices.Contains(sets, p.set) {
			sets = append(sets, p.set)
		}
	}
	slices.Sort(sets)
	return sets
}

// scorePairs returns 100 times Spearman's correlation of cosine and human
// score: of each set, their mean, and of each year over all its pairs. Vectors
// are those of pair 0's first and second sentence, pair 1's, …, of length 1.
func scorePairs(pairs []pair, vectors [][]float32) map[string]float64 {
	of := func(prefix string) float64 {
		var cosines, human []float64
		for i, p := range pairs {
			if strings.HasPrefix(p.set, prefix) {
				cosines = append(cosines, dot(vectors[2*i], vectors[2*i+1]))
				human = append(human, p.human)
			}
		}
		return 100 * spearman(cosines, human)
	}
	scores := map[string]float64{}
	sets := setsOf(pairs)
	for _, s := range sets {
		scores[s] = of(s)
		scores[meanOfSets] += scores[s] / float64(len(sets))
	}
	for _, y := range years {
		scores[y] = of(y)
	}
	return scores
}

func dot(a, b []float32) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// spearman is Spearman's rank correlation; ties share the mean of their ranks.
func spearman(a, b []float64) float64 { return pearson(ranks(a), ranks(b)) }

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case x[i] < x[j]:
			return -1
		case x[i] > x[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			out[i] = float64(from+to+1) / 2
		}
		from = to
	}
	return out
}

func pearson(a, b []float64) float64 {
	var meanA, meanB float64
	for i := range a {
		meanA += a[i] / float64(len(a))
		meanB += b[i] / float64(len(b))
	}
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-meanA, b[i]-meanB
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}
