package search

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"sort"
	"strings"
	"sync"
)

// view is what a query sees: a transaction, and the rows in memory as of it.
type view struct {
	ctx context.Context
	tx  *sql.Tx
	ix  *Index

	segments  []segment
	docs      *sql.Stmt // of a chunk
	positions *sql.Stmt
	found     map[string][]located // by words
}

// view begins a transaction and brings the rows up to it; vectors are wanted, too, or
// not. Until it calls release, which may be called again, nobody changes the rows.
// Locks come before connections, so that nobody holds one and waits for the other.
func (ix *Index) view(ctx context.Context, vectors bool) (v *view, release func(), err error) {
	v = &view{ctx: ctx, ix: ix, found: map[string][]located{}}
	ix.reading.RLock()
	fresh, err := v.begin(vectors)
	if err == nil && fresh {
		return v, ix.reading.RUnlock, nil
	}
	v.close()
	ix.reading.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	ix.reading.Lock()
	fresh, err = v.begin(vectors)
	if err == nil && !fresh {
		err = v.load(vectors)
	}
	if err != nil {
		ix.rows = rows{} // whatever was done of it
		v.close()
		ix.reading.Unlock()
		return nil, nil, err
	}
	return v, ix.reading.Unlock, nil
}

// begin reports whether the rows are up to the transaction. Who holds the lock makes
// none that is older than the rows.
func (v *view) begin(vectors bool) (fresh bool, err error) {
	if v.tx, err = v.ix.db.BeginTx(v.ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return false, err
	}
	r := &v.ix.rows
	now, err := readTally(v.ctx, v.tx)
	return err == nil && r.loaded && r.change == now.change && (!vectors || r.vectors.n == len(r.ids)), err
}

func (v *view) load(vectors bool) error {
	want, err := readTally(v.ctx, v.tx)
	if err != nil {
		return err
	}
	r := &v.ix.rows
	if !r.loaded || r.change != want.change {
		if err := r.load(v.ctx, v.tx, want.change); err != nil {
			return err
		}
	}
	if int64(r.alive()) != want.passages {
		return errSealed
	}
	if vectors {
		if err := r.loadVectors(v.ctx, v.tx); err != nil {
			return err
		}
	}
	all, err := segments(v.tx)
	if err != nil {
		return err
	}
	if int64(len(all)) != want.segments {
		return errSealed
	}
	places := map[int64][]chunkPlace{}
	for _, s := range all {
		known, ok := v.ix.places[s.id] // a segment does not change
		if !ok {
			if known, err = chunkPlaces(v.tx, &s); err != nil {
				return err
			}
		}
		places[s.id] = known
	}
	v.ix.places = places
	return nil
}

// close ends the transaction.
func (v *view) close() {
	for _, s := range []*sql.Stmt{v.docs, v.positions} {
		if s != nil {
			s.Close()
		}
	}
	if v.tx != nil {
		v.tx.Rollback()
	}
	v.tx, v.docs, v.positions = nil, nil, nil
}

// located are the postings of a word in a segment, without their positions.
type located struct {
	postings
	worn     bool  // passages of the segment are gone
	chunk    int64 // 0: they have their positions
	from, to int   // else bytes of the chunk's that are the positions
}

// prepare reads the segments.
func (v *view) prepare() (err error) {
	if v.segments, err = segments(v.tx); err != nil {
		return err
	}
	if v.docs, err = v.tx.PrepareContext(v.ctx, "SELECT docs FROM chunks WHERE id=?"); err != nil {
		return err
	}
	v.positions, err = v.tx.PrepareContext(v.ctx, "SELECT positions FROM chunks WHERE id=?")
	return err
}

// docsOf reads a chunk without positions, and allPositionsOf those alone.
func (v *view) docsOf(chunk int64) ([]byte, error) {
	return v.ix.chunks.get(chunk, func(data *[]byte) error { return v.docs.QueryRowContext(v.ctx, chunk).Scan((*sealed)(data)) })
}

func (v *view) allPositionsOf(chunk int64) ([]byte, error) {
	return v.ix.chunks.get(-chunk, func(data *[]byte) error { return v.positions.QueryRowContext(v.ctx, chunk).Scan((*sealed)(data)) })
}

// chunkCache keeps what was read of chunks, which do not change, up to cacheBytes.
type chunkCache struct {
	sync.Mutex
	bytes int
	known map[int64][]byte // docs by the chunk's id, positions by minus that
}

const cacheBytes = 64 << 20

