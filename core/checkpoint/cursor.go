package checkpoint

import (
	"errors"
	"fmt"
)

// cursor reads a part of the file from front to back.
type cursor struct {
	f        *File
	position int64
	end      int64
	window   []byte // bytes at position that are read already
	buffer   []byte
}

func newCursor(f *File, position, end int64) *cursor {
	c := &cursor{f: f, position: position, end: end}
	if f.memory == nil {
		c.buffer = make([]byte, max(0, min(end-position, 1<<15)))
	}
	return c
}

var errPickleCut = errors.New("the pickle is cut")

// fill makes sure that there is a next byte.
func (c *cursor) fill() error {
	if len(c.window) > 0 {
		return nil
	}
	if c.f.memory != nil {
		if c.position >= min(c.end, c.f.size) {
			return errPickleCut
		}
		c.window = c.f.memory[c.position:min(c.end, c.f.size)]
		return nil
	}
	n := min(int64(len(c.buffer)), c.end-c.position)
	if n <= 0 {
		return errPickleCut
	}
	if err := c.f.readFull(c.buffer[:n], c.position); err != nil {
		return err
	}
	c.window = c.buffer[:n]
	return nil
}

func (c *cursor) byte() (byte, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	b := c.window[0]
	c.window = c.window[1:]
	c.position++
	return b, nil
}

// bytes reads n bytes. What the pickle claims is checked before memory is
// taken.
func (c *cursor) bytes(n int64) ([]byte, error) {
	if n < 0 || n > c.end-c.position {
		return nil, errPickleCut
	}
	out := make([]byte, 0, n)
	for int64(len(out)) < n {
		if err := c.fill(); err != nil {
			return nil, err
		}
		k := min(n-int64(len(out)), int64(len(c.window)))
		out = append(out, c.window[:k]...)
		c.window = c.window[k:]
		c.position += k
	}
	return out, nil
}

func (c *cursor) skip(n int64) error {
	if n < 0 || n > c.end-c.position {
		return errPickleCut
	}
	c.position += n
	c.window = c.window[min(n, int64(len(c.window))):]
	return nil
}

// line reads up to a newline, which is dropped.
func (c *cursor) line() (string, error) {
	var out []byte
	for len(out) <= maxPickleLine {
		b, err := c.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(out), nil
		}
		out = append(out, b)
	}
	return "", fmt.Errorf("a line of more than %d bytes", maxPickleLine)
}

// uint reads a little-endian number of 1 to 8 bytes.
func (c *cursor) uint(n int) (uint64, error) {
	var x uint64
	for i := range n {
		b, err := c.byte()
		if err != nil {
			return 0, err
		}
		x |= uint64(b) << (8 * i)
	}
	return x, nil
}
