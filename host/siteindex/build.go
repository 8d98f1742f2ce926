package siteindex

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"m2embed/core/passage"
	"m2embed/host"
	"m2embed/host/document"
	"m2embed/host/search"
)

// Options say what is made.
type Options struct {
	// Model embeds; Files are what the browser needs of it.
	Model *host.Model
	Files ModelFiles
	// Into is the folder that is written. Root is the address of the site's own root
	// as seen from there; empty: the way from Into to the site's folder where it lies
	// below, else "/".
	Into, Root string
	// Keep is the file of the index, so that unchanged pages cost nothing the next
	// time. Empty: none is kept.
	Keep string
	// Progress is told how many pages are done; nil if nobody asks.
	Progress func(done, total int)
	// Skipped is told which pages cannot be read, and why; nil if nobody asks.
	Skipped func(name string, err error)
}

// ModelFiles are those that a browser loads.
type ModelFiles struct {
	Name                       string
	Config, Tokenizer, Weights []byte
}

// Made says what Build has done.
type Made struct {
	Pages, Passages int
	Files           int
	Bytes           int64 // of all files but the model and the scripts
	// Scripts says whether the element's scripts are among the files.
	Scripts bool
}

// maxPage is the most bytes of a page.
const maxPage = 32 << 20

// Build reads the pages below folder and writes the files of their search. Pages
// that ask not to be indexed, 404.html and Markdown beside a page of the same name
// are left out. A failure leaves the files of the last run as they were.
func Build(ctx context.Context, folder string, o Options) (Made, error) {
	root, err := o.root(folder)
	if err != nil {
		return Made{}, err
	}
	ix, err := search.Open(o.Keep, search.Options{
		Embedder: o.Model, Space: o.Model.Info().Space, Model: o.Model.Info().Name,
		Tokens: func(text string) []int { return passage.Tokens(o.Model.Tokenizer(), text) },
	})
	if err != nil {
		return Made{}, err
	}
	defer ix.Close()
	b := &builder{ctx: ctx, options: o, ix: ix, reader: &document.Reader{}, anchors: map[string][]placed{}}
	defer b.reader.Close()
	files, err := b.find(folder)
	if err != nil {
		return Made{}, err
	}
	for i, f := range files {
		if err := b.read(f); err != nil {
			return Made{}, err
		}
		if o.Progress != nil {
			o.Progress(i+1, len(files))
		}
	}
	if err := b.flush(); err != nil {
		return Made{}, err
	}
	if len(b.anchors) == 0 {
		return Made{}, fmt.Errorf("index site %s: no page with text in it", folder)
	}
	if err := b.removeGone(); err != nil {
		return Made{}, err
	}
	w := &bundle{into: o.Into, made: Made{Pages: len(b.anchors)}}
	if err := w.write(ctx, b, root); err != nil {
		return Made{}, fmt.Errorf("index site %s: %w", folder, err)
	}
	return w.made, nil
}

// root is the address of the site's root as seen from the files.
func (o *Options) root(folder string) (string, error) {
	if o.Into == "" {
		return "", errors.New("no folder to write into")
	}
	if o.Root != "" {
		if _, err := url.Parse(o.Root); err != nil {
			return "", fmt.Errorf("root %.200q: %w", o.Root, err)
		}
		return strings.TrimSuffix(o.Root, "/") + "/", nil
	}
	site, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	into, err := filepath.Abs(o.Into)
	if err != nil {
		return "", err
	}
	if way, err := filepath.Rel(into, site); err == nil && strings.Trim(filepath.ToSlash(way), "./") == "" {
		return strings.TrimSuffix(filepath.ToSlash(way), "/") + "/", nil
	}
	return "/", nil
}

// placed is a heading's anchor at its place in the text.
type placed struct {
	start int // byte
	id    string
}

// builder fills the index.
type builder struct {
	ctx     context.Context
	options Options
	ix      *search.Index
	reader  *document.Reader
	anchors map[string][]placed // by the address of a page
	batch   []search.Document
	bytes   int
}

// found is a page's file and its address below the site's root.
type found struct {
	document.File
	address string
	isHTML  bool
}

