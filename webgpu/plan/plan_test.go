package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/checkpoint/goldenweights"
	"m2embed/core/model"
	"m2embed/webgpu/kernels"
)

// base80M is the published 80M shape.
func base80M(length int) model.Config {
	return model.Config{VocabSize: 30528, HiddenSize: 768, NumHiddenLayers: 12, IntermediateSize: 3072, MaxPositionEmbeddings: length, TypeVocabSize: 2,
		LayerNormEps: 1e-12, LongConvLMax: length, HyenaEmbDim: 5, HyenaFilterOrder: 128, HyenaWMod: 1, UsePositionalEncodings: true, Bidirectional: true,
		ResidualLongConv: true, UseGLUMLP: true, UseMonarchMLP: true, MonarchMLPNBlocks: 4, Pooling: model.PoolClass}
}

// shapes are edge lengths and batches: every bucket, both convolutions.
var shapes = []Shape{
	{Texts: 1, Length: 1}, {Texts: 1, Length: 2}, {Texts: 3, Length: 17}, {Texts: 1, Length: 63}, {Texts: 1, Length: 64}, {Texts: 1, Length: 65},
	{Texts: 32, Length: 128}, {Texts: 1, Length: 257}, {Texts: 1, Length: 1000}, {Texts: 1, Length: 2047}, {Texts: 1, Length: 2048}, {Texts: 2, Length: 2049},
	{Texts: 1, Length: 4096}, {Texts: 1, Length: 8192}, {Texts: 1, Length: 20000}, {Texts: 1, Length: 32768},
	{Texts: 1, Length: 300, Hidden: true, Pooling: model.PoolNone}, {Texts: 2, Length: 300, Hidden: true, Normalize: true}, {Texts: 2, Length: 300, Pooling: model.PoolMean, Normalize: true},
}

// TestDefaultLimits checks that the 80M model fits the limits that every
// device grants, at every length, and that plans keep to them.
func TestDefaultLimits(t *testing.T) {
	limits := DefaultLimits()
	for _, half := range []bool{false, true} {
		for _, s := range shapes {
			p, err := New(base80M(32768), s, limits, Options{Half: half})
			if err != nil {
				t.Errorf("%+v: %v", s, err)
				continue
			}
			for i, b := range p.Buffers {
				if b.Kind != Uniform && (b.Size > limits.MaxStorageBufferBindingSize || b.Size%4 != 0) {
					t.Errorf("%+v: buffer %d %q has %d bytes", s, i, b.Key, b.Size)
				}
			}
			verify(t, fmt.Sprintf("%+v", s), p, limits)
		}
	}
}

// TestLargeModel checks the widest published shape: its word table takes more
// than one binding, and long texts ask for more than default limits.
func TestLargeModel(t *testing.T) {
	c := base80M(32768)
	c.HiddenSize, c.IntermediateSize = 1792, 7168
	for _, s := range []Shape{{Texts: 1, Length: 128}, {Texts: 4, Length: 2048}, {Texts: 1, Length: 16384}} {
		p, err := New(c, s, DefaultLimits(), Options{})
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		verify(t, fmt.Sprintf("%+v", s), p, DefaultLimits())
	}
	var large *TooLargeError
	if _, err := New(c, Shape{Texts: 1, Length: 32768}, DefaultLimits(), Options{}); !errors.As(err, &large) {
		t.Errorf("32,768 tokens of 1,792 channels: %v", err)
	}
	raised := Limits{MaxStorageBufferBindingSize: 1 << 30, MaxBufferSize: 1 << 30, MaxComputeWorkgroupsPerDimension: 65535}
	p, err := New(c, Shape{Texts: 1, Length: 32768}, raised, Options{})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, "raised limits", p, raised)
	for _, size := range []int{0, 1, 1000, 100000} {
		small := Limits{MaxStorageBufferBindingSize: size, MaxBufferSize: size, MaxComputeWorkgroupsPerDimension: 65535}
		if _, err := New(c, Shape{Texts: 1, Length: 128}, small, Options{}); !errors.As(err, &large) {
			t.Errorf("bindings of %d bytes: %v", size, err)
		}
	}
}

