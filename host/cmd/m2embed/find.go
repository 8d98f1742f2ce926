package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"m2embed/host"
	"m2embed/host/search"
)

// findFlags say how an index is searched.
type findFlags struct {
	call               *call
	reading            *readingFlags
	in, by             string
	glob, where        string
	after, before      string
	top                int
	json, all          bool
	passages, converse bool
}

// modes of searching by their names.
var modes = map[string]search.Mode{"both": search.Both, "words": search.Words, "meaning": search.Meaning}

func defineFind(c *call) *findFlags {
	f := &findFlags{call: c, reading: &readingFlags{call: c}}
	c.flags.StringVar(&f.in, "in", "", "`file`, or postgres:// address, of an index to search in; see m2embed index")
	c.flags.IntVar(&f.top, "top", 10, "`number` of matches to print")
	c.flags.BoolVar(&f.json, "json", false, "write JSON lines")
	c.flags.BoolVar(&f.converse, "interactive", false, "ask for one query after the other")
	c.flags.StringVar(&f.by, "by", "both", "`both|words|meaning`: what is searched by")
	c.flags.BoolVar(&f.all, "all", false, "show what is below the relevance floor, too")
	c.flags.BoolVar(&f.passages, "passages", false, "rank passages: a document may come several times")
	c.flags.StringVar(&f.glob, "glob", "", "`pattern` that the path of a document must match, such as '*.md'")
	c.flags.StringVar(&f.where, "where", "", "`name=value` of a field that a document must have; several with commas")
	c.flags.StringVar(&f.after, "after", "", "`date` from which on a document was changed, or sent: 2026-01-31")
	c.flags.StringVar(&f.before, "before", "", "`date` before which it was")
	f.reading.defineFinding()
	return f
}

// query checks the flags.
func (f *findFlags) query() (search.Query, error) {
	q := search.Query{Top: f.top, Passages: f.passages, Glob: f.glob, All: f.all}
	if f.top < 1 || f.top > 1<<20 {
		return q, usagef("--top %d, want 1 to %d", f.top, 1<<20)
	}
	var ok bool
	if q.Mode, ok = modes[f.by]; !ok {
		return q, usagef("--by %q, want both, words or meaning", f.by)
	}
	for _, pair := range names(f.where) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return q, usagef("--where %q, want name=value", pair)
		}
		if q.Fields == nil {
			q.Fields = map[string]string{}
		}
		q.Fields[name] = value
	}
	for _, d := range []struct {
		flag, value string
		to          *time.Time
	}{{"after", f.after, &q.After}, {"before", f.before, &q.Before}} {
		if d.value == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseInLocation(time.DateOnly, d.value, time.Local); err != nil {
			return q, usagef("--%s %q, want a date such as 2026-01-31", d.flag, d.value)
		}
	}
	return q, f.reading.check()
}

// run searches.
func (f *findFlags) run(which *modelFlags) error {
	c := f.call
	q, err := f.query()
	if err != nil {
		return err
	}
	var query string
	paths := c.args
	if !f.converse {
		if len(paths) == 0 {
			return usagef("0 arguments, want a query")
		}
		query, paths = paths[0], paths[1:]
	}
	switch {
	case f.in == "" && len(paths) == 0:
		return usagef("want files or folders to search in, --in INDEX, --input FILE or --text")
	case c.set("in") && f.in == "":
		return usagef("--in is empty")
	case f.in != "" && len(paths) > 0:
		return usagef("%q beside --in: an index holds what was indexed; give one or the other", excerpt(paths[0], 40))
	}
	m, err := which.open()
	if err != nil {
		return err
	}
	defer m.Close()
	var ix search.Store
	var failed error
	if f.in != "" {
		ix, err = openIndex(f.call.ctx, f.in, m, true)
	} else {
		ix, failed, err = f.cached(m, paths)
	}
	if err != nil {
		return err
	}
	defer ix.Close()
	if f.converse {
		err = f.prompt(ix, q)
	} else {
		err = f.answer(ix, query, q)
	}
	if err != nil {
		return err
	}
	return failed
}

