package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// legacyMagic is how the older format of torch.save begins: the pickle of a
// long integer.
var legacyMagic = []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// storageTypes are the storage classes of torch that hold known elements.
var storageTypes = map[global]DType{
	"torch.FloatStorage": F32, "torch.HalfStorage": F16, "torch.BFloat16Storage": BF16,
	"torch.DoubleStorage": F64, "torch.LongStorage": I64, "torch.IntStorage": I32,
	"torch.ShortStorage": I16, "torch.CharStorage": I8, "torch.ByteStorage": U8, "torch.BoolStorage": Bool,
}

// torchStorage is a run of elements that tensors are views of.
type torchStorage struct {
	dtype    DType
	key      string
	elements int64 // as the pickle claims
	first    int64 // element of the stored run that this one begins at
}

// torchTensor is a view of a storage.
type torchTensor struct {
	storage *torchStorage
	offset  int64 // in elements
	shape   []int
	strides []int
}

// storage reads a persistent id: ("storage", class, key, device, elements)
// and in the older format a view or None.
func (u *unpickler) storage(id any) (any, error) {
	t, ok := id.(tuple)
	if !ok || len(t) < 5 || t[0] != any("storage") {
		return opaque("persistent object"), nil
	}
	class, ok := t[1].(global)
	if !ok {
		return opaque("persistent object"), nil
	}
	dtype, ok := storageTypes[class]
	if !ok {
		return opaque(class), nil
	}
	key, isText := t[2].(string)
	n, isNumber := t[4].(int64)
	if !isText || !isNumber || n < 0 {
		return nil, errors.New("a storage without key or size")
	}
	root := &torchStorage{dtype: dtype, key: key, elements: n}
	if known, ok := u.storages[key]; !ok {
		u.storages[key] = root
	} else if known.dtype != dtype {
		return nil, fmt.Errorf("storage %.40q is named both as %s and as %s", key, known.dtype, dtype)
	}
	if len(t) > 5 && t[5] != nil {
		view, ok := t[5].(tuple)
		if !ok || len(view) != 3 {
			return nil, fmt.Errorf("storage %.40q: a view of unknown form", key)
		}
		first, ok1 := view[1].(int64)
		size, ok2 := view[2].(int64)
		if !ok1 || !ok2 || first < 0 || size < 0 || first > n-size {
			return nil, fmt.Errorf("storage %.40q: a view that lies outside", key)
		}
		return &torchStorage{dtype: dtype, key: key, elements: size, first: first}, nil
	}
	return root, nil
}

// reduce does what calling callee would do, for the closed list of names that
// state dictionaries need. All else becomes opaque.
func (u *unpickler) reduce(callee, arguments any) (any, error) {
	a, _ := arguments.(tuple)
	name, _ := callee.(global)
	switch name {
	case "collections.OrderedDict":
		d := &dict{}
		if len(a) == 0 {
			return d, nil
		}
		pairs, ok := a[0].(*list)
		if !ok {
			return opaqueOf(callee), nil
		}
		for _, p := range pairs.items {
			switch p := p.(type) {
			case *list:
				if len(p.items) == 2 {
					d.keys, d.values = append(d.keys, p.items[0]), append(d.values, p.items[1])
				}
			case tuple:
				if len(p) == 2 {
					d.keys, d.values = append(d.keys, p[0]), append(d.values, p[1])
				}
			}
		}
		return d, nil
	case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor":
		return rebuildTensor(a)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		if len(a) > 0 {
			return a[0], nil
		}
	case "torch._tensor._rebuild_from_type_v2": // function, type, arguments, state
		if len(a) == 4 {
			if f, ok := a[0].(global); ok && strings.HasPrefix(string(f), "torch._utils._rebuild_") {
				return u.reduce(f, a[2])
			}
		}
	case "torch.Size":
		if len(a) == 1 {
			return a[0], nil
		}
	}
	return opaqueOf(callee), nil
}

// rebuildTensor reads (storage, offset, sizes, strides, ...).
func rebuildTensor(a tuple) (any, error) {
	if len(a) < 4 {
		return nil, fmt.Errorf("a tensor of %d arguments, want 4 or more", len(a))
	}
	s, ok := a[0].(*torchStorage)
	if !ok {
		return opaqueOf(a[0]), nil
	}
	offset, ok := a[1].(int64)
	if !ok || offset < 0 {
		return nil, errors.New("a tensor without an offset")
	}
	shape, ok1 := integers(a[2])
	strides, ok2 := integers(a[3])
	if !ok1 || !ok2 || len(shape) != len(strides) {
		return nil, errors.New("a tensor without sizes and strides")
	}
	return &torchTensor{storage: s, offset: offset, shape: shape, strides: strides}, nil
}

