package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"m2embed/core/short"
)

// File is an opened checkpoint. What stands in it beside the tensors, or in a
// form that cannot be read, does no harm until it is asked for by name. Its methods may be called from several
// goroutines at once.
type File struct {
	format   string
	source   io.ReaderAt
	memory   []byte // the whole file, if it was opened over memory
	size     int64
	metadata map[string]string
	tensors  map[string]*entry // by canonical name
	names    []string          // sorted keys of tensors
	refused  map[string]error  // by canonical name: what is there, but cannot be read
	room     int64             // bytes that the description may still take
}

// entry says where one tensor lies in the file.
type entry struct {
	original string
	name     string // canonical
	dtype    DType
	shape    []int
	strides  []int // in elements; nil means contiguous and row-major
	offset   int64 // of the first element, from the start of the file
	elements int
	span     int64 // bytes from offset to the end of the last element
	negative bool  // the elements are the negatives of what the file holds
	alias    string
	refused  error // why the tensor cannot be read; it matters when it is asked for
}

// Info describes a tensor without reading it.
type Info struct {
	Name     string
	DType    DType
	Shape    []int
	Bytes    int64
	Alias    string // name of the tensor whose data this one shares, or ""
	Original string // full name in the file
}

// Open reads the description of a checkpoint of size bytes. The format is
// told from the first bytes: safetensors, the zip format of torch.save or its
// older one. In a Composer checkpoint the model's own dictionary is found.
// r is read whenever a tensor is asked for and must stay open.
//
// # Errors
//
// A file that is cut, that describes tensors which do not fit it, or that is
// of another kind is refused. A tensor's name is part of the message where
// one is concerned. What a description may take in memory is bounded by size.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{source: r, size: size}
	return f, f.open()
}

// OpenBytes is Open over memory. Tensors whose elements lie contiguous in b,
// which is all of them in safetensors and nearly all in the files of
// torch.save, alias b and cost no copy.
func OpenBytes(b []byte) (*File, error) {
	f := &File{source: bytes.NewReader(b), memory: b, size: int64(len(b))}
	return f, f.open()
}

func (f *File) open() error {
	f.room = roomFor(f.size)
	head := make([]byte, min(f.size, 64))
	if err := f.readFull(head, 0); err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	var found []*entry
	var err error
	switch {
	case len(head) >= 4 && string(head[:4]) == "PK\x03\x04":
		f.format = "pytorch zip"
		found, err = readTorchZip(f)
	case isLegacy(head):
		f.format = "pytorch legacy"
		found, err = readTorchLegacy(f)
	case len(head) > 8 && head[8] == '{':
		f.format = "safetensors"
		found, f.metadata, err = readSafetensors(f)
	default:
		return fmt.Errorf("read checkpoint: %s", describeUnknown(head))
	}
	if err != nil {
		return fmt.Errorf("read %s checkpoint: %w", f.format, err)
	}
	f.index(found)
	return nil
}

// spend takes n bytes of memory into account.
func (f *File) spend(n int) error {
	f.room -= int64(n)
	if f.room < 0 {
		return errRoom
	}
	return nil
}

// describeUnknown says what a file is that is no checkpoint.
func describeUnknown(head []byte) string {
	const want = "; want safetensors or a file of torch.save"
	switch {
	case len(head) == 0:
		return "the file is empty"
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return "this is a Git LFS pointer, not the file that it points to; fetch the real one"
	case bytes.HasPrefix(head, []byte("GGUF")):
		return "this is a GGUF file" + want
	case bytes.HasPrefix(head, []byte("\x89HDF")):
		return "this is an HDF5 file" + want
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return "this is an HTML or XML page, perhaps the error page of a failed download" + want
	case head[0] == 0x80:
		return "this is a pickle, but not one of torch.save" + want
	}
	return fmt.Sprintf("unknown format, first bytes %q%s", head[:min(len(head), 8)], want)
}