// cached brings the index of paths in the user's cache folder up to date; failed
// says that files could not be read.
func (f *findFlags) cached(m *host.Model, paths []string) (ix search.Store, failed, err error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return nil, nil, fmt.Errorf("no folder for an index (%w): make one with m2embed index", err)
	}
	folder = filepath.Join(folder, "m2embed", "search")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, nil, err
	}
	full := fullPaths(paths)
	slices.Sort(full)
	key := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %v %v", m.Info().Space, full, f.reading.fields, f.reading.title, f.reading.hidden, f.reading.ignored))
	path := filepath.Join(folder, hex.EncodeToString(key[:12])+".db")
	ix, err = openIndex(f.call.ctx, path, m, false)
	if errors.Is(err, search.ErrDamaged) || errors.Is(err, search.ErrSpace) || errors.Is(err, search.ErrFormat) {
		// It can be made anew from the files.
		removeIndex(path)
		ix, err = openIndex(f.call.ctx, path, m, false)
	}
	if err != nil {
		return nil, nil, err
	}
	restore, err := boundMemory(f.call.ctx, m)
	if err != nil {
		return nil, nil, errors.Join(err, ix.Close())
	}
	defer restore()
	in := newIndexer(f.call, ix, f.reading, path)
	defer in.close()
	if err := in.index(paths); err != nil {
		return nil, nil, errors.Join(err, ix.Close())
	}
	if in.files+in.removed > 0 {
		f.call.note("%s", in.summary())
	}
	return ix, in.failure(), nil
}

// prompt answers one query a line.
func (f *findFlags) prompt(ix search.Store, q search.Query) error {
	c := f.call
	if c.stdin == nil {
		return errors.New("no standard input to take queries from")
	}
	ask := func() {
		if isTerminal(c.stdin) {
			fmt.Fprint(c.stderr, "search: ")
		}
	}
	lines := bufio.NewReader(newContextReader(c.ctx, c.stdin))
	for {
		ask()
		line, _, err := readLine(lines)
		if err == io.EOF {
			if isTerminal(c.stdin) {
				fmt.Fprintln(c.stderr)
			}
			return nil
		}
		if err != nil {
			return err
		}
		query := string(bytes.TrimSpace(line))
		if query == "" {
			continue
		}
		if err := f.answer(ix, query, q); err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			c.note("%s", oneLine(err)) // the next may be better
		}
	}
}

// match is a hit as JSON.
type match struct {
	Rank     int               `json:"rank"`
	Score    float64           `json:"score"`
	ID       string            `json:"id"`
	Title    string            `json:"title,omitempty"`
	Line     int               `json:"line,omitempty"`
	Page     int               `json:"page,omitempty"`
	Heading  string            `json:"heading,omitempty"`
	Start    int               `json:"start"`
	End      int               `json:"end"`
	Text     string            `json:"text"`
	Marks    [][2]int          `json:"marks,omitempty"`
	Good     bool              `json:"good"`
	Cosine   float64           `json:"cosine"`
	BM25     float64           `json:"bm25"`
	Fields   map[string]string `json:"fields,omitempty"`
	Modified *time.Time        `json:"modified,omitempty"`
}

