package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// readTestdata returns a file of the module's testdata folder.
func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tokenizer, err := Parse(readTestdata(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tokenizer
}

// TestGolden compares ids and tokens with what the reference library gave.
func TestGolden(t *testing.T) {
	var cases []struct {
		Text   string
		Tokens []string
		IDs    []int32
	}
	if err := json.Unmarshal(readTestdata(t, "tiny/tokenizer_cases.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 41 {
		t.Fatalf("%d cases, want 41", len(cases))
	}
	for _, name := range []string{"tiny/tokenizer.json", "tiny/vocab.txt"} {
		tokenizer := parse(t, name)
		for _, c := range cases {
			encoding, err := tokenizer.Encode(c.Text, Options{Offsets: true})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(encoding.IDs, c.IDs) {
				t.Errorf("%s: %q: ids %v, want %v", name, c.Text, encoding.IDs, c.IDs)
			}
			if encoding.Length != len(c.IDs) || encoding.Truncated || len(encoding.Offsets) != len(c.IDs) {
				t.Errorf("%s: %q: length %d, truncated %v, %d offsets", name, c.Text, encoding.Length, encoding.Truncated, len(encoding.Offsets))
			}
			for i, id := range encoding.IDs {
				if tokenizer.Token(id) != c.Tokens[i] {
					t.Errorf("%s: %q: token %d is %q, want %q", name, c.Text, i, tokenizer.Token(id), c.Tokens[i])
				}
			}
			ids, length, err := tokenizer.AppendIDs([]int32{7}, c.Text, Options{})
			if err != nil || length != len(c.IDs) || !slices.Equal(ids[1:], c.IDs) || ids[0] != 7 {
				t.Errorf("%s: %q: AppendIDs gives %v, %d, %v", name, c.Text, ids, length, err)
			}
		}
	}
}
