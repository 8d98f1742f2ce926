package tokenizer

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestInterrupt: every kind of work on a long text is asked about, an error ends
// it, and asking changes nothing.
func TestInterrupt(t *testing.T) {
	data, err := os.ReadFile("../../testdata/tokenizer/bert-base-uncased.json")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	folded, err := Parse([]byte(strings.Replace(string(data), `"normalized":false`, `"normalized":true`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if folded.foldedAdded == nil {
		t.Fatal("no token is looked for in normalised text")
	}
	enough := errors.New("enough")
	for name, text := range map[string]string{
		"words":        strings.Repeat("some words, ", 25_000),
		"brackets":     strings.Repeat("[", 300_000),
		"ideographs":   strings.Repeat("中", 100_000),
		"added tokens": strings.Repeat("a [SEP] b", 25_000),
	} {
		for _, tok := range []*Tokenizer{plain, folded} {
			want, _, err := tok.AppendIDs(nil, text, Options{})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			got, _, err := tok.AppendIDs(nil, text, Options{Interrupt: func() error { asked++; return nil }})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: other ids when asked about (%v)", name, err)
			}
			if least := len(text) / askEvery; asked < least/2 || asked > 6*least {
				t.Errorf("%s: asked %d times about %d bytes", name, asked, len(text))
			}
			for after := 0; after < asked; after += max(1, asked/4) {
				left := after
				ids, _, err := tok.AppendIDs(nil, text, Options{Interrupt: func() error {
					if left--; left < 0 {
						return enough
					}
					return nil
				}})
				if !errors.Is(err, enough) || ids != nil || left != -1 {
					t.Fatalf("%s: %d ids and error %v after %d questions, asked %d times more", name, len(ids), err, after, -1-left)
				}
			}
			if again, _, _ := tok.AppendIDs(nil, "some words", Options{}); len(again) != 4 {
				t.Fatalf("%s: %v after an interruption", name, again)
			}
		}
	}
}

// TestInterruptLongWork: what a tokenizer with tokens and words of any length takes
// long for is asked about in between.
func TestInterruptLongWork(t *testing.T) {
	long := strings.Repeat("a", 4000)
	var added []string
	for n := 10; n <= len(long); n += 10 {
		added = append(added, `{"content":"b`+long[:n]+`"}`)
	}
	tok, err := Parse([]byte(modelJSON(map[string]string{
		"added_tokens": "[" + strings.Join(added, ",") + "]", "model.max_input_chars_per_word": "1000000",
		"model.vocab": `{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"##a":4,"##` + long + `b":5}`,
	})))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text  string
		least int // questions
	}{
		"a word":       {strings.Repeat("a", 20_000), 20_000 * len(long) / askEvery / 2},
		"added tokens": {strings.Repeat("b"+long[:5], 1000), 200},
	} {
		asked := 0
		if _, _, err := tok.AppendIDs(nil, c.text, Options{Interrupt: func() error { asked++; return nil }}); err != nil {
			t.Fatal(err)
		}
		if asked < c.least {
			t.Errorf("%s: asked %d times, want %d or more", name, asked, c.least)
		}
		enough := errors.New("enough")
		for _, after := range []int{0, 3, asked / 2} {
			left := after
			ids, _, err := tok.AppendIDs(nil, c.text, Options{Interrupt: func() error {
				if left--; left < 0 {
					return enough
				}
				return nil
			}})
			if !errors.Is(err, enough) || ids != nil || left != -1 {
				t.Errorf("%s: %d ids and error %v after %d questions, asked %d times more", name, len(ids), err, after, -1-left)
			}
		}
	}
}
