//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package atomicfile

import (
	"errors"
	"os"
)

// lock says that files cannot be locked here: none is taken for a stale one.
func lock(*os.File) error { return errors.ErrUnsupported }

// replace closes a file, as an open one cannot be renamed everywhere, and gives
// it another's name.
func replace(f *os.File, target string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}
