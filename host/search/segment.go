package search

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sort"
)

// The words lie in segments: each holds the postings of a run of passages that were
// added one after the other, and is never changed. A segment is rows of the table
// chunks, by ascending words; a chunk is words with their postings, by ascending
// words, and beside them their positions:
//
//	uvarint  bytes that the word shares with the one before
//	uvarint  bytes of the rest, and the rest
//	uvarint  passages that hold it
//	uvarint  bytes of its postings, uvarint bytes of its positions
//	         the postings
const (
	// chunkBytes is where a chunk ends; a word's postings are in one.
	chunkBytes = 8 << 10
	// mergeSegments are as many of one level as become one of the next, and
	// mergeBytes is what they may have: so many bytes are written, and wait for the
	// file to be locked, at once.
	mergeSegments = 8
	mergeBytes    = 64 << 20
)

// segment is a row of the table of that name.
type segment struct {
	id          int64
	level       int
	first, last int64 // ids of passages
	passages    int64 // with those that are gone since
	bytes       int64
	sum         int64 // see sumOf
	worn        bool  // some are
}

// sumOf is the CRC-32C of a segment and of where its words lie.
func (s *segment) sumOf(places []chunkPlace) int64 {
	b := fmt.Appendf(nil, "%d %d %d %d", s.level, s.first, s.last, s.passages)
	for _, p := range places {
		b = fmt.Appendf(b, " %d %q", p.id, p.first)
	}
	return int64(crc32.Checksum(b, castagnoli))
}

// base is below the ids of a segment.
func (s *segment) base() int64 { return s.first - 1 }

