package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m2embed/host/internal/hosttest"
)

// TestIndexInPostgres indexes a folder into a database, again, and searches in it.
func TestIndexInPostgres(t *testing.T) {
	address := hosttest.Postgres(t, hosttest.PostgresPackages[1])
	folder := t.TempDir()
	for name, text := range map[string]string{"a.md": "# Jobs\n\nSet CRON_CHECK to run the nightly job.", "b.txt": "Parcels are sent back within a month."} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	try := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), args, nil, &out, &out); code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%q: exit code %d, %q; want %q", args, code, out.String(), want)
		}
	}
	try("2 files indexed", "index", folder, "--into", address)
	try("2 unchanged", "index", folder, "--into", address)
	try("a.md:", "search", "CRON_CHECK", "--in", address)
	if err := os.Remove(filepath.Join(folder, "b.txt")); err != nil {
		t.Fatal(err)
	}
	try("1 removed", "index", folder, "--into", address)
	try("no good match", "search", `"parcels are sent"`, "--in", address)
}
