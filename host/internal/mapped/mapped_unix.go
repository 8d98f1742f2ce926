//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package mapped

import (
	"fmt"
	"math"
	"os"
	"syscall"
)

// Open maps a file into memory. The mapping is private and writable: what
// is written to it stays in this process, page by page, and never reaches the
// file. The second result tells whether it may be written to.
func Open(f *os.File) (data []byte, writable bool, unmap func() error, err error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, false, nil, err
	}
	if stat.Size() == 0 {
		return nil, false, func() error { return nil }, nil
	}
	if stat.Size() > math.MaxInt {
		return nil, false, nil, fmt.Errorf("map %s: %d bytes are too many", f.Name(), stat.Size())
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(stat.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, false, nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return data, true, func() error { return syscall.Munmap(data) }, nil
}