// readFull reads len(p) bytes at an offset. What is cut is io.ErrUnexpectedEOF.
func (f *File) readFull(p []byte, offset int64) error {
	n, err := f.source.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// index fills the tables by canonical name, then the aliases. A name that two
// tensors stand for is refused to who asks for it.
func (f *File) index(found []*entry) {
	f.tensors, f.refused = make(map[string]*entry, len(found)), map[string]error{}
	slices.SortStableFunc(found, func(a, b *entry) int { return strings.Compare(a.original, b.original) })
	limitCopies(found, f.size)
	for _, e := range found {
		e.name = CanonicalName(e.original)
		name := e.name
		other, taken := f.tensors[name]
		switch {
		case e.refused == nil && taken:
			f.refused[name] = fmt.Errorf("tensors %s and %s both stand for %s", short.Quote(other.original), short.Quote(e.original), short.Quote(name))
		case e.refused == nil:
			f.tensors[name] = e
			delete(f.refused, name) // what could not be read under the same name
		case !taken && f.refused[name] == nil:
			f.refused[name] = e.refused
		}
	}
	for name := range f.refused {
		delete(f.tensors, name)
	}
	f.findShared(found)
	f.addRefusals()
	f.addMetadataAliases()
	f.limitShared()
	f.names = slices.Sorted(maps.Keys(f.tensors))
}

// findShared notes which tensors are the same bytes as an earlier one.
func (f *File) findShared(ordered []*entry) {
	type place struct {
		offset   int64
		dtype    DType
		negative bool
		layout   string
	}
	first := map[place]string{}
	for _, e := range ordered {
		if f.tensors[e.name] != e || e.elements == 0 {
			continue // refused, or nothing to share
		}
		p := place{e.offset, e.dtype, e.negative, fmt.Sprint(e.shape, e.strides)}
		if kept, ok := first[p]; ok {
			e.alias = kept
		} else {
			first[p] = e.name
		}
	}
}

// addAlias lets name stand for the data of an existing tensor.
func (f *File) addAlias(name, original, kept string) {
	e := *f.tensors[kept]
	e.original, e.name = original, name
	if e.alias == "" {
		e.alias = kept
	}
	f.tensors[name] = &e
}

// RefusedKey begins the metadata entries that say why a tensor, whose name
// follows, could not be converted: the reason comes to light when it is asked
// for.
const RefusedKey = "m2embed.refused."

// addRefusals takes the reasons from the metadata.
func (f *File) addRefusals() {
	for key, reason := range f.metadata {
		if name, ok := strings.CutPrefix(key, RefusedKey); ok && f.tensors[name] == nil && f.refused[name] == nil {
			f.refused[name] = short.Error(errors.New(reason))
		}
	}
}

// addMetadataAliases adds the names that a safetensors file has dropped: its
// metadata maps each to the name that was kept.
func (f *File) addMetadataAliases() {
	for _, dropped := range slices.Sorted(maps.Keys(f.metadata)) {
		name, kept := CanonicalName(dropped), CanonicalName(f.metadata[dropped])
		_, present := f.tensors[name]
		_, known := f.tensors[kept]
		if !present && known {
			f.addAlias(name, dropped, kept)
		}
	}
}

// Format returns "safetensors", "pytorch zip" or "pytorch legacy".
func (f *File) Format() string { return f.format }

// Metadata returns a copy of a safetensors file's metadata; it is empty for
// other formats.
func (f *File) Metadata() map[string]string {
	m := maps.Clone(f.metadata)
	if m == nil {
		m = map[string]string{}
	}
	return m
}

// Names returns the canonical names of all tensors, sorted, aliases included.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Info describes the tensor with the given canonical name.
func (f *File) Info(name string) (Info, bool) {
	e, ok := f.tensors[name]
	if !ok {
		return Info{}, false
	}
	return Info{
		Name: name, DType: e.dtype, Shape: slices.Clone(e.shape),
		Bytes: e.bytes(), Alias: e.alias, Original: e.original,
	}, true
}

func (e *entry) bytes() int64 { return int64(e.elements) * int64(e.dtype.Size()) }

// Tensor reads the tensor with the given canonical name. Whatever strides the
// file has, Data is contiguous and row-major. It aliases the file's memory
// where Float32View of OpenBytes says so, else it is a copy.
func (f *File) Tensor(name string) (Tensor, error) {
	e, ok := f.tensors[name]
	if !ok {
		return Tensor{}, f.missing(name)
	}
	data, err := f.elements(e)
	if err != nil {
		return Tensor{}, fmt.Errorf("read tensor %s: %w", short.Quote(name), err)
	}
	return Tensor{Name: name, DType: e.dtype, Shape: slices.Clone(e.shape), Data: data}, nil
}

// Refused returns why tensors and other values of the file cannot be read, by
// canonical name. Tensor gives the same reasons to who asks for one.
func (f *File) Refused() map[string]error { return maps.Clone(f.refused) }

// missing is the error for a name that the file lacks, or holds in a form that
// cannot be read. It helps with prefixes.
func (f *File) missing(name string) error {
	if err := f.refused[name]; err != nil {
		return fmt.Errorf("read tensor %s: %w", short.Quote(name), err)
	}
	if c := CanonicalName(name); c != name {
		if _, ok := f.tensors[c]; ok {
			return fmt.Errorf("read tensor %s: no such tensor; it is called %s here", short.Quote(name), short.Quote(c))
		}
	}
	return fmt.Errorf("read tensor %s: no such tensor among %d of this %s checkpoint", short.Quote(name), len(f.names), f.format)
}

// elements returns the data of a tensor in row-major order.
func (f *File) elements(e *entry) ([]byte, error) {
	data, err := f.read(e.offset, e.span)
	if err != nil || !e.copied() {
		return data, err
	}
	if e.strides != nil {
		data = gather(data, e)
	} else if f.memory != nil {
		data = bytes.Clone(data)
	}
	if e.negative {
		negate(e.dtype, data)
	}
	return data, nil
}

// read returns n bytes at an offset, without a copy where it can.
func (f *File) read(offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || offset > f.size-n || n > math.MaxInt {
		return nil, fmt.Errorf("bytes %d to %d lie outside the file of %d bytes", offset, offset+n, f.size)
	}
	if f.memory != nil {
		return f.memory[offset : offset+n : offset+n], nil
	}
	data := make([]byte, n)
	if err := f.readFull(data, offset); err != nil {
		return nil, fmt.Errorf("bytes %d to %d: %w", offset, offset+n, err)
	}
	return data, nil
}

// Stream reads a tensor in pieces of at most len(buffer) bytes, in row-major
// order, and hands each to yield. Pieces hold whole elements; buffer must
// hold one at least. yield must not keep a piece. Strided tensors are
// gathered whole first.
func (f *File) Stream(name string, buffer []byte, yield func(piece []byte) error) error {
	e, ok := f.tensors[name]
	if !ok {
		return f.missing(name)
	}
	size := e.dtype.Size()
	step := len(buffer) / size * size
	if step == 0 {
		return fmt.Errorf("read tensor %s: buffer of %d bytes, want %d or more", short.Quote(name), len(buffer), size)
	}
	var whole []byte
	if e.strides != nil {
		var err error
		if whole, err = f.elements(e); err != nil {
			return fmt.Errorf("read tensor %s: %w", short.Quote(name), err)
		}
	}
	total := e.bytes()
	for at := int64(0); at < total; at += int64(step) {
		n := min(int64(step), total-at)
		piece := buffer[:n]
		if whole != nil {
			piece = whole[at : at+n]
		} else if err := f.readFull(piece, e.offset+at); err != nil {
			return fmt.Errorf("read tensor %s: %w", short.Quote(name), err)
		} else if e.negative {
			negate(e.dtype, piece)
		}
		if err := yield(piece); err != nil {
			return err
		}
	}
	return nil
}
