package search

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// posting says how often a passage holds a word in each column.
type posting struct {
	id   int64
	hits [columns]uint32
}

// postings are those of one word in a segment, by ascending id, as they lie in the
// file. Up to [postingBlock] of them are one block; more are blocks of as many, each
// behind
//
//	uvarint  the last id of the block less that of the block before
//	uvarint  bytes of the block
//	uvarint  bytes of its positions
//
// so that it can be passed over. A posting is a uvarint of four times the difference
// to the id before, the first to the segment's base, plus
//
//	0  once in the text
//	1  n times in the text: a uvarint of n follows
//	2  anything else: a uvarint for each column
//	3  once in the heading
//
// Positions are, for each posting and column, its hits' differences to the one
// before, uvarints.
type postings struct {
	count           int
	base            int64 // ids are above it
	docs, positions []byte
}

const postingBlock = 128

// errPostings is what a reader finds that no writer writes.
var errPostings = fmt.Errorf("%w: the words of a segment are broken", ErrDamaged)

// postingWriter makes postings.
type postingWriter struct {
	list            postings
	last, blockLast int64 // ids
	n               int   // in the block
	docs, positions []byte
	head            []byte // scratch
}

// reset begins another word's postings.
func (w *postingWriter) reset(base int64) {
	w.list = postings{base: base, docs: w.list.docs[:0], positions: w.list.positions[:0]}
	w.last, w.blockLast, w.n = base, base, 0
	w.docs, w.positions = w.docs[:0], w.positions[:0]
}

// add appends a posting; positions are its hits' by columns, ascending in each.
func (w *postingWriter) add(p posting, positions []uint32) {
	if w.n == postingBlock {
		w.flush()
	}
	code, delta := uint64(2), uint64(p.id-w.last)<<2
	switch {
	case p.hits == [columns]uint32{1}:
		code = 0
	case p.hits[headingColumn]|p.hits[partsColumn] == 0:
		code = 1
	case p.hits == [columns]uint32{headingColumn: 1}:
		code = 3
	}
	w.docs = binary.AppendUvarint(w.docs, delta|code)
	switch code {
	case 1:
		w.docs = binary.AppendUvarint(w.docs, uint64(p.hits[textColumn]))
	case 2:
		for _, n := range p.hits {
			w.docs = binary.AppendUvarint(w.docs, uint64(n))
		}
	}
	for _, n := range p.hits {
		before := uint32(0)
		for _, at := range positions[:n] {
			w.positions = binary.AppendUvarint(w.positions, uint64(at-before))
			before = at
		}
		positions = positions[n:]
	}
	w.last = p.id
	w.n++
	w.list.count++
}

// flush ends a block of several.
func (w *postingWriter) flush() {
	w.head = binary.AppendUvarint(w.head[:0], uint64(w.last-w.blockLast))
	w.head = binary.AppendUvarint(w.head, uint64(len(w.docs)))
	w.head = binary.AppendUvarint(w.head, uint64(len(w.positions)))
	w.list.docs = append(append(w.list.docs, w.head...), w.docs...)
	w.list.positions = append(w.list.positions, w.positions...)
	w.docs, w.positions, w.n, w.blockLast = w.docs[:0], w.positions[:0], 0, w.last
}

// finish returns what was added, valid until the next reset.
func (w *postingWriter) finish() postings {
	if w.list.count > postingBlock {
		w.flush()
	} else {
		w.list.docs = append(w.list.docs, w.docs...)
		w.list.positions = append(w.list.positions, w.positions...)
	}
	return w.list
}

// postingReader walks through postings. Their positions may come when they are first
// asked for.
type postingReader struct {
	left      int   // postings behind this block
	last      int64 // id before the next block
	several   bool
	docs      []byte // of what is behind this block
	positions []byte

	block      []posting
	room       [postingBlock]posting
	at         int    // posting that the cursor stands on
	begin, end int    // bytes of positions that are the block's
	own        []byte // of them, those of posting reached and behind; nil: not looked at yet
	reached    int
	scratch    []uint32 // of positions
	damaged    bool
}

func newPostingReader(p postings) *postingReader {
	r := &postingReader{}
	r.reset(p)
	return r
}

// reset begins with other postings.
func (r *postingReader) reset(p postings) {
	r.left, r.last, r.several, r.docs, r.positions = p.count, p.base, p.count > postingBlock, p.docs, p.positions
	r.block, r.at, r.begin, r.end, r.own, r.reached, r.damaged = nil, 0, 0, 0, nil, 0, false
}

// number takes a uvarint.
func number(data []byte) (uint64, []byte, bool) {
	n, next := numberAt(data, 0)
	return n, data[next:], next > 0
}

