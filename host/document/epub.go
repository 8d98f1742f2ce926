package document

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// readEPUB reads a book, its chapters in their order.
func (a *archive) readEPUB(name string) error {
	root := ""
	err := a.walkXML("META-INF/container.xml", func(e xml.StartElement) bool {
		if e.Name.Local == "rootfile" && root == "" {
			root = attribute(e, "full-path")
		}
		return true
	}, func(string) {}, func(string) {})
	if err != nil {
		return err
	}
	title, order, err := a.epubOrder(root)
	if err != nil {
		return err
	}
	f := &flow{most: a.job.maxText()}
	for _, chapter := range order {
		if err := a.job.ctx.Err(); err != nil {
			return err
		}
		data, err := a.member(chapter, a.job.maxText())
		if errors.Is(err, errBomb) {
			return err
		}
		if err == nil && isBinary(data) && len(data) > 0 && a.files["META-INF/encryption.xml"] != nil {
			return ErrEncrypted
		}
		if err == nil {
			f.line(2)
			_, err = readHTML(decodeHTML(data), f)
		}
		if err != nil {
			if err := a.job.skipped(a.job.part+"/"+chapter, err); err != nil {
				return err
			}
		}
		if f.full() {
			break
		}
	}
	return a.deliver(f, title, name)
}

// epubOrder reads a book's title and the members that are its chapters.
func (a *archive) epubOrder(root string) (title string, order []string, err error) {
	type item struct {
		member string
		page   bool
	}
	items := map[string]item{}
	inTitle := false
	err = a.walkXML(root, func(e xml.StartElement) bool {
		switch e.Name.Local {
		case "title":
			inTitle = title == ""
		case "item":
			href := attribute(e, "href")
			if plain, err := url.PathUnescape(href); err == nil {
				href = plain
			}
			kind := attribute(e, "media-type")
			if len(items) < maxMembers {
				items[attribute(e, "id")] = item{path.Join(path.Dir(root), href), strings.Contains(kind, "html")}
			}
		case "itemref":
			if i, ok := items[attribute(e, "idref")]; ok && i.page && len(order) < maxMembers {
				order = append(order, i.member)
			}
		}
		return true
	}, func(name string) {
		if name == "title" {
			inTitle = false
		}
	}, func(s string) {
		if inTitle && len(title) < maxFieldBytes {
			title += s
		}
	})
	if err != nil {
		return "", nil, err
	}
	if len(order) == 0 {
		return "", nil, fmt.Errorf("%q in it names no chapters", clip(root, 100))
	}
	return strings.TrimSpace(title), order, nil
}
