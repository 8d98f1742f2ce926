package search

import (
	"context"
	"database/sql"
	"slices"
)

// rows are all passages as a query wants them, in memory, by ascending ids. Those
// that are gone keep their rows until there are too many of them. [Index.view] sees to
// it that they are no older than a query's transaction.
type rows struct {
	loaded    bool
	change    int64 // of the file, up to which rows are
	blocks    []rowBlock
	ids       []int64
	documents []int64 // 0: gone
	words     []uint32
	gone      int
	total     int64      // words of those that are there
	norms     []float64  // what BM25 makes of words
	pages     [][]uint32 // rows by ids, of idPage ids each; 0: no row, else its number from 1 on
	vectors   vectorSet  // of the first rows
}

// rowBlock are the rows of a block.
type rowBlock struct {
	id, change int64
	from, to   int
}

const idPage = 4096

// at returns the row of a passage, -1 if it is not there.
func (r *rows) at(id int64) int {
	page := uint64(id) / idPage
	if page >= uint64(len(r.pages)) || r.pages[page] == nil {
		return -1
	}
	return int(r.pages[page][uint64(id)%idPage]) - 1
}

func (r *rows) append(h head) {
	page := int(h.id / idPage)
	for len(r.pages) <= page {
		r.pages = append(r.pages, nil)
	}
	if r.pages[page] == nil {
		r.pages[page] = make([]uint32, idPage)
	}
	r.ids, r.documents, r.words = append(r.ids, h.id), append(r.documents, h.document), append(r.words, uint32(h.words))
	r.pages[page][h.id%idPage] = uint32(len(r.ids))
	r.total += int64(h.words)
}

func (r *rows) remove(row int) {
	if r.documents[row] == 0 {
		return
	}
	id := r.ids[row]
	r.documents[row] = 0
	r.pages[id/idPage][id%idPage] = 0
	r.total -= int64(r.words[row])
	r.gone++
}

// alive is how many passages there are.
func (r *rows) alive() int { return len(r.ids) - r.gone }

// mostIDs bounds what a damaged file can make of pages.
const mostIDs = 1 << 36

// load brings the rows up to the state of the file.
func (r *rows) load(ctx context.Context, tx *sql.Tx, change int64) error {
	if r.gone > 1000 && r.gone > r.alive() {
		*r = rows{}
	}
	blocks, err := tx.QueryContext(ctx, "SELECT id, change, iif(change>?, data, NULL) FROM heads ORDER BY id", r.change)
	if err != nil {
		return err
	}
	defer blocks.Close()
	old := r.blocks
	var all []rowBlock
	for blocks.Next() {
		var b rowBlock
		var data sealed
		if err := blocks.Scan(&b.id, &b.change, &data); err != nil {
			return err
		}
		for len(old) > 0 && old[0].id < b.id {
			r.removeAll(old[0])
			old = old[1:]
		}
		known := len(old) > 0 && old[0].id == b.id
		if known {
			b.from, b.to = old[0].from, old[0].to
			old = old[1:]
		} else {
			b.from, b.to = len(r.ids), len(r.ids)
		}
		if data == nil {
			if !known {
				return errBlock
			}
			all = append(all, b)
			continue
		}
		heads, err := decodeHeads(data)
		if err != nil {
			return err
		}
		if err := r.update(&b, heads); err != nil {
			return err
		}
		all = append(all, b)
	}
	if err := blocks.Err(); err != nil {
		return err
	}
	for _, b := range old {
		r.removeAll(b)
	}
	r.blocks, r.change, r.loaded = all, change, true
	r.norms = slices.Grow(r.norms[:0], len(r.words))[:len(r.words)]
	mean := float64(r.total) / float64(max(1, r.alive()))
	for i, n := range r.words {
		r.norms[i] = bm25K1 * (1 - bm25B + bm25B*float64(n)/mean)
	}
	return nil
}

func (r *rows) removeAll(b rowBlock) {
	for row := b.from; row < b.to; row++ {
		r.remove(row)
	}
}

// update brings the rows of a block up to its heads: some are gone, or new ones
// behind all others.
func (r *rows) update(b *rowBlock, heads []head) error {
	for row := b.from; row < b.to; row++ {
		for len(heads) > 0 && heads[0].id < r.ids[row] {
			return errBlock // it was not there before
		}
		if len(heads) > 0 && heads[0].id == r.ids[row] {
			heads = heads[1:]
		} else {
			r.remove(row)
		}
	}
	if len(heads) == 0 {
		return nil
	}
	for ; b.to < len(r.ids); b.to++ { // of blocks behind it that are gone
		if r.documents[b.to] != 0 {
			return errBlock
		}
	}
	for _, h := range heads {
		if n := len(r.ids); n > 0 && h.id <= r.ids[n-1] || h.id < b.id || h.id >= mostIDs {
			return errBlock
		}
		r.append(h)
		b.to++
	}
	return nil
}

// loadVectors fills the vectors of the rows that have none yet; the rows are of this
// very transaction.
func (r *rows) loadVectors(ctx context.Context, tx *sql.Tx) error {
	v := &r.vectors
	if v.n == len(r.ids) {
		return nil
	}
	v.reopen()
	read, err := tx.PrepareContext(ctx, "SELECT data FROM vectors WHERE id=?")
	if err != nil {
		return err
	}
	defer read.Close()
	fill := func(blocks []rowBlock) error {
		for _, b := range blocks {
			if b.to <= v.n {
				continue
			}
			var data sealed
			if err := read.QueryRowContext(ctx, b.id).Scan(&data); err != nil {
				return missing(err)
			}
			there := 0
			for row := b.from; row < b.to; row++ {
				if r.documents[row] != 0 {
					there++
				}
			}
			if there == 0 || len(data)%there != 0 {
				return errBlock
			}
			width := len(data) / there
			if v.dimension == 0 {
				v.dimension = width - 4
			}
			for v.n < b.from { // of a block that is gone
				v.append(nil)
			}
			for row := b.from; row < b.to; row++ {
				var own []byte
				if r.documents[row] != 0 {
					own, data = data[:width], data[width:]
				}
				if row < v.n {
					continue
				}
				if err := v.append(own); err != nil {
					return err
				}
			}
		}
		for v.n < len(r.ids) && v.dimension > 0 {
			v.append(nil)
		}
		return nil
	}
	err = fill(r.blocks)
	v.finish()
	return err
}
