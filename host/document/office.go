package document

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html/charset"
)

// newXML reads XML as its writers write it. Entities of its own are not known, so
// none can grow.
func newXML(r io.Reader) *xml.Decoder {
	d := xml.NewDecoder(r)
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = charset.NewReaderLabel
	return d
}

const (
	// maxNesting bounds elements in each other.
	maxNesting = 1000
	// maxToken is the most bytes of a tag or of text between tags: a tag's attributes
	// take some twenty times their bytes in memory.
	maxToken = 1 << 20
)

// tokenReader reads up to maxMember bytes, and up to maxToken since next was called.
type tokenReader struct {
	r           *bufio.Reader
	token, left int
}

func newTokenReader(r io.Reader) *tokenReader {
	return &tokenReader{r: bufio.NewReader(r), left: maxMember}
}

// next begins a token.
func (t *tokenReader) next() {
	t.left -= t.token
	t.token = 0
}

// full is what is wrong where a bound was met.
func (t *tokenReader) full() error {
	if t.token >= maxToken {
		return tooLarge(maxToken)
	}
	if t.token >= t.left {
		return tooLarge(maxMember)
	}
	return nil
}

// ReadByte is what an XML decoder reads by.
func (t *tokenReader) ReadByte() (byte, error) {
	if err := t.full(); err != nil {
		return 0, err
	}
	t.token++
	return t.r.ReadByte()
}

// Read is what the decoder of a charset reads by.
func (t *tokenReader) Read(p []byte) (int, error) {
	if err := t.full(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p[:min(len(p), maxToken-t.token, t.left-t.token)])
	t.token += n
	return n, err
}

// walkXML calls begin and end at the elements of a member and text in between. A
// begin that returns false leaves an element out.
func (a *archive) walkXML(member string, begin func(xml.StartElement) bool, end func(name string), text func(string)) error {
	r, err := a.open(member)
	if err != nil {
		return err
	}
	defer r.Close()
	bounded := newTokenReader(r)
	d := newXML(bounded)
	skip := 0 // elements open since the one that is left out
	depth := 0
	for {
		bounded.next()
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%q in it: %w", member, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxNesting {
				return fmt.Errorf("%q in it: %w: elements lie in each other %d deep", member, ErrTooLarge, depth)
			}
			if skip > 0 || !begin(t) {
				skip++
			}
		case xml.EndElement:
			depth--
			if skip > 0 {
				skip--
			} else {
				end(t.Name.Local)
			}
		case xml.CharData:
			if skip == 0 {
				text(string(t))
			}
		}
	}
}

// attribute is the value of one by its local name.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// readDOCX reads a Word document.
func (a *archive) readDOCX(name string) error {
	levels := a.docxStyles()
	f := &flow{most: a.job.maxText()}
	title := ""
	parts := []string{"word/document.xml"}
	for _, notes := range []string{"word/footnotes.xml", "word/endnotes.xml"} {
		if a.files[notes] != nil {
			parts = append(parts, notes)
		}
	}
	for _, part := range parts {
		w := &docx{runs: runs{flow: f}, levels: levels}
		if err := a.walkXML(part, w.begin, w.end, w.characters); err != nil {
			return err
		}
		if title == "" {
			title = w.title
		}
	}
	return a.deliver(f, title, name)
}

// deliver gives what a member's text came to, under its title or the file's name.
func (a *archive) deliver(f *flow, title, name string) error {
	if len(f.pages) > 0 {
		f.pages = slices.Insert(f.pages, 0, 0)
	}
	if title == "" {
		title = stem(name)
	}
	d, err := f.document(title)
	if err != nil {
		return err
	}
	return a.job.yield(d)
}

// docxStyles are the levels of the styles that are headings, whose names Word
// translates; 0 is the title's.
func (a *archive) docxStyles() map[string]int {
	levels := map[string]int{}
	id := ""
	if a.files["word/styles.xml"] == nil {
		return levels
	}
	a.walkXML("word/styles.xml", func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "style":
			id = attribute(e, "styleId")
		case "name":
			name := strings.ToLower(attribute(e, "val"))
			if n, ok := strings.CutPrefix(name, "heading "); ok {
				if level, err := strconv.Atoi(n); err == nil {
					levels[id] = level
				}
			} else if name == "title" {
				levels[id] = 0
			}
		}
		return true
	}, func(string) {}, func(string) {}) // without styles it is text all the same
	return levels
}

// runs writes what Word's text and PowerPoint's have in common: runs of text, tabs, line
// ends, and rows and cells of tables.
type runs struct {
	flow   *flow
	isText bool
}

