package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"m2embed/host"
	"m2embed/host/search"
	"m2embed/host/server"
)

var serveCommand = &command{
	name:     "serve",
	synopsis: "[flags]",
	summary:  "Serve models over HTTP, in the shape of OpenAI's embeddings API.",
	details: `
Answers POST /v1/embeddings and /v1/rerank, GET /v1/models, the routes of TEI and
Ollama, /healthz, /metrics (for Prometheus) and /openapi.yaml, which describes it
all. With --index POST /search searches in an index by words and meaning, and
POST /documents adds to it. With --site it serves the files of a folder, too.
Ctrl-C or SIGTERM stops it: requests under way are finished for as long as
--grace says.

Anyone who reaches the address may use it, unless the environment variable
M2EMBED_TOKEN holds a token that all requests but /healthz must bear. On a
loopback address only requests for localhost are answered, and for the names
that --host gives. Pages of other origins may ask only if --cors-origin names
theirs. With --tls-cert and --tls-key it speaks HTTPS.

Under systemd it takes the socket that systemd opened in place of --address, and
says when it is ready.

With OTEL_EXPORTER_OTLP_ENDPOINT set it sends traces there, by OTLP over HTTP;
OpenTelemetry's other environment variables are obeyed, too.

Several models may be served: requests name the one that they mean, and the
first one is meant by those that name none. It is opened at the start, the others
when they are asked for. With --unload-after a model that nobody asks for is
closed again; the next request for it opens it anew. --filter-memory is for all
of them together.

Clients that insist on a model's name get it by --alias text-embedding-3-small,
or by --any-model. Those that send token ids of another tokenizer, as LangChain
does by default, are refused: OpenAIEmbeddings(check_embedding_ctx_length=False)
sends texts.

Example:

  m2embed serve --address 127.0.0.1:8080 &
  curl -s 127.0.0.1:8080/v1/embeddings --json '{"input": "hello"}'
  m2embed serve --model models/2k --model long=models/32k --unload-after 10m

Exit codes: 0 stopped, 1 failed, or requests were given up when the grace was
over, 2 wrong usage.
`,
	define: func(c *call) func() error {
		s := &serving{call: c, which: &modelFlags{call: c, several: true}}
		c.flags.StringArrayVar(&s.models, "model", nil, "`[name=]folder` of a model, or checkpoint file (safetensors or PyTorch); may be given several times; without it, or with nothing behind name=, the embedded model is used")
		s.which.define()
		c.flags.StringVar(&s.address, "address", "127.0.0.1:8080", "`host:port` to listen on; port 0 means any")
		c.flags.StringVar(&s.name, "name", "", "`name` of the first model in requests (default: the folder's)")
		c.flags.StringArrayVar(&s.aliases, "alias", nil, "another `name[=model]` that requests may use for the first model, or for the one named; may be given several times")
		c.flags.BoolVar(&s.options.AnyModel, "any-model", false, "answer requests for any other name with the first model")
		c.flags.DurationVar(&s.options.Unload, "unload-after", 0, "`time` after which a model is closed that nobody asks for (default: never)")
		c.flags.StringArrayVar(&s.hosts, "host", nil, "`name` that requests may be for, other than localhost; may be given several times (default: any, unless the address is a loopback one)")
		c.flags.StringVar(&s.site, "site", "", "`folder` of files to serve at /; its file _headers may hold rules for headers")
		c.flags.StringArrayVar(&s.options.Origins, "cors-origin", nil, "`origin` of pages elsewhere that may ask, https://example.org say, or *; may be given several times")
		c.flags.StringVar(&s.cert, "tls-cert", "", "`file` of a certificate in PEM, with --tls-key: speak HTTPS")
		c.flags.StringVar(&s.key, "tls-key", "", "`file` of the certificate's key in PEM; both are read again when they change")
		c.flags.BoolVar(&s.options.Profile, "pprof", false, "answer /debug/pprof, for profiles of the server")
		c.flags.StringVar(&s.index, "index", "", "`file`, or postgres:// address, of an index to search in, made if there is none; see m2embed index")
		c.flags.BoolVar(&s.indexReadOnly, "index-read-only", false, "let requests search in the index and not change it")
		c.flags.BoolVar(&s.logJSON, "log-json", false, "log as JSON; texts are never logged")
		c.flags.DurationVar(&s.options.BodyTime, "body-time", 30*time.Second, "`time` in which a request's body must arrive")
		c.flags.Int64Var(&s.options.QueueBytes, "queue-bytes", 32<<20, "most `bytes` of all requests that wait or are worked on")
		c.flags.IntVar(&s.options.PassTokens, "pass-tokens", 2048, "most `tokens` of short requests that run together")
		c.flags.Int64Var(&s.options.BodyLimit, "body-limit", 16<<20, "most `bytes` of a request")
		c.flags.IntVar(&s.options.BatchLimit, "batch-limit", 2048, "most `texts` of a request")
		c.flags.IntVar(&s.options.Concurrent, "concurrent", 4, "`requests` that are worked on at a time, by turns")
		c.flags.IntVar(&s.options.Waiting, "waiting", 256, "`requests` that wait beyond these; more are sent away with status 429")
		c.flags.DurationVar(&s.options.Timeout, "timeout", 5*time.Minute, "longest `time` for a request")
		c.flags.DurationVar(&s.grace, "grace", 10*time.Second, "`time` that requests under way have when the server stops")
		return s.run
	},
}

