package server

import (
	"cmp"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// metrics are counters in Prometheus' text format.
type metrics struct {
	texts, tokens, positions, cancelled atomic.Int64

	mu       sync.Mutex
	requests map[requestKey]*requestCount
}

type requestKey struct {
	route  string
	status int
}

type requestCount struct {
	count   int64
	seconds float64
}

// request counts an answered request.
func (m *metrics) request(route string, status int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[requestKey]*requestCount{}
	}
	key := requestKey{route, status}
	if m.requests[key] == nil {
		m.requests[key] = &requestCount{}
	}
	m.requests[key].count++
	m.requests[key].seconds += took.Seconds()
}

// serveMetrics answers GET /metrics.
func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	metric := func(name, kind, help string, value any) {
		fmt.Fprintf(&b, "# HELP m2embed_%s %s\n# TYPE m2embed_%s %s\nm2embed_%s %v\n", name, help, name, kind, name, value)
	}
	m := &s.metrics
	metric("texts_total", "counter", "Texts embedded.", m.texts.Load())
	metric("tokens_total", "counter", "Tokens of these texts, special tokens included.", m.tokens.Load())
	metric("positions_total", "counter", "Positions run for them, pads included.", m.positions.Load())
	metric("cancelled_total", "counter", "Requests whose client left before the answer.", m.cancelled.Load())
	working, waiting := s.queue.counts()
	metric("requests_working", "gauge", "Requests that are worked on.", working)
	metric("requests_waiting", "gauge", "Requests that wait for others.", waiting)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	metric("heap_bytes", "gauge", "Bytes of memory in use, but for mapped weights.", memory.HeapInuse)
	metric("uptime_seconds", "gauge", "Seconds since the start.", time.Since(s.started).Seconds())

	m.mu.Lock()
	keys := make([]requestKey, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b requestKey) int {
		return cmp.Or(strings.Compare(a.route, b.route), cmp.Compare(a.status, b.status))
	})
	b.WriteString("# HELP m2embed_request_seconds Duration of requests, waiting included.\n# TYPE m2embed_request_seconds summary\n")
	for _, k := range keys {
		labels := fmt.Sprintf("{route=%q,status=\"%d\"}", k.route, k.status)
		fmt.Fprintf(&b, "m2embed_request_seconds_sum%s %v\nm2embed_request_seconds_count%s %d\n", labels, m.requests[k].seconds, labels, m.requests[k].count)
	}
	m.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, b.String())
}
