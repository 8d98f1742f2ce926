package model

import "math"

// pool makes sequence i's vector from its last hidden rows (BertPooler in the
// reference code, and the means that leave out pads).
func (r *Run) pool(s *scratch, i int) {
	c := r.model.config
	d := c.HiddenSize
	states := r.Hidden(i)
	vector := r.Vector(i)
	if r.pooling.firstToken() {
		copy(vector, states[:d])
	} else {
		tokens := r.sequences[i].tokens
		clear(s.sums)
		for t := range tokens {
			for c, v := range states[t*d : (t+1)*d] {
				s.sums[c] += float64(v)
			}
		}
		for c, v := range s.sums {
			vector[c] = float32(v / float64(tokens))
		}
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

// CheckPooling says why the model cannot pool in this way, or nil.
func (m *Model) CheckPooling(p Pooling) error { return m.weights.checkPooling(p) }

func (w *weights) checkPooling(p Pooling) error {
	if p.dense() && w.pooler == nil {
		return errNoPooler
	}
	return nil
}
