// Package server offers models over HTTP, in the shapes of OpenAI's embeddings
// API, of Cohere's reranking, of Text Embeddings Inference (TEI) and of Ollama,
// and searches in an index. openapi.yaml describes it.
//
// Requests take turns of some milliseconds, and short ones of different clients
// run together, so that a short text never waits for the whole of a long one.
package server

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"m2embed/core"
	"m2embed/core/tokenizer"
	"m2embed/host"
	"m2embed/host/search"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Options are the limits of a server; the zero value is good.
type Options struct {
	AnyModel   bool          // requests may name any model: they mean the first one
	Unload     time.Duration // for which a model is not asked for before it is closed; 0 for ever
	Token      string        // that all requests but those for health must bear, unless empty
	Hosts      []string      // names beside loopback addresses that requests may be for, in lower case; nil for any
	BodyLimit  int64         // bytes of a request; 0 means 16 MiB
	BatchLimit int           // texts of a request; 0 means 2,048
	Concurrent int           // groups of requests that are worked on at a time; 0 means 4
	Waiting    int           // requests that wait beyond these; 0 means 256, negative none
	QueueBytes int64         // of all requests' bodies, read or to be read; 0 means 32 MiB
	PassTokens int           // positions of short requests that run together; 0 means 2,048
	Timeout    time.Duration // for a request's work and waiting; 0 means 5 minutes
	BodyTime   time.Duration // for a body to arrive; 0 means 30 seconds
	Site       fs.FS         // files to serve beside the API; nil for none
	Origins    []string      // of pages elsewhere that may ask ("https://example.org"), or "*"
	Profile    bool          // answer /debug/pprof
	// Long is told when long requests begin to be worked on, and when none is any
	// more; one call at a time, which must not take long. Nil for nobody.
	Long   func(some bool)
	Log    *slog.Logger // for requests that fail; nil for none
	Tracer trace.Tracer // of requests and their time in the engine; nil for none
}

// Server answers requests about models.
type Server struct {
	loader  *loader
	options Options
	handler http.Handler
	queue   *queue
	metrics *metrics
	index   search.Store // nil for none
	started time.Time
	active  sync.WaitGroup // requests
	// stopping is set by Drain.
	stopping atomic.Bool
}

// Routes are the patterns that a server answers, as openapi.yaml has them.
var Routes = []string{
	"POST /v1/embeddings",
	"GET /v1/models",
	"GET /v1/models/{model...}",
	"POST /embed",
	"POST /{$}",
	"POST /embed_all",
	"POST /similarity",
	"POST /tokenize",
	"POST /decode",
	"GET /info",
	"GET /health",
	"POST /rerank",
	"POST /v1/rerank",
	"POST /v2/rerank",
	"POST /search",
	"POST /documents",
	"GET /documents",
	"DELETE /documents/{id...}",
	"POST /api/embed",
	"POST /api/embeddings",
	"GET /api/tags",
	"POST /api/show",
	"GET /api/version",
	"GET /healthz",
	"GET /readyz",
	"GET /metrics",
	"GET /openapi.yaml",
}

// handlers are those of Routes.
func (s *Server) handlers() []http.HandlerFunc {
	return []http.HandlerFunc{
		s.answer(s.embed), s.models, s.oneModel,
		s.answer(s.teiEmbed), s.answer(s.teiRoot), s.answer(s.teiStates), s.answer(s.teiSimilarity),
		s.answer(s.teiTokenize), s.answer(s.teiDecode), s.teiInfo, s.health,
		s.answer(s.teiRerank), s.answer(s.cohereRerank), s.answer(s.cohereRerank),
		s.answer(s.search), s.answer(s.addDocuments), s.answer(s.countDocuments), s.answer(s.removeDocument),
		s.answer(s.ollamaEmbed), s.answer(s.ollamaEmbedding), s.ollamaTags,
		s.answer(s.ollamaShow), s.ollamaVersion,
		s.health, s.ready, s.serveMetrics, s.describe,
	}
}

//go:embed openapi.yaml
var openAPI []byte

