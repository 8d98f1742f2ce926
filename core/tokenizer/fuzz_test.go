package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(modelJSON(nil)))
	f.Add([]byte(modelJSON(map[string]string{"normalizer": "null", "post_processor": `{"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}`})))
	f.Add([]byte(modelJSON(map[string]string{"added_tokens": `[{"content": "A b", "normalized": true, "lstrip": true, "rstrip": true, "single_word": true}]`})))
	f.Add([]byte(modelJSON(map[string]string{"model.vocab": `{"[UNK]": 0, "a": 500000}`, "model.continuing_subword_prefix": `""`})))
	f.Add([]byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\na\r\n##b\n"))
	f.Add([]byte(`{"model": {"vocab": {"": 0}, "unk_token": ""}, "pre_tokenizer": {"type": "BertPreTokenizer"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tokenizer, err := Parse(data)
		if err != nil {
			return
		}
		encoding, err := tokenizer.Encode("A b, [CLS]\u302e 中 "+string(data[:min(len(data), 100)]), Options{Offsets: true})
		if err != nil {
			t.Fatal(err)
		}
		tokenizer.Decode(encoding.IDs, true)
		tokenizer.CheckUncased(tokenizer.VocabularySize())
	})
}

func FuzzEncode(f *testing.F) {
	for _, text := range oddities {
		f.Add(text+"\u0323\u302e a", 0)
	}
	f.Add(strings.Repeat("ab", 51)+"\xff[MASK]", 3)
	tokenizer := parse(f, "tiny/tokenizer.json")
	twin := newReference(tokenizer)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		full, err := tokenizer.Encode(text, Options{Offsets: true})
		if err != nil {
			t.Fatal(err)
		}
		checkPlaces(t, text, Encoding{IDs: full.IDs[1 : len(full.IDs)-1], Offsets: full.Offsets[1 : len(full.Offsets)-1]})
		if want := twin.encode(text); !slices.Equal(full.IDs[1:len(full.IDs)-1], want) {
			t.Fatalf("%+q: %v, want %v", text, full.IDs, want)
		}
		if limit %= 64; limit >= 2 {
			cut, length, err := tokenizer.AppendIDs(nil, text, Options{MaxLength: limit})
			if err != nil || length != full.Length || len(cut) != min(limit, length) || cut[len(cut)-1] != tokenizer.SeparatorID() ||
				!slices.Equal(cut[:len(cut)-1], full.IDs[:len(cut)-1]) {
				t.Fatalf("%+q: cut at %d: %v, %d, %v; whole %v", text, limit, cut, length, err, full.IDs)
			}
		}
		// What was spelled out by pieces is spelled the same way again.
		if slices.Contains(full.IDs, tokenizer.UnknownID()) {
			return
		}
		again, _, err := tokenizer.AppendIDs(nil, tokenizer.Decode(full.IDs, false), Options{WithoutSpecialTokens: true})
		if err != nil || len(again) == 0 {
			t.Fatalf("%+q: decoded and encoded again: %v, %v", text, again, err)
		}
	})
}
