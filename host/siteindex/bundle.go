package siteindex

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"unicode/utf16"

	"m2embed/host/internal/atomicfile"
	"m2embed/host/search"
	"m2embed/wasm/module"
)

// format is the version of the files; the element refuses others.
const format = 1

// Bytes of a part of words, or of texts, before it is compressed: small enough
// that a query fetches little, large enough to compress well.
const (
	wordsPart = 64 << 10
	textsPart = 96 << 10
)

// manifest is index.json.
type manifest struct {
	Format    int    `json:"format"`
	Root      string `json:"root"` // of the site, as seen from the files
	Passages  int    `json:"passages"`
	Dimension int    `json:"dimension"`
	Space     string `json:"space"`
	Model     struct {
		Name   string `json:"name"`
		Folder string `json:"folder"`
		Bytes  int    `json:"bytes"`
	} `json:"model"`
	Rows    string `json:"rows"`
	Vectors string `json:"vectors"`
	Words   []part `json:"words"` // by the first stem, in the order of UTF-16
	Texts   []part `json:"texts"` // by the number of the first passage
}

// part is a file of words or texts and what it begins with.
type part struct {
	First any    `json:"first"`
	File  string `json:"file"`
}

// rows says how many passages each page has, and how many words each passage.
type rows struct {
	Pages   []int `json:"pages"`
	Lengths []int `json:"lengths"`
}

// textPage is a page in a part of texts; passages are [heading, anchor, text].
type textPage struct {
	Title    string      `json:"title"`
	Address  string      `json:"address"`
	Passages [][3]string `json:"passages"`
}

// bundle writes the files.
type bundle struct {
	into     string
	manifest manifest
	made     Made
	fresh    []string        // made by this run, to be taken away if it fails
	used     map[string]bool // names that the manifest has
}

// ours matches the files and folders that runs have made.
var ours = regexp.MustCompile(`^(rows|words-\d+|texts-\d+|vectors)-[0-9a-f]{12}\.bin$|^model-[0-9a-f]{12}$`)

func (w *bundle) write(ctx context.Context, b *builder, root string) (err error) {
	if err := os.MkdirAll(w.into, 0o777); err != nil {
		return err
	}
	w.used = map[string]bool{}
	defer func() {
		if err != nil {
			for _, name := range w.fresh {
				os.RemoveAll(filepath.Join(w.into, name))
			}
		}
	}()
	w.manifest.Format, w.manifest.Root = format, root
	numbers, lengths, err := w.passages(ctx, b)
	if err != nil {
		return err
	}
	if err := w.words(ctx, b.ix, numbers, lengths.Lengths); err != nil {
		return err
	}
	data, err := json.Marshal(lengths)
	if err != nil {
		return err
	}
	if w.manifest.Rows, err = w.packed("rows", data); err != nil {
		return err
	}
	if err := w.model(b.options); err != nil {
		return err
	}
	if err := w.scripts(); err != nil {
		return err
	}
	data, err = json.Marshal(w.manifest)
	if err != nil {
		return err
	}
	// From here on the new files are found.
	if err := atomicfile.Write(filepath.Join(w.into, "index.json"), data); err != nil {
		return err
	}
	w.made.Files++
	w.made.Bytes += int64(len(data))
	return w.sweep()
}

