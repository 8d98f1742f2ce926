package model

import (
	"encoding/binary"

	"m2embed/core/checkpoint"
)

// table is an embedding table (rows, D), kept as the checkpoint has it: only
// the rows of a text's tokens are ever read.
type table struct {
	rows, d int
	dtype   checkpoint.DType
	data    []byte
	values  []float32 // the table, if it can be read as float32 in place
	scales  []float32 // (rows), for 8-bit tables
}

func (l *loader) table(name string, rows int) table {
	d := l.config.HiddenSize
	t := l.tensor(name, rows, d)
	if l.err != nil {
		return table{}
	}
	e := table{rows: rows, d: d, dtype: t.DType, data: t.Data}
	switch t.DType {
	case checkpoint.F16, checkpoint.BF16:
	case checkpoint.I8:
		e.scales = l.scales(t)
	default:
		e.values = l.float32s(name, rows, d)
	}
	return e
}

// add adds row i to dst (D).
func (e table) add(dst []float32, i int) {
	d := e.d
	switch {
	case e.values != nil:
		for c, v := range e.values[i*d : (i+1)*d] {
			dst[c] += v
		}
	case e.dtype == checkpoint.I8:
		scale := e.scales[i]
		for c, q := range e.data[i*d : (i+1)*d] {
			dst[c] += float32(float32(int8(q)) * scale)
		}
	case e.dtype == checkpoint.F16:
		row := e.data[2*i*d : 2*(i+1)*d]
		for c := range dst[:d] {
			dst[c] += checkpoint.Float16ToFloat32(binary.LittleEndian.Uint16(row[2*c:]))
		}
	default:
		row := e.data[2*i*d : 2*(i+1)*d]
		for c := range dst[:d] {
			dst[c] += checkpoint.BFloat16ToFloat32(binary.LittleEndian.Uint16(row[2*c:]))
		}
	}
}