// numberAt reads the uvarint at a byte and returns where it ends, 0 if there is none.
func numberAt(data []byte, at int) (n uint64, next int) {
	n, size := binary.Uvarint(data[at:])
	if size <= 0 {
		return 0, 0
	}
	return n, at + size
}

// next reads the next block that may hold an id of target or more, and reports
// whether there is one. The block is valid until the next call.
func (r *postingReader) next(target int64) bool {
	for r.left > 0 && !r.damaged {
		n := min(r.left, postingBlock)
		docs, base := r.docs, r.last
		r.own = nil
		if r.several {
			delta, rest, ok1 := number(r.docs)
			size, rest, ok2 := number(rest)
			positions, rest, ok3 := number(rest)
			if !ok1 || !ok2 || !ok3 || delta > math.MaxInt64-uint64(max(base, 0)) || size > uint64(len(rest)) || positions > math.MaxInt32 {
				r.damaged = true
				return false
			}
			docs, r.docs = rest[:size], rest[size:]
			r.begin, r.end = r.end, r.end+int(positions)
			r.last = base + int64(delta)
		}
		r.left -= n
		if r.several && r.last < target {
			continue
		}
		r.at, r.reached = 0, 0
		r.damaged = !r.decode(docs, base, n)
		return !r.damaged
	}
	r.block = nil
	return false
}

func (r *postingReader) decode(data []byte, id int64, n int) bool {
	r.block = r.room[:n]
	at := 0
	for i := range r.block {
		var v uint64
		if at < len(data) && data[at] < 0x80 { // as most are, and without a call
			v = uint64(data[at])
			at++
		} else if v, at = numberAt(data, at); at == 0 {
			return false
		}
		if v>>2 == 0 || v>>2 >= mostIDs {
			return false
		}
		if id += int64(v >> 2); id >= mostIDs {
			return false
		}
		p := &r.block[i]
		p.id = id
		switch v & 3 {
		case 0:
			p.hits = [columns]uint32{textColumn: 1}
		case 3:
			p.hits = [columns]uint32{headingColumn: 1}
		case 1:
			if v, at = numberAt(data, at); at == 0 || v > math.MaxUint32 {
				return false
			}
			p.hits = [columns]uint32{textColumn: uint32(v)}
		case 2:
			for c := range p.hits {
				if v, at = numberAt(data, at); at == 0 || v > math.MaxUint32 {
					return false
				}
				p.hits[c] = uint32(v)
			}
		}
	}
	return true
}

// seek moves to the first posting of target or more, nil if there is none.
func (r *postingReader) seek(target int64) *posting {
	for {
		for ; r.at < len(r.block); r.at++ {
			if r.block[r.at].id >= target {
				return &r.block[r.at]
			}
		}
		if !r.next(target) {
			return nil
		}
	}
}

// hits are the positions of the posting that the cursor stands on, by columns,
// valid until the next call. They are read once, and not behind a later posting's.
func (r *postingReader) hits() (found [columns][]uint32) {
	r.scratch = r.scratch[:0]
	if r.own == nil {
		begin, end := r.begin, r.end
		if !r.several {
			begin, end = 0, len(r.positions)
		}
		if end > len(r.positions) || begin == end {
			r.damaged = true
			return found
		}
		r.own = r.positions[begin:end]
	}
	own := r.own
	for ; r.reached < r.at; r.reached++ {
		n, at := 0, 0
		for _, k := range r.block[r.reached].hits {
			n += int(k)
		}
		for ; n > 0 && at < len(own); at++ {
			if own[at] < 0x80 {
				n--
			}
		}
		if own = own[at:]; n > 0 {
			r.damaged = true
			return found
		}
	}
	if r.at >= len(r.block) || r.at < r.reached {
		return found
	}
	r.reached = r.at + 1
	total := 0
	for _, n := range r.block[r.at].hits {
		total += int(n)
	}
	if total > len(own) { // each takes a byte or more
		r.damaged = true
		return found
	}
	r.scratch = slices.Grow(r.scratch, total)[:total]
	next, k := 0, 0
	for c, n := range r.block[r.at].hits {
		begin, position := k, uint64(0)
		for range n {
			var v uint64
			if next < len(own) && own[next] < 0x80 {
				v = uint64(own[next])
				next++
			} else if v, next = numberAt(own, next); next == 0 || v > math.MaxUint32 {
				r.damaged = true
				return [columns][]uint32{}
			}
			if position += v; position > math.MaxUint32 {
				r.damaged = true
				return [columns][]uint32{}
			}
			r.scratch[k] = uint32(position)
			k++
		}
		found[c] = r.scratch[begin:k]
	}
	r.own = own[next:]
	return found
}

// positionsOf are the same in a row.
func (r *postingReader) positionsOf() []uint32 {
	r.hits()
	return r.scratch
}

// err is what was wrong with the postings.
func (r *postingReader) err() error {
	if r.damaged {
		return errPostings
	}
	return nil
}
