package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// member is one entry of a zip file made for a test.
type member struct {
	name   string
	data   []byte
	method uint16
}

func makeZip(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: m.method})
		if err == nil {
			_, err = f.Write(m.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// text is the pickle of a string.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// number is the pickle of an integer.
func number(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func numbers(list ...int64) string {
	s := "("
	for _, n := range list {
		s += number(n)
	}
	return s + "t"
}

// tensorPickle is the pickle of a tensor of torch.
func tensorPickle(storage, key string, elements, offset int64, shape, strides []int64) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage + "\n" +
		text(key) + text("cpu") + number(elements) + "tQ" + number(offset) + numbers(shape...) + numbers(strides...) +
		"\x89ccollections\nOrderedDict\n)RtR"
}

// dictPickle is the pickle of a dictionary of name, value, name, value, ...
func dictPickle(items ...string) string {
	s := "\x80\x02}("
	for i, item := range items {
		if i%2 == 0 {
			item = text(item)
		}
		s += item
	}
	return s + "u."
}

func floatBytes(n int) []byte {
	b := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(float32(i)))
	}
	return b
}

// torchFile wraps a pickle and one storage "0" of floats 0, 1, 2, ...
func torchFile(t testing.TB, pickle string, elements int) []byte {
	return makeZip(t, member{name: "x/data.pkl", data: []byte(pickle)}, member{name: "x/data/0", data: floatBytes(elements)})
}

