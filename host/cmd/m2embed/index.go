package main

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"m2embed/core/model"
	"m2embed/core/passage"
	"m2embed/host"
	"m2embed/host/search"
)

var indexCommand = &command{
	name:     "index",
	synopsis: "[flags] PATH… --into FILE",
	summary:  "Index files to be searched by words and meaning.",
	details: `
PATHs are files and folders with all below them. Read are plain text and source
code in any common character set, Markdown, HTML, PDF, RTF, DOCX, XLSX, PPTX,
OpenDocument, EPUB, CSV and the like, JSON, mail (mbox, eml), subtitles, and
gzip, zip and tar files of those. Each row of a table or sheet, object of a JSON
list, message and member of an archive is a document of its own. Names that begin
with a dot and what .gitignore files leave out are not read; links are not
followed.

What has not changed since it was indexed costs nothing, so a run that was
interrupted goes on where it ended; what is no longer there is removed. Files
that hold no text are counted; those that cannot be read are listed at the end,
and the exit code is 1.

With --into postgres://USER@HOST:5432/DATABASE the index is tables m2embed_* in a
PostgreSQL database that has the extension pgvector. The password may come from
~/.pgpass or PGPASSWORD.

Examples:

  m2embed index handbook/ mail.mbox --into notes.db
  m2embed index faq.csv --field answer --title-field question --into faq.db
  m2embed index ~/notes --into notes.db --watch
  m2embed search "how do I return a parcel" --in notes.db
  m2embed index handbook/ --into postgres://me@localhost/notes
`,
	define: func(c *call) func() error {
		which, how := defineModel(c), defineReading(c)
		into := c.flags.String("into", "", "`file` of the index, or postgres:// address of a database; made if there is none")
		watch := c.flags.Bool("watch", false, "go on, and index what changes, until Ctrl-C")
		return func() error {
			if *into == "" || len(c.args) == 0 {
				return usagef("want --into FILE and files or folders to index")
			}
			if err := how.check(); err != nil {
				return err
			}
			m, err := which.open()
			if err != nil {
				return err
			}
			defer m.Close()
			restore, err := boundMemory(c.ctx, m)
			if err != nil {
				return err
			}
			defer restore()
			_, err = os.Stat(*into)
			fresh := errors.Is(err, os.ErrNotExist) && !search.IsPostgres(*into)
			ix, err := openIndex(c.ctx, *into, m, false)
			if err != nil {
				return err
			}
			if *watch {
				err = watchPaths(c, ix, how, *into)
			} else {
				err = indexPaths(c, ix, how, *into)
			}
			info, failed := ix.Info(context.WithoutCancel(c.ctx))
			err = errors.Join(err, ix.Close())
			if fresh && err != nil && failed == nil && info.Documents == 0 {
				removeIndex(*into)
			}
			return err
		}
	},
}

// indexPaths brings an index up to what is in files.
func indexPaths(c *call, ix search.Store, how *readingFlags, place string) error {
	in := newIndexer(c, ix, how, place)
	defer in.close()
	if err := in.index(c.args); err != nil {
		return err
	}
	c.note("%s", in.summary())
	return in.failure()
}

// readingMemory is what reading files may take before garbage is collected at once,
// beside the model.
const readingMemory = 160 << 20

// boundMemory keeps the garbage of long texts small, unless GOMEMLIMIT says how, until
// restore is called. A text is embedded first, for which the weights come to memory.
func boundMemory(ctx context.Context, m *host.Model) (restore func(), err error) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return func() {}, nil
	}
	if _, err := m.Embed(ctx, "The weights are read."); err != nil {
		return nil, err
	}
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	debug.SetMemoryLimit(int64(now.Sys-now.HeapReleased) + readingMemory)
	return func() { debug.SetMemoryLimit(math.MaxInt64) }, nil
}

// removeIndex deletes the file of an index, and what SQLite keeps beside it.
func removeIndex(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(path + suffix)
	}
}

// openIndex opens an index for the vectors of a model.
func openIndex(ctx context.Context, place string, m *host.Model, readOnly bool) (search.Store, error) {
	o := search.Options{Embedder: m, Queries: m.For(model.TaskQuery), Space: m.Info().Space, Model: m.Info().Name, ReadOnly: readOnly}
	if t := m.Tokenizer(); t != nil {
		o.Tokens = func(text string) []int { return passage.Tokens(t, text) }
	}
	return search.OpenStore(ctx, place, o)
}
