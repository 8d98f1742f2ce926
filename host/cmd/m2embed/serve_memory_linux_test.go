package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serveProcess starts a server in a process of its own, this program, and reads its log.
func serveProcess(t *testing.T, env []string, args ...string) (address string, server *exec.Cmd) {
	t.Helper()
	address, server, log := serveLogging(t, env, args...)
	go io.Copy(io.Discard, log)
	return address, server
}

// serveLogging is serveProcess with the log left to the caller.
func serveLogging(t *testing.T, env []string, args ...string) (address string, server *exec.Cmd, log io.ReadCloser) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server = exec.Command(self, "-test.run", "^TestServeChild$")
	server.Env = append(append(os.Environ(), env...), "M2EMBED_TEST_SERVE="+strings.Join(append([]string{"serve", "--address", "127.0.0.1:0"}, args...), "\n"))
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	lines := bufio.NewScanner(stderr)
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), " on http://")
	}
	if address == "" {
		t.Fatal("the server does not start")
	}
	return address, server, stderr
}

// TestCutFile: a file of weights that is cut under a server costs it requests, not its life.
func TestCutFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "m")
	if err := os.CopyFS(folder, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	for _, threads := range []string{"1", "2"} {
		address, _ := serveProcess(t, nil, "--model", "whole="+tiny, "--model", "cut="+folder, "--threads", threads)
		ask := func(model, text string, want int) {
			t.Helper()
			r, err := http.Post("http://"+address+"/v1/embeddings", "application/json", strings.NewReader(fmt.Sprintf(`{"model":%q,"input":%q}`, model, text)))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if r.StatusCode != want {
				t.Errorf("%s on %s threads: %s, want %d", model, threads, r.Status, want)
			}
		}
		ask("cut", "some words", http.StatusOK)
		weights := filepath.Join(folder, "model.safetensors")
		data, err := os.ReadFile(weights)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(weights, 1000); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			ask("cut", strings.Repeat("other words of another text ", 20), http.StatusInternalServerError)
			ask("whole", "some words", http.StatusOK)
		}
		if err := os.WriteFile(weights, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogGone: a server goes on when nobody reads its log any more.
func TestLogGone(t *testing.T) {
	address, server, log := serveLogging(t, nil, "--model", tiny, "--log-json")
	log.Close()
	for body, want := range map[string]int{`{"input":`: http.StatusBadRequest, `{"input":"x"}`: http.StatusOK, `{`: http.StatusBadRequest} {
		r, err := http.Post("http://"+address+"/v1/embeddings", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %s, want %d", body, r.Status, want)
		}
	}
	server.Process.Signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil && server.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("the end: %v", err)
	}
}

// TestServeChild is the process of serveProcess.
func TestServeChild(t *testing.T) {
	if args := os.Getenv("M2EMBED_TEST_SERVE"); args != "" {
		os.Args = append(os.Args[:1], strings.Split(args, "\n")...)
		main()
	}
}

// resident is the memory of a process in MB.
func resident(t *testing.T, p *os.Process) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\nVmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb * 1024 / 1e6
}

// TestUnfinished: a hundred bodies of 8 MB that lack their end are not all held:
// memory grows by at most 64 MB, those beyond the queue are told so, and a small
// request is answered meanwhile.
func TestUnfinished(t *testing.T) {
	for _, body := range []string{`{"input":"`, `{"input":["`, `{"input":[1,`, `{"user":"`, `{"query":"`} {
		t.Run(body, func(t *testing.T) {
			path := "/v1/embeddings"
			if strings.Contains(body, "query") {
				path = "/search" // which is read as a whole
			}
			address, server := serveProcess(t, nil)
			before, most := resident(t, server.Process), 0.0
			var group sync.WaitGroup
			var mu sync.Mutex
			waiting, refused := 0, 0
			fill := `x`
			if strings.HasSuffix(body, ",") {
				fill = `7,`
			}
			part := []byte(strings.Repeat(fill, 1<<17/len(fill)))
			for range 100 {
				group.Go(func() {
					c, err := net.Dial("tcp", address)
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { c.Close() })
					fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, 8<<20, body)
					c.SetWriteDeadline(time.Now().Add(20 * time.Second))
					for range 63 {
						if _, err := c.Write(part); err != nil {
							break
						}
					}
					c.SetReadDeadline(time.Now().Add(time.Second))
					line, err := bufio.NewReader(c).ReadString('\n')
					mu.Lock()
					defer mu.Unlock()
					switch {
					case errors.Is(err, os.ErrDeadlineExceeded):
						waiting++
					case line == "" || strings.HasSuffix(fill, ",") && strings.Contains(line, " 400 ") || // too many ids
						strings.Contains(line, " 429 "): // with a body still to come, the answer may be lost
						refused++
					default:
						t.Errorf("answered %q", line)
					}
				})
			}
			done := make(chan struct{})
			go func() { group.Wait(); close(done) }()
			for open := true; open; {
				select {
				case <-done:
					open = false
				case <-time.After(5 * time.Millisecond):
				}
				most = max(most, resident(t, server.Process))
			}
			if most-before > 64 {
				t.Errorf("memory grows from %.1f to %.1f MB", before, most)
			}
			r, err := http.Post("http://"+address+"/v1/embeddings", "application/json", strings.NewReader(`{"input":"x"}`))
			if err != nil || r.StatusCode != 200 {
				t.Errorf("a small request meanwhile: %v, %v", r, err)
			}
			if waiting > 3 || waiting+refused != 100 {
				t.Errorf("%d of the bodies are waited for, %d refused", waiting, refused)
			}
			t.Logf("%.1f to %.1f MB, %d wait, %d refused", before, most, waiting, refused)
		})
	}
}