func TestTorchViews(t *testing.T) {
	for _, c := range []struct {
		name           string
		offset         int64
		shape, strides []int64
		want           string // elements, or part of the error after "!"
	}{
		{"whole", 0, []int64{2, 3}, []int64{3, 1}, "[0 1 2 3 4 5]"},
		{"transposed", 0, []int64{3, 2}, []int64{1, 3}, "[0 3 1 4 2 5]"},
		{"offset", 2, []int64{2, 2}, []int64{2, 1}, "[2 3 4 5]"},
		{"column", 1, []int64{2}, []int64{3}, "[1 4]"},
		{"scalar", 5, nil, nil, "[5]"},
		{"empty", 6, []int64{0, 3}, []int64{3, 1}, "[]"},
		{"size one with any stride", 1, []int64{1, 3}, []int64{999, 1}, "[1 2 3]"},
		{"repeated", 4, []int64{1, 2}, []int64{0, 0}, "[4 4]"},
		{"past the end", 1, []int64{2, 3}, []int64{3, 1}, "!shape [2 3]"},
		{"stride past the end", 0, []int64{2, 2}, []int64{5, 1}, "!reaches past"},
		{"huge stride", 0, []int64{2}, []int64{math.MaxInt64}, "!reaches past"},
		{"huge strides", 0, []int64{2, 2}, []int64{math.MaxInt64, math.MaxInt64}, "!reaches past"},
		{"negative stride", 4, []int64{1, 2}, []int64{1, -1}, "!negative stride"},
		{"negative size", 0, []int64{-1}, []int64{1}, "!too large"},
		{"2^60 elements", 0, []int64{1 << 60}, []int64{1}, "!takes"},
		{"2^60 elements by repeating", 0, []int64{1 << 30, 1 << 30}, []int64{0, 0}, "!may expand to"},
		{"2^80 elements", 0, []int64{1 << 40, 1 << 40}, []int64{1, 1}, "!too large"},
		{"offset outside", 7, []int64{0}, []int64{1}, "!offset 7"},
		{"negative offset", -1, []int64{1}, []int64{1}, "!offset"},
		{"sizes without strides", 0, []int64{2, 3}, []int64{1}, "!strides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dictPickle("bert.x", tensorPickle("FloatStorage", "0", 6, c.offset, c.shape, c.strides))
			f, err := openAndRead(torchFile(t, p, 6), "x")
			want, fails := strings.CutPrefix(c.want, "!")
			if fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// TestTorchPickles opens hostile, foreign and unusual pickles.
func TestTorchPickles(t *testing.T) {
	good := tensorPickle("FloatStorage", "0", 6, 0, []int64{2, 3}, []int64{3, 1})
	evil := "cos\nsystem\n(" + text("touch /tmp/owned") + "tR"
	for _, c := range []struct{ name, pickle, want string }{
		{"plain", dictPickle("x", good), ""},
		{"shell command as the object", "\x80\x02" + evil + ".", `!"os.system"`},
		{"shell command in protocol 0", "cos\nsystem\n(S'echo'\ntR.", `!"os.system"`},
		{"shell command alone in the dictionary", dictPickle("x", evil), `!"os.system"`},
		{"shell command beside the model", dictPickle("state", "}"+text("model")+dictBody("x", good)+"s", "rng", evil), ""},
		{"shell command inside the state", dictPickle("state", "}("+text("model")+dictBody("x", good)+text("e")+evil+"u"), ""},
		{"shell command as the model", dictPickle("state", "}"+text("model")+evil+"s"), `!state.model is an object of "os.system"`},
		{"shell command as the storage", dictPickle("x", "ctorch._utils\n_rebuild_tensor_v2\n("+evil+number(0)+numbers(1)+numbers(1)+"tR"), `!"os.system"`},
		{"stack global", "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", `!"os.system"`},
		{"state_dict", dictPickle("epoch", number(3), "state_dict", dictBody("module.bert.x", good)), ""},
		{"dictionary with attributes", "\x80\x02ccollections\nOrderedDict\n)R" + text("x") + good + "s}" +
			text("_metadata") + "ccollections\nOrderedDict\n)R" + text("") + "}" + text("version") + "K\x01sssb.", ""},
		{"dictionary of pairs", "\x80\x02ccollections\nOrderedDict\n]" + text("x") + good + "\x86a\x85R.", ""},
		{"parameter", dictPickle("x", "ctorch._utils\n_rebuild_parameter\n("+good+"\x88)tR"), ""},
		{"subclass", dictPickle("x", "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch.nn.parameter\nParameter\n"+tensorArguments+"}tR"), ""},
		{"numbers and texts beside tensors", dictPickle("x", good, "n", "K\x05", "s", text("s"), "none", "N", "list", "]", "float", "G\x3f\xf0\x00\x00\x00\x00\x00\x00"), ""},
		{"later pair wins", dictPickle("x", tensorPickle("FloatStorage", "0", 6, 0, []int64{1}, []int64{1}), "x", good), ""},
		{"two names for one tensor", dictPickle("bert.x", good, "model.bert.x", good), `!both stand for "x"`},
		{"unknown storage class", dictPickle("x", tensorPickle("QInt8Storage", "0", 6, 0, []int64{6}, []int64{1})), `!"torch.QInt8Storage"`},
		{"storage of another size", dictPickle("x", tensorPickle("FloatStorage", "0", 7, 0, []int64{6}, []int64{1})), "!claims 7 elements of F32, 6 are there"},
		{"storage of 2^60", dictPickle("x", tensorPickle("FloatStorage", "0", 1<<60, 0, []int64{1 << 60}, []int64{1})), "!claims"},
		{"missing storage", dictPickle("x", tensorPickle("FloatStorage", "../0", 6, 0, []int64{6}, []int64{1})), "!no entry"},
		{"no tensors", dictPickle("x", "K\x01"), "!no dictionary of tensors"},
		{"a list", "\x80\x02]" + good + "a.", "!no dictionary of tensors"},
		{"a dictionary in itself", "\x80\x02}q\x00" + text("x") + "h\x00s.", "!no dictionary of tensors"},
		{"no stop", "\x80\x02}", "!cut"},
		{"empty", "", "!cut"},
		{"only stop", ".", "!too little"},
		{"below a mark", "K\x01(\x85.", "!too little"},
		{"no mark", "t.", "!no mark"},
		{"protocol 9", "\x80\x09}.", "!protocol 9"},
		{"extension", "\x80\x02\x82\x01.", "!not supported"},
		{"out-of-band buffer", "\x80\x05\x97.", "!not supported"},
		{"text of 4 GB", "\x80\x02X\xff\xff\xff\xff", "!cut"},
		{"text of 2^63", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "!cut"},
		{"long integer of 4 GB", "\x80\x02\x8b\xff\xff\xff\xff", "!cut"},
		{"empty memo", "\x80\x02h\x07.", "!memorised"},
		{"endless doubling", "\x80\x02]q\x00" + strings.Repeat("h\x00h\x00\x86q\x00", 1000) + ".", "!no dictionary"},
		{"odd pairs", "\x80\x02}(K\x01u.", "!without a value"},
		{"pairs into a list", "\x80\x02](K\x01K\x02u.", "!list is below"},
		{"items into a dictionary", "\x80\x02}K\x01a.", "!dictionary is below"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := openAndRead(torchFile(t, c.pickle, 6), "x")
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || (want != "error" && !strings.Contains(err.Error(), want)) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != "[0 1 2 3 4 5]" {
				t.Error(got)
			}
		})
	}
}

// dictBody is a dictionary with one pair, without header and end.
func dictBody(name, value string) string { return "}" + text(name) + value + "s" }

var tensorArguments = "((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(6) + "tQ" +
	number(0) + numbers(2, 3) + numbers(3, 1) + "\x89Nt"

func TestTorchZips(t *testing.T) {
	pickle := []byte(dictPickle("x", tensorPickle("FloatStorage", "0", 6, 0, []int64{6}, []int64{1})))
	pkl, storage := member{name: "a/data.pkl", data: pickle}, member{name: "a/data/0", data: floatBytes(6)}
	zeros := make([]byte, 10<<20)
	for _, c := range []struct {
		name    string
		members []member
		want    string
	}{
		{"plain", []member{pkl, storage}, ""},
		{"no folder", []member{{name: "data.pkl", data: pickle}, {name: "data/0", data: floatBytes(6)}}, ""},
		{"deep folder", []member{{name: "a/b c/data.pkl", data: pickle}, {name: "a/b c/data/0", data: floatBytes(6)}}, ""},
		{"little-endian", []member{pkl, storage, {name: "a/byteorder", data: []byte("little")}}, ""},
		{"big-endian", []member{pkl, storage, {name: "a/byteorder", data: []byte("big")}}, "big-endian"},
		{"no pickle", []member{{name: "readme.txt"}}, "no data.pkl"},
		{"two pickles", []member{pkl, storage, {name: "b/data.pkl", data: pickle}}, "more than one"},
		{"compressed storage", []member{pkl, {name: "a/data/0", data: floatBytes(6), method: zip.Deflate}}, "compressed"},
		{"bomb", []member{pkl, {name: "a/data/0", data: zeros, method: zip.Deflate}}, "compressed"},
		{"compressed pickle", []member{{name: "a/data.pkl", data: zeros, method: zip.Deflate}}, "compressed"},
		{"equal names", []member{pkl, storage, storage}, "two entries"},
		{"short storage", []member{pkl, {name: "a/data/0", data: floatBytes(5)}}, "claims 6 elements"},
		{"larger storage", []member{pkl, {name: "a/data/0", data: floatBytes(9)}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := openAndRead(makeZip(t, c.members...), "x")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error %v, want %q in it", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != "[0 1 2 3 4 5]" {
				t.Error(got)
			}
		})
	}
}

// TestZip64 opens a file whose directory says everything in 64 bits.
func TestZip64(t *testing.T) {
	b := torchFile(t, dictPickle("x", tensorPickle("FloatStorage", "0", 6, 0, []int64{6}, []int64{1})), 6)
	end := len(b) - zipDirectoryEndSize
	le := binary.LittleEndian
	count := int(le.Uint16(b[end+10:]))
	at := int(le.Uint32(b[end+16:]))
	out := append([]byte(nil), b[:at]...)
	directory := len(out)
	for range count {
		entry := b[at:][:zipDirectoryEntrySize+int(le.Uint16(b[at+28:]))]
		at += len(entry)
		wide := append([]byte(nil), entry...)
		extra := []byte{9, 9, 1, 0, 7, 1, 0, 24, 0} // an unknown field, then the header of the zip64 one
		for _, field := range []int{24, 20, 42} {
			extra = le.AppendUint64(extra, uint64(le.Uint32(entry[field:])))
			le.PutUint32(wide[field:], math.MaxUint32)
		}
		le.PutUint16(wide[30:], uint16(len(extra)))
		out = append(append(out, wide...), extra...)
	}
	size := len(out) - directory
	end64 := len(out)
	out = append(out, zip64DirectoryEnd...)
	out = append(out, make([]byte, zip64DirectoryEndSize-4)...)
	le.PutUint64(out[end64+40:], uint64(size))
	le.PutUint64(out[end64+48:], uint64(directory))
	out = append(out, zip64Locator...)
	out = le.AppendUint32(out, 0)
	out = le.AppendUint64(out, uint64(end64))
	out = le.AppendUint32(out, 1)
	tail := append([]byte(nil), b[end:]...)
	le.PutUint32(tail[12:], math.MaxUint32)
	le.PutUint32(tail[16:], math.MaxUint32)
	comment := "a comment with PK\x05\x06 in it, long enough to look real"
	le.PutUint16(tail[20:], uint16(len(comment)))
	out = append(append(out, tail...), comment...)
	f := openBytes(t, out)
	if got := fmt.Sprint(floatsOf(t, f, "x")); got != "[0 1 2 3 4 5]" {
		t.Error(got)
	}
}

// TestUnknownFiles checks that the message says what a file is.
func TestUnknownFiles(t *testing.T) {
	for content, want := range map[string]string{
		"":         "empty",
		"x":        "unknown format",
		"GGUF\x03": "GGUF",
		"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n": "Git LFS",
		"\n<!DOCTYPE html><html>Not found</html>":                            "HTML",
		"\x80\x02}q\x00.":   "pickle",
		"\x89HDF\r\n\x1a\n": "HDF5",
		"PK\x03\x04":        "zip directory",
		"Entry not found":   "unknown format",
		legacyMagic:         "cut",
	} {
		_, err := OpenBytes([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", content, err, want)
		}
	}
}

// TestBesideTensors puts what cannot be read beside a tensor: it is refused by
// name to who asks for it, and to nobody else.
func TestBesideTensors(t *testing.T) {
	good := tensorPickle("FloatStorage", "0", 6, 0, []int64{6}, []int64{1})
	untyped := func(dtype string) string {
		return "ctorch._utils\n_rebuild_tensor_v3\n((" + text("storage") + "ctorch.storage\nUntypedStorage\n" + text("0") +
			text("cpu") + number(24) + "tQ" + number(1) + numbers(2) + numbers(1) + "\x89}ctorch\n" + dtype + "\ntR"
	}
	metadata := func(bits string) string {
		return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") +
			number(6) + "tQ" + number(1) + numbers(2) + numbers(1) + "\x89}" + bits + "tR"
	}
	view := func(shape, strides []int64) string { return tensorPickle("FloatStorage", "0", 6, 0, shape, strides) }
	for _, c := range []struct{ name, value, want string }{
		{"shell command", "cos\nsystem\n(" + text("echo") + "tR", `!tensor "y": the pickle puts an object of "os.system"`},
		{"class", "cos\nsystem\n", `!tensor "y": the pickle names "os.system"`},
		{"object by INST", "(ios\nsystem\n", `!"os.system"`},
		{"object by OBJ", "(cos\nsystem\no", `!"os.system"`},
		{"object by NEWOBJ_EX", "cos\nsystem\n)}\x92", `!"os.system"`},
		{"object with a state", "cargparse\nNamespace\n)\x81}" + text("lr") + "K\x01sb", `!"argparse.Namespace"`},
		{"getattr chain", "cbuiltins\ngetattr\n(cos\nsystem\n" + text("x") + "tR", `!"builtins.getattr"`},
		{"number", "K\x01", "!a plain value"},
		{"dictionary", "}", "!a dictionary"},
		{"quantized", "ctorch._utils\n_rebuild_qtensor\n(K\x01tR", `!"torch._utils._rebuild_qtensor"`},
		{"complex", tensorPickle("ComplexFloatStorage", "1", 6, 0, []int64{6}, []int64{1}), `!"torch.ComplexFloatStorage"`},
		{"unknown storage", tensorPickle("NewStorage", "1", 6, 0, []int64{6}, []int64{1}), `!"torch.NewStorage"`},
		{"storage under two types", tensorPickle("ByteStorage", "0", 24, 0, []int64{24}, []int64{1}), "bytes"},
		{"bytes with a type", untyped("float32"), "[1 2]"},
		{"bytes of float8", untyped("float8_e4m3fn"), `!"torch.float8_e4m3fn"`},
		{"buffer", "ctorch._utils\n_rebuild_buffer\n(" + view([]int64{2}, []int64{1}) + "\x89\x88tR", "[0 1]"},
		{"negative", metadata("}(" + text("neg") + "\x88" + text("conj") + "\x89u"), "[-1 -2]"},
		{"negative of a subclass", "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nT\n" +
			strings.TrimSuffix(strings.TrimPrefix(metadata("}"+text("neg")+"\x88s"), "ctorch._utils\n_rebuild_tensor_v2\n"), "R") + "}tR", "[-1 -2]"},
		{"not negative", metadata("}" + text("neg") + "\x89s"), "[1 2]"},
		{"no metadata", metadata("N"), "[1 2]"},
		{"unknown metadata", metadata("}" + text("inverse") + "\x88s"), `!"inverse"`},
		{"metadata of another kind", metadata("K\x01"), "!metadata"},
		{"expanded", view([]int64{3, 2}, []int64{0, 1}), "[0 1 0 1 0 1]"},
		{"expanded scalar", view([]int64{9}, []int64{0}), "[0 0 0 0 0 0 0 0 0]"},
		{"windows", view([]int64{4, 3}, []int64{1, 1}), "[0 1 2 1 2 3 2 3 4 3 4 5]"},
		{"transposed and expanded", view([]int64{2, 2, 2}, []int64{1, 0, 3}), "[0 3 0 3 1 4 1 4]"},
		{"expanded beyond reason", view([]int64{1 << 30}, []int64{0}), "!may expand to"},
		{"expanded to 2^61", view([]int64{1 << 30, 1 << 30}, []int64{0, 0}), "!may expand to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := torchFile(t, dictPickle("x", good, "y", c.value), 6)
			f := openBytes(t, b)
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != "[0 1 2 3 4 5]" {
				t.Error(got)
			}
			_, err := f.Tensor("y")
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) || f.Refused()["y"] == nil {
					t.Errorf("error %v, want %q in it; refused %v", err, want, f.Refused())
				}
				if _, ok := f.Info("y"); ok || len(f.Names()) != 1 {
					t.Errorf("names %v", f.Names())
				}
				return
			}
			if err != nil || len(f.Refused()) != 0 {
				t.Fatal(err, f.Refused())
			}
			if tensor, _ := f.Tensor("y"); c.want == "bytes" {
				if tensor.DType != U8 || !bytes.Equal(tensor.Data, floatBytes(6)) {
					t.Errorf("%+v", tensor)
				}
				return
			}
			if got := fmt.Sprint(floatsOf(t, f, "y")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			for _, file := range []*File{f, openReader(t, b)} { // streamed, in pieces of one element
				var streamed []byte
				if err := file.Stream("y", make([]byte, 4), func(p []byte) error { streamed = append(streamed, p...); return nil }); err != nil {
					t.Fatal(err)
				}
				v, err := Tensor{Shape: []int{len(streamed) / 4}, Data: streamed}.Float32(nil)
				if got := fmt.Sprint(v); err != nil || got != c.want {
					t.Errorf("streamed: %s, %v, want %s", got, err, c.want)
				}
			}
		})
	}
}

