package search

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestIndexOnFullDisk makes and fills an index on a disk that is full: each time an
// error that says so, what was added before is found, and with more room it goes on.
func TestIndexOnFullDisk(t *testing.T) {
	disk := t.TempDir()
	resize := func(kilobytes int, flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", flags, fmt.Sprintf("size=%dk", kilobytes)); err != nil {
			t.Skipf("a disk of its own cannot be mounted here: %v", err)
		}
	}
	resize(16, 0)
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	path := filepath.Join(disk, "x.db")
	o := Options{Embedder: bag{}, Space: "bag"}
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "what was indexed before is kept") != 1 || len(err.Error()) > 400 {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, kilobytes := range []int{16, 32, 48, 64, 80, 96} {
		resize(kilobytes, syscall.MS_REMOUNT)
		ix, err := Open(path, o)
		if err == nil {
			_, err = ix.Add(t.Context(), notes...)
			ix.Close()
		}
		if err == nil {
			break
		}
		full(fmt.Sprint("with ", kilobytes, " kB"), err)
	}
	resize(600, syscall.MS_REMOUNT)
	ix := open(t, path, o)
	add(t, ix, notes...)
	n, refused := 0, 0
	next := func() error {
		d := Document{ID: fmt.Sprint("long ", n)}
		for i := range 3000 {
			d.Text += fmt.Sprintf("w%d ", n*3000+i)
		}
		_, err := ix.Add(t.Context(), d)
		return err
	}
	for refused < 3 { // what does not fit now does not fit the next time
		if err := next(); err != nil {
			full("add", err)
			refused++
		} else if n++; n > 100 {
			t.Fatal("600 kB hold everything")
		}
	}
	check := func() {
		t.Helper()
		if got := ids(t, ix, "harbour", Query{}); got != "port.txt" {
			t.Errorf("%q is found", got)
		}
		if i, err := ix.Info(t.Context()); err != nil || i.Documents != len(notes)+n || n == 0 {
			t.Errorf("%+v, %v, want %d documents", i, err, len(notes)+n)
		}
		if err := ix.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	check()
	if err := ix.Close(); err != nil {
		t.Error(err)
	}
	ix = open(t, path, o) // again, while the disk is full
	check()
	if _, err := ix.Remove(t.Context(), "port.txt"); err != nil {
		full("remove", err)
	} else if _, err := ix.Add(t.Context(), notes...); err != nil {
		full("add what was removed", err)
	}
	resize(4000, syscall.MS_REMOUNT)
	add(t, ix, notes...)
	if err := next(); err != nil {
		t.Error(err)
	}
	n++
	check()
}
