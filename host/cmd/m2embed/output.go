package main

import (
	"bufio"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/npy"
)

// formats of embed's output.
var formats = []string{"npy", "npz", "jsonl", "parquet", "text"}

// outputFlags say where vectors go.
type outputFlags struct {
	call         *call
	path, format string
}

func defineOutput(c *call) *outputFlags {
	o := &outputFlags{call: c}
	c.flags.StringVar(&o.path, "output", "", "`file` for the vectors: .npy, .npz, .jsonl or .parquet; - for standard output, which is the default")
	c.flags.StringVar(&o.format, "format", "", "`npy|npz|jsonl|parquet|text` where the file's name does not tell; standard output takes jsonl (default in a pipe) and text (short, default on a terminal)")
	return o
}

// check settles the format.
func (o *outputFlags) check() error {
	if o.call.set("output") && o.path == "" {
		return usagef("--output is empty")
	}
	if o.format != "" && !slices.Contains(formats, o.format) {
		return usagef("--format %q, want one of %s", o.format, strings.Join(formats, ", "))
	}
	if o.path == "" || o.path == "-" {
		o.path = ""
		switch {
		case o.format == "npy" || o.format == "npz" || o.format == "parquet":
			return usagef("--format %s needs a file: --output FILE", o.format)
		case o.format == "" && isTerminal(o.call.stdout):
			o.format = "text"
		case o.format == "":
			o.format = "jsonl"
		}
		return nil
	}
	if o.format == "" {
		switch extension := strings.ToLower(filepath.Ext(o.path)); extension {
		case ".npy", ".npz", ".jsonl", ".parquet":
			o.format = extension[1:]
		case ".ndjson":
			o.format = "jsonl"
		case ".txt":
			o.format = "text"
		default:
			return usagef("--output %s: the name ends in none of .npy, .npz, .jsonl, .parquet; give a --format", o.path)
		}
	}
	return nil
}

// sink takes embeddings in order.
type sink struct {
	write   func(index int, in item, e core.Embedding) error
	finish  func() error // after the last one
	discard func()       // in any case
}

// open creates the output, for vectors of a model in a space.
func (o *outputFlags) open(m host.Info, space string) (*sink, error) {
	if o.path == "" {
		return lineSink(o.call.stdout, o.format, space, func() error { return nil }, func() {}), nil
	}
	file, err := atomicfile.Create(o.path)
	if err != nil {
		return nil, err
	}
	if o.format == "jsonl" || o.format == "text" {
		return lineSink(file, o.format, space, file.Publish, file.Discard), nil
	}
	if o.format == "parquet" {
		return parquetSink(file, m, space), nil
	}
	return o.arraySink(file, m.Dimension, space)
}

// arraySink writes .npy, and .npz from a .npy beside it.
func (o *outputFlags) arraySink(file *atomicfile.File, d int, space string) (*sink, error) {
	data := file
	discard := file.Discard
	if o.format == "npz" {
		var err error
		if data, err = atomicfile.Create(o.path + ".npy"); err != nil {
			file.Discard()
			return nil, err
		}
		discard = func() { file.Discard(); data.Discard() }
	}
	buffered := &seekBuffer{Writer: bufio.NewWriterSize(data, 1<<18), file: data}
	w, err := npy.NewWriter(buffered, d)
	if err != nil {
		discard()
		return nil, err
	}
	return &sink{
		write:   func(_ int, _ item, e core.Embedding) error { return w.WriteRow(e.Vector) },
		discard: discard,
		finish: func() error {
			if err := errors.Join(w.Close(), buffered.Flush()); err != nil {
				return err
			}
			if o.format == "npz" {
				if _, err := data.Seek(0, io.SeekStart); err != nil {
					return err
				}
				if err := npy.WriteArchive(file, "embedding", bufio.NewReaderSize(data, 1<<18), npy.Text{Name: "space", Value: space}); err != nil {
					return err
				}
			}
			return file.Publish()
		},
	}, nil
}

// seekBuffer is a buffered file that can still be sought in.
type seekBuffer struct {
	*bufio.Writer
	file io.Seeker
}

func (s *seekBuffer) Seek(offset int64, whence int) (int64, error) {
	if err := s.Flush(); err != nil {
		return 0, err
	}
	return s.file.Seek(offset, whence)
}

// lineSink writes JSON lines or short text.
func lineSink(w io.Writer, format, space string, publish func() error, discard func()) *sink {
	buffered := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	return &sink{
		write: func(index int, in item, e core.Embedding) error {
			if format == "text" {
				line = appendShort(line[:0], index, e)
			} else {
				line = appendJSON(line[:0], index, in.name, space, e)
			}
			_, err := buffered.Write(line)
			return err
		},
		finish: func() error {
			if err := buffered.Flush(); err != nil {
				return err
			}
			return publish()
		},
		discard: discard,
	}
}

// appendJSON writes an embedding as a line of JSON. Numbers are the shortest
// that read back as the same float32.
func appendJSON(b []byte, index int, name, space string, e core.Embedding) []byte {
	b = fmt.Appendf(b, `{"index":%d,`, index)
	if name != "" {
		b = append(b, `"id":`...)
		b, _ = jsontext.AppendQuote(b, name)
		b = append(b, ',')
	}
	b = fmt.Appendf(b, `"tokens":%d,"length":%d,"truncated":%t,"space":%q,"embedding":[`, e.Tokens, e.Length, e.Truncated, space)
	for i, v := range e.Vector {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
	}
	return append(b, "]}\n"...)
}

// appendShort writes the first values of an embedding for people.
func appendShort(b []byte, index int, e core.Embedding) []byte {
	const shown = 10
	norm := 0.0
	for _, v := range e.Vector {
		norm += float64(v) * float64(v)
	}
	b = fmt.Appendf(b, "%d: %s, run at %d, norm %.4f, %d values:", index, counted(e.Tokens, "token"), e.Length, math.Sqrt(norm), len(e.Vector))
	for _, v := range e.Vector[:min(shown, len(e.Vector))] {
		b = fmt.Appendf(b, " %.4f", v)
	}
	if len(e.Vector) > shown {
		b = append(b, " …"...)
	}
	return append(b, '\n')
}
