package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"m2embed/core/short"
)

// storageType is what a storage class of torch holds.
type storageType struct {
	dtype DType
	size  int64 // bytes of an element
	known bool  // whether dtype says what they mean
}

// storageTypes are the storage classes of torch. The older format needs the
// sizes of those, too, that cannot be read.
var storageTypes = map[global]storageType{
	"torch.FloatStorage": {F32, 4, true}, "torch.HalfStorage": {F16, 2, true}, "torch.BFloat16Storage": {BF16, 2, true},
	"torch.DoubleStorage": {F64, 8, true}, "torch.LongStorage": {I64, 8, true}, "torch.IntStorage": {I32, 4, true},
	"torch.ShortStorage": {I16, 2, true}, "torch.CharStorage": {I8, 1, true}, "torch.ByteStorage": {U8, 1, true},
	"torch.BoolStorage": {Bool, 1, true}, "torch.storage.UntypedStorage": {U8, 1, true}, "torch.UntypedStorage": {U8, 1, true},
	"torch.ComplexFloatStorage": {size: 8}, "torch.ComplexDoubleStorage": {size: 16}, "torch.ComplexHalfStorage": {size: 4},
	"torch.QInt8Storage": {size: 1}, "torch.QUInt8Storage": {size: 1}, "torch.QInt32Storage": {size: 4},
	"torch.QUInt4x2Storage": {size: 1}, "torch.QUInt2x4Storage": {size: 1},
	"torch.Float8_e4m3fnStorage": {size: 1}, "torch.Float8_e5m2Storage": {size: 1},
	"torch.Float8_e4m3fnuzStorage": {size: 1}, "torch.Float8_e5m2fnuzStorage": {size: 1},
}

// tensorTypes are the types that a tensor over bytes may name.
var tensorTypes = map[global]DType{
	"torch.float32": F32, "torch.float16": F16, "torch.bfloat16": BF16, "torch.float64": F64, "torch.int64": I64,
	"torch.int32": I32, "torch.int16": I16, "torch.int8": I8, "torch.uint8": U8, "torch.bool": Bool,
}

// torchStorage is a run of elements that tensors are views of.
type torchStorage struct {
	storageType
	class    global
	key      string
	elements int64 // as the pickle claims
	first    int64 // element of the stored run that this one begins at
}

// torchTensor is a view of a storage.
type torchTensor struct {
	storage  *torchStorage
	dtype    DType
	offset   int64 // in elements
	shape    []int
	strides  []int
	negative bool // the bytes are those of the tensor times −1
}

// unreadable stands for a tensor, or the storage of one, that cannot be read,
// and says why.
type unreadable string

// Memory that the parts of a description take.
const (
	slotSize    = 16 // a value in a slice
	storageCost = 128
	tensorCost  = 160
)

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
	key, isText := t[2].(string)
	n, isNumber := t[4].(int64)
	if !isText || !isNumber || n < 0 {
		return nil, errors.New("a storage without key or size")
	}
	if err := u.in.f.spend(storageCost); err != nil {
		return nil, err
	}
	root := &torchStorage{storageType: storageTypes[class], class: class, key: key, elements: n}
	if _, ok := u.storages[key]; !ok {
		u.storages[key] = root
	}
	if !root.known {
		return unreadable(fmt.Sprintf("a tensor of %s cannot be read", short.Quote(class))), nil
	}
	if len(t) > 5 && t[5] != nil {
		view, ok := t[5].(tuple)
		if !ok || len(view) != 3 {
			return nil, fmt.Errorf("storage %s: a view of unknown form", short.Quote(key))
		}
		first, ok1 := view[1].(int64)
		size, ok2 := view[2].(int64)
		if !ok1 || !ok2 || first < 0 || size < 0 || first > n-size {
			return nil, fmt.Errorf("storage %s: a view that lies outside", short.Quote(key))
		}
		part := *root
		part.elements, part.first = size, first
		return &part, nil
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
		if err := u.in.f.spend(2 * slotSize * len(pairs.items)); err != nil {
			return nil, err
		}
		n := len(pairs.items)
		d.keys, d.values = make([]any, 0, n), make([]any, 0, n)
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
	case "collections.defaultdict":
		return &dict{}, nil
	case "torch._utils._rebuild_tensor_v3": // as version 2, with the type before the metadata
		return u.rebuildTensor(a, 6)
	case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor":
		return u.rebuildTensor(a, -1)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch._utils._rebuild_buffer":
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

// rebuildTensor reads (storage, offset, sizes, strides, requires_grad, hooks,
// metadata). In the newest form the type stands at an index before the metadata;
// at −1 there is none.
func (u *unpickler) rebuildTensor(a tuple, typeAt int) (any, error) {
	if len(a) < 4 || typeAt >= len(a) {
		return nil, fmt.Errorf("a tensor of %d arguments, want %d or more", len(a), max(4, typeAt+1))
	}
	s, ok := a[0].(*torchStorage)
	if !ok {
		if why, ok := a[0].(unreadable); ok {
			return why, nil
		}
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
	t := &torchTensor{storage: s, dtype: s.dtype, offset: offset, shape: shape, strides: strides}
	metadataAt := 6
	if typeAt >= 0 {
		name, _ := a[typeAt].(global)
		if t.dtype, ok = tensorTypes[name]; !ok {
			return unreadable(fmt.Sprintf("a tensor of %s cannot be read", short.Quote(name))), nil
		}
		metadataAt = typeAt + 1
	}
	if len(a) > metadataAt {
		if why := t.setMetadata(a[metadataAt]); why != "" {
			return why, nil
		}
	}
	return t, u.in.f.spend(tensorCost + 2*8*len(shape))
}

// maxMetadata is more bits than torch keeps: any number of tensors may share them.
const maxMetadata = 64

// setMetadata applies the bits that torch keeps beside a tensor's bytes: "neg"
// says that they are of the opposite sign, "conj" means nothing for numbers
// that are not complex.
func (t *torchTensor) setMetadata(v any) unreadable {
	bits, ok := v.(*dict)
	if !ok {
		if v == nil {
			return ""
		}
		return "a tensor with metadata of unknown form"
	}
	if len(bits.keys) > maxMetadata {
		return unreadable(fmt.Sprintf("a tensor with %d entries in its metadata cannot be read", len(bits.keys)))
	}
	for i, value := range bits.values {
		name, _ := bits.keys[i].(string)
		switch set, isBool := value.(bool); {
		case name == "neg" && isBool:
			t.negative = set
		case name == "conj" && isBool, isBool && !set:
		default:
			return unreadable(fmt.Sprintf("a tensor with %s in its metadata cannot be read", short.Quote(name)))
		}
	}
	return ""
}

// integers reads a tuple of integers that fit an int.
func integers(v any) ([]int, bool) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxDimensions {
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
