package document

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// readJSONLines reads a value a line; each is a document.
func (j *job) readJSONLines(r *bufio.Reader) error {
	documents := 0
	for line := 1; ; line++ {
		text, err := readLine(r, maxRow)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if isBlank(text) {
			continue
		}
		yielded, err := j.object(text, line, line, "")
		if err != nil {
			return err
		}
		if yielded {
			documents++
		}
	}
	if documents == 0 {
		return ErrNoText
	}
	return nil
}

// readLine reads a line without its end.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > most:
			return nil, fmt.Errorf("%w: a line of more than %d MiB", ErrTooLarge, most>>20)
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, plainError(err)
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}

// readJSON reads an array of values as documents, also one that is the only
// array in an object; other JSON is text.
func (j *job) readJSON(r io.Reader, name string) error {
	buffered := bufio.NewReaderSize(r, headBytes)
	head, err := buffered.Peek(headBytes)
	if err != nil && err != io.EOF {
		return err
	}
	start := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if len(start) == 0 {
		return ErrNoText
	}
	if start[0] != '[' {
		if start[0] == '{' && severalValues(head) {
			return j.readJSONLines(buffered)
		}
		return j.readJSONText(buffered, name)
	}
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		buffered.Discard(len("\ufeff"))
	}
	lines := &lineCounter{r: buffered}
	d := jsontext.NewDecoder(lines, jsontext.AllowDuplicateNames(true))
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	documents := 0
	for n := 1; d.PeekKind() != ']'; n++ {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		lines.read, lines.most = 0, maxRow
		value, err := d.ReadValue()
		if err != nil {
			if errors.Is(err, errRow) {
				return fmt.Errorf("%w: value %d of the array has more than %d MiB", ErrTooLarge, n, maxRow>>20)
			}
			return fmt.Errorf("value %d of the array: not JSON: %w", n, err)
		}
		yielded, err := j.object(value, n, lines.line(d.InputOffset()-int64(len(value))), "")
		if err != nil {
			return err
		}
		if yielded {
			documents++
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("the array does not end: %w", err)
	}
	if documents == 0 {
		return ErrNoText
	}
	return nil
}

// severalValues reports whether JSON holds an object a line under another name.
func severalValues(head []byte) bool {
	line, rest, ok := bytes.Cut(head, []byte("\n"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return ok && json.Valid(line) && len(rest) > 0 && rest[0] == '{'
}

// readJSONText reads JSON that is no list: its text as it stands.
func (j *job) readJSONText(r io.Reader, name string) error {
	data, err := readAll(r, j.maxText())
	if err != nil {
		return err
	}
	return j.yield(Document{Title: stem(name), Text: lineEnds(string(data)), Line: 1})
}

var errRow = errors.New("a value is too long")

// lineCounter knows on which line of a stream a byte stands, and refuses a value
// that does not end.
type lineCounter struct {
	r          io.Reader
	read, most int
	offset     int64 // of the stream, read so far
	ends       []int64
	passed     int // line ends before ends
}

func (l *lineCounter) Read(p []byte) (int, error) {
	if l.most > 0 && l.read > l.most {
		return 0, errRow
	}
	n, err := l.r.Read(p)
	l.read += n
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// line is that of a byte; offsets ascend from call to call.
func (l *lineCounter) line(offset int64) int {
	n := 0
	for n < len(l.ends) && l.ends[n] < offset {
		n++
	}
	l.passed += n
	l.ends = l.ends[n:]
	return l.passed + 1
}

// object yields the document in a JSON value: an object's text, or a string.
func (j *job) object(value []byte, number, line int, title string) (bool, error) {
	d := Document{Part: "#" + strconv.Itoa(number), Title: title, Line: line, OneLine: true, Fields: fields{}}
	value = bytes.TrimSpace(bytes.TrimPrefix(value, []byte("\ufeff")))
	where := func(err error) error { return fmt.Errorf("line %d: %w", line, err) }
	switch {
	case len(value) == 0 || !json.Valid(value):
		return false, where(errors.New("not JSON"))
	case value[0] == '"':
		if err := json.Unmarshal(value, &d.Text); err != nil {
			return false, where(err)
		}
	case value[0] == '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil {
			return false, where(err)
		}
		if err := j.members(&d, members); err != nil {
			return false, where(err)
		}
	default:
		return false, where(fmt.Errorf("%s, want an object or a text", clip(string(value), 40)))
	}
	if d.Title == "" {
		d.Title = stem(j.path)
	}
	if d.Text = strings.TrimSpace(d.Text); d.Text == "" {
		return false, nil
	}
	if len(d.Text) > j.maxText() {
		return false, where(tooLarge(j.maxText()))
	}
	return true, j.yield(d)
}

// members finds text, title and fields of an object.
func (j *job) members(d *Document, members map[string]json.RawMessage) error {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	texts := j.reader.Text
	title := -1
	if f := j.reader.TitleField; f != "" {
		title = slices.Index(names, f)
	}
	if len(texts) == 0 {
		at := known(names, textNames)
		if title < 0 {
			title = known2title(names, at)
		}
		if at >= 0 {
			texts = []string{names[at]}
		}
	}
	used := map[string]bool{}
	var parts []string
	add := func(name string) {
		used[name] = true
		if s := strings.TrimSpace(plainValue(members[name])); s != "" {
			parts = append(parts, s)
		}
	}
	for _, name := range texts {
		if _, ok := members[name]; !ok {
			return fmt.Errorf("no member %q (there are: %s)", clip(name, 60), clip(strings.Join(names, ", "), 200))
		}
		add(name)
	}
	if title >= 0 {
		used[names[title]] = true
		d.Title = strings.TrimSpace(plainValue(members[names[title]]))
	}
	if len(texts) == 0 {
		for _, name := range names {
			if v := members[name]; !used[name] && len(v) > 0 && v[0] == '"' && wordy([][]string{{plainValue(v)}}, 0) {
				add(name)
			}
		}
	}
	if len(parts) == 0 && d.Title != "" {
		parts = []string{d.Title}
	}
	d.Text = strings.Join(parts, "\n")
	for _, name := range names {
		if v := members[name]; !used[name] && len(v) > 0 && v[0] != '{' && v[0] != '[' && v[0] != 'n' {
			fields(d.Fields).set(name, plainValue(v))
		}
	}
	return nil
}

// plainValue is a JSON value as text: a string, strings of an array below each
// other, or the value as it is written.
func plainValue(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var texts []string
	if json.Unmarshal(raw, &texts) == nil {
		return strings.Join(texts, "\n")
	}
	return string(raw)
}