// TestNegate changes the sign of every type.
func TestNegate(t *testing.T) {
	for d := F32; d <= Bool; d++ {
		data := make([]byte, 2*d.Size())
		data[0], data[d.Size()] = 1, 1
		if d == F32 || d == F16 || d == BF16 || d == F64 {
			data[d.Size()-1] = 0x3c
		}
		before := Tensor{DType: d, Shape: []int{2}, Data: bytes.Clone(data)}
		negate(d, data)
		if v, err := before.Float32(nil); err == nil {
			after, _ := Tensor{DType: d, Shape: []int{2}, Data: data}.Float32(nil)
			if after[0] != -v[0] || after[1] != -v[1] || v[0] == 0 {
				t.Errorf("%s: %v became %v", d, v, after)
			}
			continue
		}
		for i, b := range data {
			want := byte(0xff) // −1
			if d == Bool {
				want = before.Data[i]
			}
			if b != want {
				t.Errorf("%s became % x", d, data)
				break
			}
		}
	}
}

// TestContainers finds the model's dictionary among others.
func TestContainers(t *testing.T) {
	tensor := func(first int64) string {
		return tensorPickle("FloatStorage", "0", 6, first, []int64{1}, []int64{1})
	}
	dict := func(items ...string) string {
		return strings.TrimSuffix(strings.TrimPrefix(dictPickle(items...), "\x80\x02"), ".")
	}
	model := func(first int64) string { return dict("bert.a.weight", tensor(first), "bert.x", tensor(first)) }
	small := dict("x", tensor(0))
	for name, pickle := range map[string]string{
		"flat":                          dictPickle("a.b", tensor(0), "x", tensor(5)),
		"flat with a dictionary beside": dictPickle("a.b", tensor(0), "x", tensor(5), "model", small),
		"a loss beside":                 dictPickle("loss", tensor(1), "x", tensor(2), "y", tensor(2), "state_dict", model(5)),
		"a loss with a dot beside":      dictPickle("train.loss", tensor(1), "x", tensor(2), "model_state_dict", model(5)),
		"names without dots":            dictPickle("loss", tensor(1), "y", tensor(1), "state_dict", dict("x", tensor(5))),
		"the first of two":              dictPickle("model", model(0), "state_dict", model(5)),
		"the larger of two":             dictPickle("model", dict("a.b", tensor(0), "c.d", tensor(0), "e.f", tensor(0), "x", tensor(5)), "state_dict", model(0)),
		"state.model":                   dictPickle("state", dict("model", model(5), "epoch", "K\x01"), "rng", tensor(0)),
		"a name of the user's own":      dictPickle("epoch", "K\x01", "network", model(5)),
		"own name, loss beside":         dictPickle("x", tensor(0), "network", model(5)),
		"own name, two levels":          dictPickle("ckpt", dict("model", dict("state_dict", model(5)))),
		"optimizer beside":              dictPickle("optimizer", dict("a.b", tensor(0), "c.d", tensor(0), "e.f", tensor(0), "x", tensor(0)), "network", model(5)),
		"average beside":                dictPickle("ema_state_dict", model(0), "state_dict", model(5)),
		"in a tuple":                    "\x80\x02" + "K\x01" + model(5) + "\x86.",
		"in a list":                     "\x80\x02]" + model(5) + "a.",
		"defaultdict":                   "\x80\x02ccollections\ndefaultdict\n)R" + text("x") + tensor(5) + "s.",
	} {
		f, err := openAndRead(torchFile(t, pickle, 6), "x")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := floatsOf(t, f, "x"); len(got) != 1 || got[0] != 5 {
			t.Errorf("%s: %v of another dictionary: %v", name, got, f.Names())
		}
	}
}

