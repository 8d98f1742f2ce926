package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
)

// pieceSize is how much of a tensor is in memory at a time.
const pieceSize = 1 << 18

// tensorConverter writes the tensors of one checkpoint in another type.
type tensorConverter struct {
	context  context.Context
	source   *checkpoint.File
	target   checkpoint.DType // F32, F16, BF16 or I8, of the matrices
	progress func(done, total int64)
	layers   int // of the model

	done, total int64 // bytes of the source
	buffer      []byte
	numbers     []float32
	encoded     []byte
}

// outputs lists what a converted file holds: its tensors and its metadata,
// which names the dropped of shared tensors.
func (c *tensorConverter) outputs() ([]checkpoint.Output, map[string]string, error) {
	metadata := map[string]string{"format": "pt"}
	kept := map[string]string{} // name by the name that the source keeps
	var outputs []checkpoint.Output
	c.layers = model.LayersIn(c.source.Names())
	for _, name := range c.source.Names() {
		if !model.InEncoder(name) {
			continue
		}
		info, _ := c.source.Info(name)
		root := info.Alias
		if root == "" {
			root = name
		}
		if first, ok := kept[root]; ok {
			metadata[model.Prefix+name] = model.Prefix + first
			continue
		}
		kept[root] = name
		if info.DType.Quantized() {
			return nil, nil, fmt.Errorf("tensor %q is of integers already; convert from the original checkpoint", name)
		}
		c.total += info.Bytes
		outputs = append(outputs, c.output(info)...)
	}
	for name, stored := range model.SharedNames(c.source.Names()) {
		metadata[model.Prefix+name] = model.Prefix + stored
	}
	for name, reason := range c.source.Refused() {
		if model.InEncoder(name) { // who needs it learns why it is not there
			metadata[checkpoint.RefusedKey+name] = reason.Error()
		}
	}
	if reason := c.source.Refused()[model.WordTable]; reason != nil {
		return nil, nil, fmt.Errorf("tensor %s: %w", model.WordTable, reason)
	}
	if _, ok := c.source.Info(model.WordTable); !ok {
		return nil, nil, fmt.Errorf("no tensor %s: not a checkpoint of M2-BERT", model.WordTable)
	}
	return outputs, metadata, nil
}

// narrowed is the type that a tensor is written in, and for integers the one
// that stands for the largest magnitude of a row. Only the tensors that take
// nearly all of a checkpoint, those of model.IntegerType and for floating-point
// types the filters' matrices, are narrowed: positions, frequencies, decays,
// norms and biases need their precision and weigh little.
func (c *tensorConverter) narrowed(info checkpoint.Info) (dtype checkpoint.DType, limit int) {
	integer, limit := model.IntegerType(info.Name, c.layers)
	switch {
	case len(info.Shape) < 2:
	case c.target == checkpoint.I8:
		return integer, limit
	case limit > 0, model.FilterMatrix(info.Name):
		return c.target, 0
	}
	return checkpoint.F32, 0
}

// output returns how one tensor is written; a matrix of integers brings its
// scales.
func (c *tensorConverter) output(info checkpoint.Info) []checkpoint.Output {
	dtype, limit := c.narrowed(info)
	o := checkpoint.Output{Name: model.Prefix + info.Name, DType: dtype, Shape: info.Shape}
	switch {
	case !isFloat(info.DType): // a counter, say: as it is
		o.DType = info.DType
		o.Write = func(w io.Writer) error {
			return c.stream(info, 1, true, func(piece []byte) error { _, err := w.Write(piece); return err })
		}
		return []checkpoint.Output{o}
	case limit > 0:
		rows := info.Shape[:len(info.Shape)-1]
		scales := checkpoint.Output{Name: o.Name + checkpoint.ScaleSuffix, DType: checkpoint.F32, Shape: rows}
		scales.Write = func(w io.Writer) error { return c.writeScales(w, info, limit) }
		o.Write = func(w io.Writer) error { return c.writeIntegers(w, info, limit) }
		return []checkpoint.Output{o, scales}
	}
	o.Write = func(w io.Writer) error { return c.writeFloat(w, info, o.DType) }
	return []checkpoint.Output{o}
}

func isFloat(d checkpoint.DType) bool {
	return d == checkpoint.F32 || d == checkpoint.F16 || d == checkpoint.BF16 || d == checkpoint.F64
}

// stream reads a tensor in pieces of whole groups of elements and counts them.
func (c *tensorConverter) stream(info checkpoint.Info, group int, count bool, yield func([]byte) error) error {
	unit := group * info.DType.Size()
	if unit == 0 {
		return nil // rows of nothing
	}
	size := max(pieceSize/unit, 1) * unit
	if int64(size) > info.Bytes {
		size = int(info.Bytes)
	}
	if size == 0 {
		return nil
	}
	if cap(c.buffer) < size {
		c.buffer = make([]byte, size)
	}
	return c.source.Stream(info.Name, c.buffer[:size], func(piece []byte) error {
		if err := c.context.Err(); err != nil {
			return err
		}
		if err := yield(piece); err != nil {
			return err
		}
		if count {
			c.done += int64(len(piece))
			if c.progress != nil {
				c.progress(c.done, c.total)
			}
		}
		return nil
	})
}

