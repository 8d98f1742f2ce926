package document

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Reader says how files are read. The zero value is good. It must be closed.
type Reader struct {
	// Text names the columns of tables, or members of JSON objects, that are the
	// text; TitleField the one that is the title. By default they are recognised.
	Text       []string
	TitleField string
	// MaxText is the most bytes of one document's text, [DefaultMaxText] if it is 0.
	// Plain text that is longer comes in pieces; other files are too large.
	MaxText int
	// CacheDir is where the PDF reader's machine code is kept, so that only the
	// first program that reads a PDF waits for it; empty keeps none.
	CacheDir string

	pdf pdfEngine
}

// Close frees the PDF reader.
func (r *Reader) Close() error { return r.pdf.close() }

// Handler takes what Read finds. An error of either ends the reading.
type Handler struct {
	Document func(Document) error
	// Skipped is told what has no text, by [ErrNoText], and what could not be read,
	// the file itself or a part of it by its name.
	Skipped func(name string, err error) error
}

// File is a file to be read.
type File struct {
	FS   fs.FS
	Name string // in FS
	Path string // for documents and people
}

// Read yields the documents of a file in their order. What is wrong with the
// file goes to the handler; the error is the handler's or the context's.
func (r *Reader) Read(ctx context.Context, f File, h Handler) error {
	err := r.readFile(ctx, f, h)
	var stopped *stop
	if errors.As(err, &stopped) {
		return stopped.err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return h.Skipped(f.Path, err)
	}
	return nil
}

// stop carries a handler's error through readers that give their own to the
// handler.
type stop struct{ err error }

func (s *stop) Error() string { return s.err.Error() }
func (s *stop) Unwrap() error { return s.err }

func (r *Reader) readFile(ctx context.Context, f File, h Handler) error {
	// To open a pipe would wait for its writer.
	if stat, err := fs.Stat(f.FS, f.Name); err == nil && !stat.Mode().IsRegular() {
		return fmt.Errorf("it is a %s, want a file", kindOfFile(stat.Mode()))
	}
	opened, err := f.FS.Open(f.Name)
	if err != nil {
		return plainError(err)
	}
	defer opened.Close()
	before, err := opened.Stat()
	if err != nil {
		return plainError(err)
	}
	if !before.Mode().IsRegular() {
		return fmt.Errorf("it is a %s, want a file", kindOfFile(before.Mode()))
	}
	j := &job{reader: r, ctx: ctx, handler: h, path: f.Path, modified: before.ModTime(), unpacked: new(int64)}
	j.mayUnpack = freeUnpacked + maxRatio*before.Size()
	s := source{name: path.Base(f.Name), size: before.Size()}
	counter := &countingReader{r: opened, ctx: ctx}
	s.Reader, j.counter = counter, counter
	if at, ok := opened.(io.ReaderAt); ok {
		s.at = at
		// What is appended meanwhile is not read: it belongs to the next reading.
		counter.r = io.NewSectionReader(at, 0, before.Size())
	}
	err = j.read(s)
	if err == nil {
		return nil
	}
	var stopped *stop
	if errors.As(err, &stopped) {
		return err
	}
	if after, e := opened.Stat(); e == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		return fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	return err
}

