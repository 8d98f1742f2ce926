package batch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/parquetfile"
	"m2embed/host/npy"
)

// Formats of the vectors.
var Formats = []string{"parquet", "jsonl", "npy"}

// rows writes the rows of a shard.
type rows interface {
	Write(parquetfile.Row) error
	Close() error // after the last row; it leaves the file open
}

// layout says what rows are made of.
type layout struct {
	format         string
	passages, text bool
	dimension      int
	metadata       map[string]string
}

// open begins the rows in a file. beside is the second file of .npy, which has
// no room for ids.
func (l layout) open(f io.WriteSeeker, beside io.Writer) (rows, error) {
	switch l.format {
	case "parquet":
		return parquetfile.NewWriter(f, parquetfile.Columns{Passages: l.passages, Text: l.text}, l.metadata), nil
	case "jsonl":
		return &lineRows{layout: l, w: bufio.NewWriterSize(f, 1<<18), vectors: true}, nil
	}
	w, err := npy.NewWriter(f, l.dimension)
	if err != nil {
		return nil, err
	}
	return &arrayRows{npy: w, lines: lineRows{layout: l, w: bufio.NewWriterSize(beside, 1<<18)}}, nil
}

// lineRows writes JSON lines.
type lineRows struct {
	layout
	w       *bufio.Writer
	vectors bool
	line    []byte
}

func (l *lineRows) Write(r parquetfile.Row) error {
	id, err := json.Marshal(r.ID)
	if err != nil {
		return err
	}
	b := append(append(l.line[:0], `{"id":`...), id...)
	if l.passages {
		b = fmt.Appendf(b, `,"start":%d,"end":%d,"tokens":%d`, r.Start, r.End, r.Tokens)
	} else {
		b = fmt.Appendf(b, `,"tokens":%d,"truncated":%t`, r.Tokens, r.Truncated)
	}
	if l.text {
		text, err := json.Marshal(r.Text)
		if err != nil {
			return err
		}
		b = append(append(b, `,"text":`...), text...)
	}
	if l.vectors {
		b = append(b, `,"vector":[`...)
		for i, v := range r.Vector {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
		}
		b = append(b, ']')
	}
	l.line = append(b, "}\n"...)
	_, err = l.w.Write(l.line)
	return err
}

func (l *lineRows) Close() error { return l.w.Flush() }

// arrayRows writes .npy, and JSON lines with all but the vectors beside it.
type arrayRows struct {
	npy   *npy.Writer
	lines lineRows
}

func (a *arrayRows) Write(r parquetfile.Row) error {
	return errors.Join(a.npy.WriteRow(r.Vector), a.lines.Write(r))
}

func (a *arrayRows) Close() error { return errors.Join(a.npy.Close(), a.lines.Close()) }

// writeWhole writes a small file at once.
func writeWhole(name string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(name, append(data, '\n'))
}

// plain takes temporary names out of an error.
func plain(what string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", filepath.ToSlash(what), err)
}
