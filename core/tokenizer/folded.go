package tokenizer

import "unicode/utf8"

// foldedSegment does what segment does for tokenizers that have added tokens to
// be found in normalised text: the segment is normalised as a whole first.
func (e *encoder) foldedSegment(s string, base int) {
	if e.fold(s, base); e.interrupted != nil {
		return
	}
	text := string(e.foldedText)
	from := 0
	search := e.t.foldedAdded.search(text, &e.interruption)
	for search.next() {
		if from < search.place.Start {
			e.folded(text, from, search.place.Start)
		}
		e.emit(search.id, e.source(search.place))
		e.trim()
		from = search.place.End
	}
	if e.interrupted == nil {
		e.folded(text, from, len(text))
	}
}

// source returns what a stretch of the normalised segment comes from.
func (e *encoder) source(place Span) Span {
	if place.Start >= place.End {
		return Span{}
	}
	return Span{e.foldedPlaces[place.Start].Start, e.foldedPlaces[place.End-1].End}
}

// fold normalises s into e.foldedText, with the source of each byte in e.foldedPlaces.
func (e *encoder) fold(s string, base int) {
	e.foldedText, e.foldedPlaces = e.foldedText[:0], e.foldedPlaces[:0]
	n := e.t.normalizer
	e.markPlaces.end = 0
	run := e.marks[:0] // kept marks at the end of the text so far
	put := func(r rune, place Span) {
		before := len(e.foldedText)
		e.foldedText = utf8.AppendRune(e.foldedText, r)
		for range len(e.foldedText) - before {
			e.foldedPlaces = append(e.foldedPlaces, place)
		}
	}
	e.begin(0)
	defer e.finish(len(s))
	for i, r := range s {
		if i >= e.askAt && e.due(i) {
			return
		}
		size := 1
		if r != utf8.RuneError || (len(s)-i >= 3 && s[i:i+3] == "\uFFFD") {
			size = utf8.RuneLen(r)
		}
		place := Span{base + i, base + i + size}
		f := n.effect(r)
		if f.action() != drop && f.action() != sequence {
			run = run[:0]
		}
		switch f.action() {
		case space:
			// Without clean text a space character stays what it is.
			if n.settings.cleanText {
				put(' ', place)
			} else {
				put(f.character(), place)
			}
		case letter:
			put(f.character(), place)
		case isolate:
			if n.settings.ideographs && isIdeograph(r) {
				put(' ', place)
				put(f.character(), place)
				put(' ', place)
			} else {
				put(f.character(), place)
			}
		case sequence:
			var buffer [16]part
			for _, p := range n.appendExpansion(buffer[:0], r) {
				if p.kind != keptMark {
					run = run[:0]
					if p.kind == ordinary {
						put(p.character, place)
					}
					continue
				}
				run = e.foldMark(run, p, e.markPlace(s, base, place))
			}
		}
	}
	e.marks = run[:0]
}

// foldMark puts a kept mark into its place among the marks at the end of the
// normalised text.
func (e *encoder) foldMark(run []part, mark part, place Span) []part {
	if len(run) == maxMarkRun {
		run = run[:0]
	}
	size := utf8.RuneLen(mark.character)
	at := len(e.foldedText)
	i := len(run)
	for ; i > 0 && run[i-1].combining > mark.combining; i-- {
		at -= utf8.RuneLen(run[i-1].character)
	}
	run = append(run, mark)
	copy(run[i+1:], run[i:])
	run[i] = mark
	for range size {
		e.foldedText = append(e.foldedText, 0)
		e.foldedPlaces = append(e.foldedPlaces, Span{})
	}
	copy(e.foldedText[at+size:], e.foldedText[at:])
	copy(e.foldedPlaces[at+size:], e.foldedPlaces[at:])
	utf8.EncodeRune(e.foldedText[at:], mark.character)
	for j := range size {
		e.foldedPlaces[at+j] = place
	}
	return run
}

// folded splits and encodes bytes start to end of the normalised segment.
func (e *encoder) folded(text string, start, end int) {
	e.startWord()
	e.begin(0)
	defer e.finish(end - start)
	for i, r := range text[start:end] {
		if i >= e.askAt && e.due(i) {
			return
		}
		size := utf8.RuneLen(r)
		place := e.source(Span{start + i, start + i + size})
		switch splitOf(r) {
		case space:
			e.endWord()
		case isolate:
			e.endWord()
			e.single(r, place)
		default:
			e.add(r, place)
		}
	}
	e.endWord()
}
