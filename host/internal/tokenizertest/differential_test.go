package tokenizertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"m2embed/core/tokenizer"
)

// A longer run, as in: go test ./host/internal/tokenizertest -args -strings 5000000 -seed 7
var (
	stringCount = flag.Int("strings", 100_000, "generated strings to compare")
	stringSeed  = flag.Uint64("seed", 1, "seed of the generated strings")
)

const uncasedFile = "../../../testdata/tokenizer/bert-base-uncased.json"

func startOracle(t *testing.T) *Oracle {
	t.Helper()
	oracle, err := StartOracle()
	if errors.Is(err, ErrNoNode) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := oracle.Close(); err != nil {
			t.Error(err)
		}
	})
	return oracle
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte) *tokenizer.Tokenizer {
	t.Helper()
	ours, err := tokenizer.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return ours
}

func vocabularyOf(ours *tokenizer.Tokenizer) []string {
	pieces := make([]string, ours.VocabularySize())
	for id := range pieces {
		pieces[id] = ours.Token(int32(id))
	}
	return pieces
}

// TestDifferential compares ids, offsets and decoded texts with the reference
// library: generated strings, every assigned code point, and real text.
func TestDifferential(t *testing.T) {
	oracle := startOracle(t)
	data := readFile(t, uncasedFile)
	if err := oracle.Load(data); err != nil {
		t.Fatal(err)
	}
	ours := parse(t, data)
	generator := NewGenerator(*stringSeed, vocabularyOf(ours))
	for _, set := range []struct {
		name  string
		texts []string
	}{
		{"generated", generator.Strings(*stringCount)},
		{"code points", codePoints()},
		{"real", realLines(t)},
	} {
		t.Run(set.name, func(t *testing.T) {
			compare(t, oracle, ours, set.texts)
			t.Logf("%d texts", len(set.texts))
		})
	}
}

// codePoints returns texts with every code point of the planes in use, between
// letters, alone, and before other marks.
func codePoints() []string {
	var texts []string
	var text strings.Builder
	n := 0
	add := func(r rune) {
		if !utf8.ValidRune(r) {
			return
		}
		fmt.Fprintf(&text, "a%cb %c c%c\u0323\u0301 ", r, r, r)
		if n++; n%8 == 0 {
			texts = append(texts, text.String())
			text.Reset()
		}
	}
	for r := rune(0); r <= 0x323FF; r++ {
		add(r)
	}
	for r := rune(0x323FF); r <= utf8.MaxRune; r += 37 {
		add(r)
	}
	for r := rune(0xE0000); r <= 0xE01FF; r++ {
		add(r)
	}
	return append(texts, text.String())
}

// realLines returns lines of text that comes with Go: a book, and source code
// and its comments in many scripts.
func realLines(t *testing.T) []string {
	root, err := GoRoot()
	if err != nil {
		t.Skip(err)
	}
	names := []string{
		"src/testdata/Isaac.Newton-Opticks.txt", "src/compress/testdata/gettysburg.txt",
		"src/strings/strings_test.go", "src/bytes/bytes_test.go", "src/unicode/utf8/utf8_test.go", "src/unicode/letter_test.go",
		"src/strconv/quote_test.go", "src/regexp/all_test.go", "src/html/entity.go", "src/fmt/fmt_test.go", "src/net/http/server.go",
	}
	var lines []string
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Logf("left out: %v", err)
			continue
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.ToValidUTF8(line, ""); line != "" {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		t.Skip("no text comes with this installation of Go")
	}
	return lines
}

