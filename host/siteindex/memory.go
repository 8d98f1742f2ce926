package siteindex

import (
	"bytes"
	"io/fs"
	"time"
)

// oneFile is a file system of one file in memory.
type oneFile struct {
	name string
	data []byte
}

func (o oneFile) Open(name string) (fs.File, error) {
	if name != o.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memory{Reader: bytes.NewReader(o.data), file: o}, nil
}

type memory struct {
	*bytes.Reader
	file oneFile
}

func (m *memory) Stat() (fs.FileInfo, error) { return info{m.file}, nil }
func (m *memory) Close() error               { return nil }

// info describes a file in memory.
type info struct{ file oneFile }

func (i info) Name() string       { return i.file.name }
func (i info) Size() int64        { return int64(len(i.file.data)) }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
