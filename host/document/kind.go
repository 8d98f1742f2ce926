package document

import (
	"bytes"
	"path"
	"strings"
)

// kind is what is in a file.
type kind uint8

const (
	kindText kind = iota
	kindMarkdown
	kindHTML
	kindSubtitles
	kindTable
	kindJSON
	kindJSONLines
	kindMbox
	kindMail
	kindGzip
	kindZip
	kindTar
	kindPDF
	kindRTF
	kindLocked
	kindOldOffice
	kindBinary
)

// String names a kind for people.
func (k kind) String() string {
	return [...]string{"text", "Markdown", "HTML", "subtitles", "a table", "JSON", "JSON lines", "a mailbox", "a message", "a gzip file", "a zip file", "a tar file", "a PDF", "a rich text", "an encrypted file", "an old Office file", "no text"}[k]
}

// byName are kinds that a file's name tells.
var byName = map[string]kind{
	".md": kindMarkdown, ".markdown": kindMarkdown, ".mdx": kindMarkdown, ".mkd": kindMarkdown, ".qmd": kindMarkdown, ".rmd": kindMarkdown,
	".html": kindHTML, ".htm": kindHTML, ".xhtml": kindHTML, ".xht": kindHTML,
	".srt": kindSubtitles, ".vtt": kindSubtitles,
	".csv": kindTable, ".tsv": kindTable, ".tab": kindTable, ".psv": kindTable,
	".json": kindJSON, ".jsonl": kindJSONLines, ".ndjson": kindJSONLines,
	".mbox": kindMbox, ".mbx": kindMbox, ".eml": kindMail,
}

// kindOf tells the kind of a file by its name and its first bytes.
func kindOf(name string, head []byte) kind {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return kindGzip
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return kindZip
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")) && (path.Ext(strings.ToLower(name)) == ".pdf" || bytes.HasPrefix(head, []byte("%PDF-"))):
		return kindPDF
	case isTar(head):
		return kindTar
	case bytes.HasPrefix(head, []byte("{\\rtf")):
		return kindRTF
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return kindOfCompound(name)
	case isBinary(head):
		return kindBinary
	}
	if k, ok := byName[strings.ToLower(path.Ext(name))]; ok {
		if k == kindMail && isMbox(head) {
			return kindMbox
		}
		return k
	}
	start := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"))
	switch {
	case isMbox(head):
		return kindMbox
	case bytes.HasPrefix(start, []byte("<!doctype html")), bytes.HasPrefix(start, []byte("<html")):
		return kindHTML
	case bytes.HasPrefix(start, []byte("webvtt")):
		return kindSubtitles
	}
	return kindText
}

// kindOfCompound tells the kind of a compound file of Microsoft's by its name: Office had
// them before 2007, and has them around what a password locks.
func kindOfCompound(name string) kind {
	switch strings.ToLower(path.Ext(name)) {
	case ".docx", ".docm", ".xlsx", ".xlsm", ".pptx", ".pptm":
		return kindLocked
	case ".doc", ".dot", ".xls", ".xlt", ".ppt", ".pps", ".pot":
		return kindOldOffice
	}
	return kindBinary
}

// isTar reports whether a file begins as tar files do that say so.
func isTar(head []byte) bool {
	return len(head) >= 512 && bytes.HasPrefix(head[257:], []byte("ustar"))
}

// isMbox reports whether a file begins as mailboxes do: "From somebody", a time
// that ends in a year, and then a header.
func isMbox(head []byte) bool {
	if !bytes.HasPrefix(head, []byte("From ")) {
		return false
	}
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	next, _, _ := bytes.Cut(rest, []byte("\n"))
	name, _, ok := bytes.Cut(next, []byte(":"))
	return len(bytes.Fields(line)) >= 3 && ok && len(name) > 0 && !bytes.ContainsAny(name, " \t")
}

// isBinary reports whether the beginning of a file is no text in any charset.
func isBinary(head []byte) bool {
	if unicodeMark(head) != nil || wideOrder(head) != nil {
		return false
	}
	head = head[:min(len(head), 8192)]
	if bytes.IndexByte(head, 0) >= 0 {
		return true
	}
	return mostlyControls(head)
}

// mostlyControls reports whether more bytes are controls than a text has; some
// in a short text are no reason.
func mostlyControls[T string | []byte](text T) bool {
	return 50*controls(text) > len(text)+400
}

// controls counts bytes that no text has, but for escapes of colours and
// Japanese mail.
func controls[T string | []byte](text T) int {
	n := 0
	for i := range len(text) {
		if c := text[i]; c < ' ' && (c < '\t' || c > '\r') && c != 0x1b || c == 0x7f {
			n++
		}
	}
	return n
}
