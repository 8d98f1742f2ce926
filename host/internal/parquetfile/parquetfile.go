// Package parquetfile writes texts and vectors as Parquet, as DuckDB, pandas,
// Polars and Spark read it.
package parquetfile

import (
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Columns say which columns there are beside id, tokens and vector.
type Columns struct {
	Passages bool // start and end, for rows of passages; else truncated
	Text     bool
}

// Row is one vector: of a text, or of a passage.
type Row struct {
	ID         string
	Start, End int // bytes of the document's text, for passages
	Tokens     int
	Truncated  bool
	Text       string
	Vector     []float32 // (D)
}

// Writer writes rows. They are structs that are made for their columns.
type Writer struct {
	columns Columns
	w       *parquet.GenericWriter[any]
	kind    reflect.Type
	group   []any
	size    int // bytes of the group's texts and vectors
}

// groupSize is about how many bytes a row group has, which are in memory until
// they are written.
const groupSize = 16 << 20

// NewWriter begins a file. The metadata stand at its end, by name.
func NewWriter(w io.Writer, columns Columns, metadata map[string]string) *Writer {
	field := func(name string, kind reflect.Type, tag string) reflect.StructField {
		return reflect.StructField{Name: name, Type: kind, Tag: reflect.StructTag(`parquet:"` + tag + `"`)}
	}
	text, place := reflect.TypeFor[string](), reflect.TypeFor[int64]()
	fields := []reflect.StructField{field("ID", text, "id,zstd")}
	if columns.Passages {
		fields = append(fields, field("Start", place, "start,zstd"), field("End", place, "end,zstd"))
	}
	fields = append(fields, field("Tokens", reflect.TypeFor[int32](), "tokens,zstd"))
	if !columns.Passages {
		fields = append(fields, field("Truncated", reflect.TypeFor[bool](), "truncated"))
	}
	if columns.Text {
		fields = append(fields, field("Text", text, "text,zstd"))
	}
	// Vectors do not compress.
	fields = append(fields, field("Vector", reflect.TypeFor[[]float32](), "vector,list"))
	p := &Writer{columns: columns, kind: reflect.StructOf(fields)}
	options := []parquet.WriterOption{
		parquet.SchemaOf(reflect.New(p.kind).Interface()),
		parquet.CreatedBy("m2embed", "1", ""),
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		options = append(options, parquet.KeyValueMetadata(key, metadata[key]))
	}
	p.w = parquet.NewGenericWriter[any](w, options...)
	return p
}

// Write adds a row, and keeps its vector until the row group is written.
func (p *Writer) Write(r Row) error {
	v := reflect.New(p.kind).Elem()
	v.FieldByName("ID").SetString(r.ID)
	v.FieldByName("Tokens").SetInt(int64(r.Tokens))
	v.FieldByName("Vector").Set(reflect.ValueOf(r.Vector))
	if p.columns.Passages {
		v.FieldByName("Start").SetInt(int64(r.Start))
		v.FieldByName("End").SetInt(int64(r.End))
	} else {
		v.FieldByName("Truncated").SetBool(r.Truncated)
	}
	p.size += len(r.ID) + 4*len(r.Vector)
	if p.columns.Text {
		v.FieldByName("Text").SetString(r.Text)
		p.size += len(r.Text)
	}
	if p.group = append(p.group, v.Addr().Interface()); p.size < groupSize {
		return nil
	}
	return p.flush()
}

// flush writes a row group.
func (p *Writer) flush() error {
	if len(p.group) == 0 {
		return nil
	}
	_, err := p.w.Write(p.group)
	clear(p.group)
	p.group, p.size = p.group[:0], 0
	if err != nil {
		return err
	}
	return p.w.Flush()
}

// Close ends the file after the last row; what it is written to stays open.
func (p *Writer) Close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.w.Close()
}
