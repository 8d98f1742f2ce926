//go:build daulet

package rusttokenizer

import (
	"os"
	"slices"
	"strings"
	"testing"

	"m2embed/core/tokenizer"
	"m2embed/host/internal/tokenizertest"
)

// TestRustTokenizer compares core/tokenizer with the Rust library that is linked
// in, on the strings of the tokenizer's own differential test.
func TestRustTokenizer(t *testing.T) {
	data, err := os.ReadFile("../../../testdata/tokenizer/bert-base-uncased.json")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := New(data)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()

	var pieces []string
	for id := range ours.VocabularySize() {
		pieces = append(pieces, ours.Token(int32(id)))
	}
	texts := tokenizertest.NewGenerator(1, pieces).Strings(200_000)
	texts = append(texts, "", "\x00", "a\x00b", "th\xff\xfe\xc3e\xed\xa0\x80re", "\x80", strings.Repeat("long ", 5000))
	failures := 0
	for i, text := range texts {
		options := tokenizer.Options{
			Offsets:              true,
			WithoutSpecialTokens: i%5 == 0,
			MaxLength:            []int{0, 0, 8, 16}[i%4],
			Truncation:           tokenizer.Truncation(i % 2),
		}
		got, err := ours.Encode(text, options)
		if err != nil {
			t.Fatal(err)
		}
		want, err := theirs.Encode(text, options)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !slices.Equal(got.IDs, want.IDs):
			t.Errorf("%+q: ids %v, the Rust library has %v", text, got.IDs, want.IDs)
		case !slices.Equal(got.Offsets, want.Offsets) && !tokenizertest.HasKeptMark(text):
			t.Errorf("%+q: offsets %v, the Rust library has %v", text, got.Offsets, want.Offsets)
		case got.Length != want.Length || got.Truncated != want.Truncated:
			t.Errorf("%+q: length %d, the Rust library has %d", text, got.Length, want.Length)
		case ours.Decode(got.IDs, i%3 == 0) != theirs.Decode(got.IDs, i%3 == 0):
			t.Errorf("%+q: decoded %q, the Rust library has %q", text, ours.Decode(got.IDs, i%3 == 0), theirs.Decode(got.IDs, i%3 == 0))
		default:
			continue
		}
		if failures++; failures == 20 {
			t.Fatal("stopped after 20 differences")
		}
	}
	t.Logf("%d texts", len(texts))
}
