package checkpoint

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
)

// exercise opens a file and reads all of it. Only a panic, an allocation beyond
// reason or a tensor of another size than it says can fail here: errors are
// expected.
func exercise(t *testing.T, data []byte) {
	f, err := OpenBytes(data)
	if err != nil {
		return
	}
	total := 0
	for _, name := range f.Names() {
		info, ok := f.Info(name)
		if !ok || info.Bytes > 2*int64(len(data))+maxExpansion {
			t.Fatalf("%q: %+v of a file of %d bytes", name, info, len(data))
		}
		if total += int(info.Bytes); total > 1<<20 {
			return // tensors of any size can be named any number of times
		}
		tensor, err := f.Tensor(name)
		if err != nil {
			t.Fatalf("%q is listed, but: %v", name, err)
		}
		if int64(len(tensor.Data)) != info.Bytes || len(tensor.Data) != tensor.Elements()*tensor.DType.Size() {
			t.Fatalf("%q: %v %s has %d bytes", name, tensor.Shape, tensor.DType, len(tensor.Data))
		}
		if _, err := tensor.Float32(nil); (err != nil) != (tensor.DType >= I64) {
			t.Fatal(err)
		}
	}
	for name := range f.Refused() {
		if _, err := f.Tensor(name); err == nil {
			t.Fatalf("%q is refused and can be read", name)
		}
	}
}

// storedZip makes a zip file of stored entries, quickly: name, data, name, data.
func storedZip(items ...string) []byte {
	le := binary.LittleEndian
	var b, directory []byte
	for i := 0; i < len(items); i += 2 {
		name, data := items[i], items[i+1]
		common := []byte("\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00") // version, flags, method, time
		common = le.AppendUint32(common, crc32.ChecksumIEEE([]byte(data)))
		common = le.AppendUint32(common, uint32(len(data)))
		common = le.AppendUint32(common, uint32(len(data)))
		common = le.AppendUint16(common, uint16(len(name)))
		common = append(common, 0, 0)
		directory = append(append(append(directory, zipDirectoryHeader...), 20, 0), common...)
		directory = append(directory, make([]byte, 10)...)
		directory = append(le.AppendUint32(directory, uint32(len(b))), name...)
		b = append(append(append(append(b, zipLocalHeader...), common...), name...), data...)
	}
	start := len(b)
	b = append(append(append(b, directory...), zipDirectoryEnd...), 0, 0, 0, 0)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(items)/2)), uint16(len(items)/2))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(directory))), uint32(start))
	return append(b, 0, 0)
}

// seedPickles are small pickles of what a state dictionary is made of.
func seedPickles() []string {
	view := tensorPickle("FloatStorage", "0", 16, 1, []int64{2, 2}, []int64{1, 2})
	parameter := "ctorch._utils\n_rebuild_parameter\n(" + view + "\x88)tR"
	return []string{
		dictPickle("x", view),
		dictPickle("epoch", "K\x01", "state_dict", "}"+text("module.bert.a.x")+parameter+"s"),
		"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x93)R(\x8c\x03a.b\x94h\x00u.",
		"\x80\x02]q\x00" + "(K\x01M\x02\x00J\x03\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x8a\x01\x05N\x88\x89\x85\x86\x87e.",
		"cos\nsystem\n(S'echo'\ntR.",
		"(dp0\nVx\nI1\nsF1.5\nL7L\n.",
	}
}

// FuzzOpen reads whole files of all three formats.
func FuzzOpen(f *testing.F) {
	for _, pickle := range seedPickles() {
		f.Add(storedZip("x/data.pkl", pickle, "x/data/0", string(make([]byte, 64))))
	}
	f.Add([]byte(legacyFile("N", 6)))
	f.Add([]byte(legacyBeside("ComplexFloatStorage", 8)))
	f.Add(withHeader(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f.Fuzz(exercise)
}

// FuzzSafetensors varies the header over a data section of 64 bytes.
func FuzzSafetensors(f *testing.F) {
	f.Add(`{"x":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}`)
	f.Add(`{"__metadata__":{"y":"x","m2embed.refused.z":"why"},"x":{"dtype":"I8","shape":[64],"data_offsets":[0,64]}}`)
	f.Add(`{"a":{"dtype":"F8_E4M3","shape":[32],"data_offsets":[0,32]},"_orig_mod.bert.x":{"dtype":"BF16","shape":[16],"data_offsets":[32,64]}}`)
	f.Fuzz(func(t *testing.T, header string) { exercise(t, withHeader(header, make([]byte, 64))) })
}

// FuzzPickle varies the pickle of a zip file with one storage.
func FuzzPickle(f *testing.F) {
	for _, pickle := range seedPickles() {
		f.Add(pickle)
	}
	storage := string(make([]byte, 64))
	f.Fuzz(func(t *testing.T, pickle string) {
		if len(pickle) <= math.MaxUint16 {
			exercise(t, storedZip("x/data.pkl", pickle, "x/data/0", storage))
		}
	})
}

// FuzzLegacy varies the pickles and storages of the older format.
func FuzzLegacy(f *testing.F) {
	for _, file := range []string{
		legacyFile("N", 6), legacyFile("("+text("8")+number(2)+number(4)+"t", 6), legacyBeside("QInt32Storage", 4),
	} {
		f.Add([]byte(file[len(legacyMagic):]))
	}
	f.Fuzz(func(t *testing.T, rest []byte) { exercise(t, append([]byte(legacyMagic), rest...)) })
}