// The parts of a small file of the older format.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

var legacyHeader = legacyMagic + ".\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + "\x88s."

// legacyObject is a dictionary with one tensor "x" of elements 1 and 2 of
// storage "7", or of a view of it.
func legacyObject(view string) string {
	return "\x80\x02}" + text("x") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" +
		text("7") + text("cpu") + number(6) + view + "tQ" + number(1) + numbers(2) + numbers(1) + "\x89}tRs."
}

// legacyKeys lists storage "7".
var legacyKeys = "\x80\x02]" + text("7") + "a."

func legacyFile(view string, elements int) string {
	return legacyHeader + legacyObject(view) + legacyKeys +
		string(binary.LittleEndian.AppendUint64(nil, uint64(elements))) + string(floatBytes(elements))
}

// legacyBeside puts a tensor "a" of another class, elements of size bytes, and
// its storage "1", before tensor "x".
func legacyBeside(class string, size int) string {
	object := strings.Replace(legacyObject("N"), "}"+text("x"), "}"+text("a")+
		tensorPickle(class, "1", 3, 0, []int64{3}, []int64{1})+"s"+text("x"), 1)
	le := binary.LittleEndian
	return legacyHeader + object + "\x80\x02](" + text("1") + text("7") + "e." +
		string(le.AppendUint64(nil, 3)) + strings.Repeat("?", 3*size) +
		string(le.AppendUint64(nil, 6)) + string(floatBytes(6))
}

