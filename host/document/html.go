package document

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"
)

// decodeHTML is decodeAll for a page, which may name its charset.
func decodeHTML(data []byte) string {
	if unicodeMark(data) == nil && wideOrder(data) == nil {
		e, name, _ := charset.DetermineEncoding(data[:min(len(data), 4096)], "")
		// Windows-1252 is what is named and what is guessed.
		if name != "windows-1252" && name != "utf-8" {
			if text, _, err := transform.Bytes(e.NewDecoder(), data); err == nil {
				return string(text)
			}
		}
	}
	return decodeAll(data)
}

// skippedElements are not shown, or are no text.
var skippedElements = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Svg: true, atom.Iframe: true,
	atom.Object: true, atom.Embed: true, atom.Canvas: true, atom.Audio: true, atom.Video: true, atom.Datalist: true,
	atom.Head: true, atom.Noframes: true, atom.Select: true, atom.Button: true, atom.Rp: true,
}

// breaksAround are the line ends before and behind an element.
var breaksAround = map[atom.Atom]int{
	atom.Address: 2, atom.Article: 2, atom.Aside: 2, atom.Blockquote: 2, atom.Dd: 1, atom.Div: 1, atom.Dl: 2, atom.Dt: 1,
	atom.Fieldset: 2, atom.Figcaption: 2, atom.Figure: 2, atom.Footer: 2, atom.Form: 2, atom.Header: 2, atom.Hr: 2, atom.Li: 1,
	atom.Main: 2, atom.Nav: 2, atom.Ol: 2, atom.P: 2, atom.Pre: 2, atom.Section: 2, atom.Table: 2, atom.Tr: 1, atom.Ul: 2,
	atom.Caption: 2, atom.Details: 2, atom.Summary: 2, atom.Body: 2, atom.Option: 1, atom.Br: 1,
}

// mostTags is how many a page may have that is made a tree of, which takes some 250
// bytes for each.
const mostTags = 300_000

// readHTML writes the visible text of a page into a flow and returns its title.
func readHTML(page string, f *flow) (string, error) {
	if strings.Count(page, "<") > mostTags {
		return flatHTML(page, f)
	}
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return flatHTML(page, f) // nested too deep for a tree
	}
	title := ""
	for n := range root.Descendants() {
		if n.DataAtom == atom.Title && n.Namespace == "" && n.FirstChild != nil {
			title = n.FirstChild.Data
			break
		}
	}
	visible(root, f, false)
	return title, nil
}

// visible writes the text that is shown of a node.
func visible(n *html.Node, f *flow, pre bool) {
	if f.full() {
		return
	}
	switch n.Type {
	case html.TextNode:
		if pre {
			f.verbatim(n.Data)
		} else {
			f.text(n.Data)
		}
		return
	case html.ElementNode:
		if skippedElements[n.DataAtom] || hidden(n) {
			return
		}
	case html.DocumentNode:
	default:
		return
	}
	level := headingLevel(n.DataAtom)
	breaks := breaksAround[n.DataAtom]
	switch {
	case level > 0:
		f.heading(level)
	case breaks > 0:
		f.line(breaks)
	case n.DataAtom == atom.Td || n.DataAtom == atom.Th:
		f.space = true
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		visible(c, f, pre || n.DataAtom == atom.Pre || n.DataAtom == atom.Textarea)
	}
	switch {
	case level > 0:
		f.endHeading()
	case breaks > 0:
		f.line(breaks)
	case n.DataAtom == atom.Td || n.DataAtom == atom.Th:
		f.space = true
	}
}

func headingLevel(a atom.Atom) int {
	switch a {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		level, _ := strconv.Atoi(a.String()[1:])
		return level
	}
	return 0
}

// hidden reports whether an element is not shown by what it says itself.
func hidden(n *html.Node) bool {
	open := n.DataAtom != atom.Dialog
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return true
		case "open":
			open = true
		case "aria-hidden":
			if strings.EqualFold(a.Val, "true") {
				return true
			}
		case "style":
			style := strings.ToLower(strings.Join(strings.Fields(a.Val), ""))
			if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
	}
	return !open
}

// flatHTML reads a page without a tree: all text but scripts and styles.
func flatHTML(page string, f *flow) (title string, err error) {
	z := html.NewTokenizer(strings.NewReader(page))
	z.SetMaxBuf(1 << 20)
	var inside []byte
	for !f.full() {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return title, err
			}
			return title, nil
		case html.StartTagToken:
			name, _ := z.TagName()
			inside = append(inside[:0], name...)
			if breaksAround[atom.Lookup(name)] > 0 || headingLevel(atom.Lookup(name)) > 0 {
				f.line(1)
			}
		case html.EndTagToken:
			inside = inside[:0]
		case html.TextToken:
			switch {
			case bytes.Equal(inside, []byte("title")):
				title = string(z.Text())
			case !skippedElements[atom.Lookup(inside)]:
				f.text(string(z.Text()))
			}
		}
	}
	return title, nil
}
