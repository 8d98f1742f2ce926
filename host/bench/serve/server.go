package main

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"m2embed/host/bench/bert"
)

//go:embed peer
var peerFiles embed.FS

// server is a process that answers like OpenAI's embeddings.
type server struct {
	name    string
	url     string
	body    func(text string) []byte
	ready   float64 // seconds from the start of the process to the first answer to /healthz or its like
	command *exec.Cmd

	mu    sync.Mutex
	lines []*line // that no request uses
}

// line is a connection. Go's own client has two goroutines for each, which take as
// much of the processors' time as the server does; what is measured here is servers.
type line struct {
	net.Conn
	reader *bufio.Reader
}

// take returns a free connection, or a new one.
func (s *server) take(address string) (*line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.lines); n > 0 {
		l := s.lines[n-1]
		s.lines = s.lines[:n-1]
		return l, nil
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &line{c, bufio.NewReaderSize(c, 1<<14)}, nil
}

// hangUp closes connections that some servers close after some seconds.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.Close()
	}
	s.lines = nil
}

// startOurs starts m2embed serve and waits until it is ready.
func startOurs(program string, m served) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	args := []string{"serve", "--address", address, "--timeout", "1h"}
	if m.folder != "" {
		args = append(args, "--model", m.folder)
	}
	s := &server{name: m.name, url: "http://" + address + "/v1/embeddings", command: exec.Command(program, args...)}
	s.body = func(text string) []byte {
		data, _ := json.Marshal(map[string]any{"input": text})
		return data
	}
	var log bytes.Buffer
	s.command.Stderr = &log
	begun := time.Now()
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.wait("http://"+address+"/readyz", begun, time.Millisecond); err != nil {
		return nil, fmt.Errorf("%w: %s", err, &log)
	}
	return s, nil
}

// wait asks until an address answers.
func (s *server) wait(url string, begun time.Time, pause time.Duration) error {
	for time.Since(begun) < 3*time.Minute {
		if r, err := http.Get(url); err == nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if r.StatusCode == 200 {
				s.ready = time.Since(begun).Seconds()
				return nil
			}
		}
		time.Sleep(pause)
	}
	s.stop()
	return errors.New("the server does not get ready")
}

func (s *server) stop() {
	s.command.Process.Signal(syscall.SIGTERM)
	s.command.Wait()
}

// processor is the server's processor time, in seconds.
func (s *server) processor() float64 { return processor(strconv.Itoa(s.command.Process.Pid)) }

// memory is the resident memory in MB.
func (s *server) memory() float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

// unfinished lets 100 clients send bodies of 8 MB that lack their end, and returns
// by how many MB the memory grows at most.
func (s *server) unfinished() float64 {
	address := strings.TrimPrefix(strings.TrimSuffix(s.url, "/v1/embeddings"), "http://")
	before, most := s.memory(), 0.0
	part := []byte(strings.Repeat("x", 1<<17))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			fmt.Fprintf(c, "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"input\":\"", 8<<20)
			for range 63 {
				if _, err := c.Write(part); err != nil {
					break
				}
			}
			io.Copy(io.Discard, c) // the refusal, or nothing until the time is over
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return most - before
		case <-time.After(5 * time.Millisecond):
			most = max(most, s.memory())
		}
	}
}