// TestLegacy checks storage views and what can be wrong in the older format.
func TestLegacy(t *testing.T) {
	header, storageOf, keys := legacyHeader, legacyObject, legacyKeys
	data := string(binary.LittleEndian.AppendUint64(nil, 6)) + string(floatBytes(6))
	for _, c := range []struct{ name, file, want string }{
		{"plain", legacyFile("N", 6), "[1 2]"},
		{"view", header + storageOf("("+text("8")+number(2)+number(4)+"t") + keys + data, "[3 4]"},
		{"protocol 3", strings.Replace(legacyFile("N", 6), "\x80\x02", "\x80\x03", 2), "[1 2]"},
		{"protocol 4 in frames", strings.Replace(legacyFile("N", 6), "\x80\x02", "\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00", 1), "[1 2]"},
		{"complex beside", legacyBeside("ComplexFloatStorage", 8), "[1 2]"},
		{"quantized beside", legacyBeside("QInt32Storage", 4), "[1 2]"},
		{"float8 beside", legacyBeside("Float8_e5m2Storage", 1), "[1 2]"},
		{"unknown behind", legacyBeside("NewStorage", 3), `!lies behind one of "torch.NewStorage"`},
		{"bytes behind", header + storageOf("N") + keys + data + "more", "[1 2]"},
		{"view outside", header + storageOf("("+text("8")+number(3)+number(4)+"t") + keys + data, "!lies outside"},
		{"cut", header + storageOf("N") + keys + data[:len(data)-1], "!claims 6 elements"},
		{"cut count", header + storageOf("N") + keys + data[:7], "!is cut"},
		{"2^60", header + storageOf("N") + keys + string(binary.LittleEndian.AppendUint64(nil, 1<<60)), "!claims"},
		{"2^63", header + storageOf("N") + keys + string(binary.LittleEndian.AppendUint64(nil, 1<<63)), "!claims"},
		{"no key", header + storageOf("N") + "\x80\x02].", "!is missing"},
		{"unknown key", header + storageOf("N") + "\x80\x02]" + text("9") + "a.", "!belongs to no tensor"},
		{"fewer than claimed", header + storageOf("N") + keys + string(binary.LittleEndian.AppendUint64(nil, 3)) + string(floatBytes(3)), "!3 are there"},
		{"version", legacyMagic + ".\x80\x02K\x01." + storageOf("N") + storageOf("N") + keys, "!1001"},
		{"big-endian", strings.Replace(header, "\x88s.", "\x89s.", 1) + storageOf("N") + keys + data, "!big-endian"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := openAndRead([]byte(c.file), "x")
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(floatsOf(t, f, "x")); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestStoredZip: the fuzz tests' zip files are whole.
func TestStoredZip(t *testing.T) {
	pickle := dictPickle("x", tensorPickle("FloatStorage", "0", 6, 0, []int64{6}, []int64{1}))
	f := openBytes(t, storedZip("x/data.pkl", pickle, "x/data/0", string(floatBytes(6))))
	if got := fmt.Sprint(floatsOf(t, f, "x")); got != "[0 1 2 3 4 5]" {
		t.Error(got)
	}
}
