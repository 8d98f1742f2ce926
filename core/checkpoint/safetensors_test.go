package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// withHeader puts a length in front of a safetensors header, and data behind.
func withHeader(header string, data []byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func TestSafetensorsHeaders(t *testing.T) {
	x := `"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`
	for _, c := range []struct{ name, header, want string }{
		{"plain", "{" + x + "}", ""},
		{"spaces", "{" + x + "}     ", ""},
		{"metadata", `{"__metadata__":{"format":"pt"},` + x + "}", ""},
		{"unknown field", `{"x":{"note":[1,{"a":null}],"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, ""},
		{"escaped name", `{"\u0078":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, ""},
		{"scalar and nothing", `{"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"n":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},` +
			`"x":{"dtype":"F32","shape":[5],"data_offsets":[4,24]}}`, "tail"},
		{"alias", `{"__metadata__":{"bert.x":"y"},"y":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, ""},
		{"alias to nothing", `{"__metadata__":{"bert.z":"y"},` + x + "}", ""},
		{"alias that is there", `{"__metadata__":{"x":"x"},` + x + "}", ""},
		{"hole", `{"y":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}`, `!4 bytes before tensor "x"`},
		{"hole in front", `{"x":{"dtype":"F32","shape":[5],"data_offsets":[4,24]}}`, `!4 bytes before tensor "x"`},
		{"nothing in a hole", `{"n":{"dtype":"F32","shape":[0],"data_offsets":[2,2]},"x":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}`, "!overlap"},
		{"nothing at the end", `{"n":{"dtype":"F32","shape":[0],"data_offsets":[24,24]},"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, ""},
		{"unknown type beside", `{"y":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[5],"data_offsets":[4,24]}}`, "tail"},
		{"65 dimensions", `{"x":{"dtype":"F32","shape":[6` + strings.Repeat(",1", 64) + `],"data_offsets":[0,24]}}`, "!more than 64"},
		{"64 dimensions", `{"x":{"dtype":"F32","shape":[6` + strings.Repeat(",1", 63) + `],"data_offsets":[0,24]}}`, ""},
		{"not converted", `{"__metadata__":{"m2embed.refused.x":"it was complex"},"y":{"dtype":"I8","shape":[24],"data_offsets":[0,24]}}`, "!it was complex"},
		{"two equal names", "{" + x + "," + x + "}", "!duplicate"},
		{"two spellings", "{" + x + `,"bert.x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, "!both stand for"},
		{"overlap", `{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"y":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}`, `!tensors "x" and "y" overlap`},
		{"twice the same bytes", "{" + x + `,"y":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, "!overlap"},
		{"bytes left", `{"x":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}`, "!4 bytes after"},
		{"outside", `{"x":{"dtype":"F32","shape":[7],"data_offsets":[0,28]}}`, "!outside the data section of 24"},
		{"offsets in reverse", `{"x":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}`, "!outside"},
		{"shape too small", `{"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,24]}}`, "!data_offsets span 24"},
		{"shape too large", `{"x":{"dtype":"F32","shape":[2,4],"data_offsets":[0,24]}}`, "!takes 32 bytes"},
		{"2^60 elements", `{"x":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,24]}}`, "!takes"},
		{"2^64 by product", `{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,24]}}`, "!too large"},
		{"2^64", `{"x":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,24]}}`, "!not a usable size"},
		{"negative", `{"x":{"dtype":"F32","shape":[-2,-3],"data_offsets":[0,24]}}`, "!not a usable size"},
		{"fraction", `{"x":{"dtype":"F32","shape":[2.0,3],"data_offsets":[0,24]}}`, "!not a usable size"},
		{"offset of 2^63", `{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,9223372036854775808]}}`, "!not a usable size"},
		{"three offsets", `{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24,24]}}`, "!want dtype"},
		{"no dtype", `{"x":{"shape":[2,3],"data_offsets":[0,24]}}`, "!want dtype"},
		{"unknown dtype", `{"x":{"dtype":"F8_E4M3","shape":[24],"data_offsets":[0,24]}}`, `!"F8_E4M3"`},
		{"dtype is a number", `{"x":{"dtype":3,"shape":[24],"data_offsets":[0,24]}}`, "!want a string"},
		{"tensor is a number", `{"x":3}`, "!want an object"},
		{"metadata is a number", `{"__metadata__":{"a":1},` + x + "}", "!want a string"},
		{"cut", "{" + x, "!EOF"},
		{"cut in a text", `{"x`, "!EOF"},
		{"two objects", "{" + x + "}{}", "!after the JSON object"},
		{"deep", strings.Repeat(`{"x":`, 20000), "!depth"},
		{"deep in a skipped field", `{"x":{"y":` + strings.Repeat(`[`, 20000), "!depth"},
		{"invalid UTF-8", "{\"\xff\":{}}", "!UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := openAndRead(withHeader(c.header, floatBytes(6)), "x")
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "[0 1 2 3 4 5]"
			if c.want == "tail" {
				want = "[1 2 3 4 5]"
			}
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	for _, length := range []uint64{1 << 60, 1<<64 - 1, 5} {
		b := binary.LittleEndian.AppendUint64(nil, length)
		if _, err := OpenBytes(append(b, '{', '}')); err == nil {
			t.Errorf("a header length of %d was accepted", length)
		}
	}
}

func outputOf(name string, d DType, shape []int, data []byte) Output {
	return Output{name, d, shape, func(w io.Writer) error { _, err := w.Write(data); return err }}
}

func TestWriteSafetensors(t *testing.T) {
	values := map[string]struct {
		d     DType
		shape []int
		data  []byte
	}{
		"b.bytes": {I8, []int{3}, []byte{1, 2, 3}},
		"a.bools": {Bool, []int{1, 1}, []byte{1}},
		"c.wide":  {I64, []int{2}, make([]byte, 16)},
		"d.half":  {BF16, []int{3}, make([]byte, 6)},
		"e.float": {F32, []int{2, 3}, floatBytes(6)},
		"f.empty": {F64, []int{0, 7}, nil},
		"g.one":   {F32, []int{}, floatBytes(1)},
		"ü \"\n":  {U8, []int{1}, []byte{9}},
	}
	var outputs, reverse []Output
	for name, v := range values {
		outputs = append(outputs, outputOf(name, v.d, v.shape, v.data))
		reverse = append([]Output{outputOf(name, v.d, v.shape, v.data)}, reverse...)
	}
	metadata := map[string]string{"format": "pt", "dropped": "e.float"}
	var a, b bytes.Buffer
	if err := WriteSafetensors(&a, metadata, outputs); err != nil {
		t.Fatal(err)
	}
	if err := WriteSafetensors(&b, metadata, reverse); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the order of outputs shows in the file")
	}
	if n := binary.LittleEndian.Uint64(a.Bytes()); (n+8)%64 != 0 {
		t.Errorf("data begin at %d", n+8)
	}
	f := openBytes(t, a.Bytes())
	for name, v := range values {
		got, err := f.Tensor(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got.DType != v.d || fmt.Sprint(got.Shape) != fmt.Sprint(v.shape) || !bytes.Equal(got.Data, v.data) {
			t.Errorf("%q came back as %+v", name, got)
		}
	}
	if info, ok := f.Info("dropped"); !ok || info.Alias != "e.float" {
		t.Errorf("alias: %+v", info)
	}
	if f.Metadata()["format"] != "pt" {
		t.Errorf("metadata: %v", f.Metadata())
	}
	var empty bytes.Buffer
	if err := WriteSafetensors(&empty, nil, nil); err != nil {
		t.Fatal(err)
	}
	if f := openBytes(t, empty.Bytes()); len(f.Names()) != 0 {
		t.Error(f.Names())
	}
}

func TestWriteSafetensorsErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name   string
		output []Output
		want   string
	}{
		{"too few bytes", []Output{outputOf("x", F32, []int{2}, make([]byte, 7))}, `tensor "x": 1 bytes of 8 are missing`},
		{"too many bytes", []Output{outputOf("x", F32, []int{2}, make([]byte, 9))}, `tensor "x": 1 bytes too many`},
		{"overflow", []Output{outputOf("x", F32, []int{1 << 40, 1 << 40}, nil)}, "cannot be written"},
		{"negative", []Output{outputOf("x", F32, []int{-1}, nil)}, "cannot be written"},
		{"equal names", []Output{outputOf("x", F32, []int{0}, nil), outputOf("x", F32, []int{0}, nil)}, "duplicate"},
		{"reserved name", []Output{outputOf("__metadata__", F32, []int{0}, nil)}, "__metadata__"},
		{"failing source", []Output{{"x", F32, []int{1}, func(io.Writer) error { return broken }}}, `tensor "x": broken`},
	} {
		err := WriteSafetensors(io.Discard, nil, c.output)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
}
