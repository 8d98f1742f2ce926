package model

import (
	"fmt"
	"math"
)

// poolStage makes the vectors; its units are sequences.
var poolStage = stage{
	unit:  (*Run).pool,
	units: func(r *Run, _ *task) int { return len(r.sequences) },
	cost: func(r *Run, _ *task) float64 {
		return 2 * float64(r.model.config.HiddenSize) * float64(r.model.config.HiddenSize)
	},
}

// pool makes sequence i's vector from its last hidden rows (BertPooler in the
// reference code, and the means that leave out pads).
func (r *Run) pool(s *scratch, _ *task, i int) {
	c := r.model.config
	d := c.HiddenSize
	states := r.Hidden(i)
	vector := r.Vector(i)
	switch {
	case r.pooling == PoolNone: // states is the result
		r.spanVectors(s, i)
		return
	case !r.pooling.firstToken():
		mean(s.sums, vector, states, r.sequences[i].tokens)
	case r.spans:
		copy(vector, r.first[i*d:(i+1)*d])
	default:
		copy(vector, states[:d])
	}
	if r.pooling.dense() {
		copy(s.pooled, vector)
		r.multiply(s, vector, d, s.pooled, d, 1, r.model.weights.pooler)
		for c, v := range vector {
			vector[c] = float32(math.Tanh(float64(v)))
		}
	}
	if r.normalize {
		Normalize(vector)
	}
	r.spanVectors(s, i)
}

// SpanVector is the vector of a span whose tokens have these last hidden states
// (n, D), n at least 1: their mean (D), scaled to unit length.
func SpanVector(vector, states []float32) {
	mean(make([]float64, len(vector)), vector, states, len(states)/len(vector))
	Normalize(vector)
}

// mean is the mean of the first n rows of states (n, D); sums is scratch (D).
func mean(sums []float64, vector, states []float32, n int) {
	d := len(vector)
	clear(sums)
	for t := range n {
		for c, v := range states[t*d : (t+1)*d] {
			sums[c] += float64(v)
		}
	}
	for c, v := range sums {
		vector[c] = float32(v / float64(n))
	}
}

// spanVectors fills the vectors of sequence i's spans: for each the mean of the last
// hidden states of its tokens, scaled to unit length. No dense layer follows,
// whatever the pooling. Each is summed by itself, from its first token on, so
// that its bits depend on no other span.
func (r *Run) spanVectors(s *scratch, i int) {
	d := r.model.config.HiddenSize
	spans := r.sequences[i].spans
	if len(spans) == 0 {
		return
	}
	states := r.Hidden(i)
	for k, span := range spans {
		vector := r.sequences[i].spanVectors[k*d : (k+1)*d]
		if span.Last > span.First {
			mean(s.sums, vector, states[span.First*d:], span.Last-span.First)
			Normalize(vector)
		}
	}
}

// Normalize scales a vector to unit length: x / max(|x|, 1e-12).
func Normalize(vector []float32) {
	var squares float64
	for _, v := range vector {
		squares += float64(v) * float64(v)
	}
	scale := 1 / max(math.Sqrt(squares), 1e-12)
	for i, v := range vector {
		vector[i] = float32(float64(v) * scale)
	}
}

// Cosine is the cosine of the angle between two vectors of one length, −1 to 1,
// and 0 where one of them is zero. Sums are in float64.
func Cosine[T float32 | float64](a, b []T) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// CheckPooling says why the model cannot pool in this way, or nil.
func (m *Model) CheckPooling(p Pooling) error { return m.weights.checkPooling(p) }

func (w *weights) checkPooling(p Pooling) error {
	if p > PoolNone {
		return fmt.Errorf("pooling %v, want one of cls, mean, cls_hidden, mean_hidden, none", p)
	}
	if p.dense() && w.pooler == nil {
		return errNoPooler
	}
	return nil
}
