package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the README's command lines as they stand, in their order, with
// a hub on this machine.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	model, err := filepath.Abs(tiny)
	if err != nil {
		t.Fatal(err)
	}
	hub := httptest.NewServer(http.StripPrefix("/togethercomputer/m2-bert-80M-2k-retrieval/resolve/main/", http.FileServer(http.Dir(model))))
	defer hub.Close()
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"lines.txt": "a\nb\n", "handbook/returns.md": "# Returns\n\nA parcel is returned within 30 days.\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for line := range strings.Lines(string(readme)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "bin/m2embed ")
		if !ok || strings.HasPrefix(line, "serve") {
			continue
		}
		var args []string
		for _, part := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
			args = append(args, part[1]+part[2])
		}
		if r := succeed(t, args...); r.stdout+r.stderr == "" {
			t.Errorf("%s says nothing", line)
		}
		ran++
	}
	if ran < 6 {
		t.Errorf("%d command lines in the README", ran)
	}
	request := regexp.MustCompile(`curl -s 127.0.0.1:8080(\S+) --json '(.*)'`).FindSubmatch(readme)
	if request == nil {
		t.Fatal("the README asks no server")
	}
	address, stop, code := serve(t, "--model", model)
	answer, err := http.Post(address+string(request[1]), "application/json", strings.NewReader(string(request[2])))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != 200 || strings.Count(string(body), `"embedding":`) != 2 {
		t.Errorf("%s: %.300s", answer.Status, body)
	}
	stop()
	<-code
}
