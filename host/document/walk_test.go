package document

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestWalk passes over what is hidden, ignored or a link.
func TestWalk(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		".git/HEAD": "x", ".gitignore": "*.log\n/build/\n!keep.log\n", "a.txt": "a", "b.log": "b", "keep.log": "k", "build/x.txt": "x",
		"sub/.gitignore": "secret\nonly/*.tmp\n", "sub/secret": "s", "sub/build/y.txt": "y", "sub/only/z.tmp": "z", "sub/only/z.txt": "z", ".hidden/h.txt": "h", "#1.txt": "n",
	} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	links := 0
	if runtime.GOOS != "windows" {
		links = 1
		if err := os.Symlink(folder, filepath.Join(folder, "sub", "loop")); err != nil {
			t.Fatal(err)
		}
	}
	walked := func(o WalkOptions, paths ...string) (string, Found) {
		var names []string
		for i, p := range paths {
			paths[i] = filepath.Join(folder, filepath.FromSlash(p))
		}
		found, err := Walk(context.Background(), paths, o, func(f File, err error) error {
			name, _ := filepath.Rel(folder, f.Path)
			name = filepath.ToSlash(name)
			if err != nil {
				name += "!" + err.Error()
			}
			names = append(names, name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " "), found
	}
	got, found := walked(WalkOptions{}, "")
	if got != "#1.txt a.txt keep.log sub/build/y.txt sub/only/z.txt" || found.Links != links || found.Ignored != 4 {
		t.Errorf("%s %+v", got, found)
	}
	// The rules of the folders above, up to the repository's, hold too.
	if got, _ := walked(WalkOptions{}, "sub", "b.log"); got != "sub/build/y.txt sub/only/z.txt b.log" {
		t.Error(got)
	}
	if got, _ := walked(WalkOptions{Hidden: true, Ignored: true}, ""); !strings.Contains(got, "b.log") || !strings.Contains(got, ".hidden/h.txt") || strings.Contains(got, ".git/") {
		t.Error(got)
	}
	if got, _ := walked(WalkOptions{}, "none"); !strings.HasPrefix(got, "none!") {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Walk(ctx, []string{folder}, WalkOptions{}, func(File, error) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSpecial refuses what is no file without opening it.
func TestSpecial(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no /dev")
	}
	for name, want := range map[string]string{"/dev/zero": "device", "/dev": "folder"} {
		var problem error
		err := new(Reader).Read(context.Background(), File{os.DirFS("/"), name[1:], name}, Handler{
			Document: func(Document) error { t.Error("a document"); return nil },
			Skipped:  func(_ string, err error) error { problem = err; return nil },
		})
		if err != nil || problem == nil || !strings.Contains(problem.Error(), want) {
			t.Error(err, problem)
		}
	}
}

// TestChanged says so where a file breaks because it became another.
func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat("{\"text\":\"a\"}\n", 20000)), 0o666); err != nil {
		t.Fatal(err)
	}
	var problem error
	err := new(Reader).Read(context.Background(), File{os.DirFS(filepath.Dir(path)), "a.jsonl", path}, Handler{
		Document: func(d Document) error {
			if d.Line == 1 {
				return os.WriteFile(path, []byte(strings.Repeat("no JSON ", 40000)), 0o666)
			}
			return nil
		},
		Skipped: func(_ string, err error) error { problem = err; return nil },
	})
	if err != nil || !errors.Is(problem, ErrChanged) {
		t.Error(err, problem)
	}
}
