package checkpoint

import (
	"errors"
	"fmt"
	"strconv"

	"m2embed/core/short"
)

// The values that a pickle can make here. Besides these there are nil (None),
// bool, int64, float64 and string.
type (
	// global is a name, "module.name", that a pickle refers to. It is never
	// looked up anywhere.
	global string
	// opaque stands for whatever cannot take part in a state dictionary: an
	// object of an unknown class, the result of an unknown function, bytes.
	opaque string
	tuple  []any
	list   struct{ items []any }
	// dict keeps the order of its pairs; of equal keys the last one counts.
	dict struct{ keys, values []any }
)

// The bounds of a pickle. A state dictionary of a thousand tensors takes about
// 50,000 operations.
const (
	maxPickleOperations = 4_000_000
	maxPickleString     = 1 << 20 // longer ones are skipped: no name is that long
	maxPickleLine       = 1 << 16
)

// unpickler is the stack machine of the pickle format, protocols 0 to 5,
// without the power to call anything. Functions of torch that rebuild a
// tensor are known by name; see reduce in torch.go.
type unpickler struct {
	in    *cursor
	stack []any
	marks []int // heights of the stack
	memo  map[int64]any
	// spent counts bytes of memory that are not yet taken from the file's room.
	spent int
	// storages collects every storage that was named, by key.
	storages map[string]*torchStorage
}

// unpickle runs one pickle and returns its value. The cursor stands behind it
// afterwards.
func (u *unpickler) unpickle() (any, error) {
	u.stack, u.marks, u.memo = u.stack[:0], u.marks[:0], map[int64]any{}
	start := u.in.position
	for range maxPickleOperations {
		at := u.in.position
		op, err := u.in.byte()
		if err != nil {
			return nil, fmt.Errorf("pickle at byte %d: %w", at-start, err)
		}
		if op == '.' {
			value, err := u.pop()
			if err != nil {
				return nil, fmt.Errorf("pickle at byte %d: %w", at-start, err)
			}
			return value, nil
		}
		err = u.step(op)
		if err == nil {
			// One step makes no more than the memory that was there before, or a
			// text of the file.
			err = u.in.f.spend(u.spent)
			u.spent = 0
		}
		if err != nil {
			return nil, fmt.Errorf("pickle at byte %d, opcode %#02x: %w", at-start, op, err)
		}
	}
	return nil, fmt.Errorf("pickle of more than %d operations", maxPickleOperations)
}

// emptyTuple is made once: a pickle may have any number of it.
var emptyTuple any = tuple(nil)

var errPickleStack = errors.New("the stack holds too little")

// push puts a value on the stack. What the stack takes is accounted for where it
// grows, what the value takes where it is made.
func (u *unpickler) push(v any) {
	if len(u.stack) == cap(u.stack) {
		u.spent += slotSize * (2*len(u.stack) + 8)
	}
	u.stack = append(u.stack, v)
}

// floor is the height above which values may be taken.
func (u *unpickler) floor() int {
	if len(u.marks) == 0 {
		return 0
	}
	return u.marks[len(u.marks)-1]
}