// segments lists them in the order of their passages.
func segments(tx *sql.Tx) ([]segment, error) {
	rows, err := tx.Query(`SELECT id, level, first, last, passages, bytes, sum,
		EXISTS(SELECT 1 FROM gone WHERE gone.id BETWEEN segments.first AND segments.last) FROM segments ORDER BY first`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []segment
	for rows.Next() {
		var s segment
		if err := rows.Scan(&s.id, &s.level, &s.first, &s.last, &s.passages, &s.bytes, &s.sum, &s.worn); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// chunkPlace is where a chunk lies, and the first word in it.
type chunkPlace struct {
	first string
	id    int64
}

// chunkPlaces lists the chunks of a segment.
func chunkPlaces(tx *sql.Tx, s *segment) ([]chunkPlace, error) {
	rows, err := tx.Query("SELECT first, id FROM chunks WHERE segment=? ORDER BY first", s.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []chunkPlace
	for rows.Next() {
		var p chunkPlace
		if err := rows.Scan(&p.first, &p.id); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if s.sum != s.sumOf(all) {
		return nil, errSealed
	}
	return all, nil
}

// segmentWriter writes a segment, whose words must come in their order.
type segmentWriter struct {
	tx        *sql.Tx
	segment   segment
	insert    *sql.Stmt
	places    []chunkPlace
	first     string
	before    []byte
	docs      []byte
	positions []byte
}

func newSegmentWriter(tx *sql.Tx, s segment) (*segmentWriter, error) {
	inserted, err := tx.Exec("INSERT INTO segments(level, first, last, passages, bytes, sum) VALUES(?,?,?,?,0,0)", s.level, s.first, s.last, s.passages)
	if err != nil {
		return nil, err
	}
	if s.id, err = inserted.LastInsertId(); err != nil {
		return nil, err
	}
	insert, err := tx.Prepare("INSERT INTO chunks(segment, first, docs, positions) VALUES(?,?,?,?)")
	return &segmentWriter{tx: tx, segment: s, insert: insert}, err
}

// add writes the postings of a word.
func (w *segmentWriter) add(word []byte, p postings) error {
	if p.count == 0 {
		return nil
	}
	if len(w.docs) > 0 && len(w.docs)+len(p.docs) > chunkBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	shared := 0
	if len(w.docs) == 0 {
		w.first = string(word)
	} else {
		for shared < min(len(word), len(w.before)) && word[shared] == w.before[shared] {
			shared++
		}
	}
	w.docs = binary.AppendUvarint(w.docs, uint64(shared))
	w.docs = binary.AppendUvarint(w.docs, uint64(len(word)-shared))
	w.docs = append(w.docs, word[shared:]...)
	for _, n := range []int{p.count, len(p.docs), len(p.positions)} {
		w.docs = binary.AppendUvarint(w.docs, uint64(n))
	}
	w.docs = append(w.docs, p.docs...)
	w.positions = append(w.positions, p.positions...)
	w.before = append(w.before[:0], word...)
	return nil
}

func (w *segmentWriter) flush() error {
	if len(w.docs) == 0 {
		return nil
	}
	w.segment.bytes += int64(len(w.docs) + len(w.positions))
	inserted, err := w.insert.Exec(w.segment.id, []byte(w.first), sealed(w.docs), sealed(w.positions))
	w.docs, w.positions = w.docs[:0], w.positions[:0]
	if err != nil {
		return err
	}
	id, err := inserted.LastInsertId()
	w.places = append(w.places, chunkPlace{w.first, id})
	return err
}

// finish ends the segment; one without words is none.
func (w *segmentWriter) finish() error {
	err := errors.Join(w.flush(), w.insert.Close())
	if err != nil {
		return err
	}
	if w.segment.bytes == 0 {
		_, err = w.tx.Exec("DELETE FROM segments WHERE id=?", w.segment.id)
	} else {
		_, err = w.tx.Exec("UPDATE segments SET bytes=?, sum=? WHERE id=?", w.segment.bytes, w.segment.sumOf(w.places), w.segment.id)
	}
	return err
}

// chunkReader walks through the words of a chunk.
type chunkReader struct {
	docs     []byte
	base     int64
	word     []byte
	postings postings // without their positions
	// The positions are these bytes of the chunk's.
	from, to int
	damaged  bool
}

// next moves to the next word and reports whether there is one.
func (r *chunkReader) next() bool {
	if len(r.docs) == 0 || r.damaged {
		return false
	}
	r.damaged = true // until the whole entry is read
	shared, rest, ok1 := number(r.docs)
	size, rest, ok2 := number(rest)
	if !ok1 || !ok2 || shared > uint64(len(r.word)) || size > uint64(len(rest)) {
		return false
	}
	r.word = append(r.word[:shared], rest[:size]...)
	count, rest, ok1 := number(rest[size:])
	bytes, rest, ok2 := number(rest)
	positions, rest, ok3 := number(rest)
	if !ok1 || !ok2 || !ok3 || bytes > uint64(len(rest)) || count > bytes || positions > 1<<40 {
		return false
	}
	r.postings = postings{count: int(count), base: r.base, docs: rest[:bytes]}
	r.from, r.to = r.to, r.to+int(positions)
	r.docs, r.damaged = rest[bytes:], false
	return true
}

// batch collects the words of passages that are added together.
type batch struct {
	words       stemmer
	lists       map[string]*batchList
	first, last int64 // ids; 0: none yet
	passages    int64
}

// batchList are a word's postings.
type batchList struct {
	postings  []posting
	positions []uint32
}

// add notes a passage's words and returns how many it has in all columns.
func (b *batch) add(id int64, texts [columns]string) int {
	if b.first == 0 {
		b.first, b.lists = id, map[string]*batchList{}
	}
	b.last = id
	b.passages++
	total := 0
	for column, text := range texts {
		at := uint32(0)
		for _, word := range eachWord(text) {
			stem := b.words.stem(word)
			if stem == "" {
				continue
			}
			l := b.lists[stem]
			if l == nil {
				l = &batchList{}
				b.lists[stem] = l
			}
			if n := len(l.postings); n == 0 || l.postings[n-1].id != id {
				l.postings = append(l.postings, posting{id: id})
			}
			l.postings[len(l.postings)-1].hits[column]++
			l.positions = append(l.positions, at)
			at++
		}
		total += int(at)
	}
	return total
}

// write makes a segment of what was added.
func (b *batch) write(tx *sql.Tx) error {
	if b.first == 0 {
		return nil
	}
	w, err := newSegmentWriter(tx, segment{first: b.first, last: b.last, passages: b.passages})
	if err != nil {
		return err
	}
	var list postingWriter
	for _, word := range slices.Sorted(maps.Keys(b.lists)) {
		list.reset(w.segment.base())
		positions := b.lists[word].positions
		for _, p := range b.lists[word].postings {
			n := 0
			for _, k := range p.hits {
				n += int(k)
			}
			list.add(p, positions[:n])
			positions = positions[n:]
		}
		if err := w.add([]byte(word), list.finish()); err != nil {
			return err
		}
	}
	return w.finish()
}

// tidy merges segments of one level, and makes those anew of which a third of the
// passages is gone.
func tidy(tx *sql.Tx) error {
	for {
		all, err := segments(tx)
		if err != nil {
			return err
		}
		from, to, err := untidy(tx, all)
		if err != nil || from == to {
			return err
		}
		if err := merge(tx, all[from:to]); err != nil {
			return err
		}
	}
}

// untidy finds neighbours that should be one segment.
func untidy(tx *sql.Tx, all []segment) (from, to int, err error) {
	var total int64
	for i, s := range all {
		if i == 0 || s.level != all[from].level {
			from, total = i, 0
		}
		total += s.bytes
		for total > mergeBytes && from < i {
			total -= all[from].bytes
			from++
		}
		if i+1-from == mergeSegments {
			return from, i + 1, nil
		}
	}
	for i, s := range all {
		var gone int64
		err := tx.QueryRow("SELECT count(*) FROM gone WHERE id BETWEEN ? AND ?", s.first, s.last).Scan(&gone)
		if err != nil {
			return 0, 0, err
		}
		if 3*gone > s.passages {
			return i, i + 1, nil
		}
	}
	return 0, 0, nil
}

// merge makes one segment of neighbours, without the passages that are gone.
func merge(tx *sql.Tx, all []segment) error {
	into := segment{level: all[0].level, first: all[0].first, last: all[len(all)-1].last}
	if len(all) > 1 {
		into.level++
	}
	for _, s := range all {
		into.passages += s.passages
	}
	gone, err := goneBetween(tx, into.first, into.last)
	if err != nil {
		return err
	}
	into.passages -= int64(len(gone))
	cursors := make([]*segmentCursor, len(all))
	for i := range all {
		if cursors[i], err = newSegmentCursor(tx, &all[i]); err != nil {
			return err
		}
		defer cursors[i].close()
	}
	w, err := newSegmentWriter(tx, into)
	if err != nil {
		return err
	}
	var list postingWriter
	for {
		var word []byte
		for _, c := range cursors {
			if !c.ended && (word == nil || bytes.Compare(c.chunk.word, word) < 0) {
				word = c.chunk.word
			}
		}
		if word == nil {
			break
		}
		word = bytes.Clone(word)
		list.reset(into.base())
		for _, c := range cursors {
			if c.ended || !bytes.Equal(c.chunk.word, word) {
				continue
			}
			if err := c.copy(&list, gone); err != nil {
				return err
			}
			if err := c.next(); err != nil {
				return err
			}
		}
		if err := w.add(word, list.finish()); err != nil {
			return err
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	for _, s := range all {
		for _, q := range []string{"DELETE FROM chunks WHERE segment=?", "DELETE FROM segments WHERE id=?"} {
			if _, err := tx.Exec(q, s.id); err != nil {
				return err
			}
		}
	}
	_, err = tx.Exec("DELETE FROM gone WHERE id BETWEEN ? AND ?", into.first, into.last)
	return err
}

// goneBetween are passages that segments still hold, ascending.
func goneBetween(tx *sql.Tx, first, last int64) ([]int64, error) {
	rows, err := tx.Query("SELECT id FROM gone WHERE id BETWEEN ? AND ? ORDER BY id", first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// segmentCursor walks through the words of a segment.
type segmentCursor struct {
	segment   *segment
	read      *sql.Stmt
	places    []chunkPlace
	chunk     chunkReader
	positions []byte
	reader    postingReader
	ended     bool
}

// newSegmentCursor stands on the first word.
func newSegmentCursor(tx *sql.Tx, s *segment) (*segmentCursor, error) {
	places, err := chunkPlaces(tx, s)
	if err != nil {
		return nil, err
	}
	read, err := tx.Prepare("SELECT docs, positions FROM chunks WHERE id=?")
	if err != nil {
		return nil, err
	}
	c := &segmentCursor{segment: s, read: read, places: places}
	return c, c.next()
}

func (c *segmentCursor) close() { c.read.Close() }

func (c *segmentCursor) next() error {
	for !c.chunk.next() {
		if c.chunk.damaged {
			return errPostings
		}
		if len(c.places) == 0 {
			c.ended = true
			return nil
		}
		c.chunk = chunkReader{base: c.segment.base()}
		if err := c.read.QueryRow(c.places[0].id).Scan((*sealed)(&c.chunk.docs), (*sealed)(&c.positions)); err != nil {
			return err
		}
		c.places = c.places[1:]
	}
	if c.chunk.to > len(c.positions) {
		return errPostings
	}
	return nil
}

// list is the cursor's word's postings.
func (c *segmentCursor) list() postings {
	p := c.chunk.postings
	p.positions = c.positions[c.chunk.from:c.chunk.to:c.chunk.to]
	return p
}

// copy adds the cursor's postings to others.
func (c *segmentCursor) copy(to *postingWriter, gone []int64) error {
	r := &c.reader
	r.reset(c.list())
	for r.next(0) {
		for i, p := range r.block {
			r.at = i
			positions := r.positionsOf()
			if r.damaged || p.id <= to.last {
				return errPostings
			}
			if k := sort.Search(len(gone), func(k int) bool { return gone[k] >= p.id }); k < len(gone) && gone[k] == p.id {
				continue
			}
			to.add(p, positions)
		}
	}
	return r.err()
}
