package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// parquet reads two columns of a file side by side.
func (r *reader) parquet(ctx context.Context, f io.ReaderAt, size int64) (err error) {
	// The library panics at some damaged files.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged Parquet: %v", short(fmt.Sprint(p)))
		}
	}()
	file, err := parquet.OpenFile(f, size)
	if err != nil {
		return fmt.Errorf("not a Parquet file, or cut off: %w", err)
	}
	var names []string
	for _, c := range file.Schema().Fields() {
		names = append(names, c.Name())
	}
	text, id, err := r.find(names)
	if err != nil {
		return err
	}
	leaves := make([]int, 0, 2)
	for _, at := range []int{text, id} {
		if at < 0 {
			continue
		}
		leaf, ok := file.Schema().Lookup(names[at])
		if !ok || leaf.MaxRepetitionLevel > 0 || !slices.Contains([]parquet.Kind{parquet.ByteArray, parquet.FixedLenByteArray, parquet.Int32, parquet.Int64}, leaf.Node.Type().Kind()) {
			return fmt.Errorf("column %q is no column of strings or integers", names[at])
		}
		leaves = append(leaves, leaf.ColumnIndex)
	}
	for _, group := range file.RowGroups() {
		chunks := group.ColumnChunks()
		texts := &values{pages: chunks[leaves[0]].Pages()}
		var ids *values
		if id >= 0 {
			ids = &values{pages: chunks[leaves[1]].Pages()}
		}
		err := r.pairs(ctx, texts, ids, group.NumRows())
		texts.pages.Close()
		if ids != nil {
			ids.pages.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs reads the rows of a row group.
func (r *reader) pairs(ctx context.Context, texts, ids *values, rows int64) error {
	for range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.number++
		text, err := texts.next()
		if err != nil {
			return fmt.Errorf("row %d: damaged Parquet: %w", r.number, err)
		}
		name := r.id()
		if ids != nil {
			v, err := ids.next()
			if err != nil {
				return fmt.Errorf("row %d: damaged Parquet: %w", r.number, err)
			}
			if v.IsNull() {
				if err := r.reject(name, ReasonMalformed, "the id is null"); err != nil {
					return err
				}
				continue
			}
			name = v.String()
		}
		if text.IsNull() {
			err = r.reject(r.nameOr(name), ReasonMalformed, "the text is null")
		} else {
			err = r.accept(name, text.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// values reads a column value by value.
type values struct {
	pages  parquet.Pages
	page   parquet.ValueReader
	buffer [256]parquet.Value
	rest   []parquet.Value
}

func (v *values) next() (parquet.Value, error) {
	for len(v.rest) == 0 {
		if v.page == nil {
			page, err := v.pages.ReadPage()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return parquet.Value{}, err
			}
			v.page = page.Values()
		}
		n, err := v.page.ReadValues(v.buffer[:])
		v.rest = v.buffer[:n]
		switch {
		case errors.Is(err, io.EOF):
			v.page = nil
		case err != nil:
			return parquet.Value{}, err
		}
	}
	first := v.rest[0]
	v.rest = v.rest[1:]
	return first, nil
}
