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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// life is a server and its clients.
type life struct {
	mortal   bool // it is stopped and killed now and then
	program  string
	model    string // a folder that disappears now and then
	wanted   wanted
	until    time.Time
	problems *problems

	address string
	client  *http.Client
	command *exec.Cmd
	ended   chan error
	// alive is false from before the server is told to end until a new one is
	// ready: then requests may fail.
	alive atomic.Bool
	// present says whether the folder is there, or was within a request's time.
	present atomic.Bool
	folder  sync.Mutex // held while it is away, and while the server starts

	answers, refused, unavailable, left, stops atomic.Int64
	memory                                     []float64 // MB, by the second
}

const tiny = "testdata/tiny"

// polite sends a body when the server says that it goes on.
var polite = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true}}

// begin makes the folder and starts the server.
func (l *life) begin() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.address = listener.Addr().String()
	listener.Close()
	l.client = &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	if err := os.CopyFS(l.model, os.DirFS(tiny)); err != nil {
		return fmt.Errorf("run this in the repository's root: %w", err)
	}
	l.present.Store(true)
	return l.start()
}

// start starts the server and waits until it is ready.
func (l *life) start() error {
	l.command = exec.Command(l.program, "serve", "--address", l.address, "--model", "small=", "--model", "tiny="+l.model,
		"--unload-after", "2s", "--body-time", "5s", "--grace", "2m", "--log-json")
	l.command.Env = append(os.Environ(), "GOMEMLIMIT=150MiB")
	stderr, err := l.command.StderrPipe()
	if err != nil {
		return err
	}
	if err := l.command.Start(); err != nil {
		return err
	}
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if line := lines.Text(); strings.Contains(line, "panic") || strings.Contains(line, `"msg":"fault"`) || strings.Contains(line, secret) {
				l.problems.add("the server's log: %.500s", line)
			}
		}
	}()
	ended := make(chan error, 1)
	command := l.command
	go func() { ended <- command.Wait() }()
	l.ended = ended
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if r, err := l.client.Get("http://" + l.address + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				l.alive.Store(true)
				return nil
			}
		}
	}
	return errors.New("the server does not get ready")
}

// run lets all clients do what they do until the end, and stops the server.
func (l *life) run() {
	var group sync.WaitGroup
	again := func(pause time.Duration, do func()) {
		group.Go(func() {
			for time.Now().Before(l.until) {
				do()
				time.Sleep(pause)
			}
		})
	}
	for range 6 {
		again(50*time.Millisecond, l.steady)
	}
	again(4*time.Second, l.long)
	again(200*time.Millisecond, l.leave)
	again(time.Second, l.slowWriter)
	again(2*time.Second, l.slowReader)
	again(200*time.Millisecond, l.garbage)
	again(3*time.Second, l.unfinished)
	again(5*time.Second, l.vanish)
	if l.mortal {
		again(15*time.Second, l.kill)
	}
	again(time.Second, func() {
		if l.mortal {
			return
		}
		if mb := resident(l.command.Process.Pid); mb > 0 {
			l.memory = append(l.memory, mb)
		}
	})
	group.Wait()
	if l.alive.Load() {
		l.stop()
	}
	l.judgeMemory()
}

// stop tells the server to end, in the middle of a request, which must be answered.
func (l *life) stop() {
	under, begun := make(chan error, 1), make(chan struct{})
	body, feed := io.Pipe()
	go func() {
		// The first bytes go when the server says that it goes on.
		io.WriteString(feed, `{"model":"small","input":"a`)
		close(begun)
		time.Sleep(300 * time.Millisecond) // the signal comes now
		io.WriteString(feed, `"}`)
		feed.Close()
	}()
	go func() {
		r, err := http.NewRequest(http.MethodPost, "http://"+l.address+"/v1/embeddings", body)
		if err != nil {
			under <- err
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Expect", "100-continue")
		under <- l.check(polite.Do(r))("small", []string{"a"}, openAI)
		body.Close()
	}()
	<-begun
	l.alive.Store(false)
	l.command.Process.Signal(syscall.SIGTERM)
	if err := <-under; err != nil && !errors.Is(err, errBusy) {
		l.problems.add("a request under way at SIGTERM: %v", err)
	}
	select {
	case err := <-l.ended:
		var exit *exec.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 130) {
			l.problems.add("SIGTERM: %v", err)
		}
	case <-time.After(3 * time.Minute):
		l.problems.add("SIGTERM: the server does not end")
		l.command.Process.Kill()
		<-l.ended
	}
}

// kill ends the server, by SIGTERM and SIGKILL in turn, and starts it again.
func (l *life) kill() {
	if l.stops.Add(1)%2 == 0 {
		l.alive.Store(false)
		l.command.Process.Kill()
		<-l.ended
	} else {
		l.stop()
	}
	l.folder.Lock()
	defer l.folder.Unlock()
	if err := l.start(); err != nil {
		l.problems.add("the new start: %v", err)
	}
}

// vanish takes the folder of a model away for some seconds.
func (l *life) vanish() {
	l.present.Store(false)
	l.folder.Lock()
	if err := os.Rename(l.model, l.model+".gone"); err != nil {
		l.problems.add("%v", err)
	}
	time.Sleep(4 * time.Second)
	if err := os.Rename(l.model+".gone", l.model); err != nil {
		l.problems.add("%v", err)
	}
	l.folder.Unlock()
	time.Sleep(2 * time.Second) // for requests that began before
	l.present.Store(true)
}

// judgeMemory compares the memory of a server that lived all along in the second
// and the last quarter of the time.
func (l *life) judgeMemory() {
	n := len(l.memory)
	if n < 40 {
		return
	}
	before, end := median(l.memory[n/4:n/2]), median(l.memory[3*n/4:])
	if end > 1.05*before {
		l.problems.add("memory grows from %.1f to %.1f MB", before, end)
	}
}

func (l *life) report() {
	what := "the server that lived"
	if l.mortal {
		what = fmt.Sprintf("the server that was ended %d times", l.stops.Load())
	}
	fmt.Printf("%s: %d answers right, %d refused with 429 and asked again, %d without the model's folder, %d clients left\n",
		what, l.answers.Load(), l.refused.Load(), l.unavailable.Load(), l.left.Load())
	if n := len(l.memory); n >= 8 {
		fmt.Printf("  resident memory, medians of quarters: %.1f, %.1f, %.1f, %.1f MB; most %.1f\n",
			median(l.memory[:n/4]), median(l.memory[n/4:n/2]), median(l.memory[n/2:3*n/4]), median(l.memory[3*n/4:]), slices.Max(l.memory))
	}
}

func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// resident is the memory of a process in MB; 0 where that cannot be told.
func resident(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}
