// Package atomicfile writes files of which nobody ever sees a half: under a
// temporary name in the target's folder, renamed when they are complete.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Error is a failure to write, as opposed to one of what is written: another
// place may do.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// WriteError marks an error as one of the destination; nil stays nil.
func WriteError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{err}
}

// Make creates a new file and refuses an existing one. Tests of broken disks
// replace it.
var Make = func(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// File is a file in the making. It belongs to one goroutine.
type File struct {
	file   *os.File
	target string
	over   bool // published or discarded
}

// Create begins a file that will stand at a path. What cannot be written to
// fails here, before any work is done. An existing file keeps its permissions,
// and a link its target: the file that it points to is replaced. Temporary
// files for the same path whose writer was killed are removed.
//
// # Errors
//
// *Error: a folder or device at the path, or a folder that cannot be written to.
func Create(path string) (*File, error) {
	f, err := create(path)
	if err != nil {
		return nil, &Error{fmt.Errorf("write %s: %w", path, err)}
	}
	return f, nil
}

func create(path string) (*File, error) {
	target, err := resolve(path)
	if err != nil {
		return nil, err
	}
	stat, err := os.Stat(target)
	switch {
	case err == nil && stat.IsDir():
		return nil, errors.New("it is a folder, want a file")
	case err == nil && !stat.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, reason(err)
	}
	removeStale(target)
	f := &File{target: target}
	for {
		if f.file, err = Make(temporary(target, rand.Text()[:random])); err != nil {
			return nil, reason(err)
		}
		// Before it was locked, another process may have taken it for a stale one.
		// Where nothing can be locked, nothing is.
		if lock(f.file) != nil || f.present() {
			break
		}
		f.file.Close()
	}
	if stat != nil {
		if err := f.file.Chmod(stat.Mode().Perm()); err != nil && f.mode() != stat.Mode().Perm() {
			f.Discard()
			return nil, reason(err)
		}
	}
	return f, nil
}

// resolve follows links to the file that they point to, which need not exist.
func resolve(path string) (string, error) {
	for range 40 {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", errors.New("links in a circle")
}

// random is how many characters tell a target's temporary files apart.
const random = 8

func temporary(target, part string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+part+".tmp")
}

// removeStale removes a target's temporary files that nobody has locked.
func removeStale(target string) {
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return
	}
	before, after := "."+filepath.Base(target)+".", ".tmp"
	for _, e := range entries {
		name := e.Name()
		if len(name) != len(before)+random+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) || !e.Type().IsRegular() {
			continue
		}
		if f, err := os.OpenFile(filepath.Join(filepath.Dir(target), name), os.O_RDWR, 0); err == nil {
			if lock(f) == nil {
				os.Remove(f.Name())
			}
			f.Close()
		}
	}
}

// present says that the file still has its name.
func (f *File) present() bool {
	own, err := f.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.file.Name())
	return err == nil && os.SameFile(own, named)
}

func (f *File) mode() fs.FileMode {
	stat, err := f.file.Stat()
	if err != nil {
		return 0
	}
	return stat.Mode().Perm()
}

// reason is an error without the temporary name, which would only confuse.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Write appends bytes.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	return n, f.failed(err)
}

// Read reads what was written, from where Seek set it.
func (f *File) Read(p []byte) (int, error) { return f.file.Read(p) }

// Seek sets where the next Write or Read goes on.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	n, err := f.file.Seek(offset, whence)
	return n, f.failed(err)
}

// Sync brings the bytes to the disk.
func (f *File) Sync() error { return f.failed(f.file.Sync()) }

// Publish brings the bytes to the disk and gives the file its name.
func (f *File) Publish() error {
	if f.over {
		return f.failed(fs.ErrClosed)
	}
	if err := f.file.Sync(); err != nil {
		return f.failed(err)
	}
	if err := replace(f.file, f.target); err != nil {
		return f.failed(err)
	}
	f.over = true
	syncFolder(filepath.Dir(f.target))
	return nil
}

// Discard removes the file unless it was published.
func (f *File) Discard() {
	if !f.over {
		f.over = true
		f.file.Close()
		os.Remove(f.file.Name())
	}
}

func (f *File) failed(err error) error {
	if err == nil {
		return nil
	}
	return &Error{fmt.Errorf("write %s: %w", f.target, reason(err))}
}

// syncFolder makes a rename last. Not every system can; then it is left out.
func syncFolder(folder string) {
	if f, err := os.Open(folder); err == nil {
		f.Sync()
		f.Close()
	}
}

// Write replaces a small file.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Publish()
}
