package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"m2embed/host/document"
	"m2embed/host/search"
)

// Documents that are added together: each addition is a transaction, and fills the
// model's threads.
const (
	addDocuments = 64
	addBytes     = 256 << 10
)

// mostProblems are listed.
const mostProblems = 100

// indexer puts what is in files into an index.
type indexer struct {
	call   *call
	ix     search.Store
	flags  *readingFlags
	reader *document.Reader
	own    string // the index itself, which is not read
	quiet  bool

	known map[string]*knownFile // by full path
	batch []search.Document
	bytes int
	bar   *progress

	files, documents, passages, unchanged, removed, empty int
	links                                                 int
	problems                                              []string
	failed                                                int
	began                                                 time.Time
}

// indexedName is a path as IDs have it: in UTF-8, other bytes as \xff.
func indexedName(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "\\x%02x", path[i])
		} else {
			b.WriteString(path[i : i+size])
		}
		i += size
	}
	return b.String()
}

// knownFile is what an index holds of a file.
type knownFile struct {
	size, modified int64 // of the file when it was read
	whole          bool  // all of it is in the index
	ids            map[string]bool
}

// stamp is kept with each document: the size and time of its file, how many bytes
// at the end of its ID name the part of it, and whether it is the last of its file.
func stamp(size, modified int64, part string, last bool) string {
	mark := 0
	if last {
		mark = 1
	}
	return fmt.Sprintf("%d %d %d %d", size, modified, len(part), mark)
}

func newIndexer(c *call, ix search.Store, flags *readingFlags, own string) *indexer {
	if full, err := filepath.Abs(own); err == nil {
		own = indexedName(full)
	}
	return &indexer{call: c, ix: ix, flags: flags, reader: flags.reader(), own: own}
}

func (in *indexer) close() { in.reader.Close() }

// remember learns what the index holds.
func (in *indexer) remember() error {
	stamps, err := in.ix.Stamps(in.call.ctx)
	if err != nil {
		return err
	}
	in.known = map[string]*knownFile{}
	for id, s := range stamps {
		var size, modified int64
		var part, last int
		if n, _ := fmt.Sscanf(s, "%d %d %d %d", &size, &modified, &part, &last); n != 4 || part < 0 || part >= len(id) {
			continue // another program's document
		}
		path := id[:len(id)-part]
		k := in.known[path]
		if k == nil {
			k = &knownFile{ids: map[string]bool{}}
			in.known[path] = k
		}
		k.ids[id] = true
		if last == 1 {
			k.size, k.modified, k.whole = size, modified, true
		}
	}
	return nil
}

// pending is a file that has to be read.
type pending struct {
	document.File
	full           string
	size, modified int64
}

// index reads what is new or changed among paths, and takes out what is gone.
func (in *indexer) index(paths []string) error {
	in.began = time.Now()
	if err := in.remember(); err != nil {
		return err
	}
	todo, total, seen, unread, err := in.find(paths)
	if err != nil {
		return err
	}
	if !in.quiet {
		in.bar = newProgress(in.call, "indexing")
	}
	defer in.bar.finish()
	var done int64
	for _, f := range todo {
		in.bar.set(done, total)
		if err := in.read(f, func(offset int64) { in.bar.set(done+min(offset, f.size), total) }); err != nil {
			return err
		}
		done += f.size
	}
	if err := in.flush(); err != nil {
		return err
	}
	return in.removeGone(paths, seen, unread)
}

// find lists the files to read; seen are all that are there, unread the paths
// that cannot be looked into.
func (in *indexer) find(paths []string) (todo []pending, total int64, seen map[string]bool, unread []string, err error) {
	seen = map[string]bool{}
	found, err := document.Walk(in.call.ctx, paths, in.flags.walk(), func(f document.File, err error) error {
		full, absErr := filepath.Abs(f.Path)
		if absErr != nil {
			return absErr
		}
		full = indexedName(full)
		if err != nil {
			unread = append(unread, full) // its files may be there all the same
			return in.problem(f.Path, err)
		}
		if seen[full] || full == in.own || full == in.own+"-wal" || full == in.own+"-shm" {
			return nil
		}
		seen[full] = true
		stat, err := fs.Stat(f.FS, f.Name)
		if err != nil {
			return in.problem(f.Path, reason(err))
		}
		k := in.known[full]
		size, modified := stat.Size(), stat.ModTime().UnixNano()
		if k != nil && k.whole && k.size == size && k.modified == modified {
			in.unchanged++
			return nil
		}
		if err := in.flags.tooLarge(size); err != nil && stat.Mode().IsRegular() {
			return in.problem(f.Path, err)
		}
		todo = append(todo, pending{f, full, size, modified})
		total += size
		return nil
	})
	in.links += found.Links
	return todo, total, seen, unread, err
}

