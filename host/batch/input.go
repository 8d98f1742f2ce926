package batch

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// Columns name where a record's id and text stand: members of JSON lines, columns
// of CSV and Parquet. Lines of text have neither.
type Columns struct {
	ID   string `json:"id"`   // empty means "id" where there is one, else records are named by file and number
	Text string `json:"text"` // empty means "text"
}

// Input is a file that was read.
type Input struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// record is a document as it stands in a file, or why it is none.
type record struct {
	Document
	rejected *Rejected
}

// expand turns patterns into the names of files, in order, each once.
func expand(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, errors.New("no input is named")
	}
	var names []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", p, err)
		}
		// A file may have a name that reads as a pattern.
		if _, err := os.Stat(p); err == nil && !slices.Contains(found, p) {
			found = append(found, p)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("input %q matches no file", p)
		}
		names = append(names, found...)
	}
	for i := range names {
		names[i] = filepath.ToSlash(filepath.Clean(names[i]))
	}
	sort.Strings(names)
	names = slices.Compact(names)
	for _, n := range names {
		stat, err := os.Stat(n)
		if err != nil {
			return nil, err
		}
		if !stat.Mode().IsRegular() {
			return nil, fmt.Errorf("input %s is no regular file; name the files in it, as %s/*.jsonl", n, strings.TrimSuffix(n, "/"))
		}
		if kindOf(n) == "" {
			return nil, fmt.Errorf("input %s: the name ends in none of .jsonl, .ndjson, .csv, .txt (each also with .gz) and .parquet", n)
		}
	}
	return names, nil
}

// kindOf is the format of a file by its name, "" if it has none.
func kindOf(name string) string {
	name = strings.ToLower(name)
	plain := strings.TrimSuffix(name, ".gz")
	switch e := filepath.Ext(plain); {
	case e == ".ndjson":
		return "jsonl"
	case e == ".jsonl" || e == ".csv" || e == ".txt" || e == ".parquet" && plain == name:
		return e[1:]
	}
	return ""
}

// reader reads the records of one file.
type reader struct {
	name     string
	columns  Columns
	maxBytes int
	yield    func(record) error
	number   int // of the record
}

// id names a record that has no id of its own.
func (r *reader) id() string {
	return fmt.Sprintf("%s:%d", strings.ToValidUTF8(r.name, "\ufffd"), r.number)
}

// reject hands on a record without a text.
func (r *reader) reject(id, reason, format string, args ...any) error {
	return r.yield(record{Document{ID: id}, &Rejected{id, reason, short(fmt.Sprintf(format, args...))}})
}

// longestID is the most bytes of an id.
const longestID = 1 << 10

// accept hands on a document; what is wrong with its text is found later.
func (r *reader) accept(id, text string) error {
	switch {
	case len(id) > longestID:
		return r.reject(r.id(), ReasonMalformed, "the id has %d bytes, at most %d are allowed", len(id), longestID)
	case id == "":
		return r.reject(r.id(), ReasonMalformed, "the id is empty")
	case !utf8.ValidString(id):
		return r.reject(r.id(), ReasonInvalidUTF8, "the id is not UTF-8: %q", id)
	case len(text) > r.maxBytes:
		return r.reject(id, ReasonTooLarge, "%d bytes, at most %d are allowed", len(text), r.maxBytes)
	}
	return r.yield(record{Document: Document{id, text}})
}

// short bounds a sentence about foreign data.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if runes := []rune(s); len(runes) > 200 {
		s = string(runes[:200]) + "…"
	}
	return s
}

// hashed is a file that is read once, from its beginning to its end.
type hashed struct {
	ctx  context.Context
	file io.Reader
	sum  hash.Hash
	n    int64
}

func (h *hashed) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := h.file.Read(p)
	h.sum.Write(p[:n])
	h.n += int64(n)
	return n, err
}