// variants are changes to the uncased tokenizer.json that other files have.
var variants = []struct {
	name   string
	change func(file map[string]any)
}{
	{"keeps accents", normalizerSetting("strip_accents", false)},
	{"cased", normalizerSetting("lowercase", false)},
	{"cased, strips accents", func(file map[string]any) {
		normalizerSetting("lowercase", false)(file)
		normalizerSetting("strip_accents", true)(file)
	}},
	{"keeps control characters", normalizerSetting("clean_text", false)},
	{"leaves ideographs in words", normalizerSetting("handle_chinese_chars", false)},
	{"no normalizer", func(file map[string]any) { file["normalizer"] = nil }},
	{"no template", func(file map[string]any) { file["post_processor"] = nil }},
	{"BertProcessing", func(file map[string]any) {
		file["post_processor"] = map[string]any{"type": "BertProcessing", "sep": []any{"[SEP]", 102}, "cls": []any{"[CLS]", 101}}
	}},
	{"no decoder", func(file map[string]any) { file["decoder"] = nil }},
	{"decoder without cleanup", func(file map[string]any) { file["decoder"].(map[string]any)["cleanup"] = false }},
	{"short words", func(file map[string]any) { file["model"].(map[string]any)["max_input_chars_per_word"] = 5 }},
	{"no words", func(file map[string]any) { file["model"].(map[string]any)["max_input_chars_per_word"] = 0 }},
	{"long words", func(file map[string]any) { file["model"].(map[string]any)["max_input_chars_per_word"] = 100000 }},
	{"another prefix", func(file map[string]any) { file["model"].(map[string]any)["continuing_subword_prefix"] = "un" }},
	{"no prefix", func(file map[string]any) { file["model"].(map[string]any)["continuing_subword_prefix"] = "" }},
	{"gaps in the ids", func(file map[string]any) {
		vocabulary := file["model"].(map[string]any)["vocab"].(map[string]any)
		for i, token := range []string{"the", "##ing", ".", "##s"} {
			vocabulary[token] = 200_000 + 1000*i
		}
	}},
	{"marks that change places", func(file map[string]any) {
		vocabulary := file["model"].(map[string]any)["vocab"].(map[string]any)
		for r := rune(0); r <= 0x1FFFF; r++ {
			if isKeptMark(r) {
				vocabulary[string(r)] = len(vocabulary)
				vocabulary["##"+string(r)] = len(vocabulary)
			}
		}
	}},
	{"added tokens", func(file map[string]any) {
		add(file, "<s>", "lstrip", "special")
		add(file, "</s>", "rstrip", "special")
		add(file, "<mask>", "lstrip", "rstrip")
		add(file, "new", "single_word")
		add(file, "news")
		add(file, "中")
		add(file, " ")
	}},
	{"added tokens that take white space, which is one", func(file map[string]any) {
		add(file, "<s>", "rstrip")
		add(file, " ")
		add(file, "<mask>", "lstrip", "rstrip")
	}},
	{"the same, normalized", func(file map[string]any) {
		add(file, "<s>", "rstrip", "normalized")
		add(file, " ", "normalized")
		add(file, "<mask>", "lstrip", "rstrip", "normalized")
	}},
	{"normalized added tokens", func(file map[string]any) {
		add(file, "Yesterday", "normalized")
		add(file, "CAFÉ BAR", "normalized", "single_word")
		add(file, "<S>", "normalized", "lstrip", "rstrip", "special")
		add(file, "\u302e", "normalized")
		add(file, "new", "normalized")
		add(file, "[MASKED]")
	}},
	{"normalized added tokens, cased and not cleaned", func(file map[string]any) {
		normalizerSetting("lowercase", false)(file)
		normalizerSetting("clean_text", false)(file)
		add(file, "Yesterday", "normalized")
		add(file, "the", "normalized")
		add(file, "\v", "normalized")
	}},
}

func normalizerSetting(name string, value bool) func(file map[string]any) {
	return func(file map[string]any) { file["normalizer"].(map[string]any)[name] = value }
}

func add(file map[string]any, content string, flags ...string) {
	token := map[string]any{"id": 40000, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}
	for _, flag := range flags {
		token[flag] = true
	}
	file["added_tokens"] = append(file["added_tokens"].([]any), token)
}

