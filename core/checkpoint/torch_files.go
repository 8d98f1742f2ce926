package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"m2embed/core/short"
)

// segment is where a storage lies in the file.
type segment struct{ offset, size int64 }

// readTorchZip reads the zip format: data.pkl describes the tensors, data/KEY
// holds the elements of a storage. The top folder may have any name.
func readTorchZip(f *File) ([]*entry, error) {
	members, err := readZipDirectory(f)
	if err != nil {
		return nil, err
	}
	top := ""
	for name := range members {
		if folder, ok := strings.CutSuffix(name, "data.pkl"); ok && (folder == "" || strings.HasSuffix(folder, "/")) {
			if top != "" {
				return nil, errors.New("more than one data.pkl")
			}
			top = name
		}
	}
	if top == "" {
		return nil, errors.New("no data.pkl: this zip file was not written by torch.save")
	}
	pickled := members[top]
	top = strings.TrimSuffix(top, "data.pkl")
	if order, ok := members[top+"byteorder"]; ok && order.size == int64(len("big")) {
		return nil, errors.New("the numbers are big-endian, want little-endian")
	}
	offset, err := pickled.dataOffset(f)
	if err != nil {
		return nil, err
	}
	u := &unpickler{in: newCursor(f, offset, offset+pickled.size), storages: map[string]*torchStorage{}}
	root, err := u.unpickle()
	if err != nil {
		return nil, err
	}
	return torchEntries(f, root, func(s *torchStorage) (segment, error) {
		m, ok := members[top+"data/"+s.key]
		if !ok {
			return segment{}, fmt.Errorf("the zip file has no entry %s", short.Quote(top+"data/"+s.key))
		}
		offset, err := m.dataOffset(f)
		return segment{offset, m.size}, err
	})
}

// isLegacy reports whether a file begins as the older format of torch.save
// does: with the pickle, of protocol 2 to 5, of a long integer.
func isLegacy(head []byte) bool {
	if len(head) < 2 || head[0] != 0x80 || head[1] < 2 || head[1] > 5 {
		return false
	}
	rest := head[2:]
	if len(rest) > 9 && rest[0] == 0x95 { // FRAME and its length
		rest = rest[9:]
	}
	return bytes.HasPrefix(rest, legacyNumber)
}

// legacyNumber is the long integer 0x1950a86a20f9469cfc6c.
var legacyNumber = []byte("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// errUnreadable is wrapped where a tensor cannot be read, but the file is whole.
var errUnreadable = errors.New("the tensor cannot be read")

// readTorchLegacy reads the older format: pickles of a magic number, of the
// protocol version, of facts about the machine, of the object and of the list
// of storage keys, then each storage's element count and elements.
func readTorchLegacy(f *File) ([]*entry, error) {
	in := newCursor(f, 0, f.size)
	u := &unpickler{in: in, storages: map[string]*torchStorage{}}
	var values [5]any
	for i, what := range []string{"magic number", "protocol version", "machine", "object", "storage keys"} {
		v, err := u.unpickle()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		values[i] = v
	}
	if v, ok := values[1].(int64); !ok || v != 1001 {
		return nil, errors.New("protocol version is not 1001")
	}
	if machine, ok := values[2].(*dict); ok && machine.get("little_endian") == any(false) {
		return nil, errors.New("the numbers are big-endian, want little-endian")
	}
	keys, ok := values[4].(*list)
	if !ok {
		return nil, errors.New("no list of storage keys")
	}
	segments := map[string]segment{}
	unsized := global("") // the class of a storage that nobody can skip
	for _, k := range keys.items {
		key, _ := k.(string)
		s, ok := u.storages[key]
		if !ok {
			return nil, fmt.Errorf("storage %s belongs to no tensor", short.Quote(key))
		}
		if s.size == 0 {
			unsized = s.class
			break
		}
		count, err := in.bytes(8)
		if err != nil {
			return nil, fmt.Errorf("storage %s: the file is cut", short.Quote(key))
		}
		n := binary.LittleEndian.Uint64(count)
		if n > math.MaxInt64/16 || int64(n)*s.size > in.end-in.position {
			return nil, fmt.Errorf("storage %s claims %d elements of %d bytes, %d bytes are left", short.Quote(key), n, s.size, in.end-in.position)
		}
		segments[key] = segment{in.position, int64(n) * s.size}
		if err := in.skip(int64(n) * s.size); err != nil {
			return nil, err
		}
	}
	return torchEntries(f, values[3], func(s *torchStorage) (segment, error) {
		g, ok := segments[s.key]
		if !ok {
			if unsized != "" {
				return segment{}, fmt.Errorf("%w: storage %s lies behind one of %s, of unknown size", errUnreadable, short.Quote(s.key), short.Quote(unsized))
			}
			return segment{}, fmt.Errorf("storage %s is missing", short.Quote(s.key))
		}
		return g, nil
	})
}