// digest reads a file for its size and sum.
func digest(ctx context.Context, name string) (in Input, err error) {
	f, err := os.Open(name)
	if err != nil {
		return in, err
	}
	defer f.Close()
	h := &hashed{ctx: ctx, file: f, sum: sha256.New()}
	if _, err := io.Copy(io.Discard, h); err != nil {
		return in, err
	}
	return h.input(name), nil
}

// input is what was read of a file of a name.
func (h *hashed) input(name string) Input {
	return Input{name, h.n, hex.EncodeToString(h.sum.Sum(nil))}
}

// readFile hands the records of a file to yield.
//
// # Errors
//
// A file that cannot be read, a compressed one that ends early, a CSV or Parquet
// file without the columns; and those of yield and ctx. Records that are no
// documents are records with a reason.
func readFile(ctx context.Context, name string, columns Columns, maxBytes int, yield func(record) error) (Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return Input{}, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return Input{}, err
	}
	in, err := readHashed(ctx, name, f, stat.Size(), columns, maxBytes, yield)
	if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), name) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return in, err
}

// opened is what is read of a file.
type opened interface {
	io.Reader
	io.ReaderAt
}

// readHashed is readFile over a file of size bytes.
func readHashed(ctx context.Context, name string, f opened, size int64, columns Columns, maxBytes int, yield func(record) error) (in Input, err error) {
	r := &reader{name: name, columns: columns, maxBytes: maxBytes, yield: yield}
	if r.columns.Text == "" {
		r.columns.Text = "text"
	}
	h := &hashed{ctx: ctx, file: f, sum: sha256.New()}
	if kindOf(name) == "parquet" {
		if err := r.parquet(ctx, f, size); err != nil {
			return in, err
		}
	} else {
		var data io.Reader = bufio.NewReaderSize(h, int(min(max(size, 0), 1<<18)))
		if strings.HasSuffix(strings.ToLower(name), ".gz") {
			z, err := gzip.NewReader(data)
			if err != nil {
				return in, fmt.Errorf("not gzip, or cut off at its beginning: %w", err)
			}
			defer z.Close()
			data = bufio.NewReaderSize(z, 1<<16)
		}
		switch kindOf(name) {
		case "jsonl":
			err = r.lines(data, 2*maxBytes+1<<20, r.object)
		case "txt":
			err = r.lines(data, maxBytes, func(line []byte) error { return r.accept(r.id(), string(line)) })
		case "csv":
			err = r.csv(data)
		}
		var corrupt flate.CorruptInputError
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the compressed data end early: the file is cut off")
		case errors.Is(err, gzip.ErrHeader):
			err = errors.New("what follows the compressed data is not gzip")
		case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
			err = fmt.Errorf("the compressed data are damaged: %w", err)
		}
		if err != nil {
			return in, err
		}
	}
	if _, err := io.Copy(io.Discard, h); err != nil { // what decompression or Parquet left unread
		return in, err
	}
	return h.input(name), nil
}

