package host

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"m2embed/core"
)

// TestVersion: all that is published has core's version.
func TestVersion(t *testing.T) {
	type manifest struct {
		Version  string
		Peers    map[string]string `json:"peerDependencies"`
		Packages map[string]struct {
			Version string
			Peers   map[string]string `json:"peerDependencies"`
		}
	}
	for _, name := range []string{"wasm/js/package.json", "wasm/js/package-lock.json", "site/package.json", "site/package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(name, err)
		}
		inline := m.Peers["m2embed-inline"]
		if root, ok := m.Packages[""]; ok {
			if root.Version != core.Version {
				t.Errorf("%s: its package has version %q, want %q", name, root.Version, core.Version)
			}
			inline = root.Peers["m2embed-inline"]
		}
		if m.Version != core.Version || inline != "" && inline != core.Version {
			t.Errorf("%s: version %q, m2embed-inline %q, want %q", name, m.Version, inline, core.Version)
		}
	}
}

// TestDoc: the package's documentation begins as the README does.
func TestDoc(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^//\t+(.*)$`).FindAllSubmatch(doc, -1)
	if len(lines) == 0 {
		t.Fatal("the documentation has no program")
	}
	for _, line := range lines {
		if !strings.Contains(string(readme), string(line[1])) {
			t.Errorf("the README has no line %q", line[1])
		}
	}
}

// TestImportable builds and runs the README's Go programs in a module of their
// own, outside of this one.
func TestImportable(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the whole of m2embed")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllSubmatch(readme, -1)
	if len(programs) == 0 {
		t.Fatal("the README has no Go program")
	}
	folder := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	file, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	path := string(regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(file)[1])
	run("go", "mod", "init", "example.org/user")
	run("go", "mod", "edit", "-require", path+"@v0.0.0", "-replace", path+"="+root)
	// The sums of all that m2embed needs are known: the network is asked nothing.
	if err := os.WriteFile(filepath.Join(folder, "go.sum"), sums, 0o666); err != nil {
		t.Fatal(err)
	}
	for i, p := range programs {
		if err := os.WriteFile(filepath.Join(folder, "main.go"), p[1], 0o666); err != nil {
			t.Fatal(err)
		}
		run("go", "vet", ".")
		if out := run("go", "run", "."); !strings.Contains(out, "256") {
			t.Errorf("program %d prints %q, want the dimension 256 in it", i, out)
		}
	}
}
