package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func names(t *testing.T, folder string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestReplace: the old content stays until the new one is complete, and what is
// discarded leaves nothing.
func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x")
	put(t, path, "old", 0o644)
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("%q before it is published", got)
	}
	if err := f.Publish(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	if got := content(t, path); got != "new" {
		t.Errorf("%q, want new", got)
	}
	if err := f.Publish(); err == nil {
		t.Error("published twice")
	}
	f, err = Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("other"))
	f.Discard()
	if err := f.Publish(); err == nil {
		t.Error("published what was discarded")
	}
	if got := content(t, path); got != "new" || !slices.Equal(names(t, folder), []string{"x"}) {
		t.Errorf("%q, and files %v, after a discarded one", got, names(t, folder))
	}
}

// TestKept: permissions and links of what is there stay.
func TestKept(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions and links are others there")
	}
	folder := t.TempDir()
	real, link, chain := filepath.Join(folder, "real"), filepath.Join(folder, "link"), filepath.Join(folder, "chain")
	put(t, real, "old", 0o640)
	for from, to := range map[string]string{link: "real", chain: link, filepath.Join(folder, "dangling"): "absent", filepath.Join(folder, "circle"): "circle"} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{real, link, chain} {
		if err := Write(path, []byte(path)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, real); got != path {
			t.Errorf("through %s: %q in the file", path, got)
		}
	}
	if stat, err := os.Stat(real); err != nil || stat.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, want 0640 (%v)", stat.Mode(), err)
	}
	if to, err := os.Readlink(chain); err != nil || to != link {
		t.Errorf("the link is gone: %q, %v", to, err)
	}
	if err := Write(filepath.Join(folder, "dangling"), []byte("made")); err != nil || content(t, filepath.Join(folder, "absent")) != "made" {
		t.Errorf("through a link to nothing: %v", err)
	}
	if err := Write(filepath.Join(folder, "circle"), nil); err == nil {
		t.Error("links in a circle")
	}
	for _, executable := range []os.FileMode{0o755, 0o600} {
		put(t, real, "", executable)
		if err := Write(real, nil); err != nil {
			t.Fatal(err)
		}
		if stat, _ := os.Stat(real); stat.Mode().Perm() != executable {
			t.Errorf("permissions %v, want %v", stat.Mode(), executable)
		}
	}
}

// TestRefused: what is no file, and a folder that is not there.
func TestRefused(t *testing.T) {
	folder := t.TempDir()
	for _, path := range []string{folder, filepath.Join(folder, "absent", "x"), os.DevNull} {
		var failed *Error
		if _, err := Create(path); !errors.As(err, &failed) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".tmp") {
			t.Errorf("%s: error %v, want one of the destination that names it", path, err)
		}
	}
	before := Make
	defer func() { Make = before }()
	Make = func(n string) (*os.File, error) { return nil, &os.PathError{Op: "open", Path: n, Err: syscall.EROFS} }
	if err := Write(filepath.Join(folder, "x"), nil); !errors.Is(err, syscall.EROFS) {
		t.Errorf("on a read-only disk: %v", err)
	}
	if left := names(t, folder); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestStale: the temporary file of a killed writer goes with the next writing of
// the same file; those that are being written, and other files, stay.
func TestStale(t *testing.T) {
	if os.Getenv("ATOMICFILE_CHILD") != "" {
		f, err := Create(os.Getenv("ATOMICFILE_CHILD"))
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("half"))
		fmt.Println("writing")
		time.Sleep(time.Minute) // to be killed
	}
	if runtime.GOOS == "windows" {
		t.Skip("nothing is locked there, so nothing is removed")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "x")
	others := []string{".x.ABCDEFGH.tmpx", ".x.ABCDEFG.tmp", ".y.ABCDEFGH.tmp", "x.ABCDEFGH.tmp"}
	for _, name := range others {
		put(t, filepath.Join(folder, name), "", 0o600)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStale$")
	child.Env = append(os.Environ(), "ATOMICFILE_CHILD="+path)
	said, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill()
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "writing\n" {
		t.Fatalf("the writer says %q, %v", line, err)
	}
	if err := Write(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if got := names(t, folder); len(got) != len(others)+2 {
		t.Errorf("beside a writer at work: %v", got)
	}
	child.Process.Kill()
	child.Wait()
	if err := Write(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(others), "x")
	slices.Sort(want)
	if got := names(t, folder); !slices.Equal(got, want) || content(t, path) != "two" {
		t.Errorf("after a killed writer: %v, want %v", got, want)
	}
}
