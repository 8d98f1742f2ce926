//go:build !daulet

package main

import "testing"

// TestRust: without the library the flag says what is missing.
func TestRust(t *testing.T) {
	for _, command := range []string{"embed", "tokenize"} {
		m2embed(command, "x", "--model", tiny, "--tokenize-with", "rust").fail(t, exitFailure, "daulet", "build.sh tokenizers")
	}
	m2embed("embed", "x", "--tokenize-with", "snail").fail(t, exitUsage, "core, rust")
}
