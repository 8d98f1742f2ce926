package document

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxColumns is how many columns of a sheet are read, and maxStrings how many
	// different texts a workbook has.
	maxColumns = 1024
	maxStrings = 2_000_000
	// sheetSample is how many rows tell the header and the columns with text.
	sheetSample = 100
)

// relations are the members that a member names by ids, in the file beside it.
func (a *archive) relations(member string) (map[string]string, error) {
	targets := map[string]string{}
	own := path.Join(path.Dir(member), "_rels", path.Base(member)+".rels")
	if a.files[own] == nil {
		return targets, nil
	}
	err := a.walkXML(own, func(e xml.StartElement) bool {
		if target := attribute(e, "Target"); e.Name.Local == "Relationship" && attribute(e, "TargetMode") != "External" && len(targets) < maxMembers {
			if !strings.HasPrefix(target, "/") {
				target = path.Join(path.Dir(member), target)
			}
			targets[attribute(e, "Id")] = strings.TrimPrefix(path.Clean(target), "/")
		}
		return true
	}, func(string) {}, func(string) {})
	return targets, err
}

// relation is the value of an attribute r:id, beside which there may be an id.
func relation(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}

// readXLSX reads a workbook; each row of each sheet is a document, as in other
// tables.
func (a *archive) readXLSX(name string) error {
	const book = "xl/workbook.xml"
	order, err := a.relations(book)
	if err != nil {
		return err
	}
	w := workbook{archive: a, days: map[int]bool{}}
	type sheet struct{ name, member string }
	var sheets []sheet
	err = a.walkXML(book, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "workbookPr":
			w.since1904 = strings.HasPrefix(attribute(e, "date1904"), "1") || attribute(e, "date1904") == "true"
		case "sheet":
			if !strings.Contains(strings.ToLower(attribute(e, "state")), "hidden") && len(sheets) < maxMembers {
				sheets = append(sheets, sheet{clip(attribute(e, "name"), maxFieldBytes), order[relation(e)]})
			}
		}
		return true
	}, func(string) {}, func(string) {})
	if err != nil {
		return err
	}
	sheets = slices.DeleteFunc(sheets, func(s sheet) bool { return a.files[s.member] == nil || !strings.HasPrefix(s.member, "xl/worksheets/") })
	if err := errors.Join(w.readStrings(), w.readStyles()); err != nil {
		return err
	}
	documents := 0
	for _, s := range sheets {
		own := a.job
		if len(sheets) > 1 {
			own = own.inner("/" + strings.ReplaceAll(s.name, "/", "_"))
		}
		t := &table{job: own, name: stem(name)}
		if len(sheets) > 1 {
			t.name += ", " + s.name
		}
		if err := w.readSheet(s.member, t); err != nil {
			return err
		}
		documents += t.documents
	}
	if documents == 0 {
		return ErrNoText
	}
	return nil
}

// workbook is what the sheets of one share.
type workbook struct {
	*archive
	strings   []string
	days      map[int]bool // styles of cells that show a day
	since1904 bool
}

func (w *workbook) readStrings() error {
	const member = "xl/sharedStrings.xml"
	if w.files[member] == nil {
		return nil
	}
	var b strings.Builder
	inText := false
	err := w.walkXML(member, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "si":
			b.Reset()
		case "t":
			inText = true
		case "rPh": // how Japanese is read
			return false
		}
		return true
	}, func(name string) {
		switch name {
		case "t":
			inText = false
		case "si":
			if len(w.strings) < maxStrings {
				w.strings = append(w.strings, b.String())
			}
		}
	}, func(s string) {
		if inText {
			b.WriteString(s)
		}
	})
	if err == nil && len(w.strings) == maxStrings {
		err = fmt.Errorf("%w: a workbook of more than %d different texts", ErrTooLarge, maxStrings)
	}
	return err
}

