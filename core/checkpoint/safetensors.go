package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"m2embed/core/short"
)

// maxSafetensorsHeader bounds the JSON header, as the format's own library does.
const maxSafetensorsHeader = 100_000_000

// readSafetensors reads the header: 8 bytes with its length, then a JSON
// object that gives each tensor's dtype, shape and place in the data section.
func readSafetensors(f *File) ([]*entry, map[string]string, error) {
	var length [8]byte
	if err := f.readFull(length[:], 0); err != nil {
		return nil, nil, fmt.Errorf("header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > uint64(f.size-8) {
		return nil, nil, fmt.Errorf("header claims %d bytes, the file has %d", n, f.size)
	}
	if n > maxSafetensorsHeader {
		return nil, nil, fmt.Errorf("header claims %d bytes, more than %d", n, maxSafetensorsHeader)
	}
	header, err := f.read(8, int64(n))
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	h := headerReader{decoder: jsontext.NewDecoder(bytes.NewBuffer(header)), file: f, start: 8 + int64(n), size: f.size}
	if err := h.readAll(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if err := h.checkLayout(); err != nil {
		return nil, nil, err
	}
	return h.entries, h.metadata, nil
}

// headerReader takes the header's JSON apart.
type headerReader struct {
	decoder  *jsontext.Decoder
	file     *File
	start    int64 // of the data section, from the start of the file
	size     int64 // of the file
	entries  []*entry
	metadata map[string]string
}

// object reads a JSON object and calls member with each name, the value next.
func (h *headerReader) object(member func(name string) error) error {
	token, err := h.decoder.ReadToken()
	if err != nil {
		return jsonError(err)
	}
	if token.Kind() != '{' {
		return fmt.Errorf("JSON %v, want an object", token.Kind())
	}
	for h.decoder.PeekKind() != '}' {
		token, err := h.decoder.ReadToken()
		if err != nil {
			return jsonError(err)
		}
		if err := member(token.String()); err != nil {
			return err
		}
	}
	_, err = h.decoder.ReadToken()
	return jsonError(err)
}

// jsonError names an end inside the text as a cut, not as a regular end.
func jsonError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return short.Error(err)
}

func (h *headerReader) readAll() error {
	err := h.object(func(name string) error {
		if name == "__metadata__" {
			return h.readMetadata()
		}
		if err := h.readTensor(name); err != nil {
			return fmt.Errorf("tensor %s: %w", short.Quote(name), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := h.decoder.ReadToken(); err != io.EOF {
		return errors.New("text after the JSON object")
	}
	return nil
}

func (h *headerReader) readMetadata() error {
	h.metadata = map[string]string{}
	return h.object(func(name string) error {
		value, err := h.text()
		if err != nil {
			return fmt.Errorf("metadata %s: %w", short.Quote(name), err)
		}
		h.metadata[name] = value
		return h.file.spend(2*len(name) + 2*len(value) + aliasCost)
	})
}

// text reads a JSON string.
func (h *headerReader) text() (string, error) {
	token, err := h.decoder.ReadToken()
	if err != nil {
		return "", jsonError(err)
	}
	if token.Kind() != '"' {
		return "", fmt.Errorf("JSON %v, want a string", token.Kind())
	}
	return token.String(), nil
}

// integers reads a JSON array of non-negative integers.
func (h *headerReader) integers() ([]int64, error) {
	token, err := h.decoder.ReadToken()
	if err != nil {
		return nil, jsonError(err)
	}
	if token.Kind() != '[' {
		return nil, fmt.Errorf("JSON %v, want an array of integers", token.Kind())
	}
	list := []int64{}
	for h.decoder.PeekKind() != ']' {
		if len(list) == maxDimensions {
			return nil, fmt.Errorf("more than %d integers", maxDimensions)
		}
		value, err := h.decoder.ReadValue()
		if err != nil {
			return nil, jsonError(err)
		}
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%.40s is not a usable size", value)
		}
		list = append(list, int64(n))
	}
	_, err = h.decoder.ReadToken()
	return list, jsonError(err)
}

// The memory that a description takes: of a tensor, of a name of metadata.
const (
	entryCost = 640
	aliasCost = 400
)

// readTensor reads one tensor's description. A type that cannot be read is no
// error as long as nobody asks for the tensor.
func (h *headerReader) readTensor(name string) error {
	if err := h.file.spend(2*len(name) + entryCost); err != nil {
		return err
	}
	e := &entry{original: name}
	var offsets []int64
	seen := 0
	err := h.object(func(field string) error {
		var err error
		switch field {
		case "dtype":
			var s string
			if s, err = h.text(); err == nil {
				e.dtype, e.refused = ParseDType(s)
			}
			seen |= 1
		case "shape":
			var sizes []int64
			sizes, err = h.integers()
			e.shape = make([]int, len(sizes))
			for i, s := range sizes {
				if int64(int(s)) != s {
					return fmt.Errorf("shape %s is too large", short.List(sizes))
				}
				e.shape[i] = int(s)
			}
			seen |= 2
		case "data_offsets":
			offsets, err = h.integers()
			seen |= 4
		default:
			err = h.decoder.SkipValue()
		}
		return err
	})
	if err != nil {
		return err
	}
	if seen != 7 || len(offsets) != 2 {
		return errors.New("want dtype, shape and two data_offsets")
	}
	begin, end := offsets[0], offsets[1]
	if begin > end || end > h.size-h.start {
		return fmt.Errorf("data_offsets %v lie outside the data section of %d bytes", offsets, h.size-h.start)
	}
	e.offset = h.start + begin
	h.entries = append(h.entries, e)
	if e.refused != nil {
		e.span = end - begin
		return nil
	}
	if err := e.place(nil, end-begin); err != nil {
		return err
	}
	if e.span != end-begin {
		return fmt.Errorf("shape %s of %s takes %d bytes, data_offsets span %d", short.List(e.shape), e.dtype, e.span, end-begin)
	}
	return nil
}

// checkLayout refuses tensors that overlap, bytes between them and bytes after
// the last one, which the format forbids.
func (h *headerReader) checkLayout() error {
	ordered := slices.Clone(h.entries)
	sortByOffset(ordered)
	end, last := h.start, ""
	for _, e := range ordered {
		switch {
		case e.offset < end:
			return fmt.Errorf("tensors %s and %s overlap", short.Quote(last), short.Quote(e.original))
		case e.offset > end:
			return fmt.Errorf("%d bytes before tensor %s belong to no tensor", e.offset-end, short.Quote(e.original))
		}
		end, last = e.offset+e.span, e.original
	}
	if end != h.size {
		return fmt.Errorf("%d bytes after the last tensor", h.size-end)
	}
	return nil
}
