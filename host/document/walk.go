package document

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// WalkOptions say which files Walk finds. The zero value is good.
type WalkOptions struct {
	// Hidden finds names that begin with a dot, too; Ignored what .gitignore files
	// leave out.
	Hidden, Ignored bool
}

// Found counts what Walk has passed over.
type Found struct {
	Links, Ignored int
}

// Walk calls visit with each file among and below paths of this machine, in
// lexical order, as [WalkFS] does. A path that is a link is followed.
func Walk(ctx context.Context, paths []string, o WalkOptions, visit func(File, error) error) (Found, error) {
	var all Found
	for _, p := range paths {
		stat, err := os.Stat(p)
		if err != nil {
			if err := visit(File{Path: p}, plainError(err)); err != nil {
				return all, err
			}
			continue
		}
		if !stat.IsDir() {
			if err := visit(File{folder(filepath.Dir(p)), filepath.Base(p), p}, nil); err != nil {
				return all, err
			}
			continue
		}
		var above []gitignore.Pattern
		if !o.Ignored {
			above = ignoredAbove(p)
		}
		found, err := walk(ctx, folder(p), ".", p, o, above, visit)
		all.Links += found.Links
		all.Ignored += found.Ignored
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// folder is a folder of this machine as a file system. [os.DirFS] would refuse names
// that are not UTF-8.
type folder string

func (f folder) Open(name string) (fs.File, error) {
	return os.Open(filepath.Join(string(f), filepath.FromSlash(name)))
}

func (f folder) Stat(name string) (fs.FileInfo, error) {
	return os.Stat(filepath.Join(string(f), filepath.FromSlash(name)))
}

// WalkFS calls visit with each file below root, in lexical order. Links below it
// are not followed, so no folder is seen twice; names that begin with a dot and
// what .gitignore files leave out are passed over. A folder that cannot be read
// is visited with its error.
func WalkFS(ctx context.Context, fsys fs.FS, root string, o WalkOptions, visit func(File, error) error) (Found, error) {
	return walk(ctx, fsys, root, root, o, nil, visit)
}

func walk(ctx context.Context, fsys fs.FS, root, shown string, o WalkOptions, above []gitignore.Pattern, visit func(File, error) error) (Found, error) {
	w := &walker{ctx: ctx, fs: fsys, root: root, shown: shown, options: o, visit: visit}
	err := w.folder(root, above, 0)
	return w.found, err
}

type walker struct {
	ctx         context.Context
	fs          fs.FS
	root, shown string
	options     WalkOptions
	visit       func(File, error) error
	found       Found
}

// maxFolders is how deep folders may lie in each other.
const maxFolders = 500

// folder visits the files of one, and of those in it.
func (w *walker) folder(name string, patterns []gitignore.Pattern, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(w.fs, name)
	if err != nil || depth > maxFolders {
		if err == nil {
			err = ErrTooLarge
		}
		return w.visit(File{w.fs, name, w.path(name)}, plainError(err))
	}
	relative := w.relative(name)
	if !w.options.Ignored {
		patterns = append(patterns[:len(patterns):len(patterns)], readIgnored(w.fs, path.Join(name, ".gitignore"), relative)...)
	}
	matcher := gitignore.NewMatcher(patterns)
	for _, e := range entries {
		child := path.Join(name, e.Name())
		switch {
		case !w.options.Hidden && strings.HasPrefix(e.Name(), "."), e.Name() == ".git":
			continue
		case len(patterns) > 0 && matcher.Match(append(relative[:len(relative):len(relative)], e.Name()), e.IsDir()):
			w.found.Ignored++
			continue
		case e.Type()&fs.ModeSymlink != 0:
			w.found.Links++
			continue
		}
		var err error
		switch {
		case e.IsDir():
			err = w.folder(child, patterns, depth+1)
		case e.Type().IsRegular():
			err = w.visit(File{w.fs, child, w.path(child)}, w.ctx.Err())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// path is how a name in the file system is shown.
func (w *walker) path(name string) string {
	if w.root == w.shown {
		return name
	}
	return filepath.Join(append([]string{w.shown}, w.relative(name)...)...)
}

// relative are the elements of a name below the root.
func (w *walker) relative(name string) []string {
	if name == w.root {
		return nil
	}
	if w.root != "." {
		name = strings.TrimPrefix(name, w.root+"/")
	}
	return strings.Split(name, "/")
}

// maxIgnoreFile bounds what is read of a .gitignore.
const maxIgnoreFile = 1 << 20

// readIgnored reads a .gitignore of the folder with these elements.
func readIgnored(fsys fs.FS, name string, domain []string) []gitignore.Pattern {
	f, err := fsys.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if stat, err := f.Stat(); err != nil || !stat.Mode().IsRegular() {
		return nil
	}
	var patterns []gitignore.Pattern
	lines := bufio.NewScanner(io.LimitReader(f, maxIgnoreFile))
	for lines.Scan() {
		if line := strings.TrimRight(lines.Text(), "\r"); strings.TrimSpace(line) != "" && line[0] != '#' {
			patterns = append(patterns, gitignore.ParsePattern(line, domain))
		}
	}
	return patterns
}

// ignoredAbove reads the .gitignore files above a folder, up to that of the
// repository it is in.
func ignoredAbove(name string) []gitignore.Pattern {
	full, err := filepath.Abs(name)
	if err != nil {
		return nil
	}
	var above []string // folders, the outermost last
	for at := full; ; {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			break
		}
		parent := filepath.Dir(at)
		if parent == at {
			return nil // no repository
		}
		at = parent
		above = append(above, at)
	}
	var patterns []gitignore.Pattern
	for i := len(above) - 1; i >= 0; i-- {
		for _, p := range readIgnored(folder(above[i]), ".gitignore", nil) {
			below, err := filepath.Rel(above[i], full)
			if err == nil {
				patterns = append(patterns, shifted{p, strings.Split(filepath.ToSlash(below), "/")})
			}
		}
	}
	return patterns
}

// shifted is a pattern of a folder above the root.
type shifted struct {
	gitignore.Pattern
	below []string // elements from that folder to the root
}

func (s shifted) Match(name []string, isDir bool) gitignore.MatchResult {
	return s.Pattern.Match(append(s.below[:len(s.below):len(s.below)], name...), isDir)
}