func (u *unpickler) pop() (any, error) {
	if len(u.stack) <= u.floor() {
		return nil, errPickleStack
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return v, nil
}

func (u *unpickler) top() (any, error) {
	if len(u.stack) <= u.floor() {
		return nil, errPickleStack
	}
	return u.stack[len(u.stack)-1], nil
}

// popMark takes all values above the last mark, and the mark.
func (u *unpickler) popMark() ([]any, error) {
	if len(u.marks) == 0 {
		return nil, errors.New("no mark")
	}
	from := u.floor()
	u.marks = u.marks[:len(u.marks)-1]
	items := append([]any(nil), u.stack[from:]...)
	u.spent += slotSize * (len(items) + 2)
	u.stack = u.stack[:from]
	return items, nil
}

// popTuple takes n values as a tuple.
func (u *unpickler) popTuple(n int) error {
	if len(u.stack)-n < u.floor() {
		return errPickleStack
	}
	from := len(u.stack) - n
	t := tuple(append([]any(nil), u.stack[from:]...))
	u.spent += slotSize * (n + 2)
	u.stack = append(u.stack[:from], t)
	return nil
}

// step carries out one opcode.
func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		version, err := u.in.byte()
		if err == nil && version > 5 {
			err = fmt.Errorf("protocol %d, at most 5 is known", version)
		}
		return err
	case 0x95: // FRAME
		_, err := u.in.uint(8)
		return err
	case '(': // MARK
		u.spent += 2 * slotSize
		u.marks = append(u.marks, len(u.stack))
		return nil
	case '0': // POP
		if len(u.marks) > 0 && len(u.stack) == u.floor() {
			u.marks = u.marks[:len(u.marks)-1]
			return nil
		}
		_, err := u.pop()
		return err
	case '1': // POP_MARK
		_, err := u.popMark()
		return err
	case '2': // DUP
		v, err := u.top()
		if err == nil {
			u.push(v)
		}
		return err
	case 'N':
		u.push(nil)
		return nil
	case 0x88: // NEWTRUE
		u.push(true)
		return nil
	case 0x89: // NEWFALSE
		u.push(false)
		return nil
	case ')':
		u.push(emptyTuple)
		return nil
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		return u.popTuple(int(op) - 0x84)
	case 't', 'l', 'd', 0x91: // TUPLE, LIST, DICT, FROZENSET
		items, err := u.popMark()
		if err != nil {
			return err
		}
		return u.pushCollection(op, items)
	case ']':
		u.spent += 2 * slotSize
		u.push(&list{})
		return nil
	case '}':
		u.spent += 4 * slotSize
		u.push(&dict{})
		return nil
	case 0x8f: // EMPTY_SET
		u.push(opaque("set"))
		return nil
	case 'a', 'e', 's', 'u', 0x90: // APPEND, APPENDS, SETITEM, SETITEMS, ADDITEMS
		return u.addItems(op)
	case 'q', 'r', 'p', 0x94, 'h', 'j', 'g':
		return u.memoize(op)
	case 'c', 0x93: // GLOBAL, STACK_GLOBAL
		return u.pushGlobal(op)
	case 'R', 0x81, 0x92, 'b', 'i', 'o':
		return u.construct(op)
	case 'Q', 'P':
		return u.pushPersistent(op)
	}
	return u.pushScalar(op)
}

// pushCollection makes a collection of the items since the last mark.
func (u *unpickler) pushCollection(op byte, items []any) error {
	switch op {
	case 't':
		u.push(tuple(items))
	case 'l':
		u.push(&list{items})
	case 0x91:
		u.push(opaque("frozenset"))
	case 'd':
		d := &dict{}
		u.spent += 4*slotSize + 2*slotSize*len(items)
		if err := d.set(items); err != nil {
			return err
		}
		u.push(d)
	}
	return nil
}

// set adds pairs of a key and a value.
func (d *dict) set(items []any) error {
	if len(items)%2 != 0 {
		return errors.New("a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys = append(d.keys, items[i])
		d.values = append(d.values, items[i+1])
	}
	return nil
}

// get returns the value of a key, or nil.
func (d *dict) get(key string) any {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if k, ok := d.keys[i].(string); ok && k == key {
			return d.values[i]
		}
	}
	return nil
}

// addItems puts values into the collection below them. Into opaque objects
// they vanish.
func (u *unpickler) addItems(op byte) error {
	var items []any
	var err error
	switch op {
	case 'a', 's':
		n := 1
		if op == 's' {
			n = 2
		}
		if err = u.popTuple(n); err == nil {
			items = u.stack[len(u.stack)-1].(tuple)
			u.stack = u.stack[:len(u.stack)-1]
		}
	default:
		items, err = u.popMark()
	}
	if err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	u.spent += 2 * slotSize * len(items) // slices grow to twice what they need
	switch target := target.(type) {
	case *dict:
		if op == 's' || op == 'u' {
			return target.set(items)
		}
		return errors.New("items for a list, but a dictionary is below them")
	case *list:
		if op == 'a' || op == 'e' {
			target.items = append(target.items, items...)
			return nil
		}
		return errors.New("pairs for a dictionary, but a list is below them")
	}
	return nil
}

