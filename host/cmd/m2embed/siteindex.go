package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m2embed/host/siteindex"
	"m2embed/host/small"
)

var siteIndexCommand = &command{
	name:     "site-index",
	synopsis: "[flags] DIR --into FOLDER",
	summary:  "Make the search of a static site: files that its pages read.",
	details: `
DIR is a built site. Its HTML and Markdown pages are read, cut at their headings
and embedded; FOLDER, which is served with the site, gets what a browser needs to
search them by words and by meaning: small files that are fetched when a query
needs them, the model, and the custom element. No server takes part.

  <script type="module" src="/search/m2embed-search.js"></script>
  <m2embed-search src="/search/"></m2embed-search>

Of a page counts what is marked with data-search-body, or else its <main> or
<article>, without navigation and what is marked with data-search-ignore.
Pages with <meta name="robots" content="noindex"> and 404.html are left out.
Marks of Pagefind are understood.

A run that fails leaves FOLDER as it was. Pages that cannot be read are listed at
the end, and the exit code is 1.

Examples:

  m2embed site-index public --into public/search
  m2embed site-index _site --into _site/search --root /docs --keep .cache/site.db
`,
	define: func(c *call) func() error {
		which := defineModel(c)
		into := c.flags.String("into", "", "`folder` that is written, and served with the site")
		root := c.flags.String("root", "", "`address` of the site's root, as pages are linked to (default: the way from FOLDER to DIR, or /)")
		keep := c.flags.String("keep", "", "`file` in which the index is kept, so that unchanged pages cost nothing the next time")
		return func() error {
			if *into == "" || len(c.args) != 1 {
				return usagef("want the folder of a site and --into FOLDER")
			}
			stat, err := os.Stat(c.args[0])
			if err != nil {
				return err
			}
			if !stat.IsDir() {
				return fmt.Errorf("%s is a file, want the folder of a site", c.args[0])
			}
			files, err := browserFiles(which.path)
			if err != nil {
				return err
			}
			m, err := which.open()
			if err != nil {
				return err
			}
			defer m.Close()
			bar := newProgress(c, "indexing")
			skipped := 0
			began := time.Now()
			made, err := siteindex.Build(c.ctx, c.args[0], siteindex.Options{
				Model: m, Files: files, Into: *into, Root: *root, Keep: *keep,
				Progress: func(done, total int) { bar.set(int64(done), int64(total)) },
				Skipped: func(name string, err error) {
					if skipped++; skipped <= mostProblems {
						c.note("not read: %s: %s", shownPath(name), oneLine(err))
					}
				},
			})
			bar.finish()
			if err != nil {
				return err
			}
			c.note("%s, %s: %s of %s in %s, beside the model, %s", counted(made.Pages, "page"), counted(made.Passages, "passage"), counted(made.Files, "file"), amount(float64(made.Bytes), "B"), *into, time.Since(began).Round(time.Millisecond))
			if !made.Scripts {
				c.note("The element's scripts are not in this program: take them from the npm package m2embed-search, or build with ./build.sh build.")
			}
			if skipped > 0 {
				return fmt.Errorf("%s could not be read", counted(skipped, "page"))
			}
			return nil
		}
	},
}

// browserFiles are the files of a model as a browser loads them.
func browserFiles(folder string) (siteindex.ModelFiles, error) {
	if folder == "" {
		return siteindex.ModelFiles{Name: small.Name, Config: small.Config, Tokenizer: small.Tokenizer, Weights: small.Weights}, nil
	}
	files := siteindex.ModelFiles{Name: filepath.Base(filepath.Clean(folder))}
	for name, data := range map[string]*[]byte{"config.json": &files.Config, "tokenizer.json": &files.Tokenizer, "model.safetensors": &files.Weights} {
		var err error
		if *data, err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			return files, fmt.Errorf("a browser needs config.json, tokenizer.json and model.safetensors in --model, which m2embed convert makes: %w", err)
		}
	}
	return files, nil
}
