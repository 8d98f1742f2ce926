package document

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names by which the text and the title of a row or an object are known, best
// first.
var (
	textNames  = []string{"text", "body", "content", "contents", "description", "message", "abstract", "passage", "document", "comment", "summary", "sentence", "answer", "review"}
	titleNames = []string{"title", "subject", "name", "headline", "heading", "question"}
)

// separators of values, likeliest first.
var separators = []rune{',', ';', '\t', '|'}

// maxRow is the most bytes of a row or an object.
const maxRow = 16 << 20

// readTable reads CSV and its kin; each row is a document.
func (j *job) readTable(r *bufio.Reader, name string) error {
	head, err := r.Peek(headBytes)
	if err != nil && err != io.EOF {
		return err
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		r = bufio.NewReaderSize(oldMac{r}, headBytes)
		if head, err = r.Peek(headBytes); err != nil && err != io.EOF {
			return err
		}
	}
	firstLine := 1
	separator := rune(0)
	if line, _, ok := bytes.Cut(head, []byte("\n")); ok {
		line = bytes.TrimRight(line, "\r")
		if s, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("sep=")); ok && utf8.RuneCount(s) == 1 {
			separator, _ = utf8.DecodeRune(s)
			n := bytes.IndexByte(head, '\n') + 1
			r.Discard(n)
			head = head[n:]
			firstLine = 2
		}
	}
	if separator == 0 || separator == '"' || separator == utf8.RuneError {
		separator = separatorOf(head, name)
	}
	sample := sampleRows(head, separator)
	t := table{job: j, name: stem(name)}
	t.choose(sample)
	if err := t.check(); err != nil {
		return err
	}
	bounded := &rowReader{r: r, most: maxRow}
	rows := newCSV(bounded, separator)
	for n := 0; ; {
		bounded.used = 0
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			var p *csv.ParseError
			if errors.As(err, &p) {
				return fmt.Errorf("line %d: %w", p.Line+firstLine-1, p.Err)
			}
			return err
		}
		line, _ := rows.FieldPos(0)
		if n++; n == 1 && t.header {
			continue
		}
		number := n
		if t.header {
			number--
		}
		if err := t.row(row, number, line+firstLine-1); err != nil {
			return err
		}
	}
	if t.documents == 0 {
		return ErrNoText
	}
	return nil
}

// oldMac reads line ends of "\r".
type oldMac struct{ r io.Reader }

func (o oldMac) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

func newCSV(r io.Reader, separator rune) *csv.Reader {
	rows := csv.NewReader(r)
	rows.Comma, rows.LazyQuotes, rows.FieldsPerRecord, rows.ReuseRecord = separator, true, -1, true
	return rows
}

// rowReader refuses a row that does not end.
type rowReader struct {
	r          io.Reader
	used, most int
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.used > r.most {
		return 0, fmt.Errorf("%w: a row of more than %d MiB; is a quote not closed?", ErrTooLarge, r.most>>20)
	}
	n, err := r.r.Read(p)
	r.used += n
	return n, err
}

// sampleRows are the first whole rows of a table.
func sampleRows(head []byte, separator rune) (sample [][]string) {
	whole := head
	if len(head) >= headBytes/2 { // it may be cut
		if n := bytes.LastIndexByte(head, '\n'); n > 0 {
			whole = head[:n+1]
		}
	}
	rows := newCSV(bytes.NewReader(whole), separator)
	rows.ReuseRecord = false
	for len(sample) < 100 {
		row, err := rows.Read()
		if err != nil {
			break
		}
		sample = append(sample, row)
	}
	return sample
}

// separatorOf finds the one that gives most rows the same number of values, more
// than one.
func separatorOf(head []byte, name string) rune {
	best, bestScore := ',', 0.0
	order := separators
	if e := strings.ToLower(path.Ext(name)); e == ".tsv" || e == ".tab" {
		order = []rune{'\t', ',', ';', '|'}
		best = '\t'
	}
	for _, s := range order {
		rows := sampleRows(head, s)
		counts := map[int]int{}
		usual := 0
		for _, row := range rows {
			counts[len(row)]++
			if n := len(row); n > 1 && counts[n] > counts[usual] {
				usual = n
			}
		}
		if usual < 2 {
			continue
		}
		// Of equal consistency more columns, up to a few, say more.
		score := float64(counts[usual])/float64(len(rows)) + 0.001*float64(min(usual, 20))
		if score > bestScore+1e-9 {
			best, bestScore = s, score
		}
	}
	return best
}

// table makes documents of rows.
type table struct {
	job       *job
	name      string
	header    bool
	columns   []string
	text      []int // columns, in this order
	title     int   // -1: none
	missing   string
	documents int
}

// choose recognises the header and the columns with text.
func (t *table) choose(sample [][]string) {
	t.title = -1
	if len(sample) == 0 {
		return
	}
	t.header = t.isHeader(sample)
	body := sample
	width := 0
	for _, row := range sample {
		width = max(width, len(row))
	}
	t.columns = make([]string, width)
	if t.header {
		body = sample[1:]
		for i, cell := range sample[0] {
			t.columns[i] = strings.TrimSpace(cell)
		}
	}
	for i := range t.columns {
		if t.columns[i] == "" {
			t.columns[i] = "column " + strconv.Itoa(i+1)
		}
	}
	r := t.job.reader
	if r.TitleField != "" {
		if t.title = column(t.columns, r.TitleField); t.title < 0 {
			t.missing = r.TitleField
		}
	}
	if len(r.Text) > 0 {
		for _, name := range r.Text {
			at := column(t.columns, name)
			if at < 0 {
				t.missing = name
			}
			t.text = append(t.text, at)
		}
		return
	}
	known := known(t.columns, textNames)
	if t.title < 0 {
		t.title = known2title(t.columns, known)
	}
	if known >= 0 {
		t.text = []int{known}
		return
	}
	for i := range t.columns {
		if i != t.title && wordy(body, i) {
			t.text = append(t.text, i)
		}
	}
	if len(t.text) == 0 { // numbers or codes alone
		for i := range t.columns {
			if i != t.title {
				t.text = append(t.text, i)
			}
		}
	}
	if len(t.text) == 0 {
		t.text, t.title = []int{t.title}, -1
	}
}

