// Package document reads the texts in the files that people have.
//
// It reads plain text and source code in any common character set, Markdown,
// HTML, RTF, CSV and its kin, JSON arrays and lines, mail, subtitles, DOCX, XLSX,
// PPTX, OpenDocument, EPUB and PDF, and gzip, zip and tar files of those. [Walk] finds files below folders,
// [Reader.Read] yields the documents of one: one, or one for each row, object,
// message or member of an archive.
//
// A file's content is told by its first bytes, then by its name. Whatever a file
// claims of itself, memory stays bounded: see [Reader.MaxText] and the constants.
package document

import (
	"errors"
	"time"

	"m2embed/core/passage"
)

// Document is one text of a file.
type Document struct {
	// Path is the file's; Part names the document in it: empty where it is the
	// whole file, "#3" for a row, object or message by its number, "/notes/a.txt"
	// for a member of an archive, both after each other where one is in the other, and
	// "~2" for a piece of a text that is longer than MaxText.
	Path, Part string

	Title    string // of the document itself, or the name of its file
	Text     string // UTF-8
	Headings []passage.Heading
	Pages    []int // bytes of Text at which pages begin, ascending; nil for a text without
	// Line is the line of the file at which Text begins, 1 for the first; 0 where
	// lines of Text are none of the file's.
	Line     int
	OneLine  bool              // all of Text stands at Line, whatever lines it has itself
	Fields   map[string]string // of a row, an object or a message beside its text
	Modified time.Time         // of the file, or of the message

	// Offset is how many bytes of the file lie before the end of what this was read
	// from, where that is known: for progress.
	Offset int64
}

// Name is the document's path and part.
func (d *Document) Name() string { return d.Path + d.Part }

// Errors that a caller may want to tell apart.
var (
	// ErrNoText: a picture, a program, an empty file: nothing is wrong with it.
	ErrNoText = errors.New("no text")
	// ErrTooLarge: a bound of this package.
	ErrTooLarge = errors.New("too large")
	// ErrEncrypted: the file needs a password.
	ErrEncrypted = errors.New("encrypted: it needs a password")
	// ErrChanged: the file became another while it was read.
	ErrChanged = errors.New("it changed while it was read: read it again")
)

// Bounds on what is read, of each file that Read is given.
const (
	// DefaultMaxText is MaxText where it is 0.
	DefaultMaxText = 8 << 20
	// maxMember is the most bytes of a part of an archive or a message that must be
	// in memory as a whole: of a PDF or DOCX in a zip; and of XML in a DOCX.
	maxMember = 64 << 20
	// A file's compressed parts may unpack to freeUnpacked bytes and maxRatio for each
	// byte of the file: text has a tenth of that.
	freeUnpacked = 128 << 20
	maxRatio     = 50
	// maxMembers is the most parts of an archive, and maxDepth how deep archives,
	// and messages, may lie in each other.
	maxMembers = 100_000
	maxDepth   = 4
	// maxFieldBytes bounds the value of a field, and maxFields their number.
	maxFieldBytes = 300
	maxFields     = 64
	// maxPages is the most pages of a PDF.
	maxPages = 20_000
)