// serving is one run of the server.
type serving struct {
	call          *call
	which         *modelFlags
	options       server.Options
	models        []string // as --model gives them
	name          string
	aliases       []string
	sources       []served
	address, site string
	index         string
	indexReadOnly bool
	cert, key     string
	hosts         []string
	logJSON       bool
	grace         time.Duration
}

func (s *serving) check() error {
	o := s.options
	switch {
	case o.BodyLimit < 1 || o.BodyLimit > 1<<32:
		return usagef("--body-limit %d, want 1 to %d", o.BodyLimit, int64(1)<<32)
	case o.BatchLimit < 1 || o.Concurrent < 1 || o.Concurrent > 1<<10 || o.Waiting < 0 || o.Waiting > 1<<16:
		return usagef("--batch-limit %d, --concurrent %d, --waiting %d: want at least 1, 1 to %d, 0 to %d", o.BatchLimit, o.Concurrent, o.Waiting, 1<<10, 1<<16)
	case o.QueueBytes < 1 || o.PassTokens < 1 || o.BodyTime <= 0:
		return usagef("--queue-bytes %d, --pass-tokens %d, --body-time %v: want at least 1 of each", o.QueueBytes, o.PassTokens, o.BodyTime)
	case (s.cert == "") != (s.key == ""):
		return usagef("--tls-cert and --tls-key belong together")
	case o.Timeout <= 0 || s.grace < 0:
		return usagef("--timeout %v and --grace %v, want positive times", o.Timeout, s.grace)
	case o.Unload < 0 || o.Unload > 0 && o.Unload < time.Second || s.call.set("unload-after") && o.Unload == 0:
		return usagef("--unload-after %v, want at least 1s", o.Unload)
	}
	for name, value := range map[string]string{"name": s.name, "site": s.site, "index": s.index, "tls-cert": s.cert, "tls-key": s.key} {
		if value == "" && s.call.set(name) { // an unset variable of a script's, say
			return usagef("--%s is empty", name)
		}
	}
	_, port, err := net.SplitHostPort(s.address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usagef("--address %q, want host:port, 127.0.0.1:8080 say, with a port up to 65535", s.address)
	}
	for _, name := range s.hosts {
		_, err := netip.ParseAddr(name)
		if name == "" || err != nil && strings.ContainsAny(name, ":/[] ") {
			return usagef("--host %q, want a name or an address as requests have it, without scheme and port", name)
		}
	}
	for _, origin := range o.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			return usagef("--cors-origin %q, want a scheme, a host and, unless it is the usual one, a port: https://example.org", origin)
		}
	}
	if err := s.call.noArguments(); err != nil {
		return err
	}
	return s.findModels()
}