func (r *runs) begin(name string) {
	switch name {
	case "t":
		r.isText = true
	case "tab", "tc":
		r.flow.space = true
	case "br", "cr", "tr":
		r.flow.line(1)
	}
}

func (r *runs) end(name string) {
	if name == "t" {
		r.isText = false
	}
}

func (r *runs) characters(s string) {
	if r.isText {
		r.flow.text(s)
	}
}

// docx writes a part of a Word document.
type docx struct {
	runs
	levels map[string]int
	title  string

	style       string
	level       int // of the paragraph; -1: none
	begun       bool
	isTitle     bool
	titleBegins int
	rows        int // tables in each other
}

func (w *docx) begin(e xml.StartElement) bool {
	switch e.Name.Local {
	case "Fallback", "instrText", "delText", "moveFrom", "del", "pict": // said elsewhere, or no more
		return e.Name.Local == "pict"
	case "p":
		w.style, w.level, w.begun, w.isTitle = "", -1, false, false
		if w.rows > 0 {
			w.flow.space = true
		} else {
			w.flow.line(2)
		}
	case "pStyle":
		w.style = attribute(e, "val")
	case "outlineLvl":
		if n, err := strconv.Atoi(attribute(e, "val")); err == nil && n >= 0 && n < 9 {
			w.level = n + 1
		}
	case "numPr":
		if w.rows == 0 {
			w.flow.breaks = min(w.flow.breaks, 2)
		}
	case "tbl":
		w.rows++
		w.flow.line(2)
	case "t":
		w.paragraph()
	case "br":
		if attribute(e, "type") == "page" {
			w.flow.page()
			return true
		}
	case "lastRenderedPageBreak":
		w.flow.page()
	case "noBreakHyphen":
		w.paragraph()
		w.flow.text("-")
	}
	w.runs.begin(e.Name.Local)
	return true
}

// paragraph begins the text of one, whose style is known by now.
func (w *docx) paragraph() {
	if w.begun {
		return
	}
	w.begun = true
	level, known := w.levels[w.style]
	switch {
	case known && level == 0, w.style == "Title":
		w.isTitle, w.titleBegins = true, w.flow.b.Len()
		level = 1
	case !known && w.level > 0:
		level = w.level
	case !known:
		level = 0
		if n, ok := strings.CutPrefix(w.style, "Heading"); ok {
			level, _ = strconv.Atoi(n)
		}
	}
	if level > 0 && level <= 9 && w.rows == 0 {
		w.flow.heading(level)
	}
}

func (w *docx) end(name string) {
	w.runs.end(name)
	switch name {
	case "p":
		if w.flow.level > 0 {
			w.flow.endHeading()
		}
		if w.isTitle && w.title == "" {
			w.title = strings.TrimSpace(w.flow.b.String()[w.titleBegins:])
		}
		w.isTitle = false
		if w.rows == 0 {
			w.flow.line(2)
		}
	case "tbl":
		w.rows--
		w.flow.line(2)
	}
}

// readODT reads an OpenDocument text.
func (a *archive) readODT(name string) error {
	if r, err := a.member("META-INF/manifest.xml", maxMember); err == nil && strings.Contains(string(r), "encryption-data") {
		return ErrEncrypted
	}
	f := &flow{most: a.job.maxText()}
	title, isTitle, body, titleBegins, slides := "", false, false, 0, 0
	begin := func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "annotation", "tracked-changes", "forms", "scripts", "automatic-styles", "font-face-decls", "note-citation", "desc":
			return false
		case "body":
			body = true
		case "h":
			level, err := strconv.Atoi(attribute(e, "outline-level"))
			if err != nil {
				level = 1
			}
			f.heading(max(1, min(level, 9)))
		case "p":
			f.line(2)
			if style := attribute(e, "style-name"); style == "Title" && title == "" {
				isTitle, titleBegins = true, f.b.Len()
			}
		case "table-row", "line-break", "list-item":
			f.line(1)
		case "table-cell", "tab", "s":
			f.space = true
		case "soft-page-break":
			f.page()
		case "page": // a slide
			if slides++; slides > 1 {
				f.page()
			}
		}
		return true
	}
	end := func(name string) {
		switch name {
		case "h":
			f.endHeading()
		case "p":
			if isTitle {
				title, isTitle = strings.TrimSpace(f.b.String()[titleBegins:]), false
			}
			f.line(2)
		}
	}
	err := a.walkXML("content.xml", begin, end, func(s string) {
		if body {
			f.text(s)
		}
	})
	if err != nil {
		return err
	}
	return a.deliver(f, title, name)
}