// ask makes a request and reads the answer, which must be one with a vector.
func (s *server) ask(body []byte) (time.Duration, error) {
	_, path, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	return s.exchange(append(fmt.Appendf(nil, "POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, len(body)), body...), `"embedding"`)
}

// greet makes a request that is for nothing.
func (s *server) greet() (time.Duration, error) {
	return s.exchange([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), "ok")
}

// exchange sends a request and reads the answer, which must hold what is wanted.
func (s *server) exchange(request []byte, want string) (time.Duration, error) {
	address, _, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	begun := time.Now()
	l, err := s.take(address)
	if err != nil {
		return 0, err
	}
	if _, err := l.Write(request); err != nil {
		return 0, errors.Join(err, l.Close())
	}
	r, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	data, err := io.ReadAll(r.Body)
	took := time.Since(begun)
	if err == nil && (r.StatusCode != 200 || !bytes.Contains(data, []byte(want))) {
		err = fmt.Errorf("%s: %.300s", r.Status, data)
	}
	if err != nil || r.Close {
		return took, errors.Join(err, l.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l)
	return took, nil
}

// pace is the mean time between the requests of one client that does not wait
// for its answers to go on.
const pace = 100 * time.Millisecond

// paced asks at random moments, ten times a second, and returns the seconds
// that each request took.
func (s *server) paced(body []byte, span time.Duration) (seconds []float64, err error) {
	s.hangUp()
	var mu sync.Mutex
	var group sync.WaitGroup
	for begun := time.Now(); time.Since(begun) < span; {
		time.Sleep(time.Duration(min(rand.ExpFloat64(), 4) * float64(pace)))
		group.Go(func() {
			took, failed := s.ask(body)
			mu.Lock()
			defer mu.Unlock()
			seconds = append(seconds, took.Seconds())
			err = errors.Join(err, failed)
		})
	}
	group.Wait()
	return seconds, err
}

// crowd lets clients ask one after the other without end, and returns answers a
// second and the seconds that each took.
func (s *server) crowd(body []byte, clients int, span time.Duration) (rate float64, seconds []float64, err error) {
	s.hangUp()
	var mu sync.Mutex
	var group sync.WaitGroup
	begun := time.Now()
	var last time.Time
	for range clients {
		group.Go(func() {
			for time.Since(begun) < span {
				took, failed := s.ask(body)
				mu.Lock()
				seconds, last, err = append(seconds, took.Seconds()), time.Now(), errors.Join(err, failed)
				mu.Unlock()
				if failed != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return float64(len(seconds)) / last.Sub(begun).Seconds(), seconds, err
}

// endless lets clients send a body without end and, if there is one, asks with
// another ten times a second. It returns the answers to the former a second, and the seconds of the latter.
func (s *server) endless(body []byte, clients int, span time.Duration, beside []byte) (rate float64, seconds []float64, err error) {
	s.hangUp()
	var mu sync.Mutex
	var group sync.WaitGroup
	begun := time.Now()
	var last time.Time
	answers := 0
	for range clients {
		group.Go(func() {
			for time.Since(begun) < span {
				_, failed := s.ask(body)
				mu.Lock()
				answers, last, err = answers+1, time.Now(), errors.Join(err, failed)
				mu.Unlock()
				if failed != nil {
					return
				}
			}
		})
	}
	if beside != nil {
		time.Sleep(50 * time.Millisecond) // the long ones are under way
		var failed error
		if seconds, failed = s.paced(beside, span-50*time.Millisecond); failed != nil {
			return 0, nil, failed
		}
	}
	group.Wait()
	return float64(answers) / last.Sub(begun).Seconds(), seconds, err
}

// writePeer writes the peers' files and returns their folder.
func (b *bench) writePeer() (string, error) {
	folder, err := filepath.Abs(filepath.Join(b.cache, "serve-peer"))
	if err != nil {
		return "", err
	}
	return folder, os.CopyFS(folder, peerFiles)
}

// startONNX starts onnxruntime behind a minimal server.
func (b *bench) startONNX() (*server, error) {
	folder := filepath.Join(b.cache, "serve-peer")
	os.RemoveAll(filepath.Join(folder, "peer"))
	folder, err := b.writePeer()
	if err != nil {
		return nil, err
	}
	folder = filepath.Join(folder, "peer")
	install := exec.Command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = folder
	if output, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("onnxruntime is missing: npm install: %w\n%s", err, output)
	}
	if err := bert.Write(filepath.Join(folder, "bert-f32.onnx"), false); err != nil {
		return nil, err
	}
	command := exec.Command("node", "server.mjs", strconv.Itoa(runtime.NumCPU()))
	command.Dir, command.Stderr = folder, os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("onnxruntime's server ended: %w", err)
	}
	at := strings.LastIndexByte(line, ' ')
	s := &server{name: line[:at] + ", dynamic batching, BERT-base f32", url: "http://127.0.0.1:" + strings.TrimSpace(line[at:]) + "/", command: command}
	s.ready = time.Since(begun).Seconds()
	s.body = func(text string) []byte {
		data, _ := json.Marshal(map[string]string{"input": text})
		return data
	}
	return s, nil
}

// startInfinity starts infinity_emb, if it is wanted.
func (b *bench) startInfinity() (*server, error) {
	if b.infinity == "" {
		return nil, errors.New("infinity_emb is not measured: -infinity installs it, with 6 GB of PyTorch")
	}
	folder, err := filepath.Abs(b.infinity)
	if err != nil {
		return nil, err
	}
	python := filepath.Join(folder, "bin", "python")
	if _, err := os.Stat(filepath.Join(folder, "bin", "infinity_emb")); err != nil {
		for _, c := range [][]string{{"python3", "-m", "venv", folder}, {python, "-m", "pip", "install", "-q", "infinity-emb[server,torch]"}} {
			if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("infinity_emb cannot be installed: %w\n%.2000s", err, out)
			}
		}
	}
	peer, err := b.writePeer()
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	model := filepath.Join(peer, "infinity-bert")
	if out, err := exec.Command(python, filepath.Join(peer, "peer", "bert.py"), "testdata/tokenizer/bert-base-uncased.json", model).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("infinity_emb's model: %w\n%.2000s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	command := exec.Command(filepath.Join(folder, "bin", "infinity_emb"), "v2", "--model-id", model, "--served-model-name", "bert",
		"--engine", "torch", "--device", "cpu", "--dtype", "float32", "--port", port, "--host", "127.0.0.1", "--no-model-warmup")
	command.Dir = peer // where it leaves a cache
	command.Env = append(os.Environ(), "DO_NOT_TRACK=1", "HF_HUB_OFFLINE=1", "INFINITY_ANONYMOUS_USAGE_STATS=0")
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	s := &server{name: "infinity_emb, torch, BERT-base f32", url: "http://" + address + "/embeddings", command: command}
	s.body = func(text string) []byte {
		data, _ := json.Marshal(map[string]any{"model": "bert", "input": []string{text}})
		return data
	}
	begun := time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	if err := s.wait("http://"+address+"/health", begun, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("infinity_emb: %w: %.3000s", err, &log)
	}
	return s, nil
}