// plainError is an error of a file system without the path, which stands before
// it already.
func plainError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func kindOfFile(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// countingReader counts what was read and stops when the context ends.
type countingReader struct {
	r    io.Reader
	ctx  context.Context
	read int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.read += int64(n)
	return n, err
}

// job is the reading of one file, or of a part of it.
type job struct {
	reader   *Reader
	ctx      context.Context
	handler  Handler
	path     string // of the file
	part     string // of what is read now
	modified time.Time
	depth    int
	unpacked *int64 // bytes so far that came out of compressed parts
	counter  *countingReader

	mayUnpack int64
}

// source is what a job reads.
type source struct {
	io.Reader
	name string      // the file's or member's own
	size int64       // -1: unknown
	at   io.ReaderAt // nil where there is but the stream
}

// inner is a job for a part.
func (j *job) inner(part string) *job {
	k := *j
	k.part += part
	k.depth++
	return &k
}

// readPart reads a part; what is wrong with it does not end the whole.
func (j *job) readPart(part string, s source) error {
	k := j.inner(part)
	err := k.read(s)
	var stopped *stop
	if err == nil || errors.As(err, &stopped) || j.ctx.Err() != nil || errors.Is(err, errBomb) {
		return err
	}
	return j.skipped(k.part, err)
}

func (j *job) skipped(part string, err error) error {
	if err := j.handler.Skipped(j.path+part, err); err != nil {
		return &stop{err}
	}
	return nil
}

// yield hands a document out.
func (j *job) yield(d Document) error {
	d.Path, d.Part = j.path, j.part+d.Part
	d.Text = strings.ToValidUTF8(d.Text, "\uFFFD")
	d.Title = strings.ToValidUTF8(clip(strings.Join(strings.Fields(d.Title), " "), maxFieldBytes), "")
	if d.Modified.IsZero() {
		d.Modified = j.modified
	}
	if j.counter != nil {
		d.Offset = j.counter.read
	}
	if err := j.handler.Document(d); err != nil {
		return &stop{err}
	}
	return nil
}

func (j *job) maxText() int {
	if n := j.reader.MaxText; n > 0 {
		return n
	}
	return DefaultMaxText
}

var errOldOffice = errors.New("an Office file of before 2007, which is not read: save it as DOCX, XLSX or PPTX")

// headBytes is how much of a file is looked at to tell its kind and charset.
const headBytes = 64 << 10

// read tells the kind and reads.
func (j *job) read(s source) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	buffered := bufio.NewReaderSize(s.Reader, headBytes)
	head, err := buffered.Peek(headBytes)
	if err != nil && err != io.EOF {
		return plainError(err)
	}
	if len(head) == 0 {
		return ErrNoText
	}
	s.Reader = buffered
	switch k := kindOf(s.name, head); k {
	case kindBinary:
		return ErrNoText
	case kindLocked:
		return ErrEncrypted
	case kindOldOffice:
		return errOldOffice
	case kindGzip:
		return j.readGzip(s)
	case kindZip:
		return j.readZip(s)
	case kindTar:
		return j.readTar(s)
	case kindPDF:
		return j.readPDF(s)
	case kindRTF:
		return j.readRTF(buffered, s.name)
	case kindMbox:
		return j.readMbox(buffered)
	case kindMail:
		return j.readMail(buffered, "")
	case kindTable, kindJSONLines:
		in := bufio.NewReaderSize(decode(buffered, head), headBytes)
		if k == kindTable {
			return j.readTable(in, s.name)
		}
		return j.readJSONLines(in)
	case kindJSON:
		return j.readJSON(decode(buffered, head), s.name)
	default:
		return j.readText(k, buffered, s)
	}
}

// whole is a source that can be read at any place: the file, or up to maxMember
// bytes in memory.
func (j *job) whole(s source) (io.ReaderAt, int64, error) {
	if s.at != nil {
		return s.at, s.size, nil
	}
	data, err := readAll(s, maxMember)
	return bytes.NewReader(data), int64(len(data)), err
}

// readAll reads up to most bytes, and refuses more; what it read is returned.
func readAll(r io.Reader, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, plainError(err)
	}
	if len(data) > most {
		return data, tooLarge(most)
	}
	return data, nil
}

func tooLarge(most int) error {
	return fmt.Errorf("%w: more than %d MiB in one piece", ErrTooLarge, most>>20)
}

// stem is a file's name without its extension.
func stem(name string) string {
	base := path.Base(name)
	if s := strings.TrimSuffix(base, path.Ext(base)); s != "" {
		return s
	}
	return base
}

// clip is the beginning of a text, of at most n bytes and whole characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

// fields makes them of names and values.
type fields map[string]string

func (f fields) set(name, value string) {
	value = strings.TrimSpace(value)
	if name != "" && value != "" && len(f) < maxFields {
		f[clip(name, maxFieldBytes)] = clip(value, maxFieldBytes)
	}
}
