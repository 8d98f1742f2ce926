package document

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"strconv"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // reads mail's charsets
	"github.com/emersion/go-message/mail"
)

// readMbox reads the messages of a mailbox, which begin with a line "From …"
// behind an empty one.
func (j *job) readMbox(r *bufio.Reader) error {
	number, documents := 0, 0
	in := &mboxReader{r: r, blank: true}
	for {
		more, err := in.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		number++
		part := "#" + strconv.Itoa(number)
		err = j.inner(part).readMail(in, "")
		var stopped *stop
		switch {
		case errors.As(err, &stopped), j.ctx.Err() != nil, errors.Is(err, errBomb):
			return err
		case errors.Is(err, ErrNoText): // a message may be empty
			documents++
		case err != nil:
			if err := j.skipped(j.part+part, err); err != nil {
				return err
			}
		default:
			documents++
		}
	}
	if number == 0 {
		return ErrNoText
	}
	return nil
}

// mboxReader reads one message after the other.
type mboxReader struct {
	r     *bufio.Reader
	line  []byte // not yet handed out
	begun bool   // a line "From …" was read that next has not handed out
	blank bool   // the line before is empty, or there is none
	ended bool
}

// next goes to the next message, behind its line "From …".
func (m *mboxReader) next() (bool, error) {
	if _, err := io.Copy(io.Discard, m); err != nil {
		return false, err
	}
	more := m.begun
	m.begun, m.blank, m.ended = false, false, false
	return more, nil
}

func (m *mboxReader) Read(p []byte) (int, error) {
	for len(m.line) == 0 {
		if m.begun || m.ended {
			return 0, io.EOF
		}
		line, err := m.r.ReadSlice('\n')
		switch {
		case err == bufio.ErrBufferFull || err == nil:
		case err == io.EOF && len(line) > 0:
		case err == io.EOF:
			m.ended = true
			return 0, io.EOF
		default:
			return 0, plainError(err)
		}
		switch {
		case bytes.HasPrefix(line, []byte("From ")) && m.blank:
			m.begun = true
			continue
		case bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) && line[0] == '>':
			line = line[1:]
		}
		m.blank = len(bytes.TrimRight(line, "\r\n")) == 0
		m.line = line
	}
	n := copy(p, m.line)
	m.line = m.line[n:]
	return n, nil
}

// maxHeader bounds the bytes of a message's header.
const maxHeader = 1 << 20

// readMail reads a message: its text, and what is attached to it.
func (j *job) readMail(r io.Reader, title string) error {
	e, err := message.ReadWithOptions(r, &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if err != nil && (e == nil || !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)) {
		return fmt.Errorf("no message: %w", err)
	}
	if e.Header.Len() == 0 {
		return errors.New("no message: it has no header")
	}
	h := mail.Header{Header: e.Header}
	d := Document{Fields: fields{}}
	d.Title, _ = h.Subject()
	if d.Title == "" {
		d.Title = title
	}
	if d.Title == "" {
		d.Title = stem(j.path)
	}
	for _, name := range []string{"From", "To", "Cc"} {
		value, err := h.Text(name)
		if err != nil {
			value = h.Get(name)
		}
		fields(d.Fields).set(strings.ToLower(name), value)
	}
	if date, err := h.Date(); err == nil {
		d.Modified = date
	}
	b := &mailBody{job: j, flow: flow{most: j.maxText()}}
	err = b.walk(e, 0)
	var stopped *stop
	if errors.As(err, &stopped) || errors.Is(err, errBomb) {
		return err
	}
	d.Text = b.text()
	if len(d.Text) > j.maxText() {
		return tooLarge(j.maxText())
	}
	if strings.TrimSpace(d.Text) == "" {
		if err != nil {
			return err
		}
		if b.attached > 0 {
			return nil
		}
		if s, _ := h.Subject(); strings.TrimSpace(s) == "" {
			return ErrNoText
		}
		d.Text = d.Title
	}
	if e := j.yield(d); e != nil {
		return e
	}
	return err
}

// mailBody collects the text of a message.
type mailBody struct {
	job      *job
	plain    strings.Builder
	flow     flow // of HTML, for messages without plain text
	attached int
}

func (b *mailBody) text() string {
	if s := strings.TrimSpace(b.plain.String()); s != "" {
		return s
	}
	return b.flow.b.String()
}

// walk reads a message's parts.
func (b *mailBody) walk(e *message.Entity, depth int) error {
	parts := e.MultipartReader()
	if parts == nil {
		return b.part(e)
	}
	if depth == 2*maxDepth {
		return fmt.Errorf("%w: parts lie in each other %d deep", ErrTooLarge, depth)
	}
	for range maxMembers {
		p, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil && (p == nil || !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)) {
			if errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "EOF") {
				return nil // the last boundary is missing
			}
			return fmt.Errorf("parts of the message: %w", err)
		}
		if err := b.walk(p, depth+1); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d parts", ErrTooLarge, maxMembers)
}

// part reads a part that has none.
func (b *mailBody) part(e *message.Entity) error {
	kind, parameters, err := e.Header.ContentType()
	if err != nil || kind == "" {
		kind = "text/plain"
	}
	disposition, more, _ := e.Header.ContentDisposition()
	name := more["filename"]
	if name == "" {
		name = parameters["name"]
	}
	if decoded, err := new(mime.WordDecoder).DecodeHeader(name); err == nil {
		name = decoded
	}
	if strings.EqualFold(disposition, "attachment") || name != "" && !strings.HasPrefix(kind, "text/") || kind == "message/rfc822" {
		return b.attachment(e, kind, name)
	}
	if kind != "text/plain" && kind != "text/html" {
		return nil
	}
	data, err := readAll(e.Body, b.job.maxText())
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && len(data) == 0 {
		return err
	}
	text := lineEnds(decodeAll(data))
	if kind == "text/html" {
		b.flow.line(2)
		_, err := readHTML(text, &b.flow)
		return err
	}
	if b.plain.Len() > 0 {
		b.plain.WriteString("\n\n")
	}
	if b.plain.Len()+len(text) > b.job.maxText() {
		return tooLarge(b.job.maxText())
	}
	b.plain.WriteString(strings.TrimSpace(text))
	return nil
}

// attachment reads one as a document of its own.
func (b *mailBody) attachment(e *message.Entity, kind, name string) error {
	b.attached++
	if b.job.depth >= maxDepth {
		return b.job.skipped(b.job.part, tooDeep())
	}
	if kind == "message/rfc822" && name == "" {
		name = fmt.Sprintf("message %d.eml", b.attached)
	}
	if name == "" {
		name = fmt.Sprintf("attachment %d", b.attached)
		if extensions, _ := mime.ExtensionsByType(kind); len(extensions) > 0 {
			name += extensions[0]
		}
	}
	name = path.Base(path.Clean("/" + strings.ReplaceAll(name, "\\", "/")))
	return b.job.readPart("/"+name, source{Reader: e.Body, name: name, size: -1})
}
