package server

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus reads of a server. Labels have few values: none
// comes from a request.
type metrics struct {
	texts, tokens, positions, cancelled atomic.Int64

	requests *prometheus.HistogramVec // seconds, by route and status
	stages   *prometheus.HistogramVec // seconds, by stage
	batch    prometheus.Histogram     // positions of a group
	company  prometheus.Histogram     // requests of a group
	refused  *prometheus.CounterVec   // by reason
	handler  http.Handler
}

// newMetrics makes the metrics of a server, which has its queue already.
func newMetrics(s *Server) *metrics {
	m := &metrics{}
	registry := prometheus.NewRegistry()
	named := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "m2embed", Name: name, Help: help}
	}
	count := func(name, help string, value *atomic.Int64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts(named(name, help)), func() float64 { return float64(value.Load()) }))
	}
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(named(name, help)), value))
	}
	spread := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "m2embed", Name: name, Help: help, Buckets: buckets}
	}
	count("texts_total", "Texts embedded.", &m.texts)
	count("tokens_total", "Tokens of these texts, special tokens included.", &m.tokens)
	count("positions_total", "Positions run for them, pads included.", &m.positions)
	count("cancelled_total", "Requests whose client left before the answer.", &m.cancelled)
	gauge("requests_working", "Requests that are worked on.", func() float64 { working, _ := s.queue.counts(); return float64(working) })
	gauge("requests_waiting", "Requests that wait for others.", func() float64 { _, waiting := s.queue.counts(); return float64(waiting) })
	gauge("queue_bytes", "Bytes of the bodies of these requests, read or to be read.", func() float64 { return float64(s.queue.held()) })
	gauge("heap_bytes", "Bytes of memory in use, but for mapped weights.", func() float64 {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return float64(memory.HeapInuse)
	})
	gauge("go_threads", "Threads that Go runs at a time: one a processor, and some more beside long texts.", func() float64 { return float64(runtime.GOMAXPROCS(0)) })
	gauge("models_loaded", "Models that are open.", func() float64 { return float64(s.loader.loaded()) })
	gauge("uptime_seconds", "Seconds since the start.", func() float64 { return time.Since(s.started).Seconds() })
	seconds := prometheus.ExponentialBuckets(0.001, 4, 10) // to 262 s
	m.requests = prometheus.NewHistogramVec(spread("request_seconds", "Duration of requests, waiting included.", seconds), []string{"route", "status"})
	m.stages = prometheus.NewHistogramVec(spread("stage_seconds", "Time in the queue, by request; of a run, tokenizing and turns of others included, by group.", seconds), []string{"stage"})
	m.batch = prometheus.NewHistogram(spread("batch_positions", "Positions that ran together.", prometheus.ExponentialBuckets(16, 4, 9)))
	m.company = prometheus.NewHistogram(spread("batch_requests", "Requests that ran together.", prometheus.ExponentialBuckets(1, 2, 8)))
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts(named("refused_total", "Requests refused, by reason.")), []string{"reason"})
	registry.MustRegister(m.requests, m.stages, m.batch, m.company, m.refused)
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// request counts an answered request.
func (m *metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// group counts requests that ran together.
func (m *metrics) group(waited []time.Duration, worked time.Duration, positions, requests int) {
	for _, w := range waited {
		m.stages.WithLabelValues("queue").Observe(w.Seconds())
	}
	m.stages.WithLabelValues("run").Observe(worked.Seconds())
	m.batch.Observe(float64(positions))
	m.company.Observe(float64(requests))
}

// refuse counts a refused request by its error's code, which is one of ours.
func (m *metrics) refuse(e *apiError) {
	reason := e.code
	if reason == "" {
		reason = strconv.Itoa(e.status)
	}
	m.refused.WithLabelValues(reason).Inc()
}

// serveMetrics answers GET /metrics.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	s.metrics.handler.ServeHTTP(w, r)
}
