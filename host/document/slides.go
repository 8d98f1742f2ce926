package document

import (
	"encoding/xml"
	"slices"
	"strings"
)

// readPPTX reads a presentation: a slide is a page, its title a heading, and what is
// noted for its speaker stands below it.
func (a *archive) readPPTX(name string) error {
	const presentation = "ppt/presentation.xml"
	order, err := a.relations(presentation)
	if err != nil {
		return err
	}
	var slides []string
	err = a.walkXML(presentation, func(e xml.StartElement) bool {
		if e.Name.Local == "sldId" && len(slides) < maxPages {
			slides = append(slides, order[relation(e)])
		}
		return true
	}, func(string) {}, func(string) {})
	if err != nil {
		return err
	}
	f := &flow{most: a.job.maxText()}
	for i, slide := range slides {
		if i > 0 {
			f.page()
		}
		if a.files[slide] == nil {
			continue
		}
		others, err := a.relations(slide)
		if err != nil {
			return err
		}
		pages := []string{slide}
		for _, member := range others {
			if strings.Contains(member, "notesSlides/") && a.files[member] != nil {
				pages = append(pages, member)
			}
		}
		slices.Sort(pages[1:])
		for _, page := range pages {
			s := &slideText{runs: runs{flow: f}}
			if err := a.walkXML(page, s.begin, s.end, s.characters); err != nil {
				return err
			}
		}
		if f.full() {
			break
		}
	}
	return a.deliver(f, "", name)
}

// slideText writes the text of a slide.
type slideText struct {
	runs
	title bool // the shape is the slide's title
}

func (s *slideText) begin(e xml.StartElement) bool {
	switch e.Name.Local {
	case "sp", "graphicFrame":
		s.title = false
		s.flow.line(2)
	case "ph":
		switch attribute(e, "type") {
		case "title", "ctrTitle":
			s.title = true
		}
	case "fld", "Fallback": // a number or a date that is not the slide's own; what is said elsewhere
		return false
	case "txBody":
		if s.title {
			s.flow.heading(1)
		}
	case "p":
		s.flow.line(1)
	}
	s.runs.begin(e.Name.Local)
	return true
}

func (s *slideText) end(name string) {
	s.runs.end(name)
	if name == "txBody" && s.title {
		s.flow.endHeading()
		s.title = false
	}
}
