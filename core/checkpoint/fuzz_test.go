package checkpoint

import (
	"encoding/binary"
	"testing"
)

// exercise opens a file and reads all of it. Only a panic or an allocation
// beyond reason can fail here: errors are expected.
func exercise(t *testing.T, data []byte) {
	f, err := OpenBytes(data)
	if err != nil {
		return
	}
	for _, name := range f.Names() {
		info, ok := f.Info(name)
		if !ok || info.Bytes > 2*int64(len(data))+maxExpansion {
			t.Fatalf("%q: %+v of a file of %d bytes", name, info, len(data))
		}
		tensor, err := f.Tensor(name)
		if err != nil {
			continue
		}
		if len(tensor.Data) != tensor.Elements()*tensor.DType.Size() {
			t.Fatalf("%q: %v %s has %d bytes", name, tensor.Shape, tensor.DType, len(tensor.Data))
		}
		if _, err := tensor.Float32(nil); err != nil && tensor.DType < I64 {
			t.Fatal(err)
		}
	}
}

// FuzzOpen reads whole files of all three formats.
func FuzzOpen(f *testing.F) {
	for _, g := range goldenFiles {
		data := read(f, tiny+g.name)
		f.Add(data[:min(len(data), 20_000)])
	}
	f.Add(torchFile(f, dictPickle("x", tensorPickle("FloatStorage", "0", 6, 1, []int64{2, 2}, []int64{1, 2})), 6))
	f.Add([]byte(legacyFile("N", 6)))
	f.Add(withHeader(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)))
	f.Fuzz(exercise)
}

// FuzzSafetensors varies the header over a data section of 64 bytes.
func FuzzSafetensors(f *testing.F) {
	f.Add(`{"x":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}`)
	f.Add(`{"__metadata__":{"y":"x"},"x":{"dtype":"I8","shape":[64],"data_offsets":[0,64]}}`)
	data := read(f, tiny+"model.dedup.safetensors")
	f.Add(string(data[8:][:binary.LittleEndian.Uint64(data)]))
	f.Fuzz(func(t *testing.T, header string) { exercise(t, withHeader(header, make([]byte, 64))) })
}

// FuzzPickle varies the pickle of a zip file with one storage.
func FuzzPickle(f *testing.F) {
	f.Add([]byte(dictPickle("x", tensorPickle("FloatStorage", "0", 16, 1, []int64{2, 2}, []int64{1, 2}))))
	f.Add([]byte("cos\nsystem\n(S'echo'\ntR."))
	for _, g := range goldenFiles {
		if g.format != "pytorch zip" {
			continue
		}
		file := openBytes(f, read(f, tiny+g.name))
		members, err := readZipDirectory(file)
		if err != nil {
			f.Fatal(err)
		}
		for name, m := range members {
			if offset, err := m.dataOffset(file); err == nil && len(name) > 8 && name[len(name)-8:] == "data.pkl" {
				f.Add(file.memory[offset : offset+m.size])
			}
		}
	}
	f.Fuzz(func(t *testing.T, pickle []byte) {
		exercise(t, makeZip(t, member{name: "x/data.pkl", data: pickle}, member{name: "x/data/0", data: make([]byte, 64)}))
	})
}

// FuzzLegacy varies the pickles and storages of the older format.
func FuzzLegacy(f *testing.F) {
	data := read(f, tiny+"pytorch_model.legacy.bin")
	f.Add(data[len(legacyMagic):22_000])
	f.Add([]byte(legacyFile("N", 6)[len(legacyMagic):]))
	f.Add([]byte(legacyFile("("+text("8")+number(2)+number(4)+"t", 6)[len(legacyMagic):]))
	f.Fuzz(func(t *testing.T, rest []byte) { exercise(t, append([]byte(legacyMagic), rest...)) })
}
