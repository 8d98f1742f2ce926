package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIndex indexes a folder, again, and searches in it.
func TestIndex(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.md": "# Jobs\n\nSet CRON_CHECK to run the nightly job.", "sub/b.txt": "Parcels are sent back within a month.",
		"c.bin": "\x00\x01", ".hidden": "CRON_CHECK", "empty.txt": "",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(t.TempDir(), "notes.db")
	try := func(want int, args ...string) (string, string) {
		t.Helper()
		var out, notes bytes.Buffer
		if code := run(context.Background(), args, nil, &out, &notes); code != want {
			t.Fatalf("%q: exit code %d, want %d: %s", args, code, want, notes.String())
		}
		return out.String(), notes.String()
	}
	if _, notes := try(exitOK, "index", folder, "--into", db); !strings.Contains(notes, "3 files indexed, 0 unchanged, 1 skipped") {
		t.Error(notes)
	}
	if _, notes := try(exitOK, "index", folder, "--into", db); !strings.Contains(notes, "0 files indexed, 3 unchanged") {
		t.Error(notes)
	}
	if out, _ := try(exitOK, "search", "CRON_CHECK", "--in", db, "--json", "--top", "1"); !strings.Contains(out, "a.md") || !strings.Contains(out, `"line":1`) {
		t.Error(out)
	}
	if out, _ := try(exitOK, "search", "sending a parcel back", "--in", db, "--top", "1"); !strings.Contains(out, "b.txt:1") {
		t.Error(out)
	}
	try(exitUsage, "index", folder)
	try(exitUsage, "search", "--in", db)
	try(exitFailure, "search", "x", "--in", filepath.Join(folder, "none.db"))
	if _, notes := try(exitFailure, "index", filepath.Join(folder, "none"), "--into", db); !strings.Contains(notes, "not read") {
		t.Error(notes)
	}
}
