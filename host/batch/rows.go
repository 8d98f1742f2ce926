package batch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"m2embed/host/internal/atomicfile"
	"m2embed/host/npy"
)

// Formats of the vectors.
var Formats = []string{"parquet", "jsonl", "npy"}

// row is one vector: of a document, or of a passage.
type row struct {
	id         string
	start, end int // bytes of the document's text, for passages
	tokens     int
	truncated  bool
	text       string
	vector     []float32
}

// rows writes the rows of a shard.
type rows interface {
	write(row) error
	close() error // after the last row; it leaves the file open
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
		return l.parquet(f), nil
	case "jsonl":
		return &lineRows{layout: l, w: bufio.NewWriterSize(f, 1<<18), vectors: true}, nil
	}
	w, err := npy.NewWriter(f, l.dimension)
	if err != nil {
		return nil, err
	}
	return &arrayRows{npy: w, lines: lineRows{layout: l, w: bufio.NewWriterSize(beside, 1<<18)}}, nil
}

// parquetRows writes Parquet. Rows are structs that are made for their columns.
type parquetRows struct {
	layout
	w      *parquet.GenericWriter[any]
	kind   reflect.Type
	buffer []any
}

// groupRows is how many rows a row group has: some megabytes.
const groupRows = 4096

func (l layout) parquet(w io.Writer) *parquetRows {
	field := func(name string, kind reflect.Type, tag string) reflect.StructField {
		return reflect.StructField{Name: name, Type: kind, Tag: reflect.StructTag(`parquet:"` + tag + `"`)}
	}
	text, number := reflect.TypeFor[string](), reflect.TypeFor[int32]()
	fields := []reflect.StructField{field("ID", text, "id,snappy")}
	if l.passages {
		fields = append(fields, field("Start", reflect.TypeFor[int64](), "start,snappy"), field("End", reflect.TypeFor[int64](), "end,snappy"))
	}
	fields = append(fields, field("Tokens", number, "tokens,snappy"))
	if !l.passages {
		fields = append(fields, field("Truncated", reflect.TypeFor[bool](), "truncated"))
	}
	if l.text {
		fields = append(fields, field("Text", text, "text,snappy"))
	}
	fields = append(fields, field("Vector", reflect.TypeFor[[]float32](), "vector,list"))
	p := &parquetRows{layout: l, kind: reflect.StructOf(fields)}
	options := []parquet.WriterOption{
		parquet.SchemaOf(reflect.New(p.kind).Interface()),
		parquet.CreatedBy("m2embed", "1", ""),
	}
	for _, key := range sortedKeys(l.metadata) {
		options = append(options, parquet.KeyValueMetadata(key, l.metadata[key]))
	}
	p.w = parquet.NewGenericWriter[any](w, options...)
	return p
}

func (p *parquetRows) write(r row) error {
	v := reflect.New(p.kind).Elem()
	v.FieldByName("ID").SetString(r.id)
	v.FieldByName("Tokens").SetInt(int64(r.tokens))
	v.FieldByName("Vector").Set(reflect.ValueOf(r.vector))
	if p.passages {
		v.FieldByName("Start").SetInt(int64(r.start))
		v.FieldByName("End").SetInt(int64(r.end))
	} else {
		v.FieldByName("Truncated").SetBool(r.truncated)
	}
	if p.text {
		v.FieldByName("Text").SetString(r.text)
	}
	if p.buffer = append(p.buffer, v.Addr().Interface()); len(p.buffer) < groupRows {
		return nil
	}
	return p.flush()
}

func (p *parquetRows) flush() error {
	if len(p.buffer) == 0 {
		return nil
	}
	_, err := p.w.Write(p.buffer)
	p.buffer = p.buffer[:0]
	if err != nil {
		return err
	}
	return p.w.Flush()
}

func (p *parquetRows) close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.w.Close()
}

// lineRows writes JSON lines.
type lineRows struct {
	layout
	w       *bufio.Writer
	vectors bool
	line    []byte
}

func (l *lineRows) write(r row) error {
	id, err := json.Marshal(r.id)
	if err != nil {
		return err
	}
	b := append(append(l.line[:0], `{"id":`...), id...)
	if l.passages {
		b = fmt.Appendf(b, `,"start":%d,"end":%d,"tokens":%d`, r.start, r.end, r.tokens)
	} else {
		b = fmt.Appendf(b, `,"tokens":%d,"truncated":%t`, r.tokens, r.truncated)
	}
	if l.text {
		text, err := json.Marshal(r.text)
		if err != nil {
			return err
		}
		b = append(append(b, `,"text":`...), text...)
	}
	if l.vectors {
		b = append(b, `,"vector":[`...)
		for i, v := range r.vector {
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

func (l *lineRows) close() error { return l.w.Flush() }

// arrayRows writes .npy, and JSON lines with all but the vectors beside it.
type arrayRows struct {
	npy   *npy.Writer
	lines lineRows
}

func (a *arrayRows) write(r row) error {
	return errors.Join(a.npy.WriteRow(r.vector), a.lines.write(r))
}

func (a *arrayRows) close() error { return errors.Join(a.npy.Close(), a.lines.close()) }

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
