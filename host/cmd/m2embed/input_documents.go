package main

import (
	"errors"
	"io"
	"iter"

	"m2embed/core"
	"m2embed/host/document"
)

// documentSource gives the documents of a file, or of all below a folder, as texts.
func (f *inputFlags) documentSource(path string, total int64) *source {
	files := &readingFlags{call: f.call, fields: f.field, title: f.title}
	reader := files.reader()
	in := &indexer{call: f.call} // whose list of what could not be read this is
	one := total > 0
	next, stop := iter.Pull2(func(yield func(document.Document, error) bool) {
		enough := errors.New("enough")
		skipped := func(name string, err error) error {
			if one && !errors.Is(err, document.ErrNoText) {
				return &nameError{name, err}
			}
			return in.problem(name, err)
		}
		_, err := document.Walk(f.call.ctx, []string{path}, files.walk(), func(file document.File, err error) error {
			if err != nil {
				return skipped(file.Path, err)
			}
			return reader.Read(f.call.ctx, file, document.Handler{Skipped: skipped, Document: func(d document.Document) error {
				if !yield(d, nil) {
					return enough
				}
				return nil
			}})
		})
		if err != nil && err != enough {
			yield(document.Document{}, err)
		}
	})
	place := 0
	var read int64
	return &source{
		total: total,
		where: func(int) string { return path },
		next: func() (item, error) {
			d, err, more := next()
			if !more {
				return item{}, io.EOF
			}
			if err != nil {
				return item{}, err
			}
			place++
			text := d.Text
			if f.title != "" && d.Title != "" {
				text = d.Title + " " + text
			}
			bytes := d.Offset - read
			if !one || bytes < 0 {
				bytes = 0
			}
			read += bytes
			return item{Input: core.Input{Text: text}, place: place, name: d.Name(), bytes: int(bytes)}, nil
		},
		close:  func() error { stop(); return reader.Close() },
		unread: in.failure,
	}
}

// nameError is an error behind the name that it is about.
type nameError struct {
	name string
	err  error
}

func (e *nameError) Error() string { return e.name + ": " + e.err.Error() }
func (e *nameError) Unwrap() error { return e.err }