// answer prints what a query finds.
func (f *findFlags) answer(ix search.Store, query string, q search.Query) error {
	began := time.Now()
	a, err := ix.Query(f.call.ctx, query, q)
	if err != nil {
		return err
	}
	took := time.Since(began)
	for i, h := range a.Hits {
		switch {
		case f.json:
			m := match{
				Rank: i + 1, Score: h.Score, ID: h.ID, Title: h.Title, Line: h.Line, Page: h.Page, Heading: h.Heading,
				Start: h.Start, End: h.End, Text: h.Text, Good: h.Good, Cosine: h.Cosine, BM25: h.BM25, Fields: h.Fields,
			}
			for _, mark := range h.Marks {
				m.Marks = append(m.Marks, [2]int{mark.Start, mark.End})
			}
			if !h.Modified.IsZero() {
				m.Modified = &h.Modified
			}
			err = writeJSON(f.call.stdout, m)
		case isTerminal(f.call.stdout):
			_, err = io.WriteString(f.call.stdout, pretty(h, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"))
		default:
			_, err = fmt.Fprintf(f.call.stdout, "%6.3f  %s  %s\n", h.Score, place(h), excerpt(strings.Join(strings.Fields(h.Text), " "), 100))
		}
		if err != nil {
			return err
		}
	}
	return f.close(f.call.ctx, ix, a, took)
}

// close says how many good matches there are.
func (f *findFlags) close(ctx context.Context, ix search.Store, a search.Answer, took time.Duration) error {
	info, err := ix.Info(ctx)
	if err != nil {
		return err
	}
	good := thousands(int64(a.Good)) + " good matches"
	switch {
	case a.Good == 0:
		good = "no good match"
		if !f.all {
			good += " (--all shows the nearest)"
		}
	case a.Good == 1:
		good = "1 good match"
	case a.Good == f.top:
		good = "the best " + good
	}
	f.call.note("%s in %s, %s, %s", good, counted(info.Documents, "document"), counted(info.Passages, "passage"), took.Round(time.Millisecond))
	return nil
}

// place is where a hit is: its file, part, and line or page.
func place(h search.Hit) string {
	p := excerpt(shownPath(h.ID), 200)
	switch {
	case h.Page > 0:
		return fmt.Sprintf("%s, page %d", p, h.Page)
	case h.Line > 0:
		return fmt.Sprintf("%s:%d", p, h.Line)
	}
	return p
}

// Escapes of a terminal.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	marked = "\x1b[1;33m"
	plain  = "\x1b[0m"
)

// shownText is how many characters of a passage a terminal gets.
const shownText = 320

// pretty is a hit for a terminal: its place, its heading, and its text around the
// words of the query, marked.
func pretty(h search.Hit, colours bool) string {
	paint := func(escape, s string) string {
		if !colours || s == "" {
			return s
		}
		return escape + s + plain
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", paint(bold, place(h)), paint(dim, fmt.Sprintf("%.3f", h.Score)))
	heading := h.Heading
	if heading == "" && !strings.Contains(h.ID, h.Title) {
		heading = h.Title
	}
	if heading != "" {
		b.WriteString("  " + paint(dim, excerpt(heading, 100)))
	}
	b.WriteString("\n  ")
	start, end := window(h)
	column := 2
	if start > 0 {
		b.WriteString("… ")
		column += 2
	}
	const width = 78
	// Words, with the marks on them, in lines.
	at := start
	for at < end {
		n := strings.IndexFunc(h.Text[at:end], func(r rune) bool { return !unicode.IsSpace(r) })
		if n < 0 {
			break
		}
		at += n
		stop := strings.IndexFunc(h.Text[at:end], unicode.IsSpace)
		if stop < 0 {
			stop = end - at
		}
		word := h.Text[at : at+stop]
		length := utf8.RuneCountInString(word)
		if column > 2 {
			if column+1+length > width {
				b.WriteString("\n  ")
				column = 2
			} else {
				b.WriteByte(' ')
				column++
			}
		}
		b.WriteString(paintWord(word, at, h.Marks, paint))
		column += length
		at += stop
	}
	if end < len(h.Text) {
		b.WriteString(" …")
	}
	b.WriteString("\n\n")
	return b.String()
}

// paintWord marks the parts of a word, at a byte of its text, that are marked.
func paintWord(word string, at int, marks []search.Mark, paint func(escape, s string) string) string {
	var b strings.Builder
	from := 0
	for _, m := range marks {
		start, end := max(m.Start-at, from), min(m.End-at, len(word))
		if start >= end || start > len(word) {
			continue
		}
		b.WriteString(excerpt(word[from:start], len(word)))
		b.WriteString(paint(marked, excerpt(word[start:end], len(word))))
		from = end
	}
	b.WriteString(excerpt(word[from:], len(word)))
	return b.String()
}

// window is the part of a passage that has the most marks.
func window(h search.Hit) (start, end int) {
	if utf8.RuneCountInString(h.Text) <= shownText {
		return 0, len(h.Text)
	}
	best, most := 0, -1
	for i, m := range h.Marks {
		n := i
		for n < len(h.Marks) && h.Marks[n].End <= m.Start+shownText {
			n++
		}
		if n-i > most {
			best, most = m.Start, n-i
		}
	}
	// Some words before, whole.
	start = max(best-80, 0)
	if start > 0 {
		if n := strings.IndexFunc(h.Text[start:best], unicode.IsSpace); n >= 0 {
			start += n
		} else {
			start = best
		}
	}
	end = min(start+shownText, len(h.Text))
	if end < len(h.Text) {
		if n := strings.LastIndexFunc(h.Text[start:end], unicode.IsSpace); n > 0 {
			end = start + n
		}
		for end > start && !utf8.RuneStart(h.Text[end]) {
			end--
		}
	}
	return start, end
}