// TestVariants compares tokenizers with other settings.
func TestVariants(t *testing.T) {
	oracle := startOracle(t)
	original := readFile(t, uncasedFile)
	generator := NewGenerator(2, vocabularyOf(parse(t, original)))
	for _, variant := range variants {
		t.Run(variant.name, func(t *testing.T) {
			file := make(map[string]any)
			if err := json.Unmarshal(original, &file); err != nil {
				t.Fatal(err)
			}
			variant.change(file)
			data, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := oracle.Load(data); err != nil {
				t.Fatal(err)
			}
			texts := generator.Strings(2000)
			for range 500 {
				texts = append(texts, generator.marks())
			}
			compare(t, oracle, parse(t, data), texts)
		})
	}
}

// compare fails the test for every text that the two libraries disagree on.
func compare(t *testing.T, oracle *Oracle, ours *tokenizer.Tokenizer, texts []string) {
	t.Helper()
	const batch = 2000
	random := rand.New(rand.NewPCG(3, 0))
	failures := 0
	for chunk := range slices.Chunk(texts, batch) {
		withSpecial := random.IntN(4) > 0
		want, err := oracle.Encode(chunk, withSpecial)
		if err != nil {
			t.Fatal(err)
		}
		skip := random.IntN(2) == 0
		decoded, err := oracle.Decode(want.IDs, skip)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range chunk {
			options := tokenizer.Options{WithoutSpecialTokens: !withSpecial, Offsets: true}
			got, err := ours.Encode(text, options)
			if err != nil {
				t.Fatal(err)
			}
			ids, _, err := ours.AppendIDs(nil, text, options)
			if err != nil {
				t.Fatal(err)
			}
			places := bytePlaces(text, want.Offsets[i])
			switch {
			case !slices.Equal(got.IDs, want.IDs[i]):
				t.Errorf("%+q\n got ids %v\nwant ids %v\n got %q\nwant %q", text, got.IDs, want.IDs[i], ours.Decode(got.IDs, false), ours.Decode(want.IDs[i], false))
			case !slices.Equal(ids, got.IDs):
				t.Errorf("%+q\nAppendIDs gives %v\n   Encode gives %v", text, ids, got.IDs)
			case !slices.Equal(got.Offsets, places) && !HasKeptMark(text):
				t.Errorf("%+q\n ids %v\n got offsets %v\nwant offsets %v", text, got.IDs, got.Offsets, places)
			case ours.Decode(got.IDs, skip) != decoded[i]:
				t.Errorf("%+q\n ids %v\n got decoded %q\nwant decoded %q", text, got.IDs, ours.Decode(got.IDs, skip), decoded[i])
			default:
				continue
			}
			if failures++; failures == 20 {
				t.Fatal("stopped after 20 differences")
			}
		}
	}
}

// bytePlaces turns offsets in characters into offsets in bytes.
func bytePlaces(text string, offsets []int) []tokenizer.Span {
	starts := make([]int, 0, len(text)+1)
	for i := range text {
		starts = append(starts, i)
	}
	starts = append(starts, len(text))
	places := make([]tokenizer.Span, 0, len(offsets)/2)
	for pair := range slices.Chunk(offsets, 2) {
		if pair[1] >= len(starts) {
			places = append(places, tokenizer.Span{Start: -1, End: -1})
			continue
		}
		places = append(places, tokenizer.Span{Start: starts[pair[0]], End: starts[pair[1]]})
	}
	return places
}

// TestGeneratorIsDeterministic keeps failures repeatable.
func TestGeneratorIsDeterministic(t *testing.T) {
	a, b := NewGenerator(7, []string{"x", "##y"}), NewGenerator(7, []string{"x", "##y"})
	for range 1000 {
		x, y := a.String(), b.String()
		if x != y || !bytes.Equal([]byte(x), bytes.ToValidUTF8([]byte(x), nil)) {
			t.Fatalf("%q and %q, want the same valid text", x, y)
		}
	}
}