// reason is an error of a file system without the path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// problem notes what could not be read.
func (in *indexer) problem(name string, err error) error {
	if err := in.call.ctx.Err(); err != nil {
		return err
	}
	if errors.Is(err, document.ErrNoText) {
		in.empty++
		return nil
	}
	in.failed++
	if len(in.problems) < mostProblems {
		in.problems = append(in.problems, fmt.Sprintf("%s: %s", shownPath(name), oneLine(err)))
	}
	return nil
}

// read indexes a file. Its last document is held back, to be marked as such.
func (in *indexer) read(f pending, progress func(int64)) error {
	var last *search.Document
	part := ""
	sound := true
	now := map[string]bool{}
	err := in.reader.Read(in.call.ctx, f.File, document.Handler{
		Skipped: func(name string, err error) error {
			if !errors.Is(err, document.ErrNoText) {
				sound = false
			}
			return in.problem(name, err)
		},
		Document: func(d document.Document) error {
			if last != nil {
				if err := in.add(*last); err != nil {
					return err
				}
			}
			progress(d.Offset)
			id := f.full + d.Part // whose names are in UTF-8
			now[id] = true
			part = d.Part
			last = &search.Document{
				ID: id, Text: d.Text, Title: d.Title, Headings: d.Headings, Pages: d.Pages, Fields: d.Fields, Modified: d.Modified,
				Line: d.Line, OneLine: d.OneLine, Stamp: stamp(f.size, f.modified, d.Part, false),
			}
			if d.Line == 0 {
				last.Line = -1
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	if last != nil {
		in.files++
		// A file with something wrong in it is read, and told of, each time.
		last.Stamp = stamp(f.size, f.modified, part, sound)
		if err := in.add(*last); err != nil {
			return err
		}
	}
	k := in.known[f.full]
	if k == nil || !sound {
		return nil // what was in it before is kept where it cannot be read now
	}
	var gone []string
	for id := range k.ids {
		if !now[id] {
			gone = append(gone, id)
		}
	}
	return in.remove(gone)
}

// add puts a document into the batch.
func (in *indexer) add(d search.Document) error {
	in.batch = append(in.batch, d)
	in.bytes += len(d.Text)
	if len(in.batch) < addDocuments && in.bytes < addBytes {
		return nil
	}
	return in.flush()
}

func (in *indexer) flush() error {
	if len(in.batch) == 0 {
		return nil
	}
	added, err := in.ix.Add(in.call.ctx, in.batch...)
	if err != nil {
		return err
	}
	in.documents += added.Documents
	in.passages += added.Passages
	clear(in.batch)
	in.batch, in.bytes = in.batch[:0], 0
	in.bar.relabel("indexing, " + counted(in.passages, "passage"))
	return nil
}

func (in *indexer) remove(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	n, err := in.ix.Remove(in.call.ctx, ids...)
	in.removed += n
	return err
}

// removeGone takes out the documents of files that were below paths and are no
// more.
func (in *indexer) removeGone(paths []string, seen map[string]bool, unread []string) error {
	var gone []string
	for path, k := range in.known {
		if seen[path] || !belowAny(path, fullPaths(paths)) || belowAny(path, unread) {
			continue
		}
		gone = append(gone, slices.Collect(maps.Keys(k.ids))...)
	}
	return in.remove(gone)
}

func fullPaths(paths []string) []string {
	full := make([]string, len(paths))
	for i, p := range paths {
		full[i], _ = filepath.Abs(p)
		full[i] = indexedName(full[i])
	}
	return full
}

// belowAny reports whether a path is one of folders or below it.
func belowAny(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return path == f || strings.HasPrefix(path, strings.TrimSuffix(f, string(filepath.Separator))+string(filepath.Separator))
	})
}

// summary says what was done, in one line.
func (in *indexer) summary() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%s indexed (%s, %s), %s unchanged", counted(in.files, "file"), counted(in.documents, "document"), counted(in.passages, "passage"), thousands(int64(in.unchanged)))
	for _, c := range []struct {
		n    int
		what string
	}{{in.removed, "removed"}, {in.empty, "without text"}} {
		if c.n > 0 {
			fmt.Fprintf(b, ", %s %s", thousands(int64(c.n)), c.what)
		}
	}
	if in.links > 0 {
		fmt.Fprintf(b, ", %s not followed", counted(in.links, "link"))
	}
	fmt.Fprintf(b, ", %s", time.Since(in.began).Round(time.Millisecond))
	return b.String()
}

// failure lists what could not be read, and is nil if all could.
func (in *indexer) failure() error {
	for _, p := range in.problems {
		in.call.note("not read: %s", p)
	}
	if more := in.failed - len(in.problems); more > 0 {
		in.call.note("not read: %s more", thousands(int64(more)))
	}
	if in.failed > 0 {
		return fmt.Errorf("%s could not be read", counted(in.failed, "file"))
	}
	return nil
}

// shownPath is a path as people would name it from here.
func shownPath(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if below, ok := strings.CutPrefix(path, strings.TrimSuffix(here, string(filepath.Separator))+string(filepath.Separator)); ok {
		return below
	}
	return path
}