// verify checks what WebGPU would refuse or compute wrongly: bindings within
// buffers, no buffer both read and written through two bindings, groups within
// limits, parameters within the uniform buffer, and that no dispatch of the
// pass reads scratch that nothing has written.
func verify(t *testing.T, name string, p *Plan, limits Limits) {
	t.Helper()
	written := map[int]bool{p.IDs: true, p.Mask: true}
	all := append([]Setup{}, p.Setup...)
	all = append(all, Setup{Dispatches: p.Dispatches})
	for _, s := range all {
		for _, d := range s.Dispatches {
			seen := map[int]bool{}
			storage := 0
			for _, b := range d.Bindings {
				if b.Buffer < 0 || b.Buffer >= len(p.Buffers) || b.Size > p.Buffers[b.Buffer].Size || b.Size <= 0 {
					t.Fatalf("%s: %s: binding %+v", name, d.Label, b)
				}
				storage++
				output := writes(p.Pipelines[d.Pipeline], b.Slot)
				if wrote, twice := seen[b.Buffer]; twice && (wrote || output) {
					t.Fatalf("%s: %s: buffer %d is bound twice and written", name, d.Label, b.Buffer)
				}
				seen[b.Buffer] = output
				switch {
				case output:
					written[b.Buffer] = true
				case p.Buffers[b.Buffer].Kind == Scratch && !written[b.Buffer]:
					t.Fatalf("%s: %s reads buffer %d before it is written", name, d.Label, b.Buffer)
				}
			}
			if storage > 8 {
				t.Fatalf("%s: %s binds %d storage buffers, every device has 8", name, d.Label, storage)
			}
			for _, n := range d.Groups {
				if n < 1 || n > limits.MaxComputeWorkgroupsPerDimension {
					t.Fatalf("%s: %s: groups %v", name, d.Label, d.Groups)
				}
			}
			if d.Params%256 != 0 || d.Params+256 > len(p.Params) {
				t.Fatalf("%s: %s: parameters at %d of %d", name, d.Label, d.Params, len(p.Params))
			}
			if !(d.Work > 0) || math.IsInf(d.Work, 0) {
				t.Fatalf("%s: %s: work %g", name, d.Label, d.Work)
			}
		}
	}
	if !written[p.Output] {
		t.Fatalf("%s: nothing writes the output", name)
	}
}

// writes tells from the kernel's source whether a slot is written.
func writes(p Pipeline, slot int) bool {
	_, after, found := strings.Cut(kernels.Source(p.Kernel), fmt.Sprintf("@binding(%d) var<storage, read", slot))
	return found && strings.HasPrefix(after, "_write>")
}

// TestLiveness checks that no dispatch overwrites scratch whose content is
// still wanted: replaying tags instead of numbers must give the same reads for
// the shared buffers as for a plan in which every tensor has its own buffer.
func TestLiveness(t *testing.T) {
	for _, s := range []Shape{{Texts: 2, Length: 40}, {Texts: 1, Length: 3000}, {Texts: 1, Length: 9, Hidden: true}, {Texts: 2, Length: 9, Hidden: true, Pooling: model.PoolNone}} {
		for _, budget := range []int{0, -1} {
			trace := func(p *Plan, kind func(buffer int) BufferKind, output int) []string {
				content := map[int]string{}
				var reads []string
				step := 0
				run := func(ds []Dispatch) {
					for _, d := range ds {
						step++
						tag := fmt.Sprint(step)
						var in []string
						for _, b := range d.Bindings {
							if k := kind(b.Buffer); k == Scratch || k == Shared {
								if writes(p.Pipelines[d.Pipeline], b.Slot) && !updates(p.Pipelines[d.Pipeline], b.Slot, d.Label) {
									continue
								}
								in = append(in, fmt.Sprintf("%d:%s", b.Slot, content[b.Buffer]))
							}
						}
						reads = append(reads, d.Label+" "+strings.Join(in, " "))
						for _, b := range d.Bindings {
							if writes(p.Pipelines[d.Pipeline], b.Slot) {
								content[b.Buffer] = tag
							}
						}
					}
				}
				for _, g := range p.Setup {
					run(g.Dispatches)
				}
				run(p.Dispatches)
				return append(reads, content[output])
			}
			p, err := newPlanner(base80M(4096), s, DefaultLimits(), Options{SpectraBytes: budget})
			if err != nil {
				t.Fatal(err)
			}
			ids, mask, output := p.model()
			// Before it is finished, every tensor is a buffer of its own.
			apart := trace(p.plan, func(i int) BufferKind { return p.virtuals[i].buffer.Kind }, int(output))
			finished, err := p.finish(ids, mask, output)
			if err != nil {
				t.Fatal(err)
			}
			shared := trace(finished, func(i int) BufferKind { return finished.Buffers[i].Kind }, finished.Output)
			for i := range apart {
				if shared[i] != apart[i] {
					t.Fatalf("%+v: dispatch %d reads %q, without sharing %q", s, i, shared[i], apart[i])
				}
			}
		}
	}
}

