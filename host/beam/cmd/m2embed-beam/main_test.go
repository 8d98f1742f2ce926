package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"m2embed/host"
	"m2embed/host/batch"
)

// TestMain is the command where a test starts this binary as one: as a job, a
// worker, or Prism's job service.
func TestMain(m *testing.M) {
	if os.Getenv("M2EMBED_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is this binary as m2embed-beam.
func command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "M2EMBED_TEST_COMMAND=1")
	said := new(bytes.Buffer)
	c.Stdout, c.Stderr = said, said
	return c, said
}

func write(t *testing.T, folder string, documents int) string {
	t.Helper()
	var b strings.Builder
	for i := range documents {
		fmt.Fprintf(&b, `{"id":"d%d","text":%q}`+"\n", i, strings.Repeat(fmt.Sprintf("Words %d of a document. ", i), 1+i%9))
	}
	b.WriteString(`{"id":"poison","text":" "}` + "\n")
	name := filepath.Join(folder, "in.jsonl")
	if err := os.WriteFile(name, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func content(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, folder)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func done(folder string) int {
	names, _ := filepath.Glob(filepath.Join(folder, ".m2embed", "done-*.json"))
	return len(names)
}

// TestRunners demands the same bytes of one process without Beam, of Prism in
// the program, and of Prism as a service of its own over gRPC, with four worker
// processes of which one is killed in the middle.
func TestRunners(t *testing.T) {
	folder := t.TempDir()
	in := write(t, folder, 240)
	e, err := batch.Open("", host.Options{}, batch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	run := func(name string, through func(folder string)) map[string]string {
		out := filepath.Join(folder, name)
		j, err := batch.Prepare(context.Background(), e, batch.Request{Inputs: []string{in}, Folder: out, Format: "jsonl", Shards: 24})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		through(out)
		if _, err := j.Finish(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return content(t, out)
	}
	want := run("direct", func(out string) {
		j, err := batch.OpenJob(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range j.Pending() {
			if _, err := j.Shard(context.Background(), e, k, func(batch.Progress) {}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, args := range map[string][]string{
		"loopback": {"--environment_type", "LOOPBACK"},
		"process":  {"--environment_type", "PROCESS"},
	} {
		got := run(name, func(out string) {
			c, said := command(append(args, "--folder", out)...)
			if err := c.Run(); err != nil {
				t.Fatalf("%s: %v: %s", name, err, said)
			}
		})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Prism with environment %s leaves other bytes", name)
		}
	}

	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	service, said := command("--job-service", fmt.Sprint(port))
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		service.Process.Signal(os.Interrupt)
		service.Wait()
	}()
	killed := 0
	got := run("service", func(out string) {
		c, jobs := command("--folder", out, "--workers", "4", "--endpoint", fmt.Sprintf("localhost:%d", port))
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for killed == 0 {
			select {
			case err := <-ended:
				t.Fatalf("ended before a worker was killed: %v: %s", err, jobs)
			case <-time.After(time.Millisecond):
			}
			if done(out) >= 1 {
				if pid := child(c.Process.Pid); pid > 0 {
					p, _ := os.FindProcess(pid)
					if p.Kill() == nil {
						killed = pid
					}
				}
			}
		}
		if n := done(out); n == 24 {
			t.Error("a worker was killed when all was done")
		}
		if err := <-ended; err != nil {
			t.Fatalf("%v: %s; service: %s", err, jobs, said)
		}
	})
	if !reflect.DeepEqual(got, want) {
		t.Error("four workers, one of them killed, leave other bytes")
	}
}

// TestOrphans kills a command that has jobs of its own. They must not go on
// behind the back of whoever starts it again.
func TestOrphans(t *testing.T) {
	folder := t.TempDir()
	in := write(t, folder, 20000)
	e, err := batch.Open("", host.Options{}, batch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	out := filepath.Join(folder, "out")
	j, err := batch.Prepare(context.Background(), e, batch.Request{Inputs: []string{in}, Folder: out, Format: "jsonl", Shards: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c, said := command("--folder", out, "--workers", "2")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for done(out) == 0 && time.Since(began) < 5*time.Minute {
		time.Sleep(time.Millisecond)
	}
	job := child(c.Process.Pid)
	if err := c.Process.Kill(); err != nil || job == 0 {
		t.Fatalf("no job to leave behind: %v, %s", err, said)
	}
	for began = time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		// The child of a killed one may stay as a zombie, which runs nothing.
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", job)); err != nil || strings.Contains(string(data), ") Z ") {
			break
		}
	}
	c.Wait()
	if time.Since(began) >= time.Minute {
		t.Error("the job goes on a minute after its command was killed")
	}
	if n := done(out); n == 64 {
		t.Error("the jobs did all that was left")
	}
}

// child is a process that another has started.
func child(parent int) int {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			continue
		}
		var pid, of int
		var state string
		_, after, _ := strings.Cut(string(data), ") ")
		fmt.Sscan(string(data), &pid)
		fmt.Sscan(after, &state, &of)
		if of == parent {
			return pid
		}
	}
	return 0
}

func TestRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"want --folder":  {},
		"no job in":      {"--folder", filepath.Join(t.TempDir(), "none")},
		"want I/N":       {"--folder", t.TempDir(), "--part", "4/2"},
		"and no argumen": {"--folder", "x", "more"},
	} {
		c, said := command(args...)
		if err := c.Run(); err == nil || !strings.Contains(said.String(), want) {
			t.Errorf("%q: %v, %s; want %q", args, err, said, want)
		}
	}
}