// New makes a server for models, of which there is at least one and whose names
// differ. The first is the one that requests mean that name none.
func New(models []Source, o Options) *Server {
	defaultTo(&o.BodyLimit, 16<<20)
	defaultTo(&o.BatchLimit, 2048)
	defaultTo(&o.Concurrent, 4)
	defaultTo(&o.Waiting, 256)
	defaultTo(&o.QueueBytes, 32<<20)
	defaultTo(&o.PassTokens, 2048)
	defaultTo(&o.Timeout, 5*time.Minute)
	defaultTo(&o.BodyTime, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{loader: newLoader(models, o.Unload), options: o, started: time.Now()}
	s.loader.changed = s.logModel
	s.queue = newQueue(queueLimits{o.Concurrent, o.Concurrent + max(o.Waiting, 0), o.QueueBytes, o.PassTokens})
	if o.Long != nil {
		s.queue.long = o.Long
	}
	s.metrics = newMetrics(s)
	s.queue.observe = s.metrics.group
	mux := http.NewServeMux()
	handlers, known := s.handlers(), map[string]bool{}
	for i, route := range Routes {
		mux.HandleFunc(route, handlers[i])
		_, path, _ := strings.Cut(route, " ")
		if path = strings.TrimSuffix(path, "{$}"); path != "/" && !known[path] {
			known[path] = true
			mux.HandleFunc(path, s.noRoute)
		}
	}
	if o.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/debug/", s.noRoute)
	mux.HandleFunc("/v1/", s.noRoute)
	mux.HandleFunc("/api/", s.noRoute)
	if o.Site != nil {
		mux.Handle("/", site(o.Site))
	} else {
		mux.HandleFunc("/", s.noRoute)
	}
	s.handler = s.guard(mux)
	return s
}

func defaultTo[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Wait returns when no request is under way.
func (s *Server) Wait() {
	s.active.Wait()
	s.queue.jobs.Wait()
}

// Close waits for the requests under way and closes the models. No new requests
// may come.
func (s *Server) Close() {
	s.Wait()
	s.loader.closeAll()
}

// Load opens the first model, so that no request waits for it, and says what it is.
func (s *Server) Load(ctx context.Context) (host.Info, error) {
	u, err := s.loader.acquire(ctx, s.loader.models[0])
	if err != nil {
		return host.Info{}, plainly(err)
	}
	defer u.release()
	return u.Info(), nil
}

// logModel logs what becomes of a model.
func (s *Server) logModel(name, what string, err error) {
	if err != nil {
		s.options.Log.Error("the model could not be "+what, "model", name, "error", err)
		return
	}
	if len(s.loader.models) > 1 || s.loader.after > 0 {
		s.options.Log.Info("model "+what, "model", name)
	}
}

// guard counts requests and turns panics into errors of this one request.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w}
		// The connection may still have the deadline of an earlier response.
		http.NewResponseController(w).SetWriteDeadline(time.Time{})
		began, id := time.Now(), identify(w, r)
		r, traced := s.traced(r, id)
		s.active.Add(1)
		defer s.active.Done()
		defer func() {
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler {
					panic(fault)
				}
				s.options.Log.Error("fault", "request", id, "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
				if recorder.status == 0 {
					writeError(recorder, r, errFault)
				}
			}
			s.metrics.request(routeOf(r), recorder.status, time.Since(began))
			traced(recorder.status, routeOf(r))
		}()
		if s.crossOrigin(recorder, r) {
			return
		}
		if err := s.refuse(r); err != nil {
			if err.status == http.StatusUnauthorized && s.options.Site != nil && r.Method == http.MethodGet {
				w.Header().Add("WWW-Authenticate", `Basic realm="m2embed", charset="UTF-8"`)
			}
			s.metrics.refuse(err)
			writeError(recorder, r, err)
			return
		}
		next.ServeHTTP(recorder, r)
	})
}

// pick returns the model that a request names; "" is the first one.
func (s *Server) pick(name string) (*served, error) {
	if name == "" {
		return s.loader.models[0], nil
	}
	m := s.loader.find(name)
	if m == nil && s.options.AnyModel {
		m = s.loader.models[0]
	}
	if m == nil {
		return nil, s.noModel(clip(name))
	}
	return m, nil
}

