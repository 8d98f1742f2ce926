package parity

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"m2embed/webgpu/kernels"
	"m2embed/webgpu/plan"
)

// remote serves plans to the TypeScript executor, which runs in another
// process (../test/runner.ts): it asks for work, fetches what the work needs,
// and posts the result.
type remote struct {
	server  *http.Server
	process *exec.Cmd
	stdin   io.Closer // its end tells the process to stop
	limits  plan.Limits
	ready   chan plan.Limits
	work    chan job
	results chan result
	died    chan error
	now     job
}

type job struct {
	model   string
	plan    *plan.Plan
	tensors plan.Tensors
	ids     []int32
	mask    []uint32
}

type result struct {
	values []float32
	err    error
}

// folder is where this package's sources lie; the built executor is beside it.
func folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

func openRemote(name string) (*remote, error) {
	r := &remote{ready: make(chan plan.Limits, 1), work: make(chan job), results: make(chan result), died: make(chan error, 1)}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /dist/", http.StripPrefix("/dist/", http.FileServer(http.Dir(filepath.Join(folder(), "dist")))))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><meta charset="utf-8"><title>m2embed GPU tests</title><script type="module" src="/dist/test/page.js"></script>`)
	})
	mux.HandleFunc("POST /ready", r.serveReady)
	mux.HandleFunc("GET /next", r.serveNext)
	mux.HandleFunc("GET /weight/{buffer}", r.serveWeight)
	mux.HandleFunc("POST /result", r.serveResult)
	r.server = &http.Server{Handler: mux}
	go r.server.Serve(listener)

	url := fmt.Sprintf("http://localhost:%d/", listener.Addr().(*net.TCPAddr).Port)
	r.process = exec.Command("node", filepath.Join(folder(), "dist", "test", name+".js"), url)
	r.process.Stdout, r.process.Stderr = os.Stderr, os.Stderr
	r.stdin, err = r.process.StdinPipe()
	if err == nil {
		err = r.process.Start()
	}
	if err != nil {
		r.server.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { r.died <- fmt.Errorf("%s ended: %v", name, r.process.Wait()) }()
	select {
	case r.limits = <-r.ready:
		return r, nil
	case err = <-r.died:
	case <-time.After(time.Minute):
		err = fmt.Errorf("%s did not come up within a minute", name)
	}
	r.Close()
	return nil, err
}

func (r *remote) Limits() plan.Limits { return r.limits }

func (r *remote) Run(model string, p *plan.Plan, tensors plan.Tensors, ids []int32, mask []uint32) ([]float32, error) {
	select {
	case r.work <- job{model, p, tensors, ids, mask}:
	case err := <-r.died:
		return nil, err
	}
	select {
	case out := <-r.results:
		return out.values, out.err
	case err := <-r.died:
		return nil, err
	}
}

func (r *remote) Close() {
	r.stdin.Close()
	select {
	case <-r.died:
	case <-time.After(5 * time.Second):
		r.process.Process.Kill()
	}
	r.server.Close()
}

func (r *remote) serveReady(w http.ResponseWriter, q *http.Request) {
	var l struct{ MaxStorageBufferBindingSize, MaxBufferSize, MaxComputeWorkgroupsPerDimension int }
	if err := json.NewDecoder(q.Body).Decode(&l); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.ready <- plan.Limits(l)
}

func (r *remote) serveNext(w http.ResponseWriter, q *http.Request) {
	select {
	case r.now = <-r.work:
	case <-q.Context().Done():
		return
	}
	out := struct {
		Model string          `json:"model"`
		Plan  json.RawMessage `json:"plan"`
		IDs   []int32         `json:"ids"`
		Mask  []uint32        `json:"mask"`
	}{r.now.model, r.now.plan.JSON(kernels.Source), r.now.ids, r.now.mask}
	json.NewEncoder(w).Encode(out)
}

func (r *remote) serveWeight(w http.ResponseWriter, q *http.Request) {
	i, err := strconv.Atoi(q.PathValue("buffer"))
	if err != nil || i < 0 || i >= len(r.now.plan.Buffers) {
		http.Error(w, "no such buffer", http.StatusNotFound)
		return
	}
	packed, err := plan.Pack(nil, r.now.plan.Buffers[i], r.now.tensors)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(packed)
}

func (r *remote) serveResult(w http.ResponseWriter, q *http.Request) {
	data, err := io.ReadAll(q.Body)
	if message := q.URL.Query().Get("error"); message != "" {
		err = errors.New(message)
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	r.results <- result{values, err}
}
