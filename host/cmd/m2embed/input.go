package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"m2embed/core"
	"m2embed/host/document"
)

// Limits of a batch: texts, and bytes of texts, that are in memory at once.
const (
	defaultBatch = 64
	batchBytes   = 16 << 20
)

// maxLine is the longest line that is read.
const maxLine = 256 << 20

// inputFlags say what is embedded.
type inputFlags struct {
	call                    *call
	texts                   []string
	file, ids, field, title string
	batch                   int
}

func defineInput(c *call) *inputFlags {
	f := &inputFlags{call: c}
	c.flags.StringArrayVar(&f.texts, "text", nil, "a `text`; may be given several times, and before other texts as an argument")
	c.flags.StringVar(&f.file, "input", "", "`file` with a text a line, - for standard input, which is also read where no text is named; or a folder or any file that m2embed index reads, whose documents are the texts. A name that ends in .jsonl, or --field with text, means a JSON object a line")
	c.flags.StringVar(&f.field, "field", "", "`name` of the member with the text in JSON lines (default text), or of the column of a table (default: it is recognised)")
	return f
}

// defineBatch adds the flags of commands that go through files.
func (f *inputFlags) defineBatch() {
	f.call.flags.StringVar(&f.title, "title-field", "", "`name` of a member of JSON lines, or column, that is put, with a space, before the text, as the original embeds corpora")
	f.call.flags.StringVar(&f.ids, "ids", "", "JSON `file` with lists of token ids, special tokens included, instead of texts; - for standard input")
	f.call.flags.IntVar(&f.batch, "batch", defaultBatch, "`number` of texts that are worked on together (fewer where they exceed 16 MiB); a matter of speed, except with --padding longest")
}

// item is one input and where it is from: a line, or its number, and for a
// document its name.
type item struct {
	core.Input
	place int
	name  string
	bytes int // of the source, read for it
}

// source gives inputs one after the other.
type source struct {
	next  func() (item, error) // io.EOF at the end
	where func(place int) string
	total int64 // sum of the items' bytes, 0 if unknown
	close func() error
	// unread says at the end which files could not be read, if some could; nil
	// where there are none that may be passed over.
	unread func() error
}

// id names an item in results.
func (i *item) id() string {
	if i.name != "" {
		return i.name
	}
	return strconv.Itoa(i.place)
}

// open returns the inputs that flags and arguments name.
func (f *inputFlags) open(arguments []string) (*source, error) {
	if f.batch < 0 || f.call.set("batch") && f.batch == 0 {
		return nil, usagef("--batch %d, want at least 1", f.batch)
	}
	texts := append(append([]string{}, f.texts...), arguments...)
	dash := len(f.texts) == 0 && len(arguments) == 1 && arguments[0] == "-"
	if f.file == "" && f.ids == "" && (dash || len(texts) == 0 && f.call.stdin != nil && !isTerminal(f.call.stdin)) {
		f.file, texts = "-", nil
	}
	kinds := 0
	for _, given := range []bool{len(texts) > 0, f.file != "", f.ids != ""} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		return nil, usagef("no text: give texts, or --input FILE, or write to standard input")
	case kinds > 1:
		return nil, usagef("texts, --input and --ids exclude each other")
	case f.file == "" && (f.field != "" || f.title != ""):
		return nil, usagef("--field and --title-field need --input with JSON lines")
	case len(texts) > 0:
		return textSource(texts), nil
	}
	name := f.file + f.ids
	var r io.Reader = f.call.stdin
	source := &source{close: func() error { return nil }}
	display := "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		stat, err := file.Stat()
		if err == nil && stat.IsDir() {
			if f.ids == "" {
				file.Close()
				return f.documentSource(name, 0), nil
			}
			err = fmt.Errorf("%s is a folder, want a file", name)
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if stat.Mode().IsRegular() {
			source.total = stat.Size()
		}
		r, source.close, display = file, file.Close, name
	}
	r = newContextReader(f.call.ctx, r)
	if f.ids != "" {
		f.idSource(source, bufio.NewReaderSize(r, 1<<16), display)
		return source, nil
	}
	lines, other, err := document.Lines(strings.TrimPrefix(name, "-"), r)
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("%s: %w", display, err), source.close())
	case other == "":
		if strings.EqualFold(filepath.Ext(name), ".gz") {
			source.total = 0 // of the file, not of what is in it
		}
		f.lineSource(source, bufio.NewReaderSize(lines, 1<<16), display)
		return source, nil
	case source.total == 0:
		return nil, errors.Join(fmt.Errorf("%s is %s, want text; other files are read by their names", display, other), source.close())
	}
	if err := source.close(); err != nil {
		return nil, err
	}
	return f.documentSource(name, source.total), nil
}

