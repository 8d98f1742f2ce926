package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"m2embed/host/search"
)

const (
	// watchQuiet is how long nothing must have changed before the files are read,
	// watchMost how long changes that go on may hold that up.
	watchQuiet = 300 * time.Millisecond
	watchMost  = 5 * time.Second
	// watchPoll is how often is looked where the system gives no notice.
	watchPoll = 10 * time.Second
)

// watchPaths indexes what is there, and then what changes, until the context ends.
func watchPaths(c *call, ix search.Store, how *readingFlags, own string) error {
	if full, err := filepath.Abs(own); err == nil {
		own = full
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		c.note("no notice of changes (%v); looking every %v", err, watchPoll)
	} else {
		defer watcher.Close()
	}
	in := newIndexer(c, ix, how, own)
	defer in.close()
	polls := err != nil
	for pass := 0; ; pass++ {
		// Before reading: what changes meanwhile is noticed.
		if watcher != nil && !polls {
			if err := watchFolders(c.ctx, watcher, c.args, how); err != nil {
				if c.ctx.Err() != nil {
					return err
				}
				c.note("not all folders can be watched (%v); looking every %v", err, watchPoll)
				polls = true
			}
		}
		again := newIndexer(c, ix, how, own)
		again.reader, again.quiet = in.reader, pass > 0
		if err := again.index(c.args); err != nil {
			return stopped(c, err)
		}
		if pass == 0 || again.documents+again.removed > 0 {
			c.note("%s", again.summary())
		}
		if pass == 0 {
			if err := again.failure(); err != nil {
				c.note("%v", err)
			}
			c.note("watching; Ctrl-C ends")
		}
		if err := changed(c.ctx, watcher, polls, own); err != nil {
			return stopped(c, err)
		}
	}
}

// stopped is how watching ends: Ctrl-C is its proper end.
func stopped(c *call, err error) error {
	if c.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// watchFolders watches paths, and all folders below them.
func watchFolders(ctx context.Context, watcher *fsnotify.Watcher, paths []string, how *readingFlags) error {
	for _, root := range paths {
		if stat, err := os.Stat(root); err != nil || !stat.IsDir() {
			// A file: its folder, since editors replace files.
			if err := watcher.Add(filepath.Dir(root)); err != nil {
				return err
			}
			continue
		}
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil || !e.IsDir():
				return nil
			case path == root:
				return watcher.Add(path)
			case e.Name() == ".git" || strings.HasPrefix(e.Name(), ".") && !how.hidden:
				return filepath.SkipDir
			}
			return watcher.Add(path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// changed waits until something other than the index has changed, and a while.
func changed(ctx context.Context, watcher *fsnotify.Watcher, polls bool, own string) error {
	var events chan fsnotify.Event
	var errs chan error
	if watcher != nil {
		events, errs = watcher.Events, watcher.Errors
	}
	var poll, quiet, most <-chan time.Time
	if polls {
		t := time.NewTimer(watchPoll)
		defer t.Stop()
		poll = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-events:
			if full, err := filepath.Abs(e.Name); err == nil && strings.HasPrefix(full, own) || e.Op == fsnotify.Chmod {
				continue
			}
			quiet = time.After(watchQuiet)
			if most == nil {
				most = time.After(watchMost)
			}
		case <-errs: // events were lost
			return nil
		case <-poll:
			return nil
		case <-quiet:
			return nil
		case <-most:
			return nil
		}
	}
}
