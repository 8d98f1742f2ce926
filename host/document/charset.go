package document

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	gogs "github.com/gogs/chardet"
	"github.com/wlynxg/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	xunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// unicodeMark is the encoding that a byte order mark names, or nil.
func unicodeMark(head []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}):
		return utf32.UTF32(utf32.LittleEndian, utf32.ExpectBOM)
	case bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return utf32.UTF32(utf32.BigEndian, utf32.ExpectBOM)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return xunicode.UTF16(xunicode.LittleEndian, xunicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return xunicode.UTF16(xunicode.BigEndian, xunicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		return xunicode.UTF8BOM
	}
	return nil
}

// wideOrder is UTF-16 in one order or the other, without a mark, or nil: spaces,
// line ends and ASCII letters have a zero on the same side, and nearly all pairs
// are characters.
func wideOrder(head []byte) encoding.Encoding {
	head = head[:min(len(head), 4096)&^1]
	if len(head) < 4 || bytes.IndexByte(head, 0) < 0 {
		return nil
	}
	for _, order := range []xunicode.Endianness{xunicode.LittleEndian, xunicode.BigEndian} {
		common, strange, high := 0, 0, 1
		if order == xunicode.BigEndian {
			high = 0
		}
		for i := 0; i < len(head); i += 2 {
			r := rune(head[i+high])<<8 | rune(head[i+1-high])
			switch {
			case r == '\n' || r == ' ' || r == '\r' || r == '\t' || r == 0x3000 || r == 0x3001 || r == 0x3002:
				common++
			case r < 0x7f && r > ' ':
				common++
			case r >= 0xd800 && r < 0xe000: // half a character
			case r < ' ' || r == 0xffff || r >= 0xe000 && r < 0xf900 || !unicode.IsGraphic(r):
				strange++
			}
		}
		pairs := len(head) / 2
		if 100*strange <= pairs && 50*common >= pairs {
			return xunicode.UTF16(order, xunicode.IgnoreBOM)
		}
	}
	return nil
}

// decode reads a text as UTF-8; head is its beginning.
func decode(r io.Reader, head []byte) io.Reader {
	if e := encodingOf(head); e != nil {
		return transform.NewReader(r, e.NewDecoder())
	}
	return transform.NewReader(r, lenient{})
}

// decodeAll is decode for a text that is there as a whole.
func decodeAll(data []byte) string {
	e := unicodeMark(data)
	switch {
	case e != nil:
	case utf8.Valid(data) && bytes.IndexByte(data, 0x1b) < 0 && bytes.IndexByte(data, 0) < 0:
		return string(data)
	default:
		e = encodingOf(data)
	}
	var t transform.Transformer = lenient{}
	if e != nil {
		t = e.NewDecoder()
	}
	text, _, err := transform.Bytes(t, data)
	if err != nil {
		text, _, _ = transform.Bytes(lenient{}, data)
	}
	return strings.TrimPrefix(string(text), "\ufeff")
}

// telling are the lines of a text that are not ASCII, up to headBytes of them.
func telling(data []byte) []byte {
	const window = 2000 // bytes of a line that matter
	if len(data) <= window {
		return data
	}
	var sample []byte
	for rest := data; len(sample) < headBytes; {
		at := bytes.IndexFunc(rest, func(r rune) bool { return r >= utf8.RuneSelf })
		if at < 0 {
			break
		}
		start := max(bytes.LastIndexByte(rest[:at], '\n')+1, at-window)
		end := min(at+window, len(rest))
		if n := bytes.IndexByte(rest[at:end], '\n'); n >= 0 {
			end = at + n + 1
		}
		sample = append(sample, rest[start:end]...)
		rest = rest[end:]
	}
	return sample
}

// encodingOf recognises the encoding of a text by its beginning; nil is UTF-8.
func encodingOf(head []byte) encoding.Encoding {
	if e := unicodeMark(head); e != nil {
		return e
	}
	if e := wideOrder(head); e != nil {
		return e
	}
	if at := bytes.Index(head, []byte("\x1b$")); at >= 0 && at+2 < len(head) && (head[at+2] == 'B' || head[at+2] == '@') {
		return japanese.ISO2022JP
	}
	if mostlyUTF8(head) {
		return nil
	}
	return detect(head)
}

// mostlyUTF8 reports whether a text is UTF-8 but for its cut end and a stray byte
// in a hundred characters that are not ASCII.
func mostlyUTF8(head []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(head); {
		if head[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n == 1 {
			if len(head)-i < utf8.UTFMax && !utf8.FullRune(head[i:]) && good > 0 {
				break
			}
			bad++
		} else {
			good++
		}
		i += n
	}
	return 100*bad <= good
}

// detect guesses an encoding of one byte a character, or of East Asia. Two
// detectors know different families best; a guess counts only if it makes words.
func detect(text []byte) encoding.Encoding {
	text = telling(text)
	var candidates []string
	d := chardet.Detect(text)
	switch name := strings.ToLower(d.Encoding); name {
	case "ibm866", "windows-1251", "koi8-r", "maccyrillic", "iso-8859-5":
		if d.Confidence >= 0.9 {
			candidates = append(candidates, name)
		}
	case "tis-620":
		if d.Confidence >= 0.6 {
			candidates = append(candidates, "windows-874")
		}
	case "gb2312":
		candidates = append(candidates, "gb18030")
	case "shift_jis", "euc-jp", "big5", "euc-kr":
		candidates = append(candidates, name)
	}
	if results, err := gogs.NewTextDetector().DetectAll(text); err == nil {
		for _, r := range results[:min(len(results), 4)] {
			name := strings.ToLower(r.Charset)
			switch name {
			case "gb-18030":
				name = "gb18030"
			case "iso-8859-8-i", "iso-8859-8":
				name = "windows-1255"
			}
			// Of one byte a character, a guess of little confidence is worse than none.
			if r.Confidence >= 20 {
				candidates = append(candidates, name)
			}
		}
	}
	for _, name := range candidates {
		e, _ := charset.Lookup(name)
		if e == nil || e == encoding.Replacement || name == "utf-8" || strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "utf-32") {
			continue
		}
		if decoded, _, _ := transform.Bytes(e.NewDecoder(), text); plausible(decoded) {
			return e
		}
	}
	return charmap.Windows1252
}

// plausible reports whether a text is one: next to no control and replacement
// characters, and words of one script each.
func plausible(text []byte) bool {
	wrong, foreign, mixed := 0, 0, 0
	var latin, other, special bool
	word := func() {
		if special {
			foreign++
			if latin && other {
				mixed++
			}
		}
		latin, other, special = false, false, false
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		switch {
		case r == utf8.RuneError && i >= len(text)-3: // cut
		case r == utf8.RuneError, r >= 0x80 && r < 0xa0:
			wrong++
		case unicode.Is(unicode.Latin, r):
			latin = true
			special = special || r >= utf8.RuneSelf
		case unicode.IsLetter(r):
			// Ideographs and kana stand beside Latin letters without a space.
			if unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Hebrew, unicode.Arabic, unicode.Thai) {
				other = true
			}
			special = true
		case !unicode.IsMark(r):
			word()
		}
	}
	word()
	return 100*wrong <= foreign && 4*mixed <= foreign
}

// lenient passes UTF-8 on and takes each byte that is none for Windows-1252.
type lenient struct{ transform.NopResetter }

func (lenient) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, n := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(c)
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}
