package passage

import "sort"

// cutter packs units, which are paragraphs or parts of one, into passages.
type cutter struct {
	text     string
	starts   []int
	options  Options
	passages []Passage

	path    []Heading // the headings in force
	titles  []string  // theirs; a new slice for each heading, as passages keep it
	section int       // c.passages[section:] stand under the heading in force

	// The passage in work.
	units    []unit
	repeated int      // how many of units repeat the passage before
	headings []string // titles in force where it begins
	above    int      // how many of them stand above it
	bare     bool     // it holds headings alone
}

// unit is a range of bytes that stays in one passage.
type unit struct{ start, end int }

// tokens counts those that begin in a range of bytes.
func (c *cutter) tokens(start, end int) int {
	return sort.SearchInts(c.starts, end) - sort.SearchInts(c.starts, start)
}

// split cuts a range into units of at most Max tokens, at the coarsest level
// that allows it, and adds them.
func (c *cutter) split(start, end int, l level) {
	start, end = trim(c.text, start, end)
	if start == end {
		return
	}
	if c.tokens(start, end) <= c.options.Max {
		c.add(unit{start, end})
		return
	}
	var f fences
	for start < end {
		if l == tokens {
			next := c.cutTokens(start, end)
			c.add(unit{start, next})
			start = next
			continue
		}
		next := l.next(c.text, start, end, &f)
		c.split(start, next, l+1)
		start = next
	}
}

// cutTokens is where a word of too many tokens is cut: where the first begins
// that does not fit, at a whole character.
func (c *cutter) cutTokens(start, end int) int {
	first := sort.SearchInts(c.starts, start)
	if first+c.options.Max >= len(c.starts) {
		return end
	}
	next := max(c.starts[first+c.options.Max], start+1)
	for i := 0; i < 3 && next < end && continues(c.text[next]); i++ {
		next++
	}
	return min(next, end)
}

// add puts a unit into the passage in work, or begins the next with it.
func (c *cutter) add(u unit) {
	if len(c.units) > 0 {
		o, first := c.options, c.units[0].start
		with := c.tokens(first, u.end)
		if with > o.Max || with > o.Target && !c.bare && c.tokens(first, c.last()) >= o.Target/2 {
			c.flush()
			c.repeat(u)
		}
	}
	if len(c.units) == 0 {
		c.headings, c.above = c.titles, len(c.titles)
	}
	c.units, c.bare = append(c.units, u), false
}

// heading puts a heading in force. It ends the passage in work, unless that
// holds next to nothing.
func (c *cutter) heading(h Heading) {
	start, end := trim(c.text, h.Start, h.End)
	if start == end {
		return
	}
	if c.tokens(start, end) > c.options.Max {
		c.split(start, end, sentences) // no heading that could be carried along
		return
	}
	if len(c.units) > 0 {
		first := c.units[0].start
		if c.tokens(first, end) > c.options.Max || !c.bare && c.tokens(first, c.last()) >= c.options.Target/8 {
			c.end()
		}
	}
	for len(c.path) > 0 && c.path[len(c.path)-1].Level >= h.Level {
		c.path = c.path[:len(c.path)-1]
	}
	above := len(c.path)
	c.path = append(c.path, h)
	c.titles = make([]string, len(c.path))
	for i, h := range c.path {
		c.titles[i] = h.Title
	}
	switch {
	case len(c.units) == 0:
		c.headings, c.above, c.bare = c.titles, above, true
	case c.bare: // a heading right below another
		c.headings, c.above = c.titles, min(c.above, above)
	}
	c.units = append(c.units, unit{start, end})
}

// last is where the passage in work ends so far.
func (c *cutter) last() int { return c.units[len(c.units)-1].end }

// flush makes a passage of the units in work.
func (c *cutter) flush() {
	first, last := c.units[0].start, c.last()
	c.passages = append(c.passages, Passage{
		Start: first, End: last, Tokens: c.tokens(first, last), Headings: c.headings, Above: c.above,
	})
}

// repeat begins the next passage: with the last units of the one before that may
// be repeated in front of u, or with nothing.
func (c *cutter) repeat(u unit) {
	from, end := len(c.units), c.last()
	for from > 1 && c.options.Overlap > 0 {
		start := c.units[from-1].start
		if c.tokens(start, end) > c.options.Overlap || c.tokens(start, u.end) > c.options.Max {
			break
		}
		from--
	}
	c.repeated = copy(c.units, c.units[from:])
	c.units = c.units[:c.repeated]
	c.headings, c.above = c.titles, len(c.titles)
}

// end ends the passage in work at the end of a section. What is little goes into
// the passage before it, where that has room.
func (c *cutter) end() {
	if len(c.units) > 0 {
		before := len(c.passages) - 1
		little := before >= c.section && c.tokens(c.units[c.repeated].start, c.last()) < c.options.Target/4
		if little && c.tokens(c.passages[before].Start, c.last()) <= c.options.Max {
			p := &c.passages[before]
			p.End = c.last()
			p.Tokens = c.tokens(p.Start, p.End)
		} else {
			c.flush()
		}
	}
	c.units, c.repeated, c.section, c.bare = c.units[:0], 0, len(c.passages), false
}
