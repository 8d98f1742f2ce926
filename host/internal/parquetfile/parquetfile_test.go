package parquetfile

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestWriter reads back what was written, in no row group more than it may hold.
func TestWriter(t *testing.T) {
	for _, columns := range []Columns{{}, {Text: true}, {Passages: true}, {Passages: true, Text: true}} {
		sizes := []int{0, 1, 300}
		if columns == (Columns{Text: true}) {
			sizes = append(sizes, 7000)
		}
		for _, n := range sizes {
			t.Run(fmt.Sprint(columns, n), func(t *testing.T) {
				var b bytes.Buffer
				w := NewWriter(&b, columns, map[string]string{"b": "2", "a": "1"})
				var want []Row
				for i := range n {
					r := Row{ID: fmt.Sprint("id ", i), Tokens: i, Vector: make([]float32, 384)}
					r.Vector[i%384] = float32(i)
					if columns.Text {
						r.Text = strings.Repeat("größer ", i%700)
					}
					if columns.Passages {
						r.Start, r.End = i, 2*i
					} else {
						r.Truncated = i%3 == 0
					}
					want = append(want, r)
					if err := w.Write(r); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
				if err != nil {
					t.Fatal(err)
				}
				names := []string{"id", "tokens", "truncated"}
				if columns.Passages {
					names = []string{"id", "start", "end", "tokens"}
				}
				if columns.Text {
					names = append(names, "text")
				}
				names = append(names, "vector")
				var got []string
				for _, c := range f.Root().Columns() {
					got = append(got, c.Name())
				}
				if !reflect.DeepEqual(got, names) {
					t.Errorf("columns %q, want %q", got, names)
				}
				if a, _ := f.Lookup("a"); a != "1" {
					t.Errorf("metadata a is %q", a)
				}
				for i, g := range f.RowGroups() {
					if g.NumRows()*4*384 > groupSize+4*384 {
						t.Errorf("row group %d has %d rows", i, g.NumRows())
					}
				}
				if n == 7000 && len(f.RowGroups()) < 2 {
					t.Errorf("%d row groups of %d bytes", len(f.RowGroups()), b.Len())
				}
				if i := compare(t, b.Bytes(), want); i >= 0 {
					t.Errorf("row %d is not %.100v", i, want[i])
				}
			})
		}
	}
}

// compare returns the first row that is not as it should be, or -1.
func compare(t *testing.T, data []byte, want []Row) int {
	t.Helper()
	type all struct {
		ID        string    `parquet:"id"`
		Start     int64     `parquet:"start,optional"`
		End       int64     `parquet:"end,optional"`
		Tokens    int32     `parquet:"tokens"`
		Truncated bool      `parquet:"truncated,optional"`
		Text      string    `parquet:"text,optional"`
		Vector    []float32 `parquet:"vector,list"`
	}
	rows, err := parquet.Read[all](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, r := range rows {
		if !reflect.DeepEqual(Row{r.ID, int(r.Start), int(r.End), int(r.Tokens), r.Truncated, r.Text, r.Vector}, want[i]) {
			return i
		}
	}
	return -1
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("no space left on device")

func TestWriterFull(t *testing.T) {
	w := NewWriter(full{}, Columns{}, nil)
	err := w.Write(Row{ID: "a", Vector: []float32{1}})
	if err == nil {
		err = w.Close()
	}
	if !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
}
