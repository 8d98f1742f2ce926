package search

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// blockOf has n passages.
func blockOf(r *rand.Rand, n int) *block {
	b := &block{id: 7}
	id, document := int64(6), int64(3)
	for i := range n {
		id += 1 + r.Int64N(1<<uint(r.IntN(30)))
		document = 1 + r.Int64N(1<<40)
		b.heads = append(b.heads, head{id, document, r.IntN(1 << 20)})
		b.texts = append(b.texts, shown{start: r.IntN(1 << 30), line: r.IntN(9), page: i, heading: strings.Repeat("Head > ", r.IntN(3)), text: strings.Repeat(fmt.Sprint("word ", i), r.IntN(50)), oneLine: i%3 == 0})
		for at := range r.IntN(3) {
			last := &b.texts[i]
			last.turns = append(last.turns, turn{min(at, len(last.text)), r.IntN(9), strings.Repeat("Turn", at)})
		}
		b.vectors = append(b.vectors, byte(i), byte(n))
	}
	return b
}

func TestBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, packTexts - 1, packTexts, packTexts + 1, blockPassages} {
		b := blockOf(r, n)
		heads, err := decodeHeads(encodeHeads(b.heads))
		if err != nil || !slices.Equal(heads, b.heads) {
			t.Fatalf("%d heads: %v", n, err)
		}
		packed := encodeTexts(b.texts)
		texts, err := decodeTexts(packed, n, -1)
		if err != nil || n > 0 && !reflect.DeepEqual(texts, b.texts) {
			t.Fatalf("%d texts: %v", n, err)
		}
		for i := range n {
			if one, err := decodeTexts(packed, n, i); err != nil || !reflect.DeepEqual(one[i], b.texts[i]) {
				t.Fatalf("text %d of %d: %v", i, n, err)
			}
		}
		if _, err := decodeTexts(packed, n+1, -1); err == nil {
			t.Errorf("%d texts are read as one more", n)
		}
		kept := b.heads
		kept = slices.DeleteFunc(slices.Clone(kept), func(h head) bool { return h.id%3 == 0 })
		b.keep(func(id int64) bool { return id%3 != 0 })
		if !slices.Equal(kept, b.heads) || len(b.texts) != len(kept) || len(b.vectors) != 2*len(kept) {
			t.Errorf("%d of %d are kept, want %d", len(b.heads), n, len(kept))
		}
	}
}

// TestPostings writes and reads postings of every length around a block's, with
// and without positions, and moves among them.
func TestPostings(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	for _, n := range []int{1, 2, postingBlock - 1, postingBlock, postingBlock + 1, 3 * postingBlock, 1000} {
		var w postingWriter
		w.reset(99)
		var want []posting
		var places [][]uint32
		id := int64(99)
		for range n {
			id += 1 + r.Int64N(300)
			p := posting{id: id, hits: [columns]uint32{uint32(r.IntN(3)), uint32(r.IntN(2)), uint32(r.IntN(2))}}
			if p.hits == [columns]uint32{} {
				p.hits[r.IntN(columns)] = 1
			}
			var at []uint32
			for _, k := range p.hits {
				place := uint32(0)
				for range k {
					place += r.Uint32N(1000)
					at = append(at, place)
				}
			}
			w.add(p, at)
			want, places = append(want, p), append(places, at)
		}
		list := w.finish()
		list = postings{list.count, list.base, bytes.Clone(list.docs), bytes.Clone(list.positions)}
		reader := newPostingReader(list)
		var got []posting
		for reader.next(0) {
			for i := range reader.block {
				reader.at = i
				if at := reader.positionsOf(); !slices.Equal(at, places[len(got)]) {
					t.Fatalf("%d postings: positions %v of %d, want %v", n, at, len(got), places[len(got)])
				}
				got = append(got, reader.block[i])
			}
		}
		if reader.err() != nil || !slices.Equal(got, want) {
			t.Fatalf("%d postings: %v", n, reader.err())
		}
		reader = newPostingReader(list)
		for i := 0; i < n; i += 1 + r.IntN(200) {
			p := reader.seek(want[i].id - int64(r.IntN(2)))
			if p == nil || p.id < want[max(i-1, 0)].id || p.id > want[i].id {
				t.Fatalf("posting %d of %d: %v, %v", i, n, p, reader.err())
			}
			if p = reader.seek(want[i].id); *p != want[i] || !slices.Equal(reader.positionsOf(), places[i]) {
				t.Fatalf("posting %d of %d: %v", i, n, p)
			}
		}
		if p := reader.seek(id + 1); p != nil || reader.err() != nil {
			t.Errorf("behind the last: %v, %v", p, reader.err())
		}
	}
}

func FuzzBlock(f *testing.F) {
	b := blockOf(rand.New(rand.NewPCG(8, 9)), 20)
	f.Add(encodeHeads(b.heads), encodeTexts(b.texts), 20)
	f.Add([]byte{1, 2, 3}, []byte{0}, 1)
	f.Fuzz(func(t *testing.T, heads, texts []byte, n int) {
		if found, err := decodeHeads(heads); err == nil && len(found) > 0 {
			if again, err := decodeHeads(encodeHeads(found)); err != nil || !slices.Equal(again, found) {
				t.Errorf("heads again: %v", err)
			}
		}
		n = min(max(n, 0), 100)
		if found, err := decodeTexts(texts, n, -1); err == nil {
			if again, err := decodeTexts(encodeTexts(found), n, -1); err != nil || !reflect.DeepEqual(again, found) {
				t.Errorf("texts again: %v", err)
			}
		}
	})
}

func FuzzPostings(f *testing.F) {
	var w postingWriter
	w.reset(0)
	for i := range 300 {
		w.add(posting{int64(1 + 2*i), [columns]uint32{1, 0, uint32(i % 2)}}, []uint32{uint32(i), 5}[:1+i%2])
	}
	list := w.finish()
	f.Add(list.docs, list.positions, list.count, int64(70))
	f.Add([]byte{4, 4, 6, 0, 0, 0}, []byte{1, 2}, 3, int64(1))
	f.Fuzz(func(t *testing.T, docs, positions []byte, count int, target int64) {
		for chunk := (&chunkReader{docs: docs}); chunk.next(); {
			if len(chunk.word) > len(docs) {
				t.Error("a word longer than the chunk")
			}
		}
		r := newPostingReader(postings{count: count, docs: docs, positions: positions})
		for p := r.seek(target); p != nil && !r.damaged; p = r.seek(p.id + 1) {
			r.hits()
		}
	})
}
