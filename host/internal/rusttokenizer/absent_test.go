//go:build !daulet

package rusttokenizer

import (
	"os"
	"strings"
	"testing"
)

// TestRustTokenizer stands in where the Rust library is not linked in.
func TestRustTokenizer(t *testing.T) {
	reason := "built without the tag daulet: run host/internal/tokenizertest/build-rust.sh test"
	if noted, err := os.ReadFile("../../../build/tokenizers/unavailable.txt"); err == nil {
		reason = "the Rust tokenizer library cannot be built: " + strings.TrimSpace(string(noted))
	}
	t.Skip(reason)
}