func known2title(columns []string, text int) int {
	if i := known(columns, titleNames); i != text {
		return i
	}
	return -1
}

// check tells a column that is not there.
func (t *table) check() error {
	if t.missing == "" {
		return nil
	}
	return fmt.Errorf("no column %q; there are: %s", clip(t.missing, 60), clip(strings.Join(t.columns, ", "), 200))
}

// column finds a column by its name, or by its number from 1 on.
func column(columns []string, name string) int {
	for i, c := range columns {
		if c == name {
			return i
		}
	}
	for i, c := range columns {
		if strings.EqualFold(c, name) {
			return i
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(columns) {
		return n - 1
	}
	return -1
}

// known finds the best-known of names among columns, or -1.
func known(columns, names []string) int {
	for _, name := range names {
		if i := slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) }); i >= 0 {
			return i
		}
	}
	return -1
}

// headerNames are known beside those of texts and titles.
var headerNames = []string{"id", "_id", "url", "link", "date", "time", "author", "category", "label", "tags", "key", "value", "price", "email", "type"}

// isHeader reports whether the first row names the columns.
func (t *table) isHeader(rows [][]string) bool {
	first := rows[0]
	r := t.job.reader
	if _, err := strconv.Atoi(r.TitleField + strings.Join(r.Text, "")); err != nil && r.TitleField+strings.Join(r.Text, "") != "" {
		return true // as columns are asked for by their names
	}
	for i, cell := range first {
		cell = strings.TrimSpace(cell)
		if len(cell) > 60 || numeric(cell) || len(strings.Fields(cell)) > 5 || slices.Index(first, first[i]) != i && cell != "" {
			return false
		}
	}
	for _, cell := range first {
		one := []string{strings.TrimSpace(cell)}
		if known(one, textNames) >= 0 || known(one, titleNames) >= 0 || known(one, headerNames) >= 0 {
			return true
		}
	}
	if len(rows) < 2 {
		return false
	}
	// A column of numbers, or of much longer texts, below a name.
	for i, cell := range first {
		if strings.TrimSpace(cell) == "" {
			continue
		}
		numbers, filled, length := 0, 0, 0
		for _, row := range rows[1:] {
			if i < len(row) && strings.TrimSpace(row[i]) != "" {
				filled++
				length += len(row[i])
				if numeric(row[i]) {
					numbers++
				}
			}
		}
		if filled > 0 && (numbers == filled || len(strings.Fields(cell)) <= 2 && length/filled > 4*len(cell)) {
			return true
		}
	}
	return false
}

// numeric reports whether a value is a number, an amount or a date.
func numeric(s string) bool {
	digits := false
	for _, r := range strings.TrimSpace(s) {
		switch {
		case unicode.IsDigit(r):
			digits = true
		case strings.ContainsRune("+-.,:/ %()eE$€£T", r):
		default:
			return false
		}
	}
	return digits
}

// wordy reports whether a column holds words, mostly: no numbers, addresses or
// codes.
func wordy(rows [][]string, column int) bool {
	filled, words := 0, 0
	for _, row := range rows {
		if column >= len(row) {
			continue
		}
		cell := strings.TrimSpace(row[column])
		if cell == "" {
			continue
		}
		filled++
		letters := strings.IndexFunc(cell, unicode.IsLetter) >= 0
		address := !strings.ContainsAny(cell, " \t") && (strings.Contains(cell, "://") || strings.Contains(cell, "@"))
		if letters && !numeric(cell) && !address {
			words++
		}
	}
	return 2*words > filled
}

// row yields one.
func (t *table) row(row []string, number, line int) error {
	var texts []string
	for _, i := range t.text {
		if i < len(row) {
			if cell := strings.TrimSpace(row[i]); cell != "" {
				texts = append(texts, cell)
			}
		}
	}
	d := Document{Part: "#" + strconv.Itoa(number), Title: t.name, Line: line, OneLine: true, Fields: fields{}}
	title := ""
	if t.title >= 0 && t.title < len(row) {
		title = strings.TrimSpace(row[t.title])
	}
	if title != "" {
		d.Title = title
	}
	if len(texts) == 0 && title != "" {
		texts = []string{title}
	}
	if len(texts) == 0 {
		return nil
	}
	size := len(texts) - 1
	for _, s := range texts {
		if size += len(s); size > t.job.maxText() { // a workbook may have one text in all cells
			return tooLarge(t.job.maxText())
		}
	}
	d.Text = strings.Clone(strings.Join(texts, "\n"))
	for i, cell := range row {
		if i < len(t.columns) && i != t.title && !slices.Contains(t.text, i) {
			fields(d.Fields).set(t.columns[i], strings.Clone(cell))
		}
	}
	t.documents++
	return t.job.yield(d)
}