func (s *serving) run() error {
	if err := s.check(); err != nil {
		return err
	}
	// Whoever reads the log may end and begin anew.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	files, err := openSite(s.site)
	if err != nil {
		return err
	}
	sources, err := s.openLater()
	if err != nil {
		return err
	}
	// The engine has a thread a processor; these are as many also while there are spare ones.
	processors := runtime.GOMAXPROCS(0)
	if t := &s.which.options.Threads; *t == 0 {
		*t = processors
	}
	// Beside a long text its threads keep all processors busy, and Go looks after
	// what else could run every 10 ms only. With some more threads of Go's, the
	// system does. Threads that look for work cost short texts a tenth of their
	// speed, so that there are none without long ones.
	defer runtime.GOMAXPROCS(processors)
	s.options.Long = func(some bool) {
		spare := 0
		if some {
			spare = spareThreads
		}
		runtime.GOMAXPROCS(processors + spare)
	}
	if s.options.Waiting == 0 {
		s.options.Waiting = -1
	}
	s.options.Site = files
	s.options.Token = os.Getenv("M2EMBED_TOKEN")
	s.options.Log = slog.New(slog.NewTextHandler(s.call.stderr, nil))
	if s.logJSON {
		s.options.Log = slog.New(slog.NewJSONHandler(s.call.stderr, nil))
	}
	tracer, stopTraces, err := traces(s.call.ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := stopTraces(); err != nil {
			s.call.note("the last traces were not sent: %s", oneLine(err))
		}
	}()
	s.options.Tracer = tracer
	var tlsConfig *tls.Config
	scheme := "http"
	if s.cert != "" {
		c, err := newCertificate(s.cert, s.key, s.options.Log)
		if err != nil {
			return err
		}
		tlsConfig, scheme = &tls.Config{GetCertificate: c.get}, "https"
	}
	listener, err := listen(s.address)
	if err != nil {
		return err
	}
	defer listener.Close()
	s.options.Hosts = hostsFor(listener.Addr(), s.hosts)
	// Work that outlives the grace is stopped by its context.
	working, stop := context.WithCancel(context.Background())
	defer stop()
	handler := server.New(sources, s.options)
	defer handler.Close()
	m, err := handler.Load(s.call.ctx)
	if err != nil {
		return err
	}
	if s.index != "" {
		o, err := handler.SearchOptions(working)
		if err != nil {
			return err
		}
		o.ReadOnly = s.indexReadOnly
		ix, err := search.OpenStore(working, s.index, o)
		if err != nil {
			return err
		}
		defer ix.Close()
		handler.SetIndex(ix)
	}
	web := &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		BaseContext:       func(net.Listener) context.Context { return working },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	address, socket := scheme+"://"+listener.Addr().String(), ""
	if listener.Addr().Network() == "unix" { // of systemd's
		address, socket = scheme+"://localhost", listener.Addr().String()
	}
	s.announce(m, address, socket)
	ended := make(chan error, 1)
	go func() {
		if tlsConfig != nil {
			ended <- web.ServeTLS(listener, "", "")
		} else {
			ended <- web.Serve(listener)
		}
	}()
	tellSystemd("READY=1")
	select {
	case err := <-ended:
		return err
	case <-s.call.ctx.Done():
	}
	s.call.note("stopping")
	tellSystemd("STOPPING=1")
	deadline, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	handler.Drain()
	if err := web.Shutdown(deadline); err != nil {
		stop()
		web.Close()
		handler.Wait()
		return fmt.Errorf("%w of %v and were given up", errGrace, s.grace)
	}
	handler.Wait() // before the index is closed
	return nil
}

// announce says what is served and how to ask for it, through a socket of files unless it is empty.
func (s *serving) announce(m host.Info, address, socket string) {
	o, curl, through := s.options, "curl -s", ""
	if socket != "" {
		curl, through = curl+" --unix-socket "+socket, " through "+socket
	}
	s.call.note("%s, %s, on %s%s", s.sources[0].name, m.Engine, address, through)
	for i, one := range s.sources {
		if i > 0 {
			s.call.note("%s, opened when it is asked for, %s", one.name, one.what())
		}
		if len(one.aliases) > 0 {
			s.call.note("%s is also called %s", one.name, strings.Join(one.aliases, ", "))
		}
	}
	s.call.note("vectors of %d numbers, texts of up to %d tokens; at most %d texts and %d bytes a request, %d requests and %d bytes at a time, %v each",
		m.Dimension, m.MaxLength, o.BatchLimit, o.BodyLimit, o.Concurrent+max(o.Waiting, 0), o.QueueBytes, o.Timeout)
	token := ""
	if o.Token != "" {
		token = ` -H "Authorization: Bearer $M2EMBED_TOKEN"`
	}
	s.call.note("vector space %s", m.Space)
	s.call.note(`try: %s %s/v1/embeddings%s --json '{"input": "hello"}'`, curl, address, token)
}

// spareThreads run requests while the engine's threads are busy with a long text.
const spareThreads = 4

// errGrace is the end of a server that had to give up requests.
var errGrace = errors.New("requests were still under way after the grace")

// hostsFor are the names that requests to a listener may be for; nil is any.
func hostsFor(address net.Addr, names []string) []string {
	a, ok := address.(*net.TCPAddr)
	if len(names) == 0 && !(ok && a.IP.IsLoopback()) {
		return nil
	}
	hosts := slices.Clone(server.LocalHosts)
	for _, name := range names {
		hosts = append(hosts, strings.ToLower(name))
	}
	return hosts
}

// openSite opens a folder so that links cannot lead out of it.
func openSite(folder string) (fs.FS, error) {
	if folder == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open site: %w", err)
	}
	if err := server.ReadHeaders(root.FS()); err != nil {
		return nil, errors.Join(fmt.Errorf("open site: %w", err), root.Close())
	}
	return root.FS(), nil
}
