package document

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"
	"unicode"

	"m2embed/core/passage"
)

// readText reads what is one document of decoded text.
func (j *job) readText(k kind, r *bufio.Reader, s source) error {
	// UTF-16 and UTF-32 have more bytes than their text.
	if s.size > 4*int64(j.maxText()) {
		return tooLarge(j.maxText())
	}
	data, err := readAll(r, 4*j.maxText())
	if err != nil {
		return err
	}
	var text string
	if k == kindHTML {
		text = decodeHTML(data)
	} else {
		text = decodeAll(data)
	}
	if len(text) > j.maxText() {
		return tooLarge(j.maxText())
	}
	if 50*controls(text) > len(text) {
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
