//go:build daulet

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRust: with the Rust tokenizer commands print what they print without it.
func TestRust(t *testing.T) {
	texts := []string{"", "one", "Ünïcödé, 東京 and \u202eright to left\u202c", "th\xff\xfe\xc3e\xed\xa0\x80re", strings.Repeat("long ", 700)}
	for _, more := range [][]string{
		{}, {"--padding", "none"}, {"--padding", "40", "--pooling", "mean"}, {"--padding", "longest", "--max-length", "9"},
		{"--max-length", "9", "--truncation", "drop-sep"},
	} {
		compare(t, append(append([]string{"--model", tiny}, more...), texts...), "--tokenize-with", "rust")
	}
	m2embed("embed", texts[4], "--model", tiny, "--truncation", "refuse", "--tokenize-with", "rust").fail(t, exitFailure, "at most 512")
	for _, more := range [][]string{{}, {"--json"}, {"--json", "--max-length", "6", "--truncation", "drop-sep"}, {"--without-special-tokens"}} {
		args := append(append([]string{"tokenize", "--model", tiny}, more...), texts[1:4]...)
		want, got := succeed(t, args...).stdout, succeed(t, append(args, "--tokenize-with", "rust")...).stdout
		if got != want {
			t.Errorf("%q: got\n%s\nwant\n%s", args, got, want)
		}
	}
	ids := write(t, "ids.json", []byte("[[101,7,8,102]]"))
	decode := []string{"tokenize", "--decode", "--ids", ids, "--model", tiny}
	if want, got := succeed(t, decode...).stdout, succeed(t, append(decode, "--tokenize-with", "rust")...).stdout; got != want {
		t.Errorf("decoded %q, want %q", got, want)
	}
	m2embed("embed", "x", "--model", tiny, "--tokenizer", filepath.Join(tiny, "vocab.txt"), "--tokenize-with", "rust").fail(t, exitFailure, "Rust")
}