// pickAside is pick for an API that has no such member: where only one model is
// served, it says nothing.
func (s *Server) pickAside(name string) (*served, error) {
	if len(s.loader.models) == 1 {
		name = ""
	}
	return s.pick(name)
}

// open lets a request use the model that it names until it leaves its place.
func (s *Server) open(ctx context.Context, place *admission, name string, pick func(name string) (*served, error)) error {
	m, err := pick(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	place.use, err = s.loader.acquire(ctx, m)
	return err
}

// routeOf is the pattern that answered, so that metrics have few labels.
func routeOf(r *http.Request) string {
	for _, route := range Routes {
		if r.Pattern == route {
			return route
		}
	}
	return "other"
}

// statusRecorder remembers the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer makes a handler of what answers or fails.
func (s *Server) answer(try func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if err := checkType(r); err != nil {
				s.metrics.refuse(err)
				writeError(w, r, err)
				return
			}
		}
		err := try(w, r)
		if err == nil {
			return
		}
		failure := s.classify(r, err)
		if failure.status == statusClosed {
			s.metrics.cancelled.Add(1)
		}
		s.metrics.refuse(failure)
		s.options.Log.Warn("request failed", "request", r.Header.Get(requestID), "path", r.URL.Path, "status", failure.status, "error", failure.message)
		writeError(w, r, failure)
	}
}

// statusClosed is recorded for clients that have gone; nobody reads it.
const statusClosed = 499

// classify turns an error into a response.
func (s *Server) classify(r *http.Request, err error) *apiError {
	var known *apiError
	var large *http.MaxBytesError
	var fault *core.Fault
	var broken *panicError
	var unloadable *loadError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &large):
		return &apiError{status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", code: codeTooBig, message: "the request is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	case errors.Is(err, errFull):
		wait := s.queue.retryAfter()
		return &apiError{status: http.StatusTooManyRequests, kind: "requests", code: "rate_limit_exceeded", retry: wait,
			message: fmt.Sprintf("too many requests are waiting; try again in %d s", wait)}
	case errors.Is(err, os.ErrDeadlineExceeded): // before the context, which it cancels
		return &apiError{status: http.StatusRequestTimeout, kind: "invalid_request_error", code: "slow_body",
			message: "the request's body did not arrive within " + s.options.BodyTime.String()}
	case r.Context().Err() != nil:
		return &apiError{status: statusClosed, kind: "server_error", code: "cancelled", message: "the request was cancelled"}
	case errors.Is(err, context.DeadlineExceeded):
		return &apiError{status: http.StatusGatewayTimeout, kind: "server_error", code: "timeout", message: "the request took longer than " + s.options.Timeout.String()}
	case errors.As(err, &broken):
		s.options.Log.Error("fault", "request", r.Header.Get(requestID), "path", r.URL.Path, "fault", broken.fault, "stack", string(broken.stack))
		return errFault
	case errors.As(err, &unloadable):
		return &apiError{status: http.StatusServiceUnavailable, kind: "server_error", param: "model", code: "model_unavailable", message: unloadable.Error(), retry: 10}
	case errors.As(err, &fault):
		return &apiError{status: http.StatusInternalServerError, kind: "server_error", message: err.Error()}
	case errors.Is(err, tokenizer.ErrTooLong):
		return coded(codeTooLong, "input", "%v", err)
	}
	return invalid("input", "%v", err)
}

// embed answers POST /v1/embeddings.
func (s *Server) embed(w http.ResponseWriter, r *http.Request) error {
	place, request, err := s.read(w, r, openAIForm)
	if err != nil {
		return err
	}
	defer place.leave()
	u := place.use
	results, err := s.run(r.Context(), u, request.inputs, request.options)
	if err != nil {
		return err
	}
	tokens := 0
	for _, e := range results {
		tokens += e.Tokens
	}
	patience(w)
	return writeEmbeddings(w, u.of.Name, core.SpaceOf(u.Info().Space, u.config, request.options), request.base64, results, tokens)
}