// updates says that a dispatch reads a slot that its kernel may write.
func updates(p Pipeline, slot int, label string) bool {
	switch p.Kernel {
	case "layer_norm", "normalize":
		return true
	case "long_convolution":
		if slot == 6 {
			return p.Entry == "rows" || p.Entry == "rows_filter" || p.Entry == "columns_inverse"
		}
		return strings.Contains(label, "filter_fn2") // added to what filter_fn left
	}
	return false
}

// TestMemory checks the promise for long texts: beside the weights no more
// than 1 GB at 32,768 tokens, and that buffers are shared.
func TestMemory(t *testing.T) {
	for _, limits := range []Limits{DefaultLimits(), {MaxStorageBufferBindingSize: 4 << 30, MaxBufferSize: 4 << 30, MaxComputeWorkgroupsPerDimension: 65535}} {
		p, err := New(base80M(32768), Shape{Texts: 1, Length: 32768}, limits, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if other := p.ScratchBytes() + p.SharedBytes(); other > 1e9 {
			t.Errorf("%d bytes beside the weights, want at most 1e9", other)
		}
	}
	p, err := New(base80M(2048), Shape{Texts: 1, Length: 2048}, DefaultLimits(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := 24 * 768 * 2048 * 8; p.SharedBytes() != want {
		t.Errorf("spectra for 2,048 tokens: %d bytes, want %d", p.SharedBytes(), want)
	}
}

func TestDeterministic(t *testing.T) {
	for _, s := range shapes {
		var texts [2][]byte
		for i := range texts {
			p, err := New(base80M(32768), s, DefaultLimits(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = p.JSON(kernels.Source)
		}
		if !bytes.Equal(texts[0], texts[1]) {
			t.Errorf("%+v: two plans differ", s)
		}
	}
}

func TestJSON(t *testing.T) {
	p, err := New(base80M(2048), Shape{Texts: 2, Length: 100, Pooling: model.PoolMean}, DefaultLimits(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Texts, Length, IDs, Mask, Output int
		Kernels, Sources                 []string
		Pipelines                        []struct {
			Kernel, Entry string
			Constants     map[string]float64
		}
		Buffers []struct {
			Kind, Key string
			Size      int
		}
		Params     []uint32
		Setup      []struct{ Key string }
		Dispatches []struct {
			Pipeline, Params int
			Bindings, Groups []int
			Work             float64
			Label            string
		}
	}
	if err := json.Unmarshal(p.JSON(kernels.Source), &out); err != nil {
		t.Fatal(err)
	}
	if out.Texts != 2 || out.Length != 100 || out.IDs != p.IDs || out.Mask != p.Mask || out.Output != p.Output ||
		len(out.Params) != len(p.Params)/4 || len(out.Dispatches) != len(p.Dispatches) || len(out.Setup) != len(p.Setup) {
		t.Errorf("plan changed on its way through JSON")
	}
	for i, name := range out.Kernels {
		if out.Sources[i] != kernels.Source(name) || out.Sources[i] == "" {
			t.Errorf("source of %q changed", name)
		}
	}
	for i, d := range p.Dispatches {
		got := out.Dispatches[i]
		if got.Label != d.Label || got.Params != d.Params || len(got.Bindings) != 3*len(d.Bindings) || got.Groups[0] != d.Groups[0] || got.Work != d.Work {
			t.Errorf("dispatch %d changed: %+v", i, got)
		}
	}
}

func TestErrors(t *testing.T) {
	c := base80M(2048)
	for name, s := range map[string]Shape{
		"no texts": {Length: 1}, "no tokens": {Texts: 1}, "too long": {Texts: 1, Length: 2049}, "pooling": {Texts: 1, Length: 1, Pooling: 9},
	} {
		if _, err := New(c, s, DefaultLimits(), Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var large *TooLargeError
	if _, err := New(c, Shape{Texts: 40, Length: 2048}, DefaultLimits(), Options{}); !errors.As(err, &large) || large.Need <= large.Max {
		t.Errorf("too large a batch: %v", err)
	}
}

// TestPack checks transposition, padding, parts, halves and twiddles.
func TestPack(t *testing.T) {
	weights := tensorsOf{"m": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}
	for _, c := range []struct {
		name string
		part Piece
		want []float32
	}{
		{"copy", Piece{Kind: Copy, Tensor: "m", Rows: 1, Inner: 3, First: 2, Total: 12}, []float32{7, 8, 9}},
		{"turn", Piece{Kind: Turn, Tensor: "m", Blocks: 2, Rows: 2, Inner: 3, Total: 12}, []float32{1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0, 0, 7, 10, 0, 0, 8, 11, 0, 0, 9, 12, 0, 0}},
		{"zeros", Piece{Kind: Zeros, Rows: 2}, []float32{0, 0}},
		{"twiddles", Piece{Kind: Twiddles, Rows: 4}, []float32{1, 0, 1, 0, 1, 0, 0, -1}},
	} {
		b := Buffer{Size: c.part.bytes(), Parts: []Piece{c.part}}
		data, err := Pack(nil, b, weights)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range c.want {
			got := math.Float32frombits(uint32(data[4*i]) | uint32(data[4*i+1])<<8 | uint32(data[4*i+2])<<16 | uint32(data[4*i+3])<<24)
			if math.Abs(float64(got-w)) > 1e-7 {
				t.Errorf("%s: element %d is %g, want %g", c.name, i, got, w)
			}
		}
	}
	half, err := Pack(nil, Buffer{Size: 8, Parts: []Piece{{Kind: Copy, Tensor: "m", Rows: 1, Inner: 3, Half: true, Total: 12}}}, weights)
	if err != nil || !bytes.Equal(half[:6], []byte{0, 0x3c, 0, 0x40, 0, 0x42}) {
		t.Errorf("halves: % x, %v", half, err)
	}
	if _, err := Pack(nil, Buffer{Size: 8, Parts: []Piece{{Kind: Copy, Tensor: "m", Rows: 1, Inner: 2, Total: 2}}}, weights); err == nil {
		t.Error("no error for a tensor of another size")
	}
	if _, err := Pack(nil, Buffer{Size: 8, Parts: []Piece{{Kind: Copy, Tensor: "none", Rows: 1, Inner: 2, Total: 2}}}, weights); err == nil {
		t.Error("no error for a missing tensor")
	}
}

// TestPackModel packs every weight of a model in both widths.
func TestPackModel(t *testing.T) {
	g := goldenweights.Tiny()
	c := base80M(512)
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.IntermediateSize, c.HyenaFilterOrder = g.VocabSize, g.HiddenSize, g.NumHiddenLayers, g.IntermediateSize, g.HyenaFilterOrder
	weights := goldenweights.New(g)
	for _, half := range []bool{false, true} {
		p, err := New(c, Shape{Texts: 1, Length: 30, Pooling: model.PoolMean}, DefaultLimits(), Options{Half: half})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range p.Buffers {
			if b.Kind != Weight {
				continue
			}
			sum := 0
			for _, part := range b.Parts {
				sum += part.bytes()
			}
			if data, err := Pack(nil, b, weights); err != nil || len(data) != b.Size || sum > b.Size || b.Size-sum >= 16 {
				t.Errorf("%s: %d bytes packed of %d, parts %d: %v", b.Key, len(data), b.Size, sum, err)
			}
		}
	}
}

type tensorsOf map[string][]float32

func (s tensorsOf) Names() []string { return nil }

func (s tensorsOf) Tensor(name string) (checkpoint.Tensor, error) {
	values, ok := s[name]
	if !ok {
		return checkpoint.Tensor{}, fmt.Errorf("no tensor %q", name)
	}
	var data []byte
	for _, v := range values {
		b := math.Float32bits(v)
		data = append(data, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
	}
	return checkpoint.Tensor{Name: name, Shape: []int{len(values)}, DType: checkpoint.F32, Data: data}, nil
}