func textSource(texts []string) *source {
	at := 0
	total := 0
	for _, t := range texts {
		total += len(t) + 1
	}
	return &source{
		next: func() (item, error) {
			if at == len(texts) {
				return item{}, io.EOF
			}
			at++
			return item{Input: core.Input{Text: texts[at-1]}, place: at, bytes: len(texts[at-1]) + 1}, nil
		},
		where: func(place int) string { return fmt.Sprintf("text %d", place) },
		total: int64(total),
		close: func() error { return nil },
	}
}

// lineSource reads a text a line, or JSON lines.
func (f *inputFlags) lineSource(s *source, r *bufio.Reader, name string) {
	field := f.field
	extension := strings.ToLower(filepath.Ext(name))
	objects := f.field != "" || f.title != "" || extension == ".jsonl" || extension == ".ndjson"
	if field == "" {
		field = "text"
	}
	line := 0
	s.where = func(place int) string { return fmt.Sprintf("%s: line %d", name, place) }
	s.next = func() (item, error) {
		read := 0
		for {
			line++
			text, n, err := readLine(r)
			read += n
			if err == io.EOF {
				return item{bytes: read}, err
			}
			if err != nil {
				return item{}, fmt.Errorf("%s: %w", s.where(line), err)
			}
			if line == 1 {
				text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
			}
			if !objects {
				return item{Input: core.Input{Text: string(text)}, place: line, bytes: read}, nil
			}
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			value, err := f.member(text, field)
			if err != nil {
				return item{}, fmt.Errorf("%s: %w", s.where(line), err)
			}
			return item{Input: core.Input{Text: value}, place: line, bytes: read}, nil
		}
	}
}

// readLine returns a line without its end, and how many bytes were read.
func readLine(r *bufio.Reader) (line []byte, read int, err error) {
	for {
		piece, err := r.ReadSlice('\n')
		read += len(piece)
		line = append(line, piece...)
		switch {
		case len(line) > maxLine:
			return nil, read, fmt.Errorf("longer than %d MiB", maxLine>>20)
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(line) == 0:
			return nil, read, io.EOF
		case err != nil && err != io.EOF:
			return nil, read, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), read, nil
	}
}

// member takes the text out of a JSON object, behind its title if it is asked
// for and there.
func (f *inputFlags) member(line []byte, field string) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return "", fmt.Errorf("not JSON: %w", err)
		}
		return "", errors.New("not a JSON object")
	}
	if object == nil {
		return "", errors.New("null, want a JSON object")
	}
	text, err := stringMember(object, field)
	if err != nil || f.title == "" || object[f.title] == nil {
		return text, err
	}
	title, err := stringMember(object, f.title)
	return title + " " + text, err
}

func stringMember(object map[string]json.RawMessage, name string) (string, error) {
	raw, ok := object[name]
	if !ok {
		names := make([]string, 0, len(object))
		for n := range object {
			names = append(names, fmt.Sprintf("%q", excerpt(n, 40)))
		}
		sort.Strings(names)
		if len(names) == 0 {
			names = []string{"none"}
		}
		return "", fmt.Errorf("no member %q (there are: %s); name another with --field", name, excerpt(strings.Join(names, ", "), 200))
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", fmt.Errorf("member %q is %s, want a string", name, excerpt(string(raw), 40))
	}
	return *text, nil
}

// contextReader ends with an error as soon as a context is cancelled, also
// while the reader beneath waits for a person or a pipe.
type contextReader struct {
	ctx    context.Context
	r      io.Reader
	buffer []byte
	unread []byte // the part of buffer that is still to be handed out
	err    error
	ended  chan struct{}
}

func newContextReader(ctx context.Context, r io.Reader) *contextReader {
	return &contextReader{ctx: ctx, r: r, buffer: make([]byte, 1<<16), ended: make(chan struct{}, 1)}
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if len(c.unread) == 0 && c.err == nil {
		go func() {
			n, err := c.r.Read(c.buffer)
			c.unread, c.err = c.buffer[:n], err
			c.ended <- struct{}{}
		}()
		select {
		case <-c.ended:
		case <-c.ctx.Done(): // the reading goroutine is left behind with its buffer
			return 0, c.ctx.Err()
		}
	}
	if len(c.unread) == 0 {
		return 0, c.err
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// batch is what runs together.
type batch struct {
	inputs []core.Input
	items  []item
	bytes  int // of the source
}

// fill reads the next batch; it is empty at the end.
func (s *source) fill(b *batch, most int) error {
	b.inputs, b.items, b.bytes = b.inputs[:0], b.items[:0], 0
	held := 0
	for len(b.inputs) < most && held < batchBytes {
		i, err := s.next()
		b.bytes += i.bytes
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b.inputs = append(b.inputs, i.Input)
		b.items = append(b.items, i)
		held += len(i.Text) + 4*len(i.IDs)
	}
	return nil
}
