package main

import (
	"bufio"
	"errors"
	"strconv"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/parquetfile"
)

// parquetSink writes a Parquet file.
func parquetSink(file *atomicfile.File, m host.Info, space string) *sink {
	buffered := bufio.NewWriterSize(file, 1<<18)
	w := parquetfile.NewWriter(buffered, parquetfile.Columns{Text: true}, map[string]string{
		"m2embed.space": space, "m2embed.model": m.Name, "m2embed.dimension": strconv.Itoa(m.Dimension),
	})
	return &sink{
		write: func(_ int, in item, e core.Embedding) error {
			return w.Write(parquetfile.Row{ID: in.id(), Tokens: e.Tokens, Truncated: e.Truncated, Text: in.Text, Vector: e.Vector})
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