// memoize puts the top into the memo or gets a value from there.
func (u *unpickler) memoize(op byte) error {
	var key int64
	switch op {
	case 0x94: // MEMOIZE
		key = int64(len(u.memo))
	case 'p', 'g': // PUT, GET
		line, err := u.in.line()
		if err != nil {
			return err
		}
		if key, err = strconv.ParseInt(line, 10, 64); err != nil {
			return fmt.Errorf("memo number %s", short.Quote(line))
		}
	default: // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
		n := 1
		if op == 'r' || op == 'j' {
			n = 4
		}
		k, err := u.in.uint(n)
		if err != nil {
			return err
		}
		key = int64(k)
	}
	if op == 'h' || op == 'j' || op == 'g' {
		v, ok := u.memo[key]
		if !ok {
			return fmt.Errorf("nothing is memorised under %d", key)
		}
		u.push(v)
		return nil
	}
	v, err := u.top()
	if err == nil {
		u.spent += 4 * slotSize
		u.memo[key] = v
	}
	return err
}

// pushGlobal reads a module and a name.
func (u *unpickler) pushGlobal(op byte) error {
	if op == 'c' {
		module, err := u.in.line()
		if err != nil {
			return err
		}
		name, err := u.in.line()
		if err != nil {
			return err
		}
		u.pushName(module, name)
		return nil
	}
	name, err := u.pop()
	if err != nil {
		return err
	}
	module, err := u.pop()
	if err != nil {
		return err
	}
	n, ok1 := name.(string)
	m, ok2 := module.(string)
	if !ok1 || !ok2 {
		return errors.New("a global name that is no text")
	}
	u.pushName(m, n)
	return nil
}

// maxGlobal is more than the longest name that is known. Longer ones are cut: a
// name may be joined any number of times from the same two texts.
const maxGlobal = 256

func (u *unpickler) pushName(module, name string) {
	joined := short.Cut(module, maxGlobal) + "." + short.Cut(name, maxGlobal)
	u.spent += len(joined) + 2*slotSize
	u.push(global(joined))
}

// construct handles what Python would call a function or a class for.
func (u *unpickler) construct(op byte) error {
	u.spent += 4 * slotSize
	switch op {
	case 'b': // BUILD: the state of an object; dictionaries and tensors have none that counts
		if _, err := u.pop(); err != nil {
			return err
		}
		_, err := u.top()
		return err
	case 'i': // INST
		if _, err := u.popMark(); err != nil {
			return err
		}
		if err := u.pushGlobal('c'); err != nil {
			return err
		}
		g, err := u.pop()
		if err == nil {
			u.push(opaque(g.(global)))
		}
		return err
	case 'o': // OBJ
		items, err := u.popMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return errPickleStack
		}
		u.push(opaqueOf(items[0]))
		return nil
	case 0x92: // NEWOBJ_EX: class, arguments, keyword arguments
		if _, err := u.pop(); err != nil {
			return err
		}
	}
	arguments, err := u.pop()
	if err != nil {
		return err
	}
	callee, err := u.pop()
	if err != nil {
		return err
	}
	v, err := u.reduce(callee, arguments)
	if err == nil {
		u.push(v)
	}
	return err
}

// opaqueOf names what a value would have been made by.
func opaqueOf(callee any) opaque {
	switch c := callee.(type) {
	case global:
		return opaque(c)
	case opaque:
		return c
	}
	return opaque("unknown")
}

// pushPersistent handles references to what lies outside the pickle.
func (u *unpickler) pushPersistent(op byte) error {
	if op == 'P' {
		if _, err := u.in.line(); err != nil {
			return err
		}
		u.push(opaque("persistent object"))
		return nil
	}
	id, err := u.pop()
	if err != nil {
		return err
	}
	v, err := u.storage(id)
	if err == nil {
		u.push(v)
	}
	return err
}
