package main

import (
	"bufio"
	"errors"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/internal/atomicfile"
)

// parquetRow is a text with its vector, as DuckDB, pandas, Polars and Spark read it.
type parquetRow struct {
	ID     string    `parquet:"id,zstd"`
	Text   string    `parquet:"text,zstd"`
	Vector []float32 `parquet:"vector,list"` // D numbers, which do not compress
}

// parquetGroup is how many numbers of vectors are in memory until they are
// written: 32 MiB.
const parquetGroup = 8 << 20

// parquetSink writes a Parquet file.
func parquetSink(file *atomicfile.File, m host.Info, space string) *sink {
	buffered := bufio.NewWriterSize(file, 1<<18)
	w := parquet.NewGenericWriter[parquetRow](buffered,
		parquet.KeyValueMetadata("m2embed.space", space),
		parquet.KeyValueMetadata("m2embed.model", m.Name),
		parquet.KeyValueMetadata("m2embed.dimension", strconv.Itoa(m.Dimension)),
		parquet.MaxRowsPerRowGroup(int64(max(parquetGroup/max(m.Dimension, 1), 1))),
	)
	return &sink{
		write: func(_ int, in item, e core.Embedding) error {
			_, err := w.Write([]parquetRow{{in.id(), in.Text, e.Vector}})
			return err
		},
		discard: file.Discard,
		finish: func() error {
			if err := errors.Join(w.Close(), buffered.Flush()); err != nil {
				return err
			}
			return file.Publish()
		},
	}
}
