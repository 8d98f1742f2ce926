package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"m2embed/host/document"
)

// readingFlags say how files are found and read.
type readingFlags struct {
	call            *call
	fields          string
	title           string
	hidden, ignored bool
	largest         int // MB
}

// defineReading declares them all.
func defineReading(c *call) *readingFlags {
	f := &readingFlags{call: c}
	c.flags.StringVar(&f.fields, "field", "", "`name` of the column or member that is the text in tables and JSON, or several with commas (default: it is recognised)")
	c.flags.StringVar(&f.title, "title-field", "", "`name` of the one that is the title (default: it is recognised)")
	f.defineFinding()
	return f
}

// defineFinding declares those that say which files are read.
func (f *readingFlags) defineFinding() {
	f.call.flags.BoolVar(&f.hidden, "hidden", false, "read names that begin with a dot, too")
	f.call.flags.BoolVar(&f.ignored, "no-ignore", false, "read what .gitignore files leave out, too")
	f.call.flags.IntVar(&f.largest, "largest", 1000, "`MB` from where on a file is not read")
}

func (f *readingFlags) check() error {
	if f.largest < 1 {
		return usagef("--largest %d, want at least 1", f.largest)
	}
	return nil
}

func (f *readingFlags) reader() *document.Reader {
	return &document.Reader{Text: names(f.fields), TitleField: f.title, CacheDir: codeCache()}
}

func (f *readingFlags) walk() document.WalkOptions {
	return document.WalkOptions{Hidden: f.hidden, Ignored: f.ignored}
}

// tooLarge refuses a file by its size, or not.
func (f *readingFlags) tooLarge(size int64) error {
	if size <= int64(f.largest)*1e6 {
		return nil
	}
	return fmt.Errorf("%w: %sB, and --largest is %d MB", document.ErrTooLarge, amount(float64(size), ""), f.largest)
}

// names splits a list with commas.
func names(list string) (all []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// codeCache is where machine code of WebAssembly is kept, or "" where there is no
// folder for it.
func codeCache() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "m2embed", "wazero")
}