// unshown are the parts of a number format that are no letters for days.
var unshown = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|\\.`)

// readStyles finds the styles that show days: those of the formats 14 to 17 and 22,
// and of own formats with years or days.
func (w *workbook) readStyles() error {
	const member = "xl/styles.xml"
	if w.files[member] == nil {
		return nil
	}
	formats := map[string]bool{"14": true, "15": true, "16": true, "17": true, "22": true}
	inStyles, n := false, 0
	return w.walkXML(member, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "numFmt":
			if strings.ContainsAny(strings.ToLower(unshown.ReplaceAllString(attribute(e, "formatCode"), "")), "yd") && len(formats) < maxMembers {
				formats[attribute(e, "numFmtId")] = true
			}
		case "cellXfs":
			inStyles = true
		case "xf":
			if inStyles {
				if formats[attribute(e, "numFmtId")] {
					w.days[n] = true
				}
				n++
			}
		}
		return true
	}, func(name string) {
		if name == "cellXfs" {
			inStyles = false
		}
	}, func(string) {})
}

// readSheet reads the rows of a sheet.
func (w *workbook) readSheet(member string, t *table) error {
	var row []string
	var value strings.Builder
	var kind, style string
	column := 0
	inValue := false
	var sample [][]string
	var numbers []int
	var failed error
	number, chosen := 0, false
	flush := func() {
		chosen = true
		if t.choose(sample); failed == nil {
			failed = t.check()
		}
		for i, r := range sample {
			if failed == nil && !(i == 0 && t.header) {
				failed = t.row(r, numbers[i], 0)
			}
		}
		sample = nil
	}
	err := w.walkXML(member, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "row":
			row, column = row[:0], -1
			number++
			if n, err := strconv.Atoi(attribute(e, "r")); err == nil && n >= number {
				number = n
			}
		case "c":
			column = columnOf(attribute(e, "r"), column+1)
			kind, style = attribute(e, "t"), attribute(e, "s")
			value.Reset()
		case "v", "t":
			inValue = true
		case "rPh", "f":
			return false
		}
		return failed == nil
	}, func(name string) {
		switch name {
		case "v", "t":
			inValue = false
		case "c":
			text := w.shown(value.String(), kind, style)
			if *w.job.unpacked += int64(len(text)); *w.job.unpacked > w.job.mayUnpack && failed == nil { // many may show one text
				failed = errBomb
			}
			if text != "" && column < maxColumns {
				for len(row) <= column {
					row = append(row, "")
				}
				row[column] = text
			}
		case "row":
			switch {
			case failed != nil || !slices.ContainsFunc(row, func(s string) bool { return strings.TrimSpace(s) != "" }):
			case chosen:
				failed = t.row(row, number, 0)
			default:
				sample, numbers = append(sample, slices.Clone(row)), append(numbers, number)
				if len(sample) == sheetSample {
					flush()
				}
			}
		}
	}, func(s string) {
		if inValue && failed == nil {
			value.WriteString(s)
		}
	})
	if err == nil && failed == nil && !chosen && len(sample) > 0 {
		flush()
	}
	if failed != nil {
		return failed
	}
	return err
}

// columnOf is the column of a cell such as C7; one without a name follows the one
// before.
func columnOf(reference string, next int) int {
	n := 0
	for i := 0; i < len(reference) && i < 3; i++ {
		c := reference[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			break
		}
		n = 26*n + int(c-'A') + 1
	}
	if n == 0 {
		return next
	}
	return n - 1
}

// shown is a cell's value as people see it.
func (w *workbook) shown(value, kind, style string) string {
	switch kind {
	case "s":
		if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < len(w.strings) {
			return w.strings[n]
		}
		return ""
	case "b":
		return strconv.FormatBool(value == "1")
	case "", "n":
		n, err := strconv.Atoi(style)
		days, err2 := strconv.ParseFloat(value, 64)
		if errors.Join(err, err2) == nil && w.days[n] && days >= 0 && days < 3e6 {
			return w.day(days)
		}
	}
	return value
}

// day is the date of a number of days, and its time if there is one.
func (w *workbook) day(days float64) string {
	first := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	if w.since1904 {
		first = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	at := first.AddDate(0, 0, int(days)).Add(time.Duration((days - float64(int(days))) * float64(24*time.Hour))).Round(time.Second)
	if at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0 {
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02 15:04")
}
