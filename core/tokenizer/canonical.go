package tokenizer

import "slices"

// decompositions are the full canonical decompositions of characters.
type decompositions struct {
	characters []rune // that have one, in ascending order
	ends       []int  // of each one's part of parts; it begins where the one before ends
	parts      []rune
	pages      []int // of each page of 256 characters the first of characters that lies in it or behind it
}

// combiningRange is characters of one canonical combining class.
type combiningRange struct {
	low, high rune
	class     uint8
}

// The tables as they are used. They are read from numbers of seven bits a byte, the
// low ones first: 20 KB less of packed module than those of
// golang.org/x/text/unicode/norm, which compose, too.
var (
	decomposed = readDecompositions(packedDecompositions)
	combining  = readCombining(packedCombining)
)

// nextNumber reads a number and returns what is behind it.
func nextNumber(packed string) (n rune, rest string) {
	for shift := 0; ; shift += 7 {
		b := packed[0]
		packed = packed[1:]
		n |= rune(b&0x7F) << shift
		if b < 0x80 {
			return n, packed
		}
	}
}

// readDecompositions reads, for each character, its distance from the one before,
// the number of its parts and these.
func readDecompositions(packed string) (d decompositions) {
	for character := rune(0); packed != ""; {
		var step, count, part rune
		step, packed = nextNumber(packed)
		character += step
		for len(d.pages) <= int(character>>8) {
			d.pages = append(d.pages, len(d.characters))
		}
		d.characters = append(d.characters, character)
		count, packed = nextNumber(packed)
		for range count {
			part, packed = nextNumber(packed)
			d.parts = append(d.parts, part)
		}
		d.ends = append(d.ends, len(d.parts))
	}
	d.pages = append(d.pages, len(d.characters))
	return d
}

// readCombining reads, for each range, how far it begins behind the end of the one
// before, its length less one, and its class.
func readCombining(packed string) (ranges []combiningRange) {
	for end := rune(0); packed != ""; {
		var gap, length, class rune
		gap, packed = nextNumber(packed)
		length, packed = nextNumber(packed)
		class, packed = nextNumber(packed)
		ranges = append(ranges, combiningRange{end + gap, end + gap + length, uint8(class)})
		end += gap + length
	}
	return ranges
}

// of returns the parts of a character, nil if it has none.
func (d *decompositions) of(r rune) []rune {
	page := int(r >> 8)
	if page+1 >= len(d.pages) {
		return nil
	}
	first, last := d.pages[page], d.pages[page+1]
	at, found := slices.BinarySearch(d.characters[first:last], r)
	if !found {
		return nil
	}
	begin := 0
	if at += first; at > 0 {
		begin = d.ends[at-1]
	}
	return d.parts[begin:d.ends[at]]
}

// combiningClass returns the canonical combining class of a character.
func combiningClass(r rune) uint8 {
	at, found := slices.BinarySearchFunc(combining, r, func(c combiningRange, r rune) int {
		switch {
		case c.high < r:
			return -1
		case c.low > r:
			return 1
		}
		return 0
	})
	if !found {
		return 0
	}
	return combining[at].class
}