// read gives a request a place in the queue and reads and checks it.
func (s *Server) read(w http.ResponseWriter, r *http.Request, f form) (*admission, *request, error) {
	place, body, err := s.receive(w, r)
	if err != nil {
		return nil, nil, err
	}
	request, err := readAs(body, s.options.BatchLimit, f)
	if err == nil {
		s.received(w, place, body)
		err = s.openFor(r.Context(), place, request)
	}
	if err != nil {
		place.leave()
		return nil, nil, err
	}
	return place, request, nil
}

// openFor opens the model that a request names and checks the request against it.
func (s *Server) openFor(ctx context.Context, place *admission, request *request) error {
	if request.modelGiven && request.model == "" {
		return s.noModel("")
	}
	pick := s.pick
	if request.modelAside {
		pick = s.pickAside
	}
	if err := s.open(ctx, place, request.model, pick); err != nil {
		return err
	}
	return request.check(place.use)
}

// patience bounds the time for a response: a client that does not read must not
// hold the results for ever.
func patience(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
}

// run makes vectors when it is a request's turn.
func (s *Server) run(ctx context.Context, u *use, inputs []core.Input, o core.Options) ([]core.Embedding, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if s.options.Tracer != nil {
		var span trace.Span
		ctx, span = s.options.Tracer.Start(ctx, "embed", trace.WithAttributes(attribute.Int("texts", len(inputs))))
		defer span.End()
	}
	results, err := s.queue.do(ctx, newTask(u, inputs, o))
	if err != nil {
		return nil, err
	}
	for _, e := range results {
		s.metrics.tokens.Add(int64(e.Tokens))
		s.metrics.positions.Add(int64(e.Length))
	}
	s.metrics.texts.Add(int64(len(results)))
	return results, nil
}

// modelObject describes a model in the shape of OpenAI's API.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	// Beyond OpenAI's members:
	Loaded bool `json:"loaded"` // it is open now
	*modelDetails
}

// modelDetails are known once a model was opened.
type modelDetails struct {
	Dimensions int    `json:"dimensions"`
	MaxLength  int    `json:"max_length"`
	Padding    string `json:"padding"`
	Pooling    string `json:"pooling"`
	Normalize  bool   `json:"normalize"`
	Engine     string `json:"engine"`
	Space      string `json:"space"`
	// What members of a request may say.
	Tasks     []string `json:"tasks"`
	Shortened []int    `json:"matryoshka_dimensions"`
}

func (s *Server) object(m *served, name string) modelObject {
	o := modelObject{ID: name, Object: "model", Created: s.started.Unix(), OwnedBy: "m2embed"}
	k, open := s.loader.about(m)
	if o.Loaded = open; k != nil {
		c, info := k.config, k.info
		o.modelDetails = &modelDetails{c.HiddenSize, c.MaxLength(), info.Padding.String(), c.Pooling.String(), c.Normalize, info.Engine, info.Space, c.Tasks(), append([]int{}, c.MatryoshkaDimensions...)}
	}
	return o
}

// models answers GET /v1/models.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	var list []modelObject
	for _, m := range s.loader.models {
		for _, name := range m.names() {
			list = append(list, s.object(m, name))
		}
	}
	writeJSON(w, http.StatusOK, struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{"list", list})
}

// oneModel answers GET /v1/models/{model}.
func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("model")
	m, err := s.pick(name)
	if err != nil {
		writeError(w, r, s.classify(r, err))
		return
	}
	writeJSON(w, http.StatusOK, s.object(m, name))
}

// health answers GET /healthz and GET /health.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// ready answers GET /readyz: whether requests would be taken now.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeError(w, r, &apiError{status: http.StatusServiceUnavailable, kind: "server_error", code: "stopping", message: "the server stops", retry: 10})
		return
	}
	if s.queue.full() {
		writeError(w, r, s.classify(r, errFull))
		return
	}
	s.health(w, r)
}

// Drain says that no new requests should come; those that do are answered.
func (s *Server) Drain() { s.stopping.Store(true) }

// describe answers GET /openapi.yaml.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Write(openAPI)
}
