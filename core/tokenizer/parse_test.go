package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// modelJSON returns a small tokenizer.json with members of the file and of its
// model replaced; an empty replacement takes the member out.
func modelJSON(replace map[string]string) string {
	members := [][2]string{
		{"version", `"1.0"`},
		{"truncation", `{"max_length": 2, "strategy": "LongestFirst", "stride": 0}`},
		{"padding", `{"strategy": {"Fixed": 128}, "pad_id": 0}`},
		{"added_tokens", `[{"id": 0, "content": "[UNK]", "special": true, "normalized": false}]`},
		{"normalizer", `{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}`},
		{"pre_tokenizer", `{"type": "BertPreTokenizer"}`},
		{"post_processor", `{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}], "pair": [], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}}`},
		{"decoder", `{"type": "WordPiece", "prefix": "##", "cleanup": true}`},
	}
	model := [][2]string{
		{"type", `"WordPiece"`},
		{"unk_token", `"[UNK]"`},
		{"continuing_subword_prefix", `"##"`},
		{"max_input_chars_per_word", `100`},
		{"vocab", `{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4, "B": 5, "é": 6}`},
	}
	object := func(members [][2]string, prefix string) string {
		var parts []string
		for _, member := range members {
			value, ok := replace[prefix+member[0]]
			if !ok {
				value = member[1]
			}
			if value != "" {
				parts = append(parts, fmt.Sprintf("%q: %s", member[0], value))
			}
		}
		if more := replace[prefix+"…"]; more != "" {
			parts = append(parts, more)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return object(append(members, [2]string{"model", object(model, "model.")}), "")
}

func TestParseVariants(t *testing.T) {
	for _, c := range []struct {
		name    string
		replace map[string]string
		text    string
		want    string // tokens
	}{
		{"plain", nil, "AB é b", "[CLS] a ##b [UNK] [UNK] [SEP]"},
		{"no model type", map[string]string{"model.type": ""}, "ab", "[CLS] a ##b [SEP]"},
		{"model's defaults", map[string]string{"model.unk_token": "", "model.continuing_subword_prefix": "", "model.max_input_chars_per_word": ""}, "ab", "[CLS] a ##b [SEP]"},
		{"no version", map[string]string{"version": ""}, "ab", "[CLS] a ##b [SEP]"},
		{"keeps case", map[string]string{"normalizer": `{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": false}`}, "B é a", "[CLS] B é a [SEP]"},
		{"do_lower_case", map[string]string{"normalizer": `{"type": "BertNormalizer", "do_lower_case": false}`}, "B é", "[CLS] B é [SEP]"},
		{"keeps accents", map[string]string{"normalizer": `{"type": "BertNormalizer", "strip_accents": false}`}, "É", "[CLS] é [SEP]"},
		{"no template", map[string]string{"post_processor": "null"}, "a", "a"},
		{"BertProcessing", map[string]string{"post_processor": `{"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}`}, "a", "[CLS] a [SEP]"},
		{"template of one side", map[string]string{"post_processor": `{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "x"}}], "special_tokens": {"x": {"ids": [2, 2]}}}`}, "a", "a [SEP] [SEP]"},
		{"new added token", map[string]string{"added_tokens": `[{"id": 7, "content": "<new>", "lstrip": true}]`}, "a  <new>b", "[CLS] a <new> [UNK] [SEP]"},
		{"a gap in the ids", map[string]string{"model.vocab": `{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 50}`}, "a", "[CLS] a [SEP]"},
		{"white space and escapes", map[string]string{"model.vocab": "{\n \"[UNK]\" :\t0 ,\r\n\"[CLS]\":1,\"[SEP]\": 2, \"\\u0061\":3 , \"##\\u0062\":4, \"\\\\\":5, \"\\\"\":6, \":\":7 }"}, `ab " \ :`, `[CLS] a ##b " \ : [SEP]`},
		{"equal names", map[string]string{"model.vocab": `{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 9, "a": 3}`}, "a", "[CLS] a [SEP]"},
		{"unknown members", map[string]string{"…": `"extra": {"deep": [1, {"x": null}]}`, "model.…": `"more": []`}, "a", "[CLS] a [SEP]"},
	} {
		tokenizer, err := Parse([]byte("\uFEFF \n" + modelJSON(c.replace)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		ids, _, err := tokenizer.AppendIDs(nil, c.text, Options{})
		var tokens []string
		for _, id := range ids {
			tokens = append(tokens, tokenizer.Token(id))
		}
		if got := strings.Join(tokens, " "); err != nil || got != c.want {
			t.Errorf("%s: %q gives %q, %v; want %q", c.name, c.text, got, err, c.want)
		}
	}
}

// TestOverlappingAddedTokens has tokens that take white space which is a token,
// too: no panic, and no time that grows with the square.
func TestOverlappingAddedTokens(t *testing.T) {
	for _, flags := range []string{
		`"rstrip": true`, `"lstrip": true`, `"rstrip": true, "lstrip": true`,
		`"normalized": true, "rstrip": true`, `"normalized": true, "lstrip": true, "single_word": true`, `"normalized": true, "rstrip": true, "lstrip": true`,
	} {
		normalized := strings.Contains(flags, "normalized")
		tokenizer, err := Parse([]byte(modelJSON(map[string]string{"added_tokens": fmt.Sprintf(
			`[{"content": "<s>", %s}, {"content": " ", %s}, {"content": "  x", "normalized": %v}, {"content": "\u302e", "normalized": %v}]`,
			flags, flags, normalized, normalized)})))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"", " ", "  ", "<s>", " <s> ", "a <s>  x <s>  <s>x  x", "<s>  x", "  <s>   x\u302e \u302e", "<s>\u3000 \u00a0<s>",
			strings.Repeat(" ", 100_000), strings.Repeat(" <s>  x", 10_000),
		} {
			encoding, err := tokenizer.Encode(text, Options{Offsets: true})
			if err != nil || len(encoding.Offsets) != len(encoding.IDs) {
				t.Fatalf("%s: %.20q: %d ids, %d offsets, %v", flags, text, len(encoding.IDs), len(encoding.Offsets), err)
			}
			for _, place := range encoding.Offsets {
				if place.Start < 0 || place.End > len(text) || place.Start > place.End {
					t.Fatalf("%s: %.20q: place %v in a text of %d bytes", flags, text, place, len(text))
				}
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		data string
		want string // in the error
	}{
		{"nothing", "", "empty"},
		{"white space", " \n\n", "empty"},
		{"binary", "\x80\x02abc", "UTF-8"},
		{"vocab.txt of another model", "<s>\n</s>\nthe\n", "[UNK]"},
		{"vocab.txt without [CLS]", "[UNK]\nthe\n", "[CLS]"},
		{"cut short", modelJSON(nil)[:400], "EOF"},
		{"not JSON", "{version: 1}", "read tokenizer.json"},
		{"something after the end", modelJSON(nil) + "{}", "follow"},
		{"another version", modelJSON(map[string]string{"version": `"2.0"`}), "2.0"},
		{"BPE", modelJSON(map[string]string{"model.type": `"BPE"`}), `"BPE"`},
		{"BPE without type", modelJSON(map[string]string{"model.type": "", "model.…": `"merges": []`}), `"BPE"`},
		{"Unigram", modelJSON(map[string]string{"model.type": "", "model.vocab": `[["a", 0.5]]`}), "Unigram"},
		{"WordLevel", modelJSON(map[string]string{"model.type": `"WordLevel"`}), `"WordLevel"`},
		{"another normalizer", modelJSON(map[string]string{"normalizer": `{"type": "NFKC"}`}), `"NFKC"`},
		{"another pre-tokenizer", modelJSON(map[string]string{"pre_tokenizer": `{"type": "ByteLevel"}`}), `"ByteLevel"`},
		{"no pre-tokenizer", modelJSON(map[string]string{"pre_tokenizer": "null"}), "pre_tokenizer"},
		{"another decoder", modelJSON(map[string]string{"decoder": `{"type": "Metaspace"}`}), `"Metaspace"`},
		{"another post-processor", modelJSON(map[string]string{"post_processor": `{"type": "RobertaProcessing"}`}), `"RobertaProcessing"`},
		{"template without text", modelJSON(map[string]string{"post_processor": `{"type": "TemplateProcessing", "single": []}`}), "place for the text"},
		{"template with the text twice", modelJSON(map[string]string{"post_processor": `{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}`}), "twice"},
		{"template with an unknown token", modelJSON(map[string]string{"post_processor": `{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "[X]"}}]}`}), "[X]"},
		{"template for a second text", modelJSON(map[string]string{"post_processor": `{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]}`}), "want A"},
		{"BertProcessing without ids", modelJSON(map[string]string{"post_processor": `{"type": "BertProcessing"}`}), "cls"},
		{"no vocabulary", modelJSON(map[string]string{"model.vocab": ""}), "missing or empty"},
		{"empty vocabulary", modelJSON(map[string]string{"model.vocab": "{}"}), "missing or empty"},
		{"no unknown token", modelJSON(map[string]string{"model.unk_token": `"<unk>"`}), "<unk>"},
		{"huge id", modelJSON(map[string]string{"model.vocab": `{"[UNK]": 0, "a": 2000000000}`}), "2000000000"},
		{"negative id", modelJSON(map[string]string{"model.vocab": `{"[UNK]": -1}`}), "-1"},
		{"id that is no number", modelJSON(map[string]string{"model.vocab": `{"[UNK]": "0"}`}), `"\"0\"", want a whole number`},
		{"fraction", modelJSON(map[string]string{"model.vocab": `{"[UNK]": 0.5}`}), "0.5"},
		{"two tokens of one id", modelJSON(map[string]string{"model.vocab": `{"[UNK]": 0, "a": 1, "b": 1}`}), "same id 1"},
		{"flag that is no flag", modelJSON(map[string]string{"added_tokens": `[{"content": "x", "special": 1}]`}), `"added_tokens": [0]: "special": a number, want true or false`},
		{"lone surrogate", modelJSON(map[string]string{"model.vocab": `{"[UNK]": 0, "\ud800": 1}`}), "surrogate"},
	} {
		_, err := Parse([]byte(c.data))
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want %q in it", c.name, err, c.want)
		}
		if len(err.Error()) > 400 {
			t.Errorf("%s: error of %d bytes", c.name, len(err.Error()))
		}
	}
}

// TestVocabularyFile checks that vocab.txt and tokenizer.json of the same model
// are the same tokenizer.
func TestVocabularyFile(t *testing.T) {
	fromJSON := parse(t, "tokenizer/bert-base-uncased.json")
	for name, lineEnd := range map[string]string{"LF": "\n", "CR LF": "\r\n"} {
		tokens := slices.Collect(fromJSON.vocabulary.all())
		fromLines, err := Parse([]byte(strings.Join(tokens, lineEnd)))
		if err != nil {
			t.Fatal(err)
		}
		if fromLines.VocabularySize() != 30522 || fromJSON.VocabularySize() != 30522 || !fromLines.LowerCase() {
			t.Errorf("%s: %d and %d tokens, want 30522", name, fromLines.VocabularySize(), fromJSON.VocabularySize())
		}
		for id, token := range tokens {
			if got, ok := fromLines.ID(token); !ok || got != int32(id) || fromLines.Token(got) != token {
				t.Fatalf("%s: %q: id %d, want %d", name, token, got, id)
			}
			if got, ok := fromJSON.ID(token); !ok || got != int32(id) {
				t.Fatalf("JSON: %q: id %d, want %d", token, got, id)
			}
		}
		for _, special := range []struct{ got, want int32 }{
			{fromLines.PadID(), 0}, {fromLines.UnknownID(), 100}, {fromLines.ClassID(), 101}, {fromLines.SeparatorID(), 102}, {fromLines.MaskID(), 103},
			{fromJSON.PadID(), 0}, {fromJSON.UnknownID(), 100}, {fromJSON.ClassID(), 101}, {fromJSON.SeparatorID(), 102}, {fromJSON.MaskID(), 103},
		} {
			if special.got != special.want {
				t.Errorf("%s: special id %d, want %d", name, special.got, special.want)
			}
		}
	}
	for _, token := range []string{"", "##", "no such token"} {
		if id, ok := fromJSON.ID(token); ok {
			t.Errorf("%q has id %d", token, id)
		}
	}
	if fromJSON.Token(-1) != "" || fromJSON.Token(30522) != "" {
		t.Error("ids out of range have tokens")
	}
}

func TestCheckUncased(t *testing.T) {
	uncased := parse(t, "tokenizer/bert-base-uncased.json")
	tokens := slices.Collect(uncased.vocabulary.all())
	// A stand-in for bert-base-cased: its size, and words in both cases.
	cased := append([]string(nil), tokens[:28996]...)
	for i := 2000; i < 12000; i++ {
		cased[i] = strings.ToUpper(cased[i]) + "X"
	}
	foreign := append([]string(nil), tokens...)
	foreign[1996], foreign[1997] = foreign[1997], foreign[1996]
	fromLines := func(tokens []string) *Tokenizer {
		tokenizer, err := Parse([]byte(strings.Join(tokens, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return tokenizer
	}
	keepsCase := parse(t, "tokenizer/bert-base-uncased.json")
	keepsCase.normalizer = newNormalizer(normalization{cleanText: true})
	noTemplate := parse(t, "tokenizer/bert-base-uncased.json")
	noTemplate.prefixIDs = nil
	tiny := parse(t, "tiny/tokenizer.json")
	for _, c := range []struct {
		name      string
		tokenizer *Tokenizer
		rows      int
		want      string // in the error; "" for none
	}{
		{"its own", uncased, 30528, ""},
		{"its own, not padded", uncased, 30522, ""},
		{"its own, padded to 128", uncased, 30592, ""},
		{"tiny", tiny, 1000, ""},
		{"tiny, vocab.txt", parse(t, "tiny/vocab.txt"), 1000, ""},
		{"tiny beside published weights", tiny, 30528, "997"},
		{"published beside tiny weights", uncased, 1000, "30522"},
		{"cased", fromLines(cased), 30528, "cased"},
		{"cased, same rows", fromLines(cased), 28996, "cased"},
		{"of the same size", fromLines(foreign), 30528, "the"},
		{"keeps case", keepsCase, 30528, "do_lower_case"},
		{"no template", noTemplate, 30528, "[CLS]"},
	} {
		err := c.tokenizer.CheckUncased(c.rows)
		if (err != nil) != (c.want != "") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "use the tokenizer.json")) {
			t.Errorf("%s: error %q, want %q and advice in it", c.name, err, c.want)
		}
	}
	if fromLines(cased).LowerCase() {
		t.Error("a cased vocab.txt is lower-cased")
	}
}
