package host

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// destinationError marks a failure to write, as opposed to one of the input:
// another place may do.
type destinationError struct{ err error }

func (e *destinationError) Error() string { return e.err.Error() }
func (e *destinationError) Unwrap() error { return e.err }

func asDestinationError(err error) error {
	if err == nil {
		return nil
	}
	return &destinationError{err}
}

// stagedFile is written under a temporary name in its target's folder and
// renamed when it is complete, so that nobody ever sees a half file.
type stagedFile struct {
	file   *os.File
	target string
}

// createFile makes a new file and refuses an existing one. Tests replace it.
var createFile = func(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

func stageFile(target string) (*stagedFile, error) {
	if stat, err := os.Stat(target); err == nil && stat.IsDir() {
		return nil, asDestinationError(fmt.Errorf("%s is a folder, want a file", target))
	}
	var random [6]byte
	rand.Read(random[:])
	f, err := createFile(target + "." + hex.EncodeToString(random[:]) + ".tmp")
	if err != nil {
		return nil, asDestinationError(err)
	}
	return &stagedFile{file: f, target: target}, nil
}

func (s *stagedFile) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	return n, asDestinationError(err)
}

// finish brings the bytes to the disk and closes the file.
func (s *stagedFile) finish() error {
	return asDestinationError(errors.Join(s.file.Sync(), s.file.Close()))
}

// publish gives a finished file its name.
func (s *stagedFile) publish() error {
	if err := os.Rename(s.file.Name(), s.target); err != nil {
		return asDestinationError(err)
	}
	syncFolder(filepath.Dir(s.target))
	return nil
}

// discard removes what was written. After publish it does nothing.
func (s *stagedFile) discard() {
	s.file.Close()
	os.Remove(s.file.Name())
}

// syncFolder makes a rename last. Not every system can; then it is left out.
func syncFolder(folder string) {
	if f, err := os.Open(folder); err == nil {
		f.Sync()
		f.Close()
	}
}

// writeFileWhole writes a small file through a temporary name.
func writeFileWhole(target string, data []byte) error {
	s, err := stageFile(target)
	if err != nil {
		return err
	}
	defer s.discard()
	if _, err := s.Write(data); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	return s.publish()
}
