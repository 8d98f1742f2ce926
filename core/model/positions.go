package model

import (
	"math"
	"math/bits"
	"sync"
)

// PositionTimes is t[j] = j/(Lmax-1) for the first rows of Lmax, for checkpoints
// without the buffer pos_emb.t: (rows).
func PositionTimes(lmax, rows int) []float32 {
	t := make([]float32, rows)
	for j := range t {
		t[j] = float32(float64(j) / float64(max(lmax-1, 1)))
	}
	return t
}

// PositionFeatures are time, cosines and negative sines of the position in
// (e-1)/2 bands (PositionalEmbedding in the reference code) for the first rows
// of Lmax, for checkpoints without the trained pos_emb.z: (rows, e).
func PositionFeatures(lmax, e, rows int) []float32 {
	count := (e - 1) / 2
	z := make([]float32, 0, rows*e)
	for j, time := range PositionTimes(lmax, rows) {
		z = append(z, time)
		row := z[len(z) : len(z)+2*count]
		for b := range count {
			band := 1e-4
			if count > 1 {
				band += float64(b) * (float64(count-1) - 1e-4) / float64(count-1)
			}
			sin, cos := math.Sincos(band * 2 * math.Pi * float64(j) / float64(lmax))
			row[b], row[count+b] = float32(cos), float32(-sin)
		}
		z = z[:len(z)+2*count]
	}
	return z
}

// DecayRates run from ln(0.01)/1.5 to ln(0.01)/0.3 over D channels
// (ExponentialModulation in the reference code), for checkpoints without the
// buffer modulation.deltas: (D).
func DecayRates(d int) []float32 {
	first, last := math.Log(0.01)/1.5, math.Log(0.01)/0.3
	rates := make([]float32, d)
	for c := range rates {
		rates[c] = float32(first + float64(c)*(last-first)/float64(max(d-1, 1)))
	}
	return rates
}

// positions are the features and times by formula, once for all filters that
// lack theirs. No weight proves Lmax then, so there are only as many rows as the
// longest text so far has needed.
type positions struct {
	mu      sync.Mutex
	lmax, e int
	z, t    []float32 // (rows, e), (rows)
}

// rows returns the first n rows, or more.
func (p *positions) rows(n int) (z, t []float32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.t) < n {
		rows := min(p.lmax, 1<<bits.Len(uint(n-1)))
		p.z, p.t = PositionFeatures(p.lmax, p.e, rows), PositionTimes(p.lmax, rows)
	}
	return p.z, p.t
}
