package siteindex

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// page is what is searched of an HTML page.
type page struct {
	title   string
	anchors []anchor // of its headings, in order
	html    []byte   // UTF-8, the content alone
	left    bool     // it asks not to be searched
}

// anchor is how a heading is linked to.
type anchor struct {
	title string
	id    string // "" for a heading without
}

// readPage takes the content of a page: what is marked with data-search-body, or
// else its main part, without navigation, header, footer and what is marked with
// data-search-ignore. The marks of Pagefind, data-pagefind-body and
// data-pagefind-ignore, mean the same.
func readPage(data []byte) (page, error) {
	r, err := charset.NewReader(bytes.NewReader(data), "text/html")
	if err != nil {
		return page{}, err
	}
	root, err := html.Parse(r)
	if err != nil {
		return page{}, err
	}
	var p page
	if leavesOut(root) {
		p.left = true
		return p, nil
	}
	roots := contents(root)
	b := bytes.NewBufferString("<!doctype html><meta charset=utf-8><body>")
	for _, n := range roots {
		prune(n)
		p.headings(n)
		if err := html.Render(b, n); err != nil {
			return page{}, err
		}
	}
	if p.title == "" {
		if n := find(root, func(n *html.Node) bool { return n.DataAtom == atom.Title && n.Namespace == "" }); len(n) > 0 {
			p.title = textOf(n[0])
		}
	}
	p.html = b.Bytes()
	return p, nil
}

// leavesOut reports whether a page only leads to another, or asks search engines
// to pass it over.
func leavesOut(root *html.Node) bool {
	return len(find(root, func(n *html.Node) bool {
		if n.DataAtom != atom.Meta {
			return false
		}
		name, _ := attribute(n, "name")
		content, _ := attribute(n, "content")
		equiv, _ := attribute(n, "http-equiv")
		return strings.EqualFold(name, "robots") && strings.Contains(strings.ToLower(content), "noindex") || strings.EqualFold(equiv, "refresh")
	})) > 0
}

// contents are the parts of a page that are searched.
func contents(root *html.Node) []*html.Node {
	for _, is := range []func(*html.Node) bool{
		func(n *html.Node) bool { return has(n, "data-search-body", "data-pagefind-body") },
		func(n *html.Node) bool {
			role, _ := attribute(n, "role")
			return n.DataAtom == atom.Main || role == "main"
		},
		func(n *html.Node) bool { return n.DataAtom == atom.Article },
		func(n *html.Node) bool { return n.DataAtom == atom.Body },
	} {
		if found := find(root, is); len(found) > 0 {
			return found
		}
	}
	return nil
}

// find lists the outermost elements that are what is looked for.
func find(n *html.Node, is func(*html.Node) bool) []*html.Node {
	if n.Type == html.ElementNode && is(n) {
		return []*html.Node{n}
	}
	var found []*html.Node
	for c := range n.ChildNodes() {
		found = append(found, find(c, is)...)
	}
	return found
}

// prune takes out of a page's content what is none: navigation, links to the
// headings themselves, and what asks to be ignored. Headers and footers of
// articles stay.
func prune(n *html.Node) {
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		if c.Type == html.ElementNode && isAside(c) {
			keepID(n, c)
			n.RemoveChild(c)
		} else {
			prune(c)
		}
		c = next
	}
}

func isAside(n *html.Node) bool {
	if value, ok := attribute(n, "data-pagefind-ignore"); ok && value != "false" || has(n, "data-search-ignore") {
		return true
	}
	switch role, _ := attribute(n, "role"); role {
	case "navigation", "search", "banner", "contentinfo":
		return true
	}
	switch n.DataAtom {
	case atom.Nav, atom.Form:
		return true
	case atom.Header, atom.Footer:
		return n.Parent != nil && n.Parent.DataAtom == atom.Body
	case atom.A:
		// Such as the ¶ that documentation has behind its headings.
		text := strings.Trim(textOf(n), " \u00a0")
		return inHeading(n) && (text == "" || text == "¶" || text == "#" || text == "§" || text == "\uf0c1" || text == "🔗")
	}
	return false
}

// keepID gives a heading the ID of a link in it that is taken out.
func keepID(heading, link *html.Node) {
	if !isHeading(heading) || has(heading, "id") {
		return
	}
	id, _ := attribute(link, "id")
	if id == "" && link.DataAtom == atom.A {
		id, _ = attribute(link, "name")
	}
	if id != "" {
		heading.Attr = append(heading.Attr, html.Attribute{Key: "id", Val: id})
	}
}

func inHeading(n *html.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if isHeading(p) {
			return true
		}
	}
	return false
}

func isHeading(n *html.Node) bool {
	switch n.DataAtom {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return n.Type == html.ElementNode
	}
	return false
}

// headings notes the anchors below n, and the title.
func (p *page) headings(n *html.Node) {
	if isHeading(n) {
		title := textOf(n)
		if n.DataAtom == atom.H1 && p.title == "" {
			p.title = title
		}
		p.anchors = append(p.anchors, anchor{title, idOf(n)})
		return
	}
	for c := range n.ChildNodes() {
		p.headings(c)
	}
}

// idOf is a heading's own ID, that of an element in it, or of the section that
// begins with it.
func idOf(n *html.Node) string {
	for d := n; d != nil; d = d.FirstChild {
		if d.Type != html.ElementNode {
			break
		}
		if id, ok := attribute(d, "id"); ok && id != "" {
			return id
		}
		if name, ok := attribute(d, "name"); ok && name != "" && d.DataAtom == atom.A {
			return name
		}
	}
	for s := n.PrevSibling; s != nil; s = s.PrevSibling {
		if s.Type == html.ElementNode || strings.TrimSpace(s.Data) != "" {
			return ""
		}
	}
	if p := n.Parent; p != nil && (p.DataAtom == atom.Section || p.DataAtom == atom.Div || p.DataAtom == atom.Article) {
		id, _ := attribute(p, "id")
		return id
	}
	return ""
}

// textOf is the text below a node on one line.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func has(n *html.Node, keys ...string) bool {
	for _, key := range keys {
		if _, ok := attribute(n, key); ok {
			return true
		}
	}
	return false
}
