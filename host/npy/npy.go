// Package npy writes matrices in NumPy's file formats, row by row: .npy
// (version 1.0) and, by wrapping one, .npz.
//
// Format: numpy.lib.format in NumPy's documentation.
package npy

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// headerSize is the size of the header that Writer writes, in bytes. It is
// padded so that any number of rows fits in without moving the data.
const headerSize = 128

// header describes a C-ordered little-endian float32 matrix of the given
// shape.
func header(rows, columns int) []byte {
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
	b := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(b[8:], headerSize-10)
	b = append(b, text...)
	for len(b) < headerSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// Writer writes a .npy file of a float32 matrix whose number of rows is known
// only in the end.
type Writer struct {
	w       io.WriteSeeker
	start   int64
	rows    int
	columns int
	buffer  []byte
}

// NewWriter begins a file at w's position, with rows of the given number of
// columns. Each call writes to w once, so a buffer beneath helps only with
// rows of a few values.
func NewWriter(w io.WriteSeeker, columns int) (*Writer, error) {
	if columns < 0 {
		return nil, fmt.Errorf("write npy: %d columns", columns)
	}
	start, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("write npy: %w", err)
	}
	n := &Writer{w: w, start: start, columns: columns}
	if _, err := w.Write(header(0, columns)); err != nil {
		return nil, fmt.Errorf("write npy: %w", err)
	}
	return n, nil
}

// WriteRow appends a row, which must have the number of columns given before.
func (n *Writer) WriteRow(row []float32) error {
	if len(row) != n.columns {
		return fmt.Errorf("write npy: row %d has %d values, want %d", n.rows, len(row), n.columns)
	}
	n.buffer = n.buffer[:0]
	for _, v := range row {
		n.buffer = binary.LittleEndian.AppendUint32(n.buffer, math.Float32bits(v))
	}
	if _, err := n.w.Write(n.buffer); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	n.rows++
	return nil
}

// Rows is the number of rows written so far.
func (n *Writer) Rows() int { return n.rows }

// Close writes the number of rows into the header and leaves w's position at
// the end of the data. It does not close w.
func (n *Writer) Close() error {
	if _, err := n.w.Seek(n.start, io.SeekStart); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	if _, err := n.w.Write(header(n.rows, n.columns)); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	if _, err := n.w.Seek(n.start+headerSize+4*int64(n.rows)*int64(n.columns), io.SeekStart); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	return nil
}

// WriteArchive writes a .npz with one array, whose .npy file is read from npy.
// It is stored without compression, as numpy.savez does.
func WriteArchive(w io.Writer, name string, npy io.Reader) error {
	archive := zip.NewWriter(w)
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
	if err != nil {
		return fmt.Errorf("write npz: %w", err)
	}
	if _, err := io.Copy(entry, npy); err != nil {
		return fmt.Errorf("write npz: %w", err)
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("write npz: %w", err)
	}
	return nil
}