// find lists the pages, those of the search itself left out.
func (b *builder) find(folder string) ([]found, error) {
	into, err := filepath.Abs(b.options.Into)
	if err != nil {
		return nil, err
	}
	var all []found
	pages := map[string]bool{}
	_, err = document.Walk(b.ctx, []string{folder}, document.WalkOptions{Ignored: true}, func(f document.File, err error) error {
		if err != nil {
			b.skip(f.Path, err)
			return b.ctx.Err()
		}
		full, err := filepath.Abs(f.Path)
		if err != nil {
			return err
		}
		ending := strings.ToLower(path.Ext(f.Name))
		isHTML := ending == ".html" || ending == ".htm" || ending == ".xhtml"
		if !isHTML && ending != ".md" && ending != ".markdown" || path.Base(f.Name) == "404.html" || strings.HasPrefix(full, into+string(filepath.Separator)) {
			return nil
		}
		if isHTML {
			pages[strings.TrimSuffix(f.Name, path.Ext(f.Name))] = true
		}
		all = append(all, found{f, address(f.Name), isHTML})
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, f := range all {
		if f.isHTML || !pages[strings.TrimSuffix(f.Name, path.Ext(f.Name))] {
			kept = append(kept, f)
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("index site %s: no HTML or Markdown page in it", folder)
	}
	return kept, nil
}

// address is where a file is served below the site's root.
func address(name string) string {
	if base := path.Base(name); base == "index.html" || base == "index.htm" {
		if name = strings.TrimSuffix(name, base); name == "" {
			return "./"
		}
	}
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func (b *builder) skip(name string, err error) {
	if b.options.Skipped != nil && !errors.Is(err, document.ErrNoText) {
		b.options.Skipped(name, err)
	}
}

// read puts a page into the index.
func (b *builder) read(f found) error {
	data, err := readFile(f)
	if err != nil {
		b.skip(f.Path, err)
		return b.ctx.Err()
	}
	var p page
	if f.isHTML {
		p, err = readPage(data)
		if p.left {
			return nil
		}
		if err == nil {
			data = p.html
		} // else it is nested too deep for a tree, which the reader can do without
	}
	file := document.File{FS: oneFile{path.Base(f.Name), data}, Name: path.Base(f.Name), Path: f.Path}
	var texts []document.Document
	err = b.reader.Read(b.ctx, file, document.Handler{
		Skipped:  func(name string, err error) error { b.skip(name, err); return nil },
		Document: func(d document.Document) error { texts = append(texts, d); return nil },
	})
	if err != nil || len(texts) == 0 {
		return err
	}
	d := texts[0] // a page is one text, unless it is longer than MaxText
	title := p.title
	if title == "" {
		title = d.Title
	}
	if !f.isHTML && len(d.Headings) > 0 {
		title = d.Headings[0].Title
	}
	b.anchors[f.address] = place(d.Headings, p.anchors)
	b.batch = append(b.batch, search.Document{ID: f.address, Text: d.Text, Title: title, Headings: d.Headings})
	if b.bytes += len(d.Text); b.bytes > 1<<18 || len(b.batch) == 64 {
		return b.flush()
	}
	return nil
}

func (b *builder) flush() error {
	if len(b.batch) == 0 {
		return nil
	}
	_, err := b.ix.Add(b.ctx, b.batch...)
	b.batch, b.bytes = nil, 0
	return err
}

// removeGone takes pages out of a kept index that are no more.
func (b *builder) removeGone() error {
	stamps, err := b.ix.Stamps(b.ctx)
	if err != nil {
		return err
	}
	var gone []string
	for id := range stamps {
		if _, ok := b.anchors[id]; !ok {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	_, err = b.ix.Remove(b.ctx, gone...)
	return err
}

// place gives headings their anchors: both are in order, but a heading without
// text is no heading of the text.
func place(headings []passage.Heading, anchors []anchor) []placed {
	var all []placed
	for _, h := range headings {
		for i, a := range anchors {
			if a.title == h.Title {
				all = append(all, placed{h.Start, a.id})
				anchors = anchors[i+1:]
				break
			}
		}
	}
	return all
}

// anchorAt is the anchor of the section that holds a byte of the text, "" if it
// has none.
func anchorAt(all []placed, start int) string {
	id := ""
	for _, p := range all {
		if p.start > start {
			break
		}
		if p.id != "" {
			id = p.id
		}
	}
	return id
}

func readFile(f found) ([]byte, error) {
	stat, err := fs.Stat(f.FS, f.Name)
	if err != nil {
		return nil, err
	}
	if stat.Size() > maxPage {
		return nil, fmt.Errorf("%w: %d MB, and a page has at most %d", document.ErrTooLarge, stat.Size()>>20, maxPage>>20)
	}
	return fs.ReadFile(f.FS, f.Name)
}
