package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference tokenizes without specials in the most obvious way: whole-text
// steps, strings, a map. It is the twin that the one-pass code is held against.
type reference struct {
	ids        map[string]int32
	added      []string
	settings   normalization
	unknown    int32
	characters int
}

func newReference(t *Tokenizer) *reference {
	r := &reference{ids: make(map[string]int32, t.VocabularySize()), settings: t.normalizer.settings, unknown: t.UnknownID(), characters: t.maxCharactersPerWord}
	for id, token := range slices.Collect(t.vocabulary.all()) {
		r.ids[token] = int32(id)
	}
	for content := range t.rawAdded.byContent {
		r.added = append(r.added, content)
	}
	return r
}

func (r *reference) encode(text string) []int32 {
	for i := range text {
		for _, content := range r.added {
			if strings.HasPrefix(text[i:], content) {
				return slices.Concat(r.encode(text[:i]), []int32{r.ids[content]}, r.encode(text[i+len(content):]))
			}
		}
	}
	var ids []int32
	for _, word := range r.split(r.normalize([]rune(text))) {
		ids = append(ids, r.wordPiece(word)...)
	}
	return ids
}

func (r *reference) normalize(text []rune) []rune {
	step := func(change func(c rune) []rune) {
		var next []rune
		for _, c := range text {
			next = append(next, change(c)...)
		}
		text = next
	}
	if r.settings.cleanText {
		step(func(c rune) []rune {
			switch {
			case c == '\t' || c == '\n' || c == '\r':
				return []rune{' '}
			case classOf(c) == control:
				return nil
			case isSpace(c):
				return []rune{' '}
			}
			return []rune{c}
		})
	}
	if r.settings.ideographs {
		step(func(c rune) []rune {
			if isIdeograph(c) {
				return []rune{' ', c, ' '}
			}
			return []rune{c}
		})
	}
	if r.settings.stripAccent {
		step(func(c rune) []rune { return appendDecomposition(nil, c) })
		// Canonical ordering: each run of characters with a class, sorted by it.
		for start := 0; start < len(text); {
			end := start
			for end < len(text) && referenceClass(text[end]) > 0 {
				end++
			}
			slices.SortStableFunc(text[start:end], func(a, b rune) int { return int(referenceClass(a)) - int(referenceClass(b)) })
			start = max(end, start+1)
		}
		step(func(c rune) []rune {
			if classOf(c) == droppedMark {
				return nil
			}
			return []rune{c}
		})
	}
	if r.settings.lowerCase {
		step(func(c rune) []rune { return appendLower(nil, c) })
	}
	return text
}

// referenceClass is the combining class, 0 for marks newer than the tables.
func referenceClass(c rune) uint8 {
	if k := classOf(c); k == droppedMark || k == keptMark {
		return combiningClass(c)
	}
	return 0
}

func (r *reference) split(text []rune) []string {
	var words []string
	word := ""
	end := func() {
		if word != "" {
			words = append(words, word)
		}
		word = ""
	}
	for _, c := range text {
		switch splitOf(c) {
		case space:
			end()
		case isolate:
			end()
			words = append(words, string(c))
		default:
			word += string(c)
		}
	}
	end()
	return words
}

func (r *reference) wordPiece(word string) []int32 {
	if utf8.RuneCountInString(word) > r.characters {
		return []int32{r.unknown}
	}
	var ids []int32
	for start := 0; start < len(word); {
		prefix := ""
		if start > 0 {
			prefix = "##"
		}
		end := len(word)
		for ; end > start; end-- {
			if id, ok := r.ids[prefix+word[start:end]]; ok && utf8.ValidString(word[start:end]) {
				ids = append(ids, id)
				break
			}
		}
		if end == start {
			return []int32{r.unknown}
		}
		start = end
	}
	return ids
}

