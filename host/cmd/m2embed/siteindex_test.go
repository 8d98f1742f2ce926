package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSiteIndex makes the search of a site of one page; what is wrong is told.
func TestSiteIndex(t *testing.T) {
	folder := t.TempDir()
	into := filepath.Join(folder, "search")
	page := filepath.Join(folder, "index.html")
	if err := os.WriteFile(page, []byte("<main><h1>Tea</h1><p>Green tea is not fermented.</p></main>"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := succeed(t, "site-index", folder, "--into", into)
	if !strings.HasPrefix(r.stderr, "1 page, 1 passage: ") {
		t.Error(r.stderr)
	}
	data, err := os.ReadFile(filepath.Join(into, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Passages int
		Model    struct{ Folder string }
	}
	if err := json.Unmarshal(data, &made); err != nil || made.Passages != 1 {
		t.Errorf("%s, %v", data, err)
	}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		if _, err := os.Stat(filepath.Join(into, made.Model.Folder, name)); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{folder}, exitUsage, "--into FOLDER"},
		{[]string{"--into", into}, exitUsage, "the folder of a site"},
		{[]string{page, "--into", into}, exitFailure, "is a file, want the folder"},
		{[]string{filepath.Join(folder, "none"), "--into", into}, exitFailure, "no such file"},
		{[]string{folder, "--into", into, "--model", folder}, exitFailure, "a browser needs"},
		{[]string{into, "--into", filepath.Join(folder, "other")}, exitFailure, "no HTML or Markdown page"},
	} {
		if r := m2embed(append([]string{"site-index"}, c.args...)...); r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: exit code %d, %s; want %d, %s", c.args, r.code, r.stderr, c.code, c.want)
		}
	}
}