// get returns what is known, or reads it. What it returns is not to be changed.
func (c *chunkCache) get(key int64, read func(*[]byte) error) ([]byte, error) {
	c.Lock()
	data, ok := c.known[key]
	c.Unlock()
	if ok {
		return data, nil
	}
	if err := read(&data); err != nil {
		return nil, missing(err)
	}
	c.Lock()
	defer c.Unlock()
	if c.known == nil || c.bytes+len(data) > cacheBytes {
		c.known, c.bytes = map[int64][]byte{}, 0
	}
	if len(data) <= cacheBytes {
		c.known[key] = data
		c.bytes += len(data)
	}
	return data, nil
}

// lists are a stem's postings, one for each segment.
func (v *view) lists(stem string) ([]located, error) {
	if known, ok := v.found[stem]; ok {
		return known, nil
	}
	if v.docs == nil {
		if err := v.prepare(); err != nil {
			return nil, err
		}
	}
	all := make([]located, len(v.segments))
	for i := range v.segments {
		var err error
		if all[i], err = v.list(&v.segments[i], stem); err != nil {
			return nil, err
		}
	}
	v.found[stem] = all
	return all, nil
}

// list finds a stem in a segment.
func (v *view) list(s *segment, stem string) (located, error) {
	places := v.ix.places[s.id]
	i := sort.Search(len(places), func(i int) bool { return places[i].first > stem }) - 1
	if i < 0 {
		return located{}, nil
	}
	chunk := chunkReader{base: s.base()}
	var err error
	if chunk.docs, err = v.docsOf(places[i].id); err != nil {
		return located{}, err
	}
	for first := true; chunk.next(); first = false {
		switch word := string(chunk.word); {
		case first && word != places[i].first:
			return located{}, errPostings
		case word == stem:
			return located{postings: chunk.postings, worn: s.worn, chunk: places[i].id, from: chunk.from, to: chunk.to}, nil
		case word > stem:
			return located{}, nil
		}
	}
	if chunk.damaged {
		return located{}, errPostings
	}
	return located{}, nil
}

// positionsOf reads the positions.
func (v *view) positionsOf(l *located) error {
	if l.chunk == 0 || l.postings.positions != nil {
		return nil
	}
	all, err := v.allPositionsOf(l.chunk)
	if err != nil {
		return err
	}
	if l.to > len(all) || l.from >= l.to {
		return errPostings
	}
	l.postings.positions = all[l.from:l.to:l.to]
	return nil
}

// beginnings visits the postings of all stems of a segment that begin with a word.
func (v *view) beginnings(s *segment, word string, positions bool, visit func(*postingReader)) error {
	places := v.ix.places[s.id]
	i := max(0, sort.Search(len(places), func(i int) bool { return places[i].first > word })-1)
	for ; i < len(places) && (places[i].first <= word || strings.HasPrefix(places[i].first, word)); i++ {
		c := segmentCursor{segment: s, chunk: chunkReader{base: s.base()}}
		var err error
		if c.chunk.docs, err = v.docsOf(places[i].id); err != nil {
			return err
		}
		if positions {
			if c.positions, err = v.allPositionsOf(places[i].id); err != nil {
				return err
			}
		}
		for c.chunk.next() {
			if !strings.HasPrefix(string(c.chunk.word), word) {
				continue
			}
			p := c.chunk.postings
			if positions {
				if c.chunk.to > len(c.positions) {
					return errPostings
				}
				p = c.list()
			}
			r := newPostingReader(p)
			visit(r)
			if err := r.err(); err != nil {
				return err
			}
		}
		if c.chunk.damaged {
			return errPostings
		}
	}
	return nil
}

// joined puts the postings of all stems that begin with a word together, with their
// positions.
func (v *view) joined(s *segment, word string) (located, error) {
	type hit struct {
		posting
		positions [columns][]uint32
	}
	var hits []hit
	err := v.beginnings(s, word, true, func(r *postingReader) {
		for r.next(0) {
			for k, p := range r.block {
				r.at = k
				h := hit{posting: p, positions: r.hits()}
				for column := range h.positions {
					h.positions[column] = slices.Clone(h.positions[column])
				}
				hits = append(hits, h)
			}
		}
	})
	if err != nil {
		return located{}, err
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.id, b.id) })
	var w postingWriter
	w.reset(s.base())
	for i := 0; i < len(hits); {
		own := hits[i]
		for i++; i < len(hits) && hits[i].id == own.id; i++ {
			for column := range own.positions {
				own.hits[column] += hits[i].hits[column]
				own.positions[column] = append(own.positions[column], hits[i].positions[column]...)
			}
		}
		var all []uint32
		for _, at := range own.positions {
			slices.Sort(at)
			all = append(all, at...)
		}
		w.add(own.posting, all)
	}
	return located{postings: w.finish(), worn: s.worn}, nil
}