// oddities are strings to mix into random text.
var oddities = strings.Fields(`the un aff able playing Tokenization İstanbul ΣΑΣ ẞ ſ ŉ é e` + "\u0301" + ` ệ Å 한국어 ᄒ` + "\u1161" + ` 中文 漢字 か が
	[MASK] [mask] [CLS] [SEP] [[PAD]] ## #a ... — “x” ≠ ` + "\u037e \u1fef \u00ad \u200b \u200d \ufeff \u302e \u302f\u0323 \u1b44 \U0001d15e \ufffd" + `
	ﬁ Ⅷ ʰ 𐐀 🙂 👩‍💻 ¼ € $ ~ क्षि ไทย עברית ꙮ`)

func randomText(random *rand.Rand) string {
	var text strings.Builder
	for range 1 + random.IntN(12) {
		switch random.IntN(8) {
		case 0:
			text.WriteRune(rune(random.IntN(0x3000)))
		case 1:
			text.WriteRune(rune(random.IntN(0x20000)))
		case 2:
			text.WriteString(strings.Repeat("ab", 48+random.IntN(4)))
		case 3:
			text.WriteByte(byte(random.IntN(256)))
		default:
			text.WriteString(oddities[random.IntN(len(oddities))])
		}
		text.WriteString([]string{"", "", " ", "\n", "\u00a0", "."}[random.IntN(6)])
	}
	return text.String()
}

// TestReference compares the one-pass encoder with its obvious twin, for every
// combination of settings.
func TestReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	original := parse(t, "tokenizer/bert-base-uncased.json")
	twin := newReference(original)
	for mask := range 16 {
		settings := normalization{cleanText: mask&1 != 0, ideographs: mask&2 != 0, stripAccent: mask&4 != 0, lowerCase: mask&8 != 0}
		tokenizer := &Tokenizer{
			size: original.size, vocabulary: original.vocabulary, normalizer: newNormalizer(settings), unknownID: original.unknownID,
			maxCharactersPerWord: 100, rawAdded: original.rawAdded,
		}
		twin.settings = settings
		for range 500 {
			text := randomText(random)
			want := twin.encode(text)
			got, _, err := tokenizer.AppendIDs(nil, text, Options{WithoutSpecialTokens: true})
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%+v: %+q: %v, %v, want %v", settings, text, got, err, want)
			}
			encoding, err := tokenizer.Encode(text, Options{WithoutSpecialTokens: true, Offsets: true})
			if err != nil || !slices.Equal(encoding.IDs, want) {
				t.Fatalf("%+v: %+q: with offsets: %v, %v, want %v", settings, text, encoding.IDs, err, want)
			}
			checkPlaces(t, text, encoding)
			// The path for added tokens in normalised text, without any.
			folding := *newEncoderFor(tokenizer)
			folding.foldedSegmentOnly(text)
			if !strings.Contains(text, "[") && !slices.Equal(folding.ids, want) {
				t.Fatalf("%+v: %+q: folded: %v, want %v", settings, text, folding.ids, want)
			}
		}
	}
}

func newEncoderFor(t *Tokenizer) *encoder {
	return &encoder{scratch: new(scratch), t: t, limit: noLimit}
}

func (e *encoder) foldedSegmentOnly(text string) {
	e.fold(text, 0)
	e.folded(string(e.foldedText), 0, len(e.foldedText))
}

// checkPlaces checks that places lie in the text, in order, on its characters.
func checkPlaces(t *testing.T, text string, encoding Encoding) {
	t.Helper()
	if len(encoding.Offsets) != len(encoding.IDs) {
		t.Fatalf("%+q: %d offsets, %d ids", text, len(encoding.Offsets), len(encoding.IDs))
	}
	last := 0
	for i, place := range encoding.Offsets {
		if place.Start < 0 || place.End > len(text) {
			t.Fatalf("%+q: place %v of token %d is outside of the text", text, place, i)
		}
		if place.End <= place.Start || place.Start < last {
			t.Fatalf("%+q: place %v of token %d follows one that starts at %d", text, place, i, last)
		}
		last = place.Start
	}
}