// integers reads a tuple of integers that fit an int.
func integers(v any) ([]int, bool) {
	t, ok := v.(tuple)
	if !ok {
		return nil, false
	}
	out := make([]int, len(t))
	for i, v := range t {
		n, ok := v.(int64)
		if !ok || int64(int(n)) != n {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}

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
	return torchEntries(root, func(s *torchStorage) (segment, error) {
		m, ok := members[top+"data/"+s.key]
		if !ok {
			return segment{}, fmt.Errorf("the zip file has no entry %q", top+"data/"+s.key)
		}
		offset, err := m.dataOffset(f)
		return segment{offset, m.size}, err
	})
}

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
	for _, k := range keys.items {
		key, _ := k.(string)
		s, ok := u.storages[key]
		if !ok {
			return nil, fmt.Errorf("storage %.40q belongs to no tensor of a known type", key)
		}
		count, err := in.bytes(8)
		if err != nil {
			return nil, fmt.Errorf("storage %.40q: the file is cut", key)
		}
		n, size := binary.LittleEndian.Uint64(count), s.dtype.Size()
		if n > math.MaxInt64/8 || int64(n)*int64(size) > in.end-in.position {
			return nil, fmt.Errorf("storage %.40q claims %d elements of %s, %d bytes are left", key, n, s.dtype, in.end-in.position)
		}
		segments[key] = segment{in.position, int64(n) * int64(size)}
		if err := in.skip(int64(n) * int64(size)); err != nil {
			return nil, err
		}
	}
	return torchEntries(values[3], func(s *torchStorage) (segment, error) {
		g, ok := segments[s.key]
		if !ok {
			return segment{}, fmt.Errorf("storage %.40q is missing", s.key)
		}
		return g, nil
	})
}

// torchEntries turns the tensors of the state dictionary in root into entries.
func torchEntries(root any, locate func(*torchStorage) (segment, error)) ([]*entry, error) {
	state, err := stateDictionary(root)
	if err != nil {
		return nil, err
	}
	var entries []*entry
	places := map[string]int{}
	for i, k := range state.keys {
		name, ok := k.(string)
		if !ok {
			continue
		}
		e := &entry{original: name}
		switch v := state.values[i].(type) {
		case *torchTensor:
			if err := v.place(e, locate); err != nil {
				return nil, fmt.Errorf("tensor %q: %w", name, err)
			}
		case opaque:
			return nil, fmt.Errorf("tensor %q: the pickle puts an object of %q here, which is not called; want a tensor", name, string(v))
		case global:
			return nil, fmt.Errorf("tensor %q: the pickle names %q here; want a tensor", name, string(v))
		default:
			continue // numbers, texts and dictionaries beside the tensors
		}
		if at, ok := places[name]; ok {
			entries[at] = e
			continue
		}
		places[name] = len(entries)
		entries = append(entries, e)
	}
	return entries, nil
}

// place fills in where a tensor lies and checks it against its storage.
func (t *torchTensor) place(e *entry, locate func(*torchStorage) (segment, error)) error {
	where, err := locate(t.storage)
	if err != nil {
		return err
	}
	e.dtype, e.shape = t.storage.dtype, t.shape
	size := int64(e.dtype.Size())
	held := where.size / size
	if s := t.storage; s.elements > held-s.first {
		return fmt.Errorf("storage %.40q claims %d elements of %s, %d are there", s.key, s.elements, s.dtype, held)
	}
	if t.offset > t.storage.elements {
		return fmt.Errorf("offset %d in a storage of %d elements", t.offset, t.storage.elements)
	}
	e.offset = where.offset + (t.storage.first+t.offset)*size
	return e.place(t.strides, (t.storage.elements-t.offset)*size)
}

// statePaths are where training code keeps the model's dictionary.
var statePaths = [][]string{{}, {"state", "model"}, {"state_dict"}, {"model_state_dict"}, {"model"}, {"module"}}

// stateDictionary finds the dictionary of tensors: the object itself or, in a
// Composer checkpoint and the like, a dictionary inside it.
func stateDictionary(root any) (*dict, error) {
	var blocked error
	for _, path := range statePaths {
		value := root
		for _, key := range path {
			if d, ok := value.(*dict); ok {
				value = d.get(key)
			} else {
				value = nil
			}
		}
		where := "the pickle's object"
		if len(path) > 0 {
			where = strings.Join(path, ".")
		}
		switch v := value.(type) {
		case *dict:
			for i := range v.values {
				switch x := v.values[i].(type) {
				case *torchTensor:
					return v, nil
				case opaque:
					if blocked == nil {
						blocked = fmt.Errorf("%s holds no tensor but an object of %q, which is not called", where, string(x))
					}
				}
			}
		case opaque:
			if blocked == nil {
				blocked = fmt.Errorf("%s is an object of %q, which is not called; want a dictionary of tensors", where, string(v))
			}
		}
	}
	if blocked != nil {
		return nil, blocked
	}
	return nil, errors.New("no dictionary of tensors")
}
