package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"m2embed/core/short"
)

// torchEntries turns the tensors of the state dictionary in root into entries.
// What else stands in it under a name becomes an entry that cannot be read.
func torchEntries(f *File, root any, locate func(*torchStorage) (segment, error)) ([]*entry, error) {
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
		if err := f.spend(entryCost + len(name)); err != nil {
			return nil, err
		}
		e := &entry{original: name}
		if t, ok := state.values[i].(*torchTensor); !ok {
			e.refused = notTensor(state.values[i])
		} else if err := t.place(e, locate); errors.Is(err, errUnreadable) {
			e.refused = err
		} else if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", short.Quote(name), err)
		}
		if at, ok := places[name]; ok {
			entries[at] = e // of equal keys the last one counts
			continue
		}
		places[name] = len(entries)
		entries = append(entries, e)
	}
	return entries, nil
}

// notTensor says what stands where a tensor was asked for.
func notTensor(v any) error {
	switch v := v.(type) {
	case unreadable:
		return errors.New(string(v))
	case opaque:
		return fmt.Errorf("the pickle puts an object of %s here, which is not called; want a tensor", short.Quote(v))
	case global:
		return fmt.Errorf("the pickle names %s here; want a tensor", short.Quote(v))
	case *dict:
		return errors.New("the pickle puts a dictionary here; want a tensor")
	case *torchStorage:
		return errors.New("the pickle puts a storage here; want a tensor")
	}
	return errors.New("the pickle puts a plain value here; want a tensor")
}

// place fills in where a tensor lies and checks it against its storage.
func (t *torchTensor) place(e *entry, locate func(*torchStorage) (segment, error)) error {
	where, err := locate(t.storage)
	if err != nil {
		return err
	}
	e.dtype, e.shape, e.negative = t.dtype, t.shape, t.negative
	s := t.storage
	held := where.size / s.size
	if s.elements > held-s.first {
		return fmt.Errorf("storage %s claims %d elements of %s, %d are there", short.Quote(s.key), s.elements, s.dtype, held)
	}
	size, available := int64(t.dtype.Size()), s.elements*s.size
	if t.offset > available/size {
		return fmt.Errorf("offset %d in a storage of %d elements", t.offset, available/size)
	}
	e.offset = where.offset + s.first*s.size + t.offset*size
	return e.place(t.strides, available-t.offset*size)
}

// statePaths are where training code keeps the model's dictionary: of those
// that hold as much the first is taken.
var statePaths = []string{"state.model", "state_dict", "model_state_dict", "model", "module", ""}

// container is a dictionary inside the pickle's object.
type container struct {
	dict    *dict
	path    string
	rank    int // in statePaths; their number for others
	dotted  int // tensors whose names have components, as a model's have
	tensors int
}

// maxContainerDepth is how deep a dictionary of tensors is looked for.
const maxContainerDepth = 4

// stateDictionary finds the dictionary of tensors: the object itself or a
// dictionary inside it. Training code puts other tensors beside the model's, so
// the one with the most of them counts whose names look like a model's; one
// under a usual name comes before the object itself, and both before one under
// a name of the user's own. An optimizer's is never taken for the model's.
func stateDictionary(root any) (*dict, error) {
	var usual, other container
	walkContainers(root, func(c container) {
		best := &usual
		if c.rank == len(statePaths) {
			best = &other
		}
		if c.tensors > 0 && (best.dict == nil || c.better(*best)) {
			*best = c
		}
	})
	onlyBeside := usual.path == "" && other.dotted > usual.dotted
	if usual.dict != nil && !onlyBeside {
		return usual.dict, nil
	}
	if other.dict != nil {
		return other.dict, nil
	}
	return nil, describeStateless(root)
}

// better says whether c is the model's dictionary rather than d.
func (c container) better(d container) bool {
	if c.dotted != d.dotted {
		return c.dotted > d.dotted
	}
	if c.rank != d.rank {
		return c.rank < d.rank
	}
	return c.tensors > d.tensors
}

// walkContainers visits the dictionaries of an object, each once.
func walkContainers(root any, visit func(container)) {
	seen := map[any]bool{}
	var walk func(v any, path string, depth int)
	walk = func(v any, path string, depth int) {
		var items []any
		switch v := v.(type) {
		case *dict:
			if seen[v] {
				return
			}
			seen[v] = true
			visit(newContainer(v, path))
			if depth == maxContainerDepth {
				return
			}
			for i, k := range v.keys {
				switch name, _ := k.(string); v.values[i].(type) {
				case *dict, *list:
					if len(name) <= short.MaxQuoted && !strings.Contains(strings.ToLower(name), "optim") {
						walk(v.values[i], strings.TrimPrefix(path+"."+name, "."), depth+1)
					}
				}
			}
		case *list:
			if seen[v] {
				return
			}
			seen[v] = true
			items = v.items
		case tuple:
			if depth > 0 { // tuples have no identity: their references could repeat without end
				return
			}
			items = v
		}
		if depth < maxContainerDepth {
			for _, item := range items {
				walk(item, path+"[]", depth+1)
			}
		}
	}
	walk(root, "", 0)
}

func newContainer(d *dict, path string) container {
	c := container{dict: d, path: path}
	for c.rank < len(statePaths) && statePaths[c.rank] != path {
		c.rank++
	}
	for i, v := range d.values {
		if _, ok := v.(*torchTensor); !ok {
			continue
		}
		c.tensors++
		if name, _ := d.keys[i].(string); strings.Contains(name, ".") {
			c.dotted++
		}
	}
	return c
}

// describeStateless says what stands where the dictionary was expected.
func describeStateless(root any) error {
	for i := range statePaths {
		path := statePaths[(i+len(statePaths)-1)%len(statePaths)] // the object itself first
		value, where := root, "the pickle's object"
		if path != "" {
			where = path
			for key := range strings.SplitSeq(path, ".") {
				d, _ := value.(*dict)
				if d == nil {
					value = nil
					break
				}
				value = d.get(key)
			}
		}
		switch v := value.(type) {
		case *dict:
			for _, x := range v.values {
				switch x := x.(type) {
				case opaque:
					return fmt.Errorf("%s holds no tensor but an object of %s, which is not called", where, short.Quote(x))
				case unreadable:
					return fmt.Errorf("%s holds no tensor that can be read: %s", where, string(x))
				}
			}
		case opaque:
			return fmt.Errorf("%s is an object of %s, which is not called; want a dictionary of tensors", where, short.Quote(v))
		case unreadable:
			return fmt.Errorf("%s is no dictionary of tensors: %s", where, string(v))
		}
	}
	return errors.New("no dictionary of tensors")
}
