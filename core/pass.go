package core

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"m2embed/core/model"
)

// Pass is texts of one length that run together outside of the embedder, on a
// GPU say. What is run, how it is pooled and in what order passes come is
// decided here all the same.
type Pass struct {
	Texts  int // B
	Length int // L, pads included

	IDs  []uint32 // (B, L) token ids, pads included
	Mask []uint32 // (B, L) 1 for a token, 0 for a pad

	Pooling   model.Pooling // never PoolDefault
	Normalize bool          // to unit length

	// States asks for the last hidden states (B, L, D) behind the vectors (B, D):
	// a text has spans. With PoolNone they are all that is wanted, and there are
	// no vectors.
	States bool
}

// Values is how many numbers the result of a pass has, of a model with vectors
// of D.
func (p Pass) Values(d int) int {
	n := 0
	if p.Pooling != model.PoolNone {
		n += p.Texts * d
	}
	if p.States {
		n += p.Texts * p.Length * d
	}
	return n
}

// NextPass hands out the next texts of one length: one, and more as long as they
// have at most `most` positions. It reports false when all vectors are there.
// The same texts are handed out until [Job.FinishPass] has taken their vectors
// or [Job.Step] has made them itself, which may be mixed from pass to pass.
//
// # Errors
//
// A pass of Step's that is half done.
func (j *Job) NextPass(most int) (Pass, bool, error) {
	if j.last > j.first {
		return Pass{}, false, errors.New("a pass is half done: step on until it is over")
	}
	j.handed = Pass{}
	if j.first == len(j.order) {
		return Pass{}, false, nil
	}
	length := j.sequences[j.order[j.first]].Length
	p := Pass{Length: length, Pooling: j.options.Pooling, Normalize: j.normalizes()}
	p.States = p.Pooling == model.PoolNone
	for _, i := range j.order[j.first:] {
		s := j.sequences[i]
		if s.Length != length || p.Texts > 0 && (p.Texts+1)*length > most {
			break
		}
		p.States = p.States || len(s.Spans) > 0
		p.Texts++
		for t := range length {
			id, token := uint32(j.embedder.model.Config().PadTokenID), uint32(0)
			if t < len(s.IDs) {
				id, token = uint32(s.IDs[t]), 1
			}
			p.IDs, p.Mask = append(p.IDs, id), append(p.Mask, token)
		}
	}
	j.handed = p
	return p, true, nil
}

// FinishPass takes the vectors of the pass that NextPass handed out last, and its
// hidden states where it asked for them.
//
// # Errors
//
// Another number of values, and a vector that is not finite; the job then stays
// where it was.
func (j *Job) FinishPass(vectors []float32) error {
	d, p := j.embedder.Dimension(), j.handed
	if p.Texts == 0 {
		return errors.New("no pass was handed out")
	}
	if len(vectors) != p.Values(d) {
		return fmt.Errorf("%d values for a pass of %d texts of %d positions, want %d", len(vectors), p.Texts, p.Length, p.Values(d))
	}
	texts := j.order[j.first : j.first+p.Texts]
	each := len(vectors) / p.Texts
	for k, i := range texts {
		if err := finite(i, vectors[k*each:(k+1)*each]); err != nil {
			return err
		}
	}
	states := vectors
	if p.Pooling != model.PoolNone {
		states = vectors[p.Texts*d:]
	}
	for k, i := range texts {
		var own []float32
		if p.States {
			own = states[k*p.Length*d : (k+1)*p.Length*d]
			if err := j.keepSpans(i, j.spanVectors(i, own)); err != nil {
				return err
			}
		}
		if p.Pooling == model.PoolNone {
			j.keep(i, own[:len(j.sequences[i].IDs)*d])
		} else {
			j.keep(i, vectors[k*d:(k+1)*d])
		}
	}
	j.first += p.Texts
	j.last, j.handed = j.first, Pass{}
	return nil
}

// finite says that the vector of input i cannot be used, or nil.
func finite(i int, vector []float32) error {
	for _, x := range vector {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return &Fault{&InputError{i, ErrNotFinite}}
		}
	}
	return nil
}

// keep stores the vector of input i, or rows of vectors, cut and scaled as the
// options say where the pass has not done that.
func (j *Job) keep(i int, vector []float32) {
	d, n := j.embedder.Dimension(), j.options.Dimensions
	kept := slices.Clone(vector)
	if n < d {
		kept = make([]float32, 0, len(vector)/d*n)
		for row := range slices.Chunk(vector, d) {
			kept = append(kept, row[:n]...)
		}
	}
	if !j.normalizes() && j.options.Normalize == Yes {
		for row := range slices.Chunk(kept, n) {
			model.Normalize(row)
		}
	}
	j.results[i].Vector = kept
	j.doneCost += j.sequences[i].Length
}
