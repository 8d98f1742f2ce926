package document

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// maxGroups is how deep the groups of a rich text may lie in each other.
const maxGroups = 1000

// readRTF reads a rich text: what is between its control words, but for the groups
// that are no text.
func (j *job) readRTF(r *bufio.Reader, name string) error {
	t := &richText{r: &countedBytes{r: r, most: maxMember}, flow: &flow{most: j.maxText()}, codes: charmap.Windows1252, fonts: map[int]encoding.Encoding{}}
	t.state.skipped = 1
	if err := t.read(); err != nil {
		return err
	}
	f := t.flow
	if len(f.pages) > 0 {
		f.pages = append([]int{0}, f.pages...)
	}
	title := strings.TrimSpace(t.title.String())
	if title == "" {
		title = stem(name)
	}
	d, err := f.document(title)
	if err != nil {
		return err
	}
	return j.yield(d)
}

// countedBytes reads bytes up to a bound.
type countedBytes struct {
	r       *bufio.Reader
	n, most int
}

func (c *countedBytes) next() (byte, error) {
	if c.n++; c.n > c.most {
		return 0, tooLarge(c.most)
	}
	return c.r.ReadByte()
}

// richText is the reading of one.
type richText struct {
	r      *countedBytes
	flow   *flow
	title  strings.Builder
	codes  encoding.Encoding         // of fonts that name none
	fonts  map[int]encoding.Encoding // by their numbers
	font   int                       // in the table of fonts
	groups []richState
	state  richState
	raw    []byte   // of characters in the code page
	wide   []uint16 // of \u
	left   int      // characters to pass over behind a \u
}

// richState is what a group has of its own.
type richState struct {
	hidden, title bool
	skipped       int // characters that stand for those who do not know \u
	font          int
}

// richHidden are groups without text; those that begin with \* are, too.
var richHidden = map[string]bool{
	"fonttbl": true, "colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "header": true, "footer": true,
	"headerl": true, "headerr": true, "headerf": true, "footerl": true, "footerr": true, "footerf": true, "fldinst": true, "listtable": true,
	"listoverridetable": true, "revtbl": true, "rsidtbl": true, "generator": true, "filetbl": true, "xmlnstbl": true, "themedata": true,
	"colorschememapping": true, "latentstyles": true, "datastore": true, "bkmkstart": true, "bkmkend": true, "xe": true, "tc": true, "template": true,
}

// richMarks are characters that have words.
var richMarks = map[string]string{
	"emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "~": "\u00a0", "_": "-",
}

// richCharsets are the code pages of fonts' character sets.
var richCharsets = map[int]int{77: 10000, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250}

// richCodes are the code pages.
var richCodes = map[int]encoding.Encoding{
	437: charmap.CodePage437, 850: charmap.CodePage850, 852: charmap.CodePage852, 866: charmap.CodePage866, 874: charmap.Windows874, 932: japanese.ShiftJIS,
	936: simplifiedchinese.GBK, 949: korean.EUCKR, 950: traditionalchinese.Big5, 1250: charmap.Windows1250, 1251: charmap.Windows1251, 1252: charmap.Windows1252,
	1253: charmap.Windows1253, 1254: charmap.Windows1254, 1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257, 1258: charmap.Windows1258,
	10000: charmap.Macintosh, 10007: charmap.MacintoshCyrillic,
}

func (t *richText) read() error {
	for !t.flow.full() {
		c, err := t.r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return plainError(err)
		}
		switch c {
		case '{':
			t.write()
			if len(t.groups) >= maxGroups {
				return ErrTooLarge
			}
			t.groups = append(t.groups, t.state)
		case '}':
			t.write()
			if n := len(t.groups); n > 0 {
				t.state, t.groups = t.groups[n-1], t.groups[:n-1]
			}
			t.left = 0
		case '\\':
			if err := t.control(); err != nil && err != io.EOF {
				return plainError(err)
			}
		case '\r', '\n', 0:
		default:
			t.character(c)
		}
	}
	t.write()
	return nil
}

