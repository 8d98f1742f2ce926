package passage

import "strings"

// fences finds fenced blocks, which are code between lines of ``` or ~~~, in one
// pass over a text. It remembers what it has looked for in vain, so that many
// fences that are never closed cost no more than few.
type fences struct {
	// unclosed are the fewest marks, of ` and of ~, that no line behind closes;
	// 0: none yet.
	unclosed [2]int
}

// block is where the fenced block ends that a line opens whose text is content
// and whose end is at line, or 0 where it opens none or the block is never
// closed before end.
func (f *fences) block(text, content string, line, end int) int {
	mark := fenceMark(content)
	if mark == "" {
		return 0
	}
	kind := strings.IndexByte("`~", mark[0])
	if n := f.unclosed[kind]; n > 0 && len(mark) >= n {
		return 0
	}
	for at := line; at < end; {
		after := lineEnd(text, at, end)
		content := strings.TrimSpace(text[at:after])
		if len(content) >= len(mark) && strings.Trim(content, mark[:1]) == "" {
			return after
		}
		at = after
	}
	f.unclosed[kind] = len(mark)
	return 0
}

// fenceMark is the three or more ` or ~ that a line begins with, or "".
func fenceMark(line string) string {
	if len(line) < 3 || line[0] != '`' && line[0] != '~' {
		return ""
	}
	n := 1
	for n < len(line) && line[n] == line[0] {
		n++
	}
	if n < 3 || line[0] == '`' && strings.IndexByte(line[n:], '`') >= 0 {
		return "" // `code` in a line of prose
	}
	return line[:min(n, longestFence)]
}

// longestFence is how many marks of a fence count: few lengths, few searches.
const longestFence = 8
