package server

import (
	"io"
	"math"
	"net/http"
	"time"

	"m2embed/core"
	"m2embed/core/model"
)

// smallBody is the size up to which bodies may use the second half of the queue's
// bytes, which large ones leave free: while a large one is read, its buffer takes up
// to three times its size.
const smallBody = 64 << 10

// admission is a request's place in the queue, from before its body is read.
type admission struct {
	queue *queue
	bytes int64
	use   *use // the request's model, nil before it is known
}

// admit gives a request of so many bytes a place, or errFull. A body that is
// larger than the whole queue may come while no other is there.
func (q *queue) admit(bytes int64) (*admission, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := q.limits.bytes
	if bytes > smallBody {
		room /= 2
	}
	if q.admitted >= q.limits.requests || q.bytes+bytes > room && q.bytes > 0 {
		return nil, errFull
	}
	q.admitted++
	q.bytes += bytes
	return &admission{queue: q, bytes: bytes}, nil
}

// shrink says that a body was smaller than it could have been.
func (a *admission) shrink(bytes int64) {
	a.queue.mu.Lock()
	defer a.queue.mu.Unlock()
	if bytes < a.bytes {
		a.queue.bytes -= a.bytes - bytes
		a.bytes = bytes
	}
}

// leave gives the place and the model back.
func (a *admission) leave() {
	if a.use != nil {
		a.use.release()
	}
	q := a.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.admitted--
	q.bytes -= a.bytes
}

// held is the number of bytes of all bodies.
func (q *queue) held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// full says whether a small request would be refused.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.admitted >= q.limits.requests || q.bytes >= q.limits.bytes
}

// retryAfter is the number of seconds after which what is waiting now will be
// done, at the speed of late.
func (q *queue) retryAfter() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	seconds := 0.0
	for s := range q.speeds {
		if s.rate > 0 {
			seconds += float64(s.owed) / s.rate
		}
	}
	return int(min(max(math.Ceil(seconds), 1), 600))
}

// receive gives a request a place in the queue, before its body is read, and
// returns the body.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (*admission, *bodyReader, error) {
	bytes := r.ContentLength
	if bytes < 0 {
		bytes = s.options.BodyLimit
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.options.BodyTime))
	if bytes > s.options.BodyLimit {
		return nil, nil, &http.MaxBytesError{Limit: s.options.BodyLimit}
	}
	place, err := s.queue.admit(bytes)
	if err != nil {
		return nil, nil, err
	}
	return place, &bodyReader{Reader: http.MaxBytesReader(w, r.Body, s.options.BodyLimit)}, nil
}

// received says that all of a body was read.
func (s *Server) received(w http.ResponseWriter, place *admission, body *bodyReader) {
	place.shrink(body.bytes)
	http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// bodyReader counts what is read of a body.
type bodyReader struct {
	io.Reader
	bytes int64
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.bytes += int64(n)
	return n, err
}

// bytesPerToken is that of English text, roughly. It decides about turns only.
const bytesPerToken = 4

// newTask makes a task of a request. Its cost is what its texts seem to need.
func newTask(u *use, inputs []core.Input, o core.Options) *task {
	t := &task{engine: u.Model, speed: u.of.speed, inputs: inputs, options: o}
	c := u.config
	padding := o.Padding
	if padding.Mode == model.PadDefault {
		padding = c.Padding
	}
	limit := c.MaxLength()
	if o.MaxLength > 0 {
		limit = min(limit, o.MaxLength)
	}
	longest := 0
	for _, in := range inputs {
		n := len(in.IDs)
		if in.IDs == nil {
			n = len(in.Text)/bytesPerToken + 2
		}
		n = max(1, min(n, limit))
		longest = max(longest, n)
		switch padding.Mode {
		case model.PadMax, model.PadDefault:
			n = max(n, limit)
		case model.PadToLength:
			n = max(n, padding.Length)
		}
		t.cost += n
	}
	if padding.Mode == model.PadLongest {
		// The length depends on the texts of the call, and the vectors on it.
		t.cost, t.alone = longest*len(inputs), true
	}
	return t
}