// control reads a control word or mark.
func (t *richText) control() error {
	c, err := t.r.next()
	if err != nil {
		return err
	}
	letter := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	if !letter(c) {
		switch c {
		case '\'':
			var digits [2]byte
			for i := range digits {
				if digits[i], err = t.r.next(); err != nil {
					return err
				}
			}
			if n, err := strconv.ParseUint(string(digits[:]), 16, 8); err == nil {
				t.character(byte(n))
			}
		case '*':
			t.state.hidden = true
		case '\\', '{', '}':
			t.character(c)
		case '\r', '\n':
			t.write()
			t.flow.line(2)
		default:
			t.put(richMarks[string(c)])
		}
		return nil
	}
	word := []byte{c}
	number, negative, has := 0, false, false
	for {
		if c, err = t.r.next(); err != nil {
			break
		}
		switch {
		case letter(c) && !has && !negative && len(word) < 40:
			word = append(word, c)
			continue
		case c == '-' && !has && !negative:
			negative = true
			continue
		case c >= '0' && c <= '9' && number < 1<<28:
			number, has = 10*number+int(c-'0'), true
			continue
		}
		if c != ' ' {
			t.r.n--
			t.r.r.UnreadByte()
		}
		break
	}
	if negative {
		number = -number
	}
	return t.word(string(word), number, has)
}

// word obeys a control word.
func (t *richText) word(word string, n int, has bool) error {
	if word != "u" {
		t.write()
	}
	switch word {
	case "u":
		t.bytes()
		if uint16(n) != 0 && (!t.state.hidden || t.state.title) {
			t.wide = append(t.wide, uint16(n))
		}
		t.left = t.state.skipped
	case "uc":
		t.state.skipped = max(0, min(n, 16))
	case "ansicpg":
		if e := richCodes[n]; e != nil {
			t.codes = e
		}
	case "f":
		t.font, t.state.font = n, n
	case "fcharset":
		if e := richCodes[richCharsets[n]]; e != nil && len(t.fonts) < maxGroups {
			t.fonts[t.font] = e
		}
	case "mac":
		t.codes = charmap.Macintosh
	case "pc":
		t.codes = charmap.CodePage437
	case "pca":
		t.codes = charmap.CodePage850
	case "bin": // bytes that are no text
		for range max(0, n) {
			if _, err := t.r.next(); err != nil {
				return err
			}
		}
	case "title":
		t.state.hidden, t.state.title = true, true
	case "v": // hidden text
		t.state.hidden = t.state.hidden || !has || n != 0
	case "par", "sect":
		t.flow.line(2)
	case "line", "row":
		t.flow.line(1)
	case "page":
		t.flow.page()
	case "tab", "cell":
		t.flow.space = true
	case "plain", "pard":
	default:
		if richHidden[word] {
			t.state.hidden = true
			return nil
		}
		t.put(richMarks[word])
	}
	return nil
}

// character takes a byte in the code page.
func (t *richText) character(c byte) {
	if t.left > 0 {
		t.left--
		return
	}
	t.units()
	if !t.state.hidden || t.state.title {
		t.raw = append(t.raw, c)
	}
}

// write puts what has come.
func (t *richText) write() { t.bytes(); t.units() }

func (t *richText) bytes() {
	if len(t.raw) > 0 {
		codes := t.fonts[t.state.font]
		if codes == nil {
			codes = t.codes
		}
		if text, err := codes.NewDecoder().Bytes(t.raw); err == nil {
			t.put(string(text))
		}
		t.raw = t.raw[:0]
	}
}

func (t *richText) units() {
	if len(t.wide) > 0 {
		t.put(string(utf16.Decode(t.wide)))
		t.wide = t.wide[:0]
	}
}

func (t *richText) put(text string) {
	switch {
	case t.state.title && t.title.Len() < maxFieldBytes:
		t.title.WriteString(text)
	case !t.state.hidden:
		t.flow.text(text)
	}
}
