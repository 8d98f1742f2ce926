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
}

// NextPass hands out the next texts of one length: one, and more as long as they
// have at most `most` positions. It reports false when all vectors are there.
// The same texts are handed out until [Job.FinishPass] has taken their vectors
// or [Job.Step] has made them itself, which may be mixed from pass to pass.
//
// # Errors
//
// A pass of Step's that is half done; a text with spans.
func (j *Job) NextPass(most int) (Pass, bool, error) {
	if j.last > j.first {
		return Pass{}, false, errors.New("a pass is half done: step on until it is over")
	}
	j.handed = 0
	if j.first == len(j.order) {
		return Pass{}, false, nil
	}
	length := j.sequences[j.order[j.first]].Length
	p := Pass{Length: length, Pooling: j.options.Pooling, Normalize: j.options.Normalize == Yes}
	for _, i := range j.order[j.first:] {
		s := j.sequences[i]
		if s.Length != length || p.Texts > 0 && (p.Texts+1)*length > most {
			break
		}
		if len(s.Spans) > 0 {
			return Pass{}, false, errSpansElsewhere
		}
		p.Texts++
		for t := range length {
			id, token := uint32(j.embedder.model.Config().PadTokenID), uint32(0)
			if t < len(s.IDs) {
				id, token = uint32(s.IDs[t]), 1
			}
			p.IDs, p.Mask = append(p.IDs, id), append(p.Mask, token)
		}
	}
	j.handed = p.Texts
	return p, true, nil
}

// FinishPass takes the vectors (B, D) of the pass that NextPass handed out last.
//
// # Errors
//
// Another number of values, and a vector that is not finite; the job then stays
// where it was.
func (j *Job) FinishPass(vectors []float32) error {
	d := j.embedder.Dimension()
	if j.handed == 0 {
		return errors.New("no pass was handed out")
	}
	if len(vectors) != j.handed*d {
		return fmt.Errorf("%d values for %d vectors of %d", len(vectors), j.handed, d)
	}
	texts := j.order[j.first : j.first+j.handed]
	for k, i := range texts {
		if err := finite(i, vectors[k*d:(k+1)*d]); err != nil {
			return err
		}
	}
	for k, i := range texts {
		j.keep(i, vectors[k*d:(k+1)*d])
	}
	j.first += j.handed
	j.last, j.handed = j.first, 0
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

// keep stores the vector of input i.
func (j *Job) keep(i int, vector []float32) {
	j.results[i].Vector = slices.Clone(vector)
	j.doneCost += j.sequences[i].Length
}
