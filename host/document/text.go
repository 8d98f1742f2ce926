package document

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"m2embed/core/passage"
)

// readText reads what is one document of decoded text.
func (j *job) readText(k kind, r *bufio.Reader, s source) error {
	data, err := readAll(r, j.maxText())
	if errors.Is(err, ErrTooLarge) && k != kindHTML && k != kindSubtitles {
		return j.readPieces(k, data, r, s)
	}
	if err != nil {
		return err
	}
	var text string
	if k == kindHTML {
		text = decodeHTML(data)
	} else {
		text = decodeAll(data)
	}
	if mostlyControls(text) {
		return ErrNoText // text in front of something else
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	if k == kindHTML {
		f := &flow{most: j.maxText()}
		title, err := readHTML(text, f)
		if err != nil {
			return err
		}
		if strings.TrimSpace(title) == "" {
			title = stem(s.name)
		}
		d, err := f.document(title)
		if err != nil {
			return err
		}
		return j.yield(d)
	}
	d := Document{Title: stem(s.name), Text: lineEnds(text), Line: 1}
	switch k {
	case kindMarkdown:
		d.Headings = passage.Markdown(d.Text)
	case kindSubtitles:
		d.Text = subtitles(d.Text)
	}
	if strings.TrimSpace(d.Text) == "" {
		return ErrNoText
	}
	return j.yield(d)
}

// readPieces reads plain text that is longer than a document may be, in pieces
// that end where a line does; begun is what was read of it.
func (j *job) readPieces(k kind, begun []byte, r io.Reader, s source) error {
	head := begun[:len(begun)-1] // one byte more than a piece
	if 50*controls(head) > len(head) && unicodeMark(head) == nil && wideOrder(head) == nil {
		return ErrNoText
	}
	text := bufio.NewReaderSize(decode(io.MultiReader(bytes.NewReader(begun), r), begun), headBytes)
	var piece []byte
	line, number := 1, 0
	for {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		piece = slices.Grow(piece, j.maxText()-len(piece))
		n, err := io.ReadFull(text, piece[len(piece):j.maxText()])
		piece = piece[:len(piece)+n]
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return plainError(err)
		}
		end := len(piece)
		if !last {
			if n := bytes.LastIndex(piece[end/2:], []byte("\n\n")); n >= 0 {
				end = end/2 + n + 2
			} else if n := bytes.LastIndexByte(piece, '\n'); n >= 0 {
				end = n + 1
			} else {
				for end > 1 && !utf8.RuneStart(piece[end-1]) {
					end--
				}
				end-- // the character may be cut
			}
		}
		number++
		d := Document{Part: "~" + strconv.Itoa(number), Title: stem(s.name), Text: strings.ReplaceAll(lineEnds(string(piece[:end])), "\x00", "\uFFFD"), Line: line}
		if k == kindMarkdown {
			d.Headings = passage.Markdown(d.Text)
		}
		line += strings.Count(d.Text, "\n")
		if strings.TrimSpace(d.Text) != "" {
			if err := j.yield(d); err != nil {
				return err
			}
		}
		piece = piece[:copy(piece, piece[end:])]
		if last {
			return nil
		}
	}
}

// Lines returns the text of a file as UTF-8 if it is plain text, unpacked if need
// be, each line of which may be a text of its own. Else it says what else it is.
// Without a name all text is plain; JSON lines are text of lines, too.
func Lines(name string, r io.Reader) (text io.Reader, other string, err error) {
	for range maxDepth {
		buffered := bufio.NewReaderSize(r, headBytes)
		head, err := buffered.Peek(headBytes)
		if err != nil && err != io.EOF {
			return nil, "", plainError(err)
		}
		k := kindOf(name, head)
		if k == kindText || k == kindJSONLines || name == "" && k < kindGzip {
			return decode(buffered, head), "", nil
		}
		if k != kindGzip {
			return nil, k.String(), nil
		}
		if r, err = gzip.NewReader(buffered); err != nil {
			return nil, "", fmt.Errorf("gzip: %w", err)
		}
		if e := path.Ext(name); strings.EqualFold(e, ".gz") {
			name = strings.TrimSuffix(name, e)
		}
	}
	return nil, "", tooDeep()
}

// lineEnds makes all line ends "\n", those of old Macs too.
func lineEnds(text string) string {
	if strings.IndexByte(text, '\r') < 0 {
		return text
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

var (
	timing = regexp.MustCompile(`^\s*(\d+:)?\d+:\d\d[.,]\d+\s+-->\s`)
	marks  = regexp.MustCompile(`<[^<>]{0,100}>|\{\\[^{}]{0,100}\}`)
)

// subtitles leaves the spoken words of SubRip or WebVTT, each on its own line of
// the file.
func subtitles(text string) string {
	lines := strings.Split(text, "\n")
	spoken := false // in a cue
	for i, line := range lines {
		switch {
		case timing.MatchString(line):
			spoken = true
			lines[i] = ""
			continue
		case strings.TrimSpace(line) == "":
			spoken = false
		}
		if !spoken {
			lines[i] = "" // numbers, names, notes, styles
			continue
		}
		lines[i] = strings.TrimSpace(marks.ReplaceAllString(line, ""))
	}
	return strings.Join(lines, "\n")
}

// isBlank reports whether a line is.
func isBlank(line []byte) bool { return len(bytes.TrimFunc(line, unicode.IsSpace)) == 0 }