// passages writes texts and vectors, and numbers passages: those of a page one
// after the other, pages by their address.
func (w *bundle) passages(ctx context.Context, b *builder) (map[int64]int, rows, error) {
	numbers := map[int64]int{}
	var r rows
	var vectors []byte
	var pages []textPage
	size, first := 0, 0
	flush := func() error {
		if len(pages) == 0 {
			return nil
		}
		data, err := json.Marshal(pages)
		if err != nil {
			return err
		}
		name, err := w.packed(fmt.Sprintf("texts-%d", len(w.manifest.Texts)), data)
		w.manifest.Texts = append(w.manifest.Texts, part{first, name})
		pages, size, first = nil, 0, len(numbers)
		return err
	}
	last := ""
	err := b.ix.Passages(ctx, func(p search.StoredPassage) error {
		if len(r.Pages) == 0 || p.Document != last {
			if size > textsPart {
				if err := flush(); err != nil {
					return err
				}
			}
			last = p.Document
			r.Pages = append(r.Pages, 0)
			pages = append(pages, textPage{Title: p.Title, Address: p.Document})
		}
		numbers[p.Number] = len(numbers)
		r.Pages[len(r.Pages)-1]++
		one := &pages[len(pages)-1]
		one.Passages = append(one.Passages, [3]string{p.Heading, anchorAt(b.anchors[p.Document], p.Start), p.Text})
		size += len(p.Text) + len(p.Heading)
		if w.manifest.Dimension == 0 {
			w.manifest.Dimension = len(p.Vector)
		}
		if len(p.Vector) != w.manifest.Dimension {
			return fmt.Errorf("the vector of a passage of %s has %d numbers, want %d", p.Document, len(p.Vector), w.manifest.Dimension)
		}
		vectors = append(vectors, p.Vector...)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, rows{}, err
	}
	w.manifest.Passages = len(numbers)
	w.made.Passages = len(numbers)
	r.Lengths = make([]int, len(numbers))
	w.manifest.Vectors, err = w.put("vectors", vectors)
	return numbers, r, err
}

// words writes stems with their places, and counts the words of each passage.
//
// A part is a row of stems: the length of the stem in bytes and the stem, how many
// bytes its places take, and those: for each passage, the way from the one before
// and, for each column, how often it stands there and the ways between its
// offsets. All numbers are unsigned varints.
func (w *bundle) words(ctx context.Context, ix *search.Index, numbers map[int64]int, lengths []int) error {
	type place struct {
		row     int
		offsets [3][]int
	}
	stems := map[string][]byte{}
	var places []place
	stem := ""
	end := func() {
		if len(places) == 0 {
			return
		}
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.row, b.row) })
		var data []byte
		before := 0
		for _, p := range places {
			data = binary.AppendUvarint(data, uint64(p.row-before))
			before = p.row
			for _, offsets := range p.offsets {
				data = binary.AppendUvarint(data, uint64(len(offsets)))
				at := 0
				for _, o := range offsets {
					data = binary.AppendUvarint(data, uint64(o-at))
					at = o
				}
			}
		}
		stems[stem], places = data, nil
	}
	err := ix.Occurrences(ctx, func(o search.Occurrence) error {
		row, ok := numbers[o.Passage]
		if !ok {
			return nil
		}
		if o.Stem != stem {
			end()
			stem = o.Stem
		}
		if n := len(places); n == 0 || places[n-1].row != row {
			places = append(places, place{row: row})
		}
		p := &places[len(places)-1]
		p.offsets[o.Column] = append(p.offsets[o.Column], o.Offset)
		lengths[row]++
		return nil
	})
	if err != nil {
		return err
	}
	end()
	var data []byte
	first := ""
	flush := func() error {
		if len(data) == 0 {
			return nil
		}
		name, err := w.packed(fmt.Sprintf("words-%d", len(w.manifest.Words)), data)
		w.manifest.Words = append(w.manifest.Words, part{first, name})
		data = nil
		return err
	}
	for _, stem := range inBrowserOrder(stems) {
		if len(data) == 0 {
			first = stem
		}
		data = binary.AppendUvarint(data, uint64(len(stem)))
		data = append(data, stem...)
		data = binary.AppendUvarint(data, uint64(len(stems[stem])))
		data = append(data, stems[stem]...)
		if len(data) >= wordsPart {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// inBrowserOrder sorts as JavaScript compares strings.
func inBrowserOrder(stems map[string][]byte) []string {
	type key struct {
		stem  string
		units []uint16
	}
	keys := make([]key, 0, len(stems))
	for s := range stems {
		keys = append(keys, key{s, utf16.Encode([]rune(s))})
	}
	slices.SortFunc(keys, func(a, b key) int { return slices.Compare(a.units, b.units) })
	sorted := make([]string, len(keys))
	for i, k := range keys {
		sorted[i] = k.stem
	}
	return sorted
}

// model writes what the browser loads to embed queries.
func (w *bundle) model(o Options) error {
	files := []struct {
		name string
		data []byte
	}{{"config.json", o.Files.Config}, {"tokenizer.json", o.Files.Tokenizer}, {"model.safetensors", o.Files.Weights}}
	hash := sha256.New()
	total := 0
	for _, f := range files {
		hash.Write(f.data)
		total += len(f.data)
	}
	folder := fmt.Sprintf("model-%x", hash.Sum(nil)[:6])
	w.manifest.Model.Name, w.manifest.Model.Folder, w.manifest.Model.Bytes, w.manifest.Space = o.Files.Name, folder, total, o.Model.Info().Space
	w.used[folder] = true
	full := filepath.Join(w.into, folder)
	if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) {
		w.fresh = append(w.fresh, folder)
	}
	if err := os.MkdirAll(full, 0o777); err != nil {
		return err
	}
	for _, f := range files {
		if err := atomicfile.Write(filepath.Join(full, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

// scripts writes the element, if this program has it and the module.
func (w *bundle) scripts() error {
	if module.Bytes == nil || !hasScripts() {
		return nil
	}
	names, err := fs.Glob(scripts, "scripts/*.js")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := scripts.ReadFile(name)
		if err != nil {
			return err
		}
		if err := atomicfile.Write(filepath.Join(w.into, filepath.Base(name)), data); err != nil {
			return err
		}
	}
	w.made.Scripts = true
	return atomicfile.Write(filepath.Join(w.into, "m2embed.wasm"), module.Bytes)
}

// packed writes a file compressed and returns its name.
func (w *bundle) packed(name string, data []byte) (string, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(z, bytes.NewReader(data)); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return w.put(name, b.Bytes())
}

// put writes a file under a name that changes with its content.
func (w *bundle) put(name string, data []byte) (string, error) {
	if len(data) > math.MaxInt32 {
		return "", fmt.Errorf("%s has %d bytes: too many for a page to read", name, len(data))
	}
	hash := sha256.Sum256(data)
	full := fmt.Sprintf("%s-%x.bin", name, hash[:6])
	w.used[full] = true
	w.made.Files++
	w.made.Bytes += int64(len(data))
	path := filepath.Join(w.into, full)
	if _, err := os.Stat(path); err == nil {
		return full, nil
	}
	w.fresh = append(w.fresh, full)
	return full, atomicfile.Write(path, data)
}

// sweep takes away what earlier runs made and nothing names any more.
func (w *bundle) sweep() error {
	entries, err := os.ReadDir(w.into)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ours.MatchString(e.Name()) && !w.used[e.Name()] {
			if err := os.RemoveAll(filepath.Join(w.into, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
