package checkpoint

import (
	"strings"
	"testing"
)

const written = "../../testdata/checkpoint/"

// TestLibraryFiles reads files of the real torch.save and safetensors.
func TestLibraryFiles(t *testing.T) {
	for _, file := range []string{
		"protocol2.pt", "protocol3.pt", "protocol4.pt", "protocol5.pt", "legacy.pt", "dtypes.safetensors",
	} {
		t.Run(file, func(t *testing.T) {
			f := openBytes(t, read(t, written+file))
			if n := len(f.Names()); n != 20 {
				t.Errorf("%d names: %v", n, f.Names())
			}
			for name, want := range map[string]DType{
				"float32": F32, "float16": F16, "bfloat16": BF16, "float64": F64, "int64": I64, "int32": I32,
				"int16": I16, "int8": I8, "uint8": U8, "bool": Bool, "transposed": F32, "parameter": F32, "frozen": F32,
			} {
				tensor, err := f.Tensor(name)
				if err != nil {
					t.Error(err)
					continue
				}
				if tensor.DType != want {
					t.Errorf("%s: %s, want %s", name, tensor.DType, want)
				}
				for i := range tensor.Elements() {
					if got := elementAt(tensor, i); got != float64(i) {
						t.Errorf("%s[%d] = %v", name, i, got)
					}
				}
			}
			for name, want := range map[string][]float32{
				"scalar": {7}, "empty": {}, "rows": {6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17},
				"column": {2, 8, 14, 20}, "every_other": {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22},
			} {
				got := floatsOf(t, f, name)
				if len(got) != len(want) {
					t.Errorf("%s: %v", name, got)
					continue
				}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("%s: %v, want %v", name, got, want)
						break
					}
				}
			}
			if info, _ := f.Info("same"); strings.HasSuffix(file, ".pt") && info.Alias != "base" {
				t.Errorf("same: %+v", info)
			}
		})
	}
	for _, file := range []string{"module.pt", "training.pt", "module.safetensors"} {
		f := openBytes(t, read(t, written+file))
		if got := floatsOf(t, f, "tied.weight"); len(got) != 6 || got[5] != 5 {
			t.Errorf("%s: %v", file, got)
		}
		if info, ok := f.Info("tied.weight"); !ok || info.Alias != "linear.weight" {
			t.Errorf("%s: %+v", file, info)
		}
		if tensor, err := f.Tensor("steps"); err != nil || elementAt(tensor, 0) != 5 {
			t.Errorf("%s: %v, %v", file, tensor, err)
		}
	}
	if _, err := OpenBytes(read(t, written+"whole_module.pt")); err == nil || !strings.Contains(err.Error(), "__main__.Net") {
		t.Errorf("a pickled module: error %v", err)
	}
}

// elementAt reads a small number of any type.
func elementAt(t Tensor, i int) float64 {
	if v, err := t.Float32(nil); err == nil {
		return float64(v[i])
	}
	return float64(t.Data[i*t.DType.Size()])
}
