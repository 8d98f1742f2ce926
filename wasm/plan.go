//go:build wasip1

package main

import (
	"encoding/binary"
	"errors"
	"math"

	"m2embed/core"
	"m2embed/core/checkpoint"
	"m2embed/webgpu/plan"
)

// planned is a GPU plan whose weights the host is uploading.
type planned struct {
	plan   *plan.Plan
	owner  *loading
	packed []byte // the buffer packed last
}

var plans = handles[*planned]{what: "plan"}

var errReordered = fail(NotReady, "the weights were reordered for the CPU, or freed: load the model again to use a GPU")

// pass hands out the next texts of a run that a GPU can take together.
func (r *run) pass(most uint32) (int32, error) {
	if r.finished {
		return 0, nil
	}
	if err := r.prepared(); err != nil {
		return 0, err
	}
	result = nil
	_, total := r.job.Progress()
	// Ids and mask in slices that grow, then in the record.
	if err := room(32 * uint64(min(float64(most), total))); err != nil {
		return 0, err
	}
	p, more, err := r.job.NextPass(int(min(most, math.MaxInt32)))
	if err != nil {
		return 0, withCode(NotReady, err)
	}
	r.handed = p
	if !more {
		r.finished = true
		return 0, nil
	}
	bit := func(on bool) uint32 {
		if on {
			return 1
		}
		return 0
	}
	b := make([]byte, 0, 24+8*len(p.IDs))
	for _, v := range [...]uint32{uint32(p.Texts), uint32(p.Length), uint32(p.Pooling) - 1, bit(p.Normalize), bit(p.States), uint32(total)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for _, list := range [][]uint32{p.IDs, p.Mask} {
		for _, v := range list {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
	}
	result = b
	return int32(p.Texts), nil
}

// vectors takes what a GPU made of the pass handed out last.
func (r *run) vectors(b []byte) error {
	if len(b)%4 != 0 {
		return fail(BadArgument, "vectors of %d bytes, want float32s", len(b))
	}
	if err := room(2 * uint64(len(b))); err != nil { // here and in the job
		return err
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	if want := r.handed.Values(r.owner.embedder.Dimension()); len(v) != want || len(v) == 0 {
		return fail(BadArgument, "%d values for a pass of %d texts of %d positions, want %d", len(v), r.handed.Texts, r.handed.Length, want)
	}
	if err := r.job.FinishPass(v); err != nil {
		return withCode(BadWeights, err)
	}
	r.handed = core.Pass{}
	return nil
}

// plan makes the GPU plan of the pass that was handed out last, and leaves it in
// the result.
func (r *run) plan(limits []byte, half uint32) (*planned, error) {
	if r.handed.Texts == 0 {
		return nil, fail(NotReady, "no pass was handed out to plan")
	}
	if r.owner.file == nil {
		return nil, errReordered
	}
	limit := func(i int) int { return int(binary.LittleEndian.Uint32(limits[4*i:])) }
	p, err := plan.New(r.owner.embedder.Config(),
		plan.Shape{Texts: r.handed.Texts, Length: r.handed.Length, Hidden: r.handed.States, Pooling: r.handed.Pooling, Normalize: r.handed.Normalize},
		plan.Limits{MaxStorageBufferBindingSize: limit(0), MaxBufferSize: limit(1), MaxComputeWorkgroupsPerDimension: limit(2)},
		plan.Options{Half: half != 0})
	var large *plan.TooLargeError
	if errors.As(err, &large) {
		return nil, fail(TooLarge, "%w", err)
	}
	if err != nil {
		return nil, withCode(BadArgument, err)
	}
	result = p.JSON(nil)
	return &planned{plan: p, owner: r.owner}, nil
}

// weight leaves the content of one of the plan's weight buffers in the result.
func (p *planned) weight(buffer uint32) error {
	if p.owner.file == nil {
		return errReordered
	}
	if uint64(buffer) >= uint64(len(p.plan.Buffers)) || p.plan.Buffers[buffer].Kind != plan.Weight {
		return fail(BadArgument, "buffer %d of the plan holds no weights", buffer)
	}
	b := p.plan.Buffers[buffer]
	if there, ok := p.lie(b); ok {
		result = there
		return nil
	}
	if n := b.Size - cap(p.packed); n > 0 {
		if err := room(uint64(b.Size)); err != nil {
			return err
		}
	}
	packed, err := plan.Pack(p.packed, b, p.owner.file)
	if err != nil {
		return withCode(BadWeights, err)
	}
	p.packed, result = packed, packed
	return nil
}

// lie returns the content of a buffer where it lies in the weights as the GPU
// wants it, so that large tables are not held twice while they are uploaded.
func (p *planned) lie(b plan.Buffer) ([]byte, bool) {
	if len(b.Parts) != 1 || b.Parts[0].Kind != plan.Copy || b.Parts[0].Half {
		return nil, false
	}
	part := b.Parts[0]
	t, err := p.owner.file.Tensor(part.Tensor)
	if err != nil || t.DType != checkpoint.F32 || t.Elements() != part.Total {
		return nil, false
	}
	first, last := 4*part.First*part.Inner, 4*(part.First+part.Rows)*part.Inner
	return t.Data[first:last:last], true
}

//go:wasmexport run_pass
func runPass(handle int32, most uint32) int32 {
	return call(func() (int32, error) {
		r, err := runs.get(handle)
		if err != nil {
			return 0, err
		}
		return r.pass(most)
	})
}

//go:wasmexport run_vectors
func runVectors(handle int32, at, length uint32) int32 {
	return do(func() error {
		r, err := runs.get(handle)
		if err != nil {
			return err
		}
		b, err := bytesAt("vectors", at, length)
		if err != nil {
			return err
		}
		return r.vectors(b)
	})
}

//go:wasmexport plan_create
func planCreate(handle int32, limits, half uint32) int32 {
	return call(func() (int32, error) {
		r, err := runs.get(handle)
		if err != nil {
			return 0, err
		}
		l, err := bytesAt("limits", limits, LimitsSize)
		if err != nil {
			return 0, err
		}
		p, err := r.plan(l, half)
		if err != nil {
			return 0, err
		}
		return plans.add(p), nil
	})
}

//go:wasmexport plan_weight
func planWeight(handle int32, buffer uint32) int32 {
	return do(func() error {
		p, err := plans.get(handle)
		if err != nil {
			return err
		}
		return p.weight(buffer)
	})
}

//go:wasmexport plan_free
func planFree(handle int32) int32 {
	return do(func() error {
		if _, err := plans.get(handle); err != nil {
			return err
		}
		delete(plans.live, handle)
		result = nil
		return nil
	})
}
