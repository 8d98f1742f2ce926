package batch

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sort"
	"sync"
)

// Documents wait in one spool file a shard, as they were read: a kind, then id
// and text (or reason and detail), each behind its length. So a shard is embedded
// without its input, a text is found by its place, and memory holds ids alone.
const (
	kindDocument = 0
	kindRejected = 1
)

// shardOf spreads ids evenly, the same anywhere.
func shardOf(id string, shards int) int {
	h := fnv.New64a()
	io.WriteString(h, id)
	// FNV's low bits are weak for ids that differ in the last letter.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return int(x % uint64(shards))
}

// spool writes the files.
type spool struct {
	files   []*os.File
	writers []*bufio.Writer
	scratch []byte
}

// newSpool creates the files; the buffers together have a few MiB.
func newSpool(names []string) (*spool, error) {
	s := &spool{}
	size := min(max(8<<20/len(names), 4096), 1<<18)
	for _, n := range names {
		f, err := os.Create(n)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.files = append(s.files, f)
		s.writers = append(s.writers, bufio.NewWriterSize(f, size))
	}
	return s, nil
}

func (s *spool) add(shard int, r record) error {
	b := s.scratch[:0]
	if r.rejected != nil {
		b = append(b, kindRejected)
	} else {
		b = append(b, kindDocument)
	}
	b = binary.AppendUvarint(b, uint64(len(r.ID)))
	b = append(b, r.ID...)
	if r.rejected != nil {
		b = binary.AppendUvarint(b, uint64(len(r.rejected.Reason)))
		b = append(b, r.rejected.Reason...)
		b = binary.AppendUvarint(b, uint64(len(r.rejected.Detail)))
		b = append(b, r.rejected.Detail...)
	} else {
		b = binary.AppendUvarint(b, uint64(len(r.Text)))
	}
	s.scratch = b
	w := s.writers[shard]
	if _, err := w.Write(b); err != nil {
		return err
	}
	if r.rejected != nil {
		return nil
	}
	_, err := w.WriteString(r.Text)
	return err
}

// finish makes the files safe on disk, some at a time: a disk that is asked for
// many at once needs little longer than for one.
func (s *spool) finish() error {
	for _, w := range s.writers {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	failures := make([]error, len(s.files))
	var group sync.WaitGroup
	const together = 16
	for first := range min(together, len(s.files)) {
		group.Go(func() {
			for i := first; i < len(s.files); i += together {
				failures[i] = s.files[i].Sync()
			}
		})
	}
	group.Wait()
	return errors.Join(errors.Join(failures...), s.close())
}

func (s *spool) close() (err error) {
	for _, f := range s.files {
		err = errors.Join(err, f.Close())
	}
	s.files = nil
	return err
}

// waiting is a document in a spool file.
type waiting struct {
	id       string
	offset   int64 // of the text
	length   int
	rejected *Rejected
}

// shard is an opened spool file: its documents by id, each id once.
type shard struct {
	file    *os.File
	entries []waiting
	dropped int // documents whose id another one has
}

// openShard reads where the documents are. Of equal ids the first or the last
// stays, or they are an error.
func openShard(ctx context.Context, name, duplicates string) (s *shard, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	s = &shard{file: f}
	in := &counter{r: bufio.NewReaderSize(f, 1<<16)}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		kind, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		var w waiting
		if w.id, err = in.text(longestPlace); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", name, err)
		}
		if kind == kindRejected {
			r := &Rejected{ID: w.id}
			if r.Reason, err = in.text(longestPlace); err == nil {
				r.Detail, err = in.text(longestPlace)
			}
			w.rejected = r
		} else {
			var n uint64
			if n, err = binary.ReadUvarint(in); err == nil {
				w.offset, w.length = in.n, int(n)
				err = in.skip(n)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", name, err)
		}
		s.entries = append(s.entries, w)
	}
	sort.SliceStable(s.entries, func(i, k int) bool { return s.entries[i].id < s.entries[k].id })
	kept := s.entries[:0]
	for i, w := range s.entries {
		same := i > 0 && w.id == s.entries[i-1].id
		switch {
		case same && duplicates == "last":
			kept[len(kept)-1] = w
			s.dropped++
		case same && duplicates == "first":
			s.dropped++
		case same:
			return nil, fmt.Errorf("the id %q is there twice; give documents ids of their own, or say which one stays (--on-duplicate first or last)", short(w.id))
		default:
			kept = append(kept, w)
		}
	}
	s.entries = kept
	return s, nil
}

// longestPlace bounds ids that are made of a file's name.
const longestPlace = 1 << 16

// text reads the text of a document.
func (s *shard) text(w waiting) (string, error) {
	b := make([]byte, w.length)
	_, err := s.file.ReadAt(b, w.offset)
	return string(b), err
}

// counter counts what is read.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func (c *counter) text(most int) (string, error) {
	n, err := binary.ReadUvarint(c)
	if err != nil {
		return "", err
	}
	if n > uint64(most) {
		return "", fmt.Errorf("a text of %d bytes, expected at most %d", n, most)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return "", err
	}
	c.n += int64(n)
	return string(b), nil
}

func (c *counter) skip(n uint64) error {
	if n > 1<<40 {
		return fmt.Errorf("a text of %d bytes", n)
	}
	// Discard takes an int.
	_, err := c.r.Discard(int(n))
	c.n += int64(n)
	return err
}
