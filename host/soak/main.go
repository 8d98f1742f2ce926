// Command soak runs m2embed serve under every fault that a server meets: clients
// that leave in the middle, that write and read slowly, that send garbage, bodies of
// 8 MB that never end, models that are unloaded and whose folder disappears, a
// clock that jumps by days, SIGTERM in the middle of work, SIGKILL and a new start.
// Meanwhile clients compare each answer with the engine's own vectors, bit by bit.
//
//	go run ./host/soak              20 minutes, less than one core
//	go run ./host/soak -time 2m
//
// One server lives all along, with a limit of memory (GOMEMLIMIT): it must lose no
// answer, and keep its memory within 5 %. Another is stopped and killed: what it
// answers must be right, and a request under way when it is told to stop answered.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func main() {
	span := flag.Duration("time", 20*time.Minute, "`time` of the run")
	flag.Parse()
	if err := run(*span); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(span time.Duration) error {
	folder, err := os.MkdirTemp("", "m2embed-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	program, err := buildJumping(folder)
	if err != nil {
		return err
	}
	wanted, err := makeWanted()
	if err != nil {
		return err
	}
	var log problems
	var group sync.WaitGroup
	until := time.Now().Add(span)
	var lives [2]*life
	for i, mortal := range []bool{false, true} {
		l := &life{mortal: mortal, program: program, model: filepath.Join(folder, fmt.Sprint("model", i)), wanted: wanted, until: until, problems: &log}
		if err := l.begin(); err != nil {
			return err
		}
		lives[i] = l
		group.Go(l.run)
	}
	group.Wait()
	for _, l := range lives {
		l.report()
	}
	if len(log.list) > 0 {
		return fmt.Errorf("%d faults, such as\n%s", log.count, strings.Join(log.list, "\n"))
	}
	return nil
}

// buildJumping builds m2embed with a clock that jumps: the time of day goes a day
// ahead, back, and a day behind, some seconds each. What is measured since a
// moment, which Go does by another clock, does not. It takes a copy of Go, whose
// time.Now is another.
func buildJumping(folder string) (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Join(folder, "go")
	if err := os.CopyFS(root, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return "", err
	}
	path := filepath.Join(root, "src", "time", "time.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	const now = "	sec, nsec, mono := runtimeNow()\n"
	jumping := strings.Replace(string(text), now, now+"	sec += 86400 * (mono >> 32 % 3 - 1)\n", 1)
	if jumping == string(text) {
		return "", errors.New("the time of day cannot be made to jump: Go's time.Now is not as it was")
	}
	if err := os.WriteFile(path, []byte(jumping), 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(folder, "m2embed")
	build := exec.Command(filepath.Join(root, "bin", "go"), "build", "-o", program, "./host/cmd/m2embed")
	build.Env = append(os.Environ(), "GOROOT="+root, "GOTOOLCHAIN=local")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, os.RemoveAll(root)
}

// problems are what should not have happened.
type problems struct {
	mu    sync.Mutex
	count int
	list  []string // the first ones
}

func (p *problems) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count++; len(p.list) < 20 {
		text := fmt.Sprintf(format, args...)
		p.list = append(p.list, text)
		fmt.Fprintln(os.Stderr, "soak:", text)
	}
}
