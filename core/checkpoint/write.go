package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json/jsontext"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"m2embed/core/short"
)

// Output is one tensor to be written.
type Output struct {
	Name  string
	DType DType
	Shape []int
	// Write writes the elements in row-major order, little-endian:
	// product(Shape) * DType.Size() bytes, no more and no fewer.
	Write func(w io.Writer) error
}

// dataAlignment is where the data section of a written file may start: at a
// multiple of a cache line, so that mapped tensors are aligned.
const dataAlignment = 64

// WriteSafetensors writes a safetensors file, one tensor at a time. Tensors
// are ordered as the format's own library orders them, wide elements first
// and then by name, so that each is aligned to its element. The order of
// outputs does not matter, and equal input gives equal bytes.
//
// # Errors
//
// Names must be unique and not "__metadata__", shapes must not overflow, and
// each Write must deliver exactly the bytes that its shape needs.
func WriteSafetensors(w io.Writer, metadata map[string]string, outputs []Output) error {
	ordered := slices.Clone(outputs)
	slices.SortStableFunc(ordered, func(a, b Output) int {
		return cmp.Or(
			cmp.Compare(b.DType.Size(), a.DType.Size()),
			cmp.Compare(a.DType, b.DType),
			strings.Compare(a.Name, b.Name),
		)
	})
	sizes := make([]int64, len(ordered))
	for i, o := range ordered {
		size := o.DType.Size()
		n, ok := product(o.Shape)
		if !ok || size == 0 || n > math.MaxInt/size {
			return fmt.Errorf("write tensor %s: shape %s of %s cannot be written", short.Quote(o.Name), short.List(o.Shape), o.DType)
		}
		sizes[i] = int64(n) * int64(size)
	}
	header, err := safetensorsHeader(metadata, ordered, sizes)
	if err != nil {
		return fmt.Errorf("write safetensors header: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("write safetensors header: %w", err)
	}
	for i, o := range ordered {
		c := countingWriter{w: w, left: sizes[i]}
		if err := o.Write(&c); err != nil {
			return fmt.Errorf("write tensor %s: %w", short.Quote(o.Name), err)
		}
		if c.left != 0 {
			return fmt.Errorf("write tensor %s: %d bytes of %d are missing", short.Quote(o.Name), c.left, sizes[i])
		}
	}
	return nil
}

// safetensorsHeader returns the length, the JSON object, and the spaces that
// align what follows.
func safetensorsHeader(metadata map[string]string, ordered []Output, sizes []int64) ([]byte, error) {
	var buffer bytes.Buffer
	buffer.Write(make([]byte, 8))
	e := jsontext.NewEncoder(&buffer)
	var failed error
	put := func(t jsontext.Token) {
		if failed == nil {
			failed = e.WriteToken(t)
		}
	}
	put(jsontext.BeginObject)
	if len(metadata) > 0 {
		put(jsontext.String("__metadata__"))
		put(jsontext.BeginObject)
		for _, key := range slices.Sorted(maps.Keys(metadata)) {
			put(jsontext.String(key))
			put(jsontext.String(metadata[key]))
		}
		put(jsontext.EndObject)
	}
	offset := int64(0)
	for i, o := range ordered {
		if o.Name == "__metadata__" {
			return nil, fmt.Errorf("a tensor is called %q", o.Name)
		}
		put(jsontext.String(o.Name))
		put(jsontext.BeginObject)
		put(jsontext.String("dtype"))
		put(jsontext.String(o.DType.String()))
		put(jsontext.String("shape"))
		put(jsontext.BeginArray)
		for _, s := range o.Shape {
			put(jsontext.Int(int64(s)))
		}
		put(jsontext.EndArray)
		put(jsontext.String("data_offsets"))
		put(jsontext.BeginArray)
		put(jsontext.Int(offset))
		offset += sizes[i]
		put(jsontext.Int(offset))
		put(jsontext.EndArray)
		put(jsontext.EndObject)
	}
	put(jsontext.EndObject)
	if failed != nil {
		return nil, failed
	}
	header := bytes.TrimRight(buffer.Bytes(), "\n")
	for len(header)%dataAlignment != 0 {
		header = append(header, ' ')
	}
	if len(header)-8 > maxSafetensorsHeader {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(header)-8, maxSafetensorsHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// countingWriter refuses more bytes than a tensor has.
type countingWriter struct {
	w    io.Writer
	left int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, fmt.Errorf("%d bytes too many", int64(len(p))-c.left)
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	return n, err
}
