package passage

import "strings"

// Heading is a section's title where it stands in a text.
type Heading struct {
	Start, End int    // bytes of the text that are the heading, its marks included
	Level      int    // 1 is the outermost; a heading ends the sections of its level and below
	Title      string // without marks
}

// longestTitle bounds the bytes of a line that may be a heading.
const longestTitle = 300

// Markdown finds the headings of a Markdown text: lines that begin with one to
// six "#" and a space, and lines underlined with "=" or "-". Fenced blocks have
// none.
func Markdown(text string) []Heading {
	var found []Heading
	var f fences
	title := -1 // where the line before begins, if it is a paragraph of its own
	for at := 0; at < len(text); {
		end := lineEnd(text, at, len(text))
		line := strings.TrimRight(text[at:end], " \t\r\n")
		content := strings.TrimLeft(line, " ")
		above, first := title, at == 0 || len(strings.TrimSpace(text[lineStart(text, at-1):at])) == 0
		title = -1
		if len(line)-len(content) > 3 || content == "" || len(content) > longestTitle {
			at = end
			continue
		}
		if after := f.block(text, content, end, len(text)); after > 0 {
			at = after
			continue
		}
		h, ok := hashHeading(content)
		switch {
		case ok:
			h.Start, h.End = at, at+len(line)
			found = append(found, h)
		case above >= 0 && underline(content) > 0:
			h := Heading{above, at + len(line), underline(content), plain(text[above:at])}
			if h.Title != "" {
				found = append(found, h)
			}
		case first && !item(content) && !strings.ContainsRune(">|", rune(content[0])):
			title = at
		}
		at = end
	}
	return found
}

// underline is the level of the heading that a line underlines, or 0.
func underline(line string) int {
	switch {
	case len(line) < 2:
	case strings.Trim(line, "=") == "":
		return 1
	case strings.Trim(line, "-") == "":
		return 2
	}
	return 0
}

// lineStart is where the line begins that holds byte at.
func lineStart(text string, at int) int { return strings.LastIndexByte(text[:max(at, 0)], '\n') + 1 }

// hashHeading reads "## Title ##".
func hashHeading(line string) (Heading, bool) {
	level := 0
	for level < len(line) && line[level] == '#' {
		level++
	}
	if level > 6 || level == len(line) || line[level] != ' ' && line[level] != '\t' {
		return Heading{}, false
	}
	title := strings.TrimSpace(line[level:])
	if s := strings.TrimRight(title, "#"); s == "" || strings.HasSuffix(s, " ") {
		title = strings.TrimSpace(s) // closing marks
	}
	if title = plain(title); title == "" {
		return Heading{}, false
	}
	return Heading{Level: level, Title: title}, true
}

// plain is a title without the marks of emphasis, code and links.
func plain(title string) string {
	var b strings.Builder
	for i := 0; i < len(title); i++ {
		switch c := title[i]; c {
		case '*', '`', '[':
		case ']':
			if i+1 < len(title) && title[i+1] == '(' {
				if n := strings.IndexByte(title[i:], ')'); n > 0 {
					i += n
				}
			}
		case '\\':
			if i+1 < len(title) {
				i++
				b.WriteByte(title[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
