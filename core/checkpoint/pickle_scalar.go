package checkpoint

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
)

// pushScalar reads numbers, texts and bytes.
func (u *unpickler) pushScalar(op byte) error {
	u.spent += slotSize
	switch op {
	case 'K': // BININT1
		x, err := u.in.uint(1)
		u.push(int64(x))
		return err
	case 'M': // BININT2
		x, err := u.in.uint(2)
		u.push(int64(x))
		return err
	case 'J': // BININT
		x, err := u.in.uint(4)
		u.push(int64(int32(x)))
		return err
	case 'G': // BINFLOAT
		b, err := u.in.bytes(8)
		if err == nil {
			u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return err
	case 0x8a, 0x8b: // LONG1, LONG4
		return u.pushLong(op)
	case 'I', 'L', 'F', 'S', 'V': // INT, LONG, FLOAT, STRING, UNICODE
		line, err := u.in.line()
		u.spent += len(line)
		if err == nil {
			u.push(parseTextScalar(op, line))
		}
		return err
	}
	width := 0 // bytes of the length
	switch op {
	case 0x8c, 'U', 'C': // SHORT_BINUNICODE, SHORT_BINSTRING of Python 2, SHORT_BINBYTES
		width = 1
	case 'X', 'T', 'B': // BINUNICODE, BINSTRING, BINBYTES
		width = 4
	case 0x8d, 0x8e, 0x96: // BINUNICODE8, BINBYTES8, BYTEARRAY8
		width = 8
	default:
		return errors.New("the opcode is unknown or not supported")
	}
	n, err := u.in.uint(width)
	if err != nil {
		return err
	}
	if n > math.MaxInt64 {
		return errPickleCut
	}
	if strings.IndexByte("CB\x8e\x96", op) >= 0 || n > maxPickleString {
		u.push(opaque("bytes"))
		return u.in.skip(int64(n))
	}
	b, err := u.in.bytes(int64(n))
	u.spent += int(n) + slotSize
	u.push(string(b))
	return err
}

// pushLong reads an integer of any length; one that takes more than 8 bytes
// is opaque.
func (u *unpickler) pushLong(op byte) error {
	width := 1
	if op == 0x8b {
		width = 4
	}
	n, err := u.in.uint(width)
	if err != nil {
		return err
	}
	if n > 8 {
		u.push(opaque("long integer"))
		return u.in.skip(int64(n))
	}
	x, err := u.in.uint(int(n))
	if n > 0 {
		shift := 64 - 8*n
		x = uint64(int64(x<<shift) >> shift)
	}
	u.push(int64(x))
	return err
}

// parseTextScalar reads the scalars of protocol 0.
func parseTextScalar(op byte, line string) any {
	switch op {
	case 'S':
		if len(line) >= 2 {
			line = line[1 : len(line)-1]
		}
		return line
	case 'V':
		return line
	case 'F':
		if x, err := strconv.ParseFloat(line, 64); err == nil {
			return x
		}
	default:
		if op == 'I' && (line == "00" || line == "01") {
			return line == "01"
		}
		if x, err := strconv.ParseInt(strings.TrimSuffix(line, "L"), 10, 64); err == nil {
			return x
		}
	}
	return opaque("number")
}
