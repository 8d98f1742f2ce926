package search

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Passages lie in blocks of neighbours, in three tables: heads, which a reader
// keeps in memory, vectors, and texts, which are compressed. A head is, for each
// passage by ascending ids,
//
//	uvarint  its id less that of the one before
//	varint   its document's id less that of the one before
//	uvarint  its words in all columns
//
// vectors are what [quantize] makes, one behind the other, and texts are, for every
// packTexts of them, a uvarint of the bytes of a Zstandard frame, and the frame of,
// for each
//
//	uvarint  the byte of the document at which it begins
//	uvarint  twice its line, and 1 more if all of it stands there
//	uvarint  its page
//	uvarint  bytes of its heading, and the heading
//	uvarint  bytes of its text, and the text
//	uvarint  how many turns it has, and for each the byte, the page, and the heading
const (
	// blockPassages and blockBytes of text are what a block has, and not less unless
	// it is the last, or passages are gone.
	blockPassages = 64
	blockBytes    = 64 << 10
	// packTexts are compressed together: to show one, all of them are unpacked.
	packTexts = 16
	// mostBlock bounds what a block may unpack to.
	mostBlock = 64 << 20
	// mostPassage is the most bytes of one passage.
	mostPassage = 16 << 20
)

// errBlock is what a reader finds that no writer writes.
var errBlock = fmt.Errorf("%w: a block of passages is broken", ErrDamaged)

// head is what a block's head holds of a passage.
type head struct {
	id, document int64
	words        int
}

// shown is what is shown of a passage.
type shown struct {
	start, line, page int
	heading, text     string
	turns             []turn
	oneLine           bool // all of it stands at line
}

// block is a block of passages.
type block struct {
	id      int64
	heads   []head
	vectors []byte
	texts   []shown
}

func encodeHeads(heads []head) []byte {
	var b []byte
	var before head
	for _, h := range heads {
		b = binary.AppendUvarint(b, uint64(h.id-before.id))
		b = binary.AppendVarint(b, h.document-before.document)
		b = binary.AppendUvarint(b, uint64(h.words))
		before = h
	}
	return b
}

func decodeHeads(data []byte) ([]head, error) {
	heads := make([]head, 0, min(len(data)/3, blockPassages))
	var before head
	for len(data) > 0 {
		id, rest, ok := number(data)
		document, size := binary.Varint(rest)
		if !ok || size <= 0 {
			return nil, errBlock
		}
		words, rest, ok := number(rest[size:])
		h := head{before.id + int64(id), before.document + document, int(words)}
		if !ok || id > math.MaxInt64 || h.id <= before.id || h.document <= 0 || words > math.MaxUint32 {
			return nil, errBlock
		}
		heads = append(heads, h)
		before, data = h, rest
	}
	return heads, nil
}

// coders are shared: both are safe for concurrent use.
var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(1<<18), zstd.WithZeroFrames(true))
	d, err2 := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(mostBlock), zstd.WithDecoderConcurrency(0))
	if err := errors.Join(err, err2); err != nil {
		panic(err) // the options are constants
	}
	return e, d
})

func encodeTexts(texts []shown) []byte {
	var b, all []byte
	e, _ := coders()
	for own := range slices.Chunk(texts, packTexts) {
		b = b[:0]
		for _, t := range own {
			line := 2 * t.line
			if t.oneLine {
				line++
			}
			for _, n := range []int{t.start, line, t.page} {
				b = binary.AppendUvarint(b, uint64(n))
			}
			b = appendString(appendString(b, t.heading), t.text)
			b = binary.AppendUvarint(b, uint64(len(t.turns)))
			for _, u := range t.turns {
				b = binary.AppendUvarint(b, uint64(u.At))
				b = binary.AppendUvarint(b, uint64(u.Page))
				b = appendString(b, u.Heading)
			}
		}
		frame := e.EncodeAll(b, nil)
		all = binary.AppendUvarint(all, uint64(len(frame)))
		all = append(all, frame...)
	}
	return all
}

// decodeTexts reads n texts. Where only is not negative, the others may be empty.
func decodeTexts(data []byte, n, only int) ([]shown, error) {
	texts := make([]shown, 0, n)
	for len(texts) < n {
		size, rest, ok := number(data)
		if !ok || size > uint64(len(rest)) {
			return nil, errBlock
		}
		own := min(n-len(texts), packTexts)
		at := len(texts)
		texts = texts[:at+own]
		data = rest[size:]
		if only >= 0 && only/packTexts != at/packTexts {
			continue
		}
		if err := decodePack(rest[:size], texts[at:], only-at); err != nil {
			return nil, err
		}
	}
	if len(data) > 0 {
		return nil, errBlock
	}
	return texts, nil
}

// decodePack fills texts that were compressed together.
func decodePack(frame []byte, texts []shown, only int) error {
	_, d := coders()
	room, _ := unpacked.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	data, err := d.DecodeAll(frame, (*room)[:0])
	if err != nil {
		return fmt.Errorf("%w (%w)", errBlock, err)
	}
	*room = data
	defer unpacked.Put(room)
	for i := range texts {
		var n [3]uint64
		ok := true
		for i := range n {
			if n[i], data, ok = number(data); !ok || n[i] > math.MaxInt64 {
				return errBlock
			}
		}
		heading, rest, ok1 := stringAt(data)
		text, rest, ok2 := stringAt(rest)
		count, rest, ok3 := number(rest)
		if !ok1 || !ok2 || !ok3 || count > uint64(len(rest)) {
			return errBlock
		}
		var turns []turn
		for range count {
			at, next, ok1 := number(rest)
			page, next, ok2 := number(next)
			own, next, ok3 := stringAt(next)
			if !ok1 || !ok2 || !ok3 || at > uint64(len(text)) || page > math.MaxInt64 {
				return errBlock
			}
			if rest = next; only < 0 || only == i {
				turns = append(turns, turn{int(at), int(page), string(own)})
			}
		}
		if only < 0 || only == i {
			texts[i] = shown{start: int(n[0]), line: int(n[1] / 2), page: int(n[2]), heading: string(heading), text: string(text), turns: turns, oneLine: n[1]%2 == 1}
		}
		data = rest
	}
	if len(data) > 0 {
		return errBlock
	}
	return nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// stringAt takes what appendString wrote.
func stringAt(data []byte) (s, rest []byte, ok bool) {
	size, rest, ok := number(data)
	if !ok || size > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:size], rest[size:], true
}

// unpacked keeps room for texts.
var unpacked sync.Pool

// bytes of text in the block, about.
func (b *block) bytes() (n int) {
	for _, t := range b.texts {
		n += len(t.text) + len(t.heading)
	}
	return n
}

// full reports whether a passage more is too much.
func (b *block) full(more shown) bool {
	return len(b.heads) >= blockPassages || len(b.heads) > 0 && b.bytes()+len(more.text) > blockBytes
}

// keep leaves only some of the passages.
func (b *block) keep(keep func(id int64) bool) {
	width, n := 0, 0
	if len(b.heads) > 0 {
		width = len(b.vectors) / len(b.heads)
	}
	for i, h := range b.heads {
		if !keep(h.id) {
			continue
		}
		b.heads[n], b.texts[n] = h, b.texts[i]
		copy(b.vectors[n*width:], b.vectors[i*width:(i+1)*width])
		n++
	}
	b.heads, b.texts, b.vectors = b.heads[:n], b.texts[:n], b.vectors[:n*width]
}
