package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/kernel"
	"m2embed/core/tolerance"
)

// int8Weights gives tensors as a conversion to int8 writes them.
type int8Weights struct {
	Weights
	layers int
}

func (w int8Weights) Tensor(name string) (checkpoint.Tensor, error) {
	matrix, scales := strings.CutSuffix(name, "_scale")
	t, err := w.Weights.Tensor(matrix)
	if err != nil {
		return t, err
	}
	dtype, limit := IntegerType(matrix, w.layers)
	if limit == 0 {
		return t, nil
	}
	values, err := t.Float32(nil)
	if err != nil {
		return t, err
	}
	columns := t.Shape[len(t.Shape)-1]
	q, s := make([]byte, 0, len(values)*dtype.Size()), []byte(nil)
	for row := range slices.Chunk(values, columns) {
		var largest float32
		for _, v := range row {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		scale := largest / float32(limit)
		if scale == 0 {
			scale = 1
		}
		for _, v := range row {
			n := int(math.RoundToEven(float64(v) / float64(scale)))
			if dtype == checkpoint.I8 {
				q = append(q, byte(n))
			} else {
				q = binary.LittleEndian.AppendUint16(q, uint16(n))
			}
		}
		s = binary.LittleEndian.AppendUint32(s, math.Float32bits(scale))
	}
	if scales {
		return checkpoint.Tensor{Name: name, DType: checkpoint.F32, Shape: t.Shape[:len(t.Shape)-1], Data: s}, nil
	}
	return checkpoint.Tensor{Name: name, DType: dtype, Shape: t.Shape, Data: q}, nil
}

// TestInt8Batch demands that a text's bits don't depend on its batch, its place
// in it or the number of threads, in 8 bits and in float32, on every back end.
func TestInt8Batch(t *testing.T) {
	for _, set := range kernel.Sets() {
		for name, w := range map[string]Weights{"int8": int8Weights{file(t, "tiny/model.safetensors"), 2}, "f32": file(t, "tiny/model.safetensors")} {
			t.Run(set.Name+"/"+name, func(t *testing.T) {
				m := load(t, tinyConfig(t), w, LoadOptions{Kernels: set, Threads: 1})
				many := load(t, tinyConfig(t), w, LoadOptions{Kernels: set, Threads: 3})
				var batch []Sequence
				for i, length := range []int{33, 64, 40, 63, 35, 64, 50} {
					batch = append(batch, alone(goldenweights.InputIDs(fmt.Sprint("batch.", i), length, 104, 890)))
				}
				for _, pooling := range []Pooling{PoolClass, PoolMean} {
					together := run(t, m, pooling, false, batch...)
					threaded := run(t, many, pooling, false, slices.Concat(batch[3:], batch[:3])...)
					for i, s := range batch {
						want := run(t, m, pooling, false, s).Vector(0)
						if !slices.Equal(together.Vector(i), want) {
							t.Errorf("text %d has other bits in a batch", i)
						}
						if !slices.Equal(threaded.Vector((i+len(batch)-3)%len(batch)), want) {
							t.Errorf("text %d has other bits in another batch on three threads", i)
						}
					}
				}
			})
		}
	}
}

// TestInt8Tiny compares the tiny model in 8 bits with the golden vectors.
func TestInt8Tiny(t *testing.T) {
	want := file(t, "tiny/outputs.safetensors")
	for _, set := range kernel.Sets() {
		m := load(t, tinyConfig(t), int8Weights{file(t, "tiny/model.safetensors"), 2}, LoadOptions{Kernels: set})
		for _, l := range []int{1, 5, 17, 100, 512} {
			ids := integers(t, want, fmt.Sprintf("L%d/input_ids", l))[0]
			got := run(t, m, PoolClass, false, alone(ids)).Vector(0)
			if c := Cosine(got, floats(t, want, fmt.Sprintf("L%d/pooled_cls", l))); !(c >= tolerance.Int8Cosine) {
				t.Errorf("%s, L%d: cosine %.6f, want at least %v", set.Name, l, c, tolerance.Int8Cosine)
			}
		}
	}
}

// partlyInt8 keeps some tensors of an int8 model as they were.
type partlyInt8 struct {
	int8Weights
	float string // part of their names
}

func (w partlyInt8) Tensor(name string) (checkpoint.Tensor, error) {
	if strings.Contains(name, w.float) {
		return w.Weights.Tensor(name)
	}
	return w.int8Weights.Tensor(name)
}

// TestMixedTypes runs files whose layers differ in the types of their matrices.
func TestMixedTypes(t *testing.T) {
	want := file(t, "tiny/outputs.safetensors")
	for _, float := range []string{"layer.0.", "layer.1.", "layer.0.attention.in_linear", "layer.1.attention.in_linear", "out_linear", "mlp.", "word_embeddings", "layer"} {
		for _, set := range kernel.Sets() {
			m := load(t, tinyConfig(t), partlyInt8{int8Weights{file(t, "tiny/model.safetensors"), 2}, float}, LoadOptions{Kernels: set})
			for _, pooling := range []Pooling{PoolClass, PoolMean} {
				name := map[Pooling]string{PoolClass: "pooled_cls", PoolMean: "pooled_mean"}[pooling]
				got := run(t, m, pooling, false, alone(integers(t, want, "L100/input_ids")[0])).Vector(0)
				if c := Cosine(got, floats(t, want, "L100/"+name)); !(c >= tolerance.Int8Cosine) {
					t.Errorf("%s, %s in float32, %s: cosine %.6f, want at least %v", set.Name, float, name, c, tolerance.Int8Cosine)
				}
			}
		}
	}
}

// TestInt8Golden80M compares the 80M shape in 8 bits with the golden vectors.
func TestInt8Golden80M(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 440 MB of weights")
	}
	want := file(t, "golden/m2-80m-32k/outputs.safetensors")
	m := load(t, bigConfig(32768), int8Weights{bigWeights(), 12}, LoadOptions{FilterBudget: -1})
	r := m.NewRun()
	lengths := []int{5, 128, 2048}
	if soak {
		lengths = append(lengths, 2049, 8192, 32768)
	}
	for _, l := range lengths {
		for pooling, name := range map[Pooling]string{PoolClass: "pooled_cls", PoolMean: "pooled_mean"} {
			runAgain(t, r, pooling, false, alone(goldenIDs(l)))
			c := Cosine(r.Vector(0), floats(t, want, fmt.Sprintf("L%d/f64/%s", l, name)))
			t.Logf("L%d %s: cosine %.6f", l, name, c)
			if !(c >= tolerance.Int8Cosine) {
				t.Errorf("L%d %s: cosine %.6f, want at least %v", l, name, c, tolerance.Int8Cosine)
			}
		}
	}
}
