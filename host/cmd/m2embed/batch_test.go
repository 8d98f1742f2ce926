package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jobs "m2embed/host/batch"
)

func TestBatch(t *testing.T) {
	folder := t.TempDir()
	in := filepath.Join(folder, "x.csv")
	if err := os.WriteFile(in, []byte("key,body\na,\"One text, quoted\"\nb,Another text\nc, \n"), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(folder, "out")
	args := []string{"batch", "--input", filepath.Join(folder, "*.csv"), "--output", out, "--id-field", "key", "--text-field", "body", "--format", "jsonl", "--text"}
	stderr := succeed(t, args...).stderr
	if !strings.Contains(stderr, "2 documents") || !strings.Contains(stderr, "1 rejected") {
		t.Errorf("the summary is %q", stderr)
	}
	vectors := succeed(t, "embed", "One text, quoted", "Another text").stdout
	var want []string
	for line := range strings.Lines(vectors) {
		_, after, _ := strings.Cut(line, `"embedding":`)
		want = append(want, after)
	}
	data, err := os.ReadFile(filepath.Join(out, "part-00000-of-00001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for line := range strings.Lines(string(data)) {
		var row struct{ ID, Text string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if _, after, _ := strings.Cut(line, `"vector":`); after != want[at] || row.ID != string("ab"[at]) {
			t.Errorf("row %d is %.80q, not what embed makes", at, line)
		}
		at++
	}
	if at != 2 {
		t.Errorf("%d rows, want 2", at)
	}
	if stderr := succeed(t, args...).stderr; !strings.Contains(stderr, "nothing to do") {
		t.Errorf("once more: %q", stderr)
	}
	if stderr := succeed(t, "batch", "--verify", "--output", out).stderr; !strings.Contains(stderr, "is whole: 2 documents") {
		t.Errorf("verify: %q", stderr)
	}
	if m, err := jobs.ReadManifest(out); err != nil || m.Total.Rejected != 1 || m.Total.Truncated != 0 {
		t.Errorf("manifest %+v, %v", m, err)
	}
	m2embed(append(args, "--format", "npy")...).fail(t, exitFailure, "format is")
	m2embed("batch", "--input", in, "--output", filepath.Join(folder, "new")).fail(t, exitFailure, "no column")
	m2embed(append(args, "--runner", "flink")...).fail(t, exitFailure, "m2embed-beam")
	m2embed("batch", "--input", in).fail(t, exitUsage, "want --output")
	m2embed("batch", "--output", out).fail(t, exitUsage, "want --input")
	m2embed(append(args, "--runner", "ray")...).fail(t, exitUsage, "--runner")
	m2embed(append(args, "--endpoint", "x:1")...).fail(t, exitUsage, "need a --runner")
	m2embed(append(args, "--padding", "longest")...).fail(t, exitFailure, "longest")
}
