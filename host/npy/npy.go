// Package npy writes matrices in NumPy's file formats, row by row: .npy
// (version 1.0) and, by wrapping one, .npz.
//
// Format: numpy.lib.format in NumPy's documentation.
package npy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// headerSize is the size of the header of a .npy file, in bytes. It is padded so
// that any number of rows fits in without moving the data.
const headerSize = 128

// header begins a .npy file whose array NumPy describes by the given literal.
func header(array string) []byte {
	b := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(b[8:], headerSize-10)
	b = append(b, array...)
	for len(b) < headerSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

// matrix describes a C-ordered little-endian float32 matrix.
func matrix(rows, columns int) string {
	return fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
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
	if _, err := w.Write(header(matrix(0, columns))); err != nil {
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
	if _, err := n.w.Write(header(matrix(n.rows, n.columns))); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	if _, err := n.w.Seek(n.start+headerSize+4*int64(n.rows)*int64(n.columns), io.SeekStart); err != nil {
		return fmt.Errorf("write npy: %w", err)
	}
	return nil
}

// Text is an array of no dimensions that holds a text.
type Text struct{ Name, Value string }

// WriteArchive writes a .npz with an array, whose .npy file is read from npy, and
// with texts. It is stored without compression, as numpy.savez does.
func WriteArchive(w io.Writer, name string, npy io.Reader, texts ...Text) error {
	archive := zip.NewWriter(w)
	add := func(name string, npy io.Reader) error {
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err == nil {
			_, err = io.Copy(entry, npy)
		}
		return err
	}
	err := add(name, npy)
	for _, t := range texts {
		if err == nil {
			err = add(t.Name, bytes.NewReader(textFile(t.Value)))
		}
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return fmt.Errorf("write npz: %w", err)
	}
	return nil
}

// textFile is a .npy file with a text, in UTF-32 as NumPy has strings.
func textFile(text string) []byte {
	letters := []rune(text)
	b := header(fmt.Sprintf("{'descr': '<U%d', 'fortran_order': False, 'shape': (), }", max(1, len(letters))))
	for _, r := range letters {
		b = binary.LittleEndian.AppendUint32(b, uint32(r))
	}
	if len(letters) == 0 {
		b = append(b, 0, 0, 0, 0)
	}
	return b
}
