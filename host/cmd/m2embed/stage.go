package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stagedFile is an output file under a temporary name in the same folder. It
// gets its own name when it is complete, and is removed otherwise.
type stagedFile struct {
	*os.File
	target string
	done   bool
}

// stage creates the temporary file; what cannot be written to fails here,
// before any work is done.
func stage(target string) (*stagedFile, error) {
	// A link stays a link: the file that it points to is replaced.
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	stat, err := os.Stat(target)
	switch {
	case err == nil && stat.IsDir():
		return nil, fmt.Errorf("write %s: it is a folder", target)
	case err == nil && !stat.Mode().IsRegular():
		return nil, fmt.Errorf("write %s: not a regular file", target)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	name := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+rand.Text()[:8]+".tmp")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the temporary name would only confuse
		}
		return nil, fmt.Errorf("write %s: %w", target, err)
	}
	return &stagedFile{File: f, target: target}, nil
}

// publish makes the file safe on disk and gives it its name.
func (s *stagedFile) publish() error {
	if err := errors.Join(s.Sync(), s.Close()); err != nil {
		return fmt.Errorf("write %s: %w", s.target, err)
	}
	if err := os.Rename(s.Name(), s.target); err != nil {
		return fmt.Errorf("write %s: %w", s.target, err)
	}
	s.done = true
	return nil
}

// discard removes the file unless it was published.
func (s *stagedFile) discard() {
	if !s.done {
		s.Close()
		os.Remove(s.Name())
	}
}
