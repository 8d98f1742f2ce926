package host

import (
	"errors"
	"io"
	"sync"

	"m2embed/core/checkpoint"
	"m2embed/core/model"
)

// stream gives a checkpoint's tensors as a safetensors file that exists
// nowhere: it is written anew, into a pipe, for each reader that begins at its
// start. So any checkpoint can be handed to an engine that wants one file,
// without the parts that no model uses, and is never copied as a whole.
type stream struct {
	outputs []checkpoint.Output
	size    int64

	mu   sync.Mutex
	pipe *io.PipeReader // of the reading under way
	at   int64          // its position
}

func newStream(f *checkpoint.File) (*stream, error) {
	s := &stream{}
	for _, name := range f.Names() {
		if !model.InEncoder(name) {
			continue
		}
		info, _ := f.Info(name)
		s.outputs = append(s.outputs, checkpoint.Output{
			Name: name, DType: info.DType, Shape: info.Shape,
			Write: func(w io.Writer) error {
				t, err := f.Tensor(name)
				if err != nil {
					return err
				}
				_, err = w.Write(t.Data)
				return err
			},
		})
	}
	var n counter
	if err := checkpoint.WriteSafetensors(&n, nil, s.outputs); err != nil {
		return nil, err
	}
	s.size = int64(n)
	return s, nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// ReadAt is quick where each call goes on where the last one ended.
func (s *stream) ReadAt(p []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipe == nil || offset < s.at {
		if s.pipe != nil {
			s.pipe.Close()
		}
		r, w := io.Pipe()
		go func() { w.CloseWithError(checkpoint.WriteSafetensors(w, nil, s.outputs)) }()
		s.pipe, s.at = r, 0
	}
	skipped, err := io.CopyN(io.Discard, s.pipe, offset-s.at)
	s.at += skipped
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.pipe, p)
	s.at += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Close ends a reading that did not reach the end.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipe == nil {
		return nil
	}
	err := s.pipe.Close()
	s.pipe = nil
	return err
}
