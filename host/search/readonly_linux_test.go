package search

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadOnlyFolder: an index in a folder that cannot be written to is searched
// all the same; adding says why it cannot be.
func TestReadOnlyFolder(t *testing.T) {
	if folder := os.Getenv("M2EMBED_TEST_FOLDER"); folder != "" {
		readOnly(t, folder)
		return
	}
	folder := t.TempDir()
	ix := open(t, filepath.Join(folder, "x.db"), Options{Embedder: bag{}, Space: "bag"})
	add(t, ix, notes...)
	ix.Close()
	for f := folder; f != "/" && strings.HasPrefix(f, os.TempDir()) && f != os.TempDir(); f = filepath.Dir(f) {
		if err := os.Chmod(f, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(f, 0o755) })
	}
	if err := os.Chmod(filepath.Join(folder, "x.db"), 0o444); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestReadOnlyFolder$", "-test.v")
	child.Env = append(os.Environ(), "M2EMBED_TEST_FOLDER="+folder)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "read-only folder searched") {
		t.Errorf("%v\n%s", err, out)
	}
}

// readOnly runs in a process of its own, which gives up what root may do.
func readOnly(t *testing.T, folder string) {
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(folder, "x.db")
	o := Options{Embedder: bag{}, Space: "bag"}
	o.ReadOnly = true
	ix := open(t, path, o)
	if got := ids(t, ix, "harbour", Query{}); got != "port.txt" {
		t.Errorf("found %q", got)
	}
	o.ReadOnly = false
	ix, err := Open(path, o)
	if err == nil {
		_, err = ix.Add(context.Background(), Document{ID: "new", Text: "A new text."})
		ix.Close()
	}
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("opened to add: %v", err)
	}
	if _, err := Open(filepath.Join(folder, "new.db"), o); !errors.Is(err, ErrReadOnly) || strings.Count(err.Error(), "read-only") != 1 {
		t.Errorf("made anew: %v", err)
	}
	t.Log("read-only folder searched")
}
