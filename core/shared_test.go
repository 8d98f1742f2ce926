package core

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"m2embed/core/checkpoint"
)

// TestSharedWeights: a model whose layers share tensors is the one that has a copy
// of them in each, whoever owns the memory: what is packed in place serves no
// other matrix.
func TestSharedWeights(t *testing.T) {
	weights := openTinyWeights(t)
	of := func(name string) string { return strings.Replace(name, "encoder.layer.1.", "encoder.layer.0.", 1) }
	write := func(shared bool) *checkpoint.File {
		var outputs []checkpoint.Output
		metadata := map[string]string{}
		for _, name := range weights.Names() {
			tensor, err := weights.Tensor(of(name))
			if err != nil {
				t.Fatal(err)
			}
			if shared && of(name) != name {
				metadata[name] = of(name)
				continue
			}
			outputs = append(outputs, checkpoint.Output{Name: name, DType: tensor.DType, Shape: tensor.Shape, Write: func(w io.Writer) error {
				_, err := w.Write(tensor.Data)
				return err
			}})
		}
		var b bytes.Buffer
		if err := checkpoint.WriteSafetensors(&b, metadata, outputs); err != nil {
			t.Fatal(err)
		}
		f, err := checkpoint.OpenBytes(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	var want []float32
	for _, o := range []struct{ shared, overwrite bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		e, err := Open(read(t, "tiny/config.json"), nil, write(o.shared), OpenOptions{Overwrite: o.overwrite})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		got := embed(t, e, Options{Padding: none}, Input{IDs: []int32{2, 7, 8, 9, 3}})[0].Vector
		if want == nil {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("%+v: another vector", o)
		}
	}
}
