package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

func TestFloat32(t *testing.T) {
	f64 := binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.1))
	for _, c := range []struct {
		tensor Tensor
		want   float32
		ok     bool
	}{
		{Tensor{DType: F32, Data: []byte{0, 0, 0x80, 0x3f}}, 1, true},
		{Tensor{DType: F16, Data: []byte{0, 0x3e}}, 1.5, true},
		{Tensor{DType: BF16, Data: []byte{0x20, 0xc0}}, -2.5, true},
		{Tensor{DType: F64, Data: f64}, 1.1, true},
		{Tensor{DType: I8, Data: []byte{1}}, 0, false},
		{Tensor{DType: F32, Data: []byte{1}}, 0, false},
		{Tensor{DType: F32, Shape: []int{-1}}, 0, false},
		{Tensor{DType: 99, Data: []byte{1}}, 0, false},
	} {
		got, err := c.tensor.Float32(nil)
		if (err == nil) != c.ok || c.ok && got[0] != c.want {
			t.Errorf("%+v: %v, %v", c.tensor, got, err)
		}
	}
}

func TestFloat32Reuse(t *testing.T) {
	x := Tensor{DType: F32, Shape: []int{2}, Data: floatBytes(2)}
	dst := make([]float32, 5)
	got, err := x.Float32(dst)
	if err != nil || len(got) != 2 || &got[0] != &dst[0] {
		t.Errorf("%v, %v: not the given slice", got, err)
	}
	if got, err := x.Float32(make([]float32, 1)); err != nil || got[1] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	// An odd address has no view, but its numbers can be read.
	x.Data = append([]byte{0}, x.Data...)[1:]
	if _, ok := x.Float32View(); ok {
		t.Error("a view of unaligned data")
	}
	if got, err := x.Float32(nil); err != nil || got[1] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, ok := (Tensor{DType: F16, Shape: []int{2}, Data: make([]byte, 4)}).Float32View(); ok {
		t.Error("a view of F16")
	}
	if v, ok := (Tensor{DType: F32, Shape: []int{0}}).Float32View(); !ok || len(v) != 0 {
		t.Error("no view of nothing")
	}
}

func TestDType(t *testing.T) {
	for d := F32; d <= Bool; d++ {
		back, err := ParseDType(d.String())
		if err != nil || back != d || d.Size() == 0 {
			t.Errorf("%s: %v, %v, %d bytes", d, back, err, d.Size())
		}
	}
	if DType(99).Size() != 0 || DType(99).String() != "DType(99)" {
		t.Error(DType(99).String(), DType(99).Size())
	}
}

func TestDequantize(t *testing.T) {
	scales := Tensor{Name: "w_scale", DType: F32, Shape: []int{2}, Data: []byte{0, 0, 0, 0x3f, 0, 0, 0, 0x40}} // 0.5, 2
	for _, c := range []struct {
		tensor Tensor
		want   []float32
	}{
		{Tensor{DType: I8, Shape: []int{2, 3}, Data: []byte{1, 0xff, 127, 2, 0x80, 0}}, []float32{0.5, -0.5, 63.5, 4, -256, 0}},
		{Tensor{DType: I16, Shape: []int{2, 1}, Data: []byte{0xff, 7, 1, 0xf8}}, []float32{1023.5, -4094}},
		{Tensor{DType: I16, Shape: []int{2, 0}}, []float32{}},
		{Tensor{DType: I8, Shape: []int{2, 3}, Data: make([]byte, 5)}, nil},
		{Tensor{DType: I16, Shape: []int{2, 3}, Data: make([]byte, 6)}, nil},
		{Tensor{DType: I8, Shape: []int{3, 2}, Data: make([]byte, 6)}, nil},
		{Tensor{DType: I8, Data: []byte{1}}, nil},
		{Tensor{DType: I32, Shape: []int{2, 1}, Data: make([]byte, 8)}, nil},
	} {
		got, err := c.tensor.Dequantize(scales)
		if (err != nil) != (c.want == nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s %v: %v, %v, want %v", c.tensor.DType, c.tensor.Shape, got, err, c.want)
		}
	}
}
