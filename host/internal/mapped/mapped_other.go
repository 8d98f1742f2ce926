//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package mapped

import (
	"io"
	"os"
)

// Open reads a file into memory, where it cannot be mapped.
func Open(f *os.File) (data []byte, writable bool, unmap func() error, err error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, false, nil, err
	}
	data, err = io.ReadAll(io.NewSectionReader(f, 0, stat.Size()))
	return data, true, func() error { return nil }, err
}