// lines hands on lines without their ends, and without those of white space.
// A line of more than `most` bytes is rejected without being held.
func (r *reader) lines(data io.Reader, most int, each func(line []byte) error) error {
	b := bufio.NewReader(data)
	var line []byte
	for {
		r.number++
		line = line[:0]
		total := 0
		var err error
		for {
			var piece []byte
			piece, err = b.ReadSlice('\n')
			total += len(piece)
			if total <= most+2 {
				line = append(line, piece...)
			}
			if err != bufio.ErrBufferFull {
				break
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		if r.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		var failed error
		switch {
		case total > most+2:
			failed = r.reject(r.id(), ReasonTooLarge, "a line of %d bytes, at most %d are read", total, most)
			line = nil
		case len(bytes.TrimSpace(line)) > 0:
			failed = each(line)
		}
		if failed != nil || err == io.EOF {
			return failed
		}
	}
}

// object takes id and text out of a line of JSON.
func (r *reader) object(line []byte) error {
	var members map[string]jsontext.Value
	switch err := json.Unmarshal(line, &members, jsontext.AllowInvalidUTF8(true)); {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return r.reject(r.id(), ReasonMalformed, "a member is there twice")
	case err != nil || members == nil:
		return r.reject(r.id(), ReasonMalformed, "not a JSON object")
	}
	id := r.id()
	key := r.columns.ID
	if key == "" {
		key = "id"
	}
	if raw, ok := members[key]; ok {
		switch raw.Kind() {
		case '"':
			if text, err := jsontext.AppendUnquote(nil, raw); err != nil {
				return r.reject(id, ReasonInvalidUTF8, "the id is not UTF-8: %s", raw)
			} else {
				id = string(text)
			}
		case '0':
			id = string(raw)
		default:
			return r.reject(id, ReasonMalformed, "member %q is %s, want a string or a number", key, raw)
		}
	} else if r.columns.ID != "" {
		return r.reject(id, ReasonMalformed, "no member %q", key)
	}
	raw, ok := members[r.columns.Text]
	if !ok {
		names := make([]string, 0, len(members))
		for n := range members {
			names = append(names, n)
		}
		sort.Strings(names)
		return r.reject(r.nameOr(id), ReasonMalformed, "no member %q, there are %q", r.columns.Text, names)
	}
	if raw.Kind() != '"' {
		return r.reject(r.nameOr(id), ReasonMalformed, "member %q is %s, want a string", r.columns.Text, raw)
	}
	// Unlike encoding/json, this tells of bytes that are no UTF-8 and of halves of
	// surrogate pairs, which both would become U+FFFD.
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return r.reject(r.nameOr(id), ReasonInvalidUTF8, "%s", strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	return r.accept(id, string(text))
}

// nameOr is an id that may be written down, or the record's place.
func (r *reader) nameOr(id string) string {
	if id == "" || len(id) > longestID {
		return r.id()
	}
	return strings.ToValidUTF8(id, "\ufffd")
}

// csv reads a file with a header.
func (r *reader) csv(data io.Reader) error {
	most := 2*r.maxBytes + 1<<20
	limit := &perRecord{r: data, most: most + 1<<20, left: most + 1<<20}
	c := csv.NewReader(limit)
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	header, err := c.Read()
	if err == io.EOF {
		return errors.New("the file is empty, want a header")
	}
	if err != nil {
		return err
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	text, id, err := r.find(header)
	if err != nil {
		return err
	}
	for {
		limit.left = limit.most
		fields, err := c.Read()
		r.number++
		if err == io.EOF {
			return nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			// Where the next record begins is not known.
			return fmt.Errorf("record %d: %w", r.number, err)
		}
		if err != nil {
			return err
		}
		switch {
		case len(fields) <= max(text, id):
			err = r.reject(r.id(), ReasonMalformed, "%d fields, the header has %d", len(fields), len(header))
		case id < 0:
			err = r.accept(r.id(), strings.Clone(fields[text]))
		default:
			err = r.accept(strings.Clone(fields[id]), strings.Clone(fields[text]))
		}
		if err != nil {
			return err
		}
	}
}

// find returns the places of text and id among names; id is -1 where records
// have none.
func (r *reader) find(names []string) (text, id int, err error) {
	text, id = slices.Index(names, r.columns.Text), slices.Index(names, "id")
	if r.columns.ID != "" {
		if id = slices.Index(names, r.columns.ID); id < 0 {
			return 0, 0, fmt.Errorf("no column %q, there are %s", r.columns.ID, short(fmt.Sprintf("%q", names)))
		}
	}
	if text < 0 {
		return 0, 0, fmt.Errorf("no column %q, there are %s", r.columns.Text, short(fmt.Sprintf("%q", names)))
	}
	return text, id, nil
}

// perRecord refuses records without an end.
type perRecord struct {
	r          io.Reader
	most, left int
}

func (p *perRecord) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, fmt.Errorf("a record of more than %d MiB; is a quote not closed?", p.most>>20)
	}
	n, err := p.r.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}