// decode returns a piece as finite float32 numbers.
func (c *tensorConverter) decode(info checkpoint.Info, piece []byte) ([]float32, error) {
	t := checkpoint.Tensor{Name: info.Name, DType: info.DType, Shape: []int{len(piece) / info.DType.Size()}, Data: piece}
	x, ok := t.Float32View()
	if !ok {
		var err error
		if c.numbers, err = t.Float32(c.numbers); err != nil {
			return nil, err
		}
		x = c.numbers
	}
	const exponent = 0x7f800000
	for _, v := range x {
		if math.Float32bits(v)&exponent == exponent {
			return nil, fmt.Errorf("it holds %v; the checkpoint is damaged", v)
		}
	}
	return x, nil
}

// writeFloat writes a tensor as F32, F16 or BF16.
func (c *tensorConverter) writeFloat(w io.Writer, info checkpoint.Info, target checkpoint.DType) error {
	return c.stream(info, 1, true, func(piece []byte) error {
		x, err := c.decode(info, piece)
		if err != nil {
			return err
		}
		if info.DType == target {
			_, err := w.Write(piece)
			return err
		}
		c.encoded = c.encoded[:0]
		for _, v := range x {
			switch target {
			case checkpoint.F16:
				h := checkpoint.Float32ToFloat16(v)
				if h&0x7c00 == 0x7c00 {
					return fmt.Errorf("%v does not fit f16; convert to bf16 or f32", v)
				}
				c.encoded = binary.LittleEndian.AppendUint16(c.encoded, h)
			case checkpoint.BF16:
				h := checkpoint.Float32ToBFloat16(v)
				if h&0x7f80 == 0x7f80 {
					return fmt.Errorf("%v does not fit bf16; convert to f32", v)
				}
				c.encoded = binary.LittleEndian.AppendUint16(c.encoded, h)
			default:
				c.encoded = binary.LittleEndian.AppendUint32(c.encoded, math.Float32bits(v))
			}
		}
		_, err = w.Write(c.encoded)
		return err
	})
}

// rows calls yield with each row (the last axis) of a matrix.
func (c *tensorConverter) rows(info checkpoint.Info, count bool, yield func(row []float32)) func(io.Writer) error {
	columns := info.Shape[len(info.Shape)-1]
	return func(w io.Writer) error {
		return c.stream(info, columns, count, func(piece []byte) error {
			x, err := c.decode(info, piece)
			if err != nil {
				return err
			}
			c.encoded = c.encoded[:0]
			for at := 0; at < len(x); at += columns {
				yield(x[at : at+columns])
			}
			_, err = w.Write(c.encoded)
			return err
		})
	}
}

// rowScale is what an integer of a row stands for: the largest magnitude becomes
// the limit. A row of zeros has scale 1.
func rowScale(row []float32, limit int) float32 {
	largest := float32(0)
	for _, v := range row {
		largest = max(largest, float32(math.Abs(float64(v))))
	}
	if scale := largest / float32(limit); scale > 0 {
		return scale
	}
	return 1
}

// writeScales writes one F32 scale a row. A matrix without columns has rows
// all the same.
func (c *tensorConverter) writeScales(w io.Writer, info checkpoint.Info, limit int) error {
	if info.Bytes == 0 {
		n := 1
		for _, s := range info.Shape[:len(info.Shape)-1] {
			n *= s
		}
		for range n {
			if err := binary.Write(w, binary.LittleEndian, float32(1)); err != nil {
				return err
			}
		}
		return nil
	}
	return c.rows(info, false, func(row []float32) {
		c.encoded = binary.LittleEndian.AppendUint32(c.encoded, math.Float32bits(rowScale(row, limit)))
	})(w)
}

// writeIntegers writes x / scale, rounded to the nearest integer, ties to even,
// in as many bytes as the limit needs.
func (c *tensorConverter) writeIntegers(w io.Writer, info checkpoint.Info, limit int) error {
	return c.rows(info, true, func(row []float32) {
		scale, most := float64(rowScale(row, limit)), float64(limit)
		for _, v := range row {
			q := int(max(-most, min(most, math.RoundToEven(float64(v)/scale))))
			if limit <= math.MaxInt8 {
				c.encoded = append(c.encoded, byte(q))
			} else {
				c.encoded = binary.LittleEndian.AppendUint16(c.encoded, uint16(q))
			}
		}
	})(w)
}
