package siteindex

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2embed/core/passage"
	"m2embed/host"
	"m2embed/host/document"
	"m2embed/host/small"
)

func TestReadPage(t *testing.T) {
	for _, c := range []struct{ name, html, title, want, anchors string }{
		{"main without navigation", `<title>T | Site</title><body><header>top</header><nav>menu</nav><main><h1 id=a>Tea</h1><p>Green.</p><nav>inner</nav></main><footer>foot</footer>`, "Tea", "Tea Green.", "Tea#a"},
		{"body", `<title>T</title><body><header>top</header><p>Green.</p><footer>foot</footer>`, "T", "Green.", ""},
		{"articles", `<article><header><h1>One</h1></header>a</article><article><h2>Two</h2>b</article>`, "One", "One a Two b", "One# Two#"},
		{"marked body", `<main>no</main><div data-search-body><h2>Yes</h2></div>`, "", "Yes", "Yes#"},
		{"Pagefind's marks", `<div data-pagefind-body><p>yes</p><p data-pagefind-ignore>no</p></div>`, "", "yes", ""},
		{"ignored", `<main><p data-search-ignore>no</p>yes</main>`, "", "yes", ""},
		{"links of headings", `<main><section id=s><h2>Steep<a class=headerlink href=#s>¶</a></h2></section><h3><a id=old name=old></a>Pour</h3></main>`, "", "Steep Pour", "Steep#s Pour#old"},
		{"Latin-1", "<meta charset=iso-8859-1><main>caf\xe9</main>", "", "café", ""},
		{"a title of spaces", "<title> \n </title><main>x</main>", "", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := readPage([]byte(c.html))
			if err != nil {
				t.Fatal(err)
			}
			var text string
			r := &document.Reader{}
			defer r.Close()
			r.Read(t.Context(), document.File{FS: oneFile{"a.html", p.html}, Name: "a.html"}, document.Handler{
				Document: func(d document.Document) error { text = d.Text; return nil },
				Skipped:  func(_ string, err error) error { return err },
			})
			var anchors []string
			for _, a := range p.anchors {
				anchors = append(anchors, a.title+"#"+a.id)
			}
			if got := strings.Join(strings.Fields(text), " "); got != c.want || p.title != c.title || strings.Join(anchors, " ") != c.anchors {
				t.Errorf("title %q, text %q, anchors %q; want %q, %q, %q", p.title, got, anchors, c.title, c.want, c.anchors)
			}
		})
	}
	for _, head := range []string{`<meta name=robots content="NoIndex, follow">`, `<meta http-equiv=refresh content="0; url=/">`} {
		if p, err := readPage([]byte(head + "<main>x</main>")); err != nil || !p.left {
			t.Errorf("%s: left %v, %v", head, p.left, err)
		}
	}
}

// FuzzReadPage: no page ends the program.
func FuzzReadPage(f *testing.F) {
	f.Add([]byte(`<main><h1 id=a>Tea</h1><section id=s><h2><a name=x></a>b</h2></section>`))
	f.Add([]byte(strings.Repeat("<div>", 600)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := readPage(data); err == nil && !p.left && len(p.html) == 0 {
			t.Error("no page")
		}
	})
}

func TestAddress(t *testing.T) {
	for name, want := range map[string]string{
		"index.html": "./", "a/index.html": "a/", "a b.html": "a%20b.html", "notes.md": "notes.md", "a/c#.html": "a/c%23.html",
	} {
		if got := address(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAnchors(t *testing.T) {
	headings := []passage.Heading{{Start: 0, Title: "A"}, {Start: 10, Title: "B"}, {Start: 20, Title: "A"}}
	all := place(headings, []anchor{{"A", "a"}, {"", "empty"}, {"B", ""}, {"A", "a-2"}})
	for start, want := range map[int]string{0: "a", 9: "a", 12: "a", 20: "a-2", 99: "a-2"} {
		if got := anchorAt(all, start); got != want {
			t.Errorf("at %d: %q, want %q", start, got, want)
		}
	}
	if got := anchorAt(nil, 5); got != "" {
		t.Errorf("without headings: %q", got)
	}
}

// options are for a site of some pages in a new folder.
func options(t *testing.T, pages map[string]string) (string, Options) {
	folder := t.TempDir()
	for name, text := range pages {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return folder, Options{Model: m, Files: ModelFiles{small.Name, small.Config, small.Tokenizer, small.Weights}, Into: filepath.Join(folder, "search")}
}

func names(t *testing.T, folder string) map[string]bool {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range entries {
		all[e.Name()] = true
	}
	return all
}

func TestBuild(t *testing.T) {
	folder, o := options(t, map[string]string{
		"index.html": "<main><h1>Home</h1><p>Welcome.</p></main>", "a/index.html": "<main><h1>Tea</h1><h2 id=g>Green</h2><p>It is not fermented.</p></main>",
		"a/index.md": "# Tea\n\nThe source of the page.", "notes.md": "# Notes\n\nA kettle.", "404.html": "lost", "empty.html": "<main></main>", "image.png": "\x89PNG",
	})
	made, err := Build(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	if made.Pages != 3 || made.Passages < 3 {
		t.Errorf("%+v", made)
	}
	data, err := os.ReadFile(filepath.Join(o.Into, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Root != "../" || m.Passages != made.Passages || m.Dimension != 256 || len(m.Words) != 1 || len(m.Texts) != 1 {
		t.Errorf("%+v", m)
	}
	vectors, err := os.ReadFile(filepath.Join(o.Into, m.Vectors))
	if err != nil || len(vectors) != 256*m.Passages {
		t.Errorf("%d bytes of vectors, %v", len(vectors), err)
	}
	// The files of the search are not pages of the site, and a second run changes nothing.
	before := names(t, o.Into)
	if again, err := Build(t.Context(), folder, o); err != nil || again.Pages != 3 {
		t.Errorf("%+v, %v", again, err)
	}
	for name := range names(t, o.Into) {
		if !before[name] {
			t.Errorf("new after the same run: %s", name)
		}
	}
}

func TestBuildFails(t *testing.T) {
	folder, o := options(t, map[string]string{"a.html": "<main>text</main>"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, folder, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := names(t, o.Into); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(o.Into, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), folder, o); err == nil {
		t.Error("a file in place of the folder: no error")
	}
	if _, err := Build(t.Context(), t.TempDir(), o); err == nil || !strings.Contains(err.Error(), "no HTML or Markdown page") {
		t.Errorf("an empty site: %v", err)
	}
}

func TestRoot(t *testing.T) {
	for _, c := range []struct{ site, into, root, want string }{
		{"public", "public/search", "", "../"},
		{"public", "public/a/search", "", "../../"},
		{"public", "public", "", "./"},
		{"public", "elsewhere", "", "/"},
		{"public", "x", "/docs", "/docs/"},
		{"public", "x", "https://a.example/docs/", "https://a.example/docs/"},
	} {
		o := Options{Into: c.into, Root: c.root}
		if got, err := o.root(c.site); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
