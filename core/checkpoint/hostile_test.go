package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostileFiles are small files whose description could grow without bound.
func hostileFiles(t testing.TB) map[string][]byte {
	repeat := strings.Repeat
	stored := func(pickle string) []byte {
		return makeZip(t, member{name: "x/data.pkl", data: []byte(pickle)}, member{name: "x/data/0", data: floatBytes(6)})
	}
	text8 := func(s string) string { // memorised, and taken from the stack
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s + "\x94"
	}
	good := tensorPickle("FloatStorage", "0", 6, 0, []int64{6}, []int64{1})
	const million = 1 << 20
	long := repeat("m", million-1)
	manyNames := func(entry string) string {
		var b strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&b, entry, i)
		}
		return b.String()
	}
	views := func() string { // each begins a little later
		var b strings.Builder
		for i := range 2000 {
			b.WriteString(text(fmt.Sprint("v", i)) + tensorPickle("FloatStorage", "0", 1<<18, int64(i), []int64{1 << 17}, []int64{1}))
		}
		return b.String()
	}
	module := repeat(".module.", million/8-8)
	header := func(s string) []byte { return withHeader(s, make([]byte, 24)) }
	return map[string][]byte{
		"names joined from two texts":      stored("\x80\x04" + text8(long) + text8("n") + "00" + repeat("h\x00h\x01\x93", 5000) + "."),
		"names joined, both long":          stored("\x80\x04" + text8(long) + "0" + repeat("h\x00h\x00\x93", 5000) + "."),
		"empty tuples":                     stored("\x80\x02(" + repeat(")", million) + "t."),
		"empty lists":                      stored("\x80\x02(" + repeat("]", million) + "t."),
		"empty dictionaries":               stored("\x80\x02(" + repeat("}", million) + "t."),
		"marks":                            stored("\x80\x02" + repeat("(", million) + "."),
		"memo":                             stored("\x80\x04" + "N" + repeat("\x94", million) + "."),
		"small integers":                   stored("\x80\x02(" + repeat("M\xff\xff", million/3) + "t."),
		"tuples of one tuple":              stored("\x80\x02" + "(" + repeat("N", 1<<16) + "tq\x00" + repeat("h\x00", 1<<16) + "."),
		"a tuple's sizes, again and again": stored("\x80\x02" + "(" + repeat("K\x01", 1<<16) + "tq\x00(" + repeat(good[:strings.Index(good, "tQ")+2]+"K\x00h\x00h\x00\x89NtR", 2000) + "t."),
		"pairs of one list":                stored("\x80\x02](" + repeat("NN\x86", 1<<15) + "eq\x00" + repeat("ccollections\nOrderedDict\nh\x00\x85R", 2000) + "."),
		"one tensor under many names":      stored("\x80\x02" + good + "q\x000}(" + manyNames("X\x05\x00\x00\x00%05dh\x00") + "u."),
		"lists of one list":                stored("\x80\x02](" + repeat("N", 1<<16) + "eq\x00" + repeat("](h\x00e", 1<<16) + "."),
		"module, in a pickle":              stored(dictPickle(module+"x", good)),
		"module, in safetensors":           header(`{"` + module + `x":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}`),
		"module, in metadata":              header(`{"__metadata__":{"` + module + `y":"x"},"x":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}`),
		"many names in safetensors":        header("{" + manyNames(`"%05d":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},`) + `"x":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}`),
		"many sizes in safetensors":        header(`{"x":{"dtype":"F32","shape":[6` + repeat(",1", million) + `],"data_offsets":[0,24]}}`),
		"a long dtype":                     header(`{"x":{"dtype":"` + long + `","shape":[6],"data_offsets":[0,24]}}`),
		"a long name twice":                header(`{"` + long + `":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"` + long + `":{}}`),
		"a long name, broken":              header(`{"` + long + `":{"dtype":"F32","shape":[7],"data_offsets":[0,28]}}`),
		"a long name, not JSON":            header(`{"` + long + `":?`),
		"a long name of a class":           stored("\x80\x02c" + repeat("m", 60_000) + "\n" + repeat("n", 60_000) + "\n)R."),
		"a long storage key":               stored(dictPickle("x", tensorPickle("FloatStorage", long, 6, 0, []int64{6}, []int64{1}))),
		"a long name of no tensor":         stored(dictPickle(long, tensorPickle("FloatStorage", "0", 9, 0, []int64{6}, []int64{1}))),
		"a long number":                    stored("\x80\x02g" + repeat("9", 60_000) + "\n."),
		"a large tensor under many names": makeZip(t, member{name: "x/data.pkl", data: []byte("\x80\x02" + tensorPickle("FloatStorage", "0", 1<<18, 0, []int64{1 << 18}, []int64{1}) +
			"q\x000}(" + manyNames("X\x05\x00\x00\x00%05dh\x00") + "u.")}, member{name: "x/data/0", data: make([]byte, million)}),
		"a large tensor's views":       makeZip(t, member{name: "x/data.pkl", data: []byte("\x80\x02}(" + views() + "u.")}, member{name: "x/data/0", data: make([]byte, million)}),
		"a large tensor's other names": withHeader(`{"__metadata__":{`+manyNames(`"%05d":"x",`)+`"a":"x"},"x":{"dtype":"F32","shape":[262144],"data_offsets":[0,1048576]}}`, make([]byte, million)),
		"one dictionary as the metadata of many tensors": stored("\x80\x02}(" + manyNames("X\x05\x00\x00\x00%05d\x89") + "uq\x00(" +
			repeat(good[:strings.LastIndex(good, "ccollections")]+"Nh\x00tR", 5000) + "t."),
		"expanded":               stored(dictPickle("x", tensorPickle("FloatStorage", "0", 6, 0, []int64{1 << 40}, []int64{0}))),
		"many directory entries": []byte("PK\x03\x04" + repeat("\x00", million)),
	}
}

// readWhole opens a file, from memory or through a reader, and reads all of it.
func readWhole(data []byte, inMemory bool) error {
	open := func() (*File, error) { return Open(bytes.NewReader(data), int64(len(data))) }
	if inMemory {
		open = func() (*File, error) { return OpenBytes(data) }
	}
	f, err := open()
	if err != nil {
		return err
	}
	for _, name := range f.Names() {
		if _, e := f.Tensor(name); e != nil {
			err = e
		}
	}
	for name := range f.Refused() {
		if _, e := f.Tensor(name); e != nil {
			err = e
		}
	}
	return err
}

// TestHostileMemory opens each hostile file and reads all of it: everything that
// is made, garbage included, stays within 64 MB and four times the file, it takes
// no second, and an error repeats little of the file.
func TestHostileMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time, which emulators take more of")
	}
	for name, data := range hostileFiles(t) {
		for _, inMemory := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", in memory: ", inMemory), func(t *testing.T) {
				var err error
				least, made := time.Hour, uint64(0)
				for try := 0; try < 5 && least > time.Second; try++ { // others may have the processor
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					started := time.Now()
					err = readWhole(data, inMemory)
					least = min(least, time.Since(started))
					runtime.ReadMemStats(&after)
					made = after.TotalAlloc - before.TotalAlloc
				}
				if limit := uint64(64<<20 + 4*len(data)); made > limit {
					t.Errorf("%d bytes were made of a file of %d, want %d or less", made, len(data), limit)
				}
				if least > time.Second {
					t.Errorf("a file of %d bytes took %v", len(data), least)
				}
				if err != nil && len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes: %.300s", len(err.Error()), err)
				}
				t.Logf("%d bytes: %d made, %v, %v", len(data), made, least, err)
			})
		}
	}
}
