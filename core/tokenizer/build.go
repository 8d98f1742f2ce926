package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errUnsupportedModel = errors.New("only WordPiece is supported")

// build checks what was read and makes the tokenizer.
func (f *file) build() (*Tokenizer, error) {
	if f.version != "" && f.version != "1.0" {
		return nil, fmt.Errorf("version %s, want 1.0", shorten(f.version))
	}
	if err := f.checkTypes(); err != nil {
		return nil, err
	}
	tokens, err := f.model.tokens()
	if err != nil {
		return nil, err
	}
	t, err := assemble(tokens, &f.model, f.settings)
	if err != nil {
		return nil, err
	}
	if t.vocabulary.count < len(f.model.vocabulary.ids) {
		tokens = f.model.vocabulary.keepLast(tokens, t.vocabulary)
		if t, err = assemble(tokens, &f.model, f.settings); err != nil {
			return nil, err
		}
	}
	if t.prefixIDs, err = f.resolve(f.prefix); err != nil {
		return nil, err
	}
	if t.suffixIDs, err = f.resolve(f.suffix); err != nil {
		return nil, err
	}
	t.decoder = f.decoder
	if f.decoderType == "" {
		t.decoder = decoder{plain: true}
	}
	t.placeAddedTokens(f.addedTokens)
	t.setAddedTokens(f.addedTokens)
	return t, nil
}

// checkTypes refuses sections of kinds that do not belong to a BERT tokenizer.
func (f *file) checkTypes() error {
	m := &f.model
	if m.kind == "" && m.hasMerges {
		m.kind = "BPE"
	}
	for _, section := range []struct{ name, kind, want string }{
		{"model", m.kind, "WordPiece"},
		{"normalizer", f.normalizer, "BertNormalizer"},
		{"pre_tokenizer", f.preTokenizer, "BertPreTokenizer"},
		{"decoder", f.decoderType, "WordPiece"},
	} {
		if section.kind == "" || section.kind == section.want {
			continue
		}
		return fmt.Errorf("%s is of type %s, want %s: this is not the tokenizer of a BERT model", section.name, shorten(section.kind), section.want)
	}
	switch {
	case f.preTokenizer == "":
		return fmt.Errorf("pre_tokenizer is missing, want BertPreTokenizer")
	case f.postProcessor != "" && f.postProcessor != "TemplateProcessing" && f.postProcessor != "BertProcessing":
		return fmt.Errorf("post_processor is of type %s, want TemplateProcessing or BertProcessing", shorten(f.postProcessor))
	}
	return nil
}

// tokens returns the vocabulary by id.
func (m *modelFile) tokens() ([]string, error) {
	v := &m.vocabulary
	if len(v.ids) == 0 {
		return nil, fmt.Errorf("model: the vocabulary is missing or empty")
	}
	if len(v.text) > 1<<31 {
		return nil, fmt.Errorf("model: the tokens have %d bytes, more than can be held", len(v.text))
	}
	// Gaps occur in real files, but no file may make us set aside many megabytes
	// by naming one large id.
	most := len(v.ids) + len(v.ids)/2 + 1<<19
	text := string(v.text)
	tokens := make([]string, min(most, int(slices.Max(v.ids))+1))
	start := 0
	for i, id := range v.ids {
		token := text[start:v.ends[i]]
		start = v.ends[i]
		if int(id) >= most {
			return nil, fmt.Errorf("model: vocab: token %s has id %d, but there are only %d tokens", shorten(token), id, len(v.ids))
		}
		if other := tokens[id]; other != "" {
			return nil, fmt.Errorf("model: vocab: tokens %s and %s have the same id %d", shorten(other), shorten(token), id)
		}
		tokens[id] = token
	}
	return tokens, nil
}

// keepLast drops all but the last of entries with equal names from the tokens by
// id; names are what was built of them. Names are so rarely equal that they are
// looked for only when the vocabulary turns out smaller than the file.
func (v *vocabularyFile) keepLast(tokens []string, names *vocabulary) []string {
	last := make([]int32, 1+names.size()) // entries, by 1 + the id that is found by their name; none by ""
	found := make([]int32, len(v.ids))
	for i, id := range v.ids {
		known, _ := names.find(tokens[id])
		found[i] = 1 + known
		last[found[i]] = int32(i)
	}
	size := 0
	for i, id := range v.ids {
		if last[found[i]] == int32(i) {
			size = max(size, int(id)+1)
		} else {
			tokens[id] = ""
		}
	}
	return tokens[:size]
}

// placeAddedTokens gives each added token its id: that of the vocabulary or, for
// one that is not in it, the next free one. The ids in added_tokens themselves
// do not count for the reference library either.
func (t *Tokenizer) placeAddedTokens(tokens []addedToken) {
	known := make(map[string]int32)
	next := int32(t.vocabulary.count)
	for i := range tokens {
		token := &tokens[i]
		id, ok := known[token.content]
		if !ok {
			if id, ok = t.vocabulary.find(token.content); !ok {
				id = next
				next++
			}
			known[token.content] = id
		}
		token.id = id
	}
}

// assemble makes a tokenizer without template and added tokens.
func assemble(tokens []string, m *modelFile, settings normalization) (*Tokenizer, error) {
	t := &Tokenizer{
		vocabulary:           newVocabulary(tokens, m.continuationPrefix),
		normalizer:           newNormalizer(settings),
		maxCharactersPerWord: m.maxCharactersPerWord,
	}
	id, ok := t.vocabulary.find(m.unknown)
	if !ok {
		return nil, fmt.Errorf("model: the vocabulary has no unknown token %s", shorten(m.unknown))
	}
	t.unknownID = id
	return t, nil
}

// setAddedTokens enters the added tokens; of two with the same content the last
// one counts.
func (t *Tokenizer) setAddedTokens(tokens []addedToken) {
	t.size = t.vocabulary.size()
	t.special = make(map[int32]bool)
	t.addedText = make(map[int32]string)
	t.addedID = make(map[string]int32)
	t.decoded = make(map[int32]string)
	byContent := make(map[string]addedToken)
	for _, token := range tokens {
		byContent[token.content] = token
		t.size = max(t.size, int(token.id)+1)
		t.addedText[token.id] = token.content
		t.addedID[token.content] = token.id
	}
	raw, folded := make(map[string]addedToken), make(map[string]addedToken)
	for _, token := range byContent {
		byRaw := token.content
		if token.normalized {
			token.content = t.fold(token.content)
		}
		// Decoding gives the normalised form, which no longer counts as special.
		t.decoded[token.id] = token.content
		t.special[token.id] = token.special && token.content == byRaw
		switch {
		case token.content == "":
		case token.normalized:
			folded[token.content] = token
		default:
			raw[token.content] = token
		}
	}
	t.rawAdded, t.foldedAdded = newAddedTokens(raw), newAddedTokens(folded)
}

// fold normalises a whole string.
func (t *Tokenizer) fold(text string) string {
	e := t.newEncoder()
	defer t.release(e)
	e.fold(text, 0)
	return string(e.foldedText)
}

// bertSpecialTokens are kept whole by a tokenizer made from a vocab.txt.
var bertSpecialTokens = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}

// parseVocabulary makes BERT's tokenizer from the lines of a vocab.txt.
func parseVocabulary(data []byte) (*Tokenizer, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("the file is empty")
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("not a text file: it is not valid UTF-8")
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	tokens := 0
	for i, line := range lines {
		if lines[i] = strings.TrimRightFunc(line, isSpace); lines[i] != "" {
			tokens++
		}
	}
	isCased := looksCased(slices.Values(lines))
	m := &modelFile{unknown: "[UNK]", continuationPrefix: "##", maxCharactersPerWord: 100}
	settings := normalization{cleanText: true, ideographs: true, stripAccent: !isCased, lowerCase: !isCased}
	t, err := assemble(lines, m, settings)
	if err != nil {
		return nil, err
	}
	if t.vocabulary.count < tokens { // of equal lines the last one counts, as in the reference library
		for i, line := range lines {
			if last, _ := t.vocabulary.find(line); int(last) != i {
				lines[i] = ""
			}
		}
		if t, err = assemble(lines, m, settings); err != nil {
			return nil, err
		}
	}
	var added []addedToken
	for _, content := range bertSpecialTokens {
		if id, ok := t.vocabulary.find(content); ok {
			added = append(added, addedToken{content: content, id: id, special: true})
		}
	}
	t.setAddedTokens(added)
	class, separator := t.ClassID(), t.SeparatorID()
	if class < 0 || separator < 0 {
		return nil, fmt.Errorf("the vocabulary lacks [CLS] or [SEP]: this is not the vocabulary of a BERT model")
	}
	t.prefixIDs, t.suffixIDs = []int32{class}, []int32{separator}
	t.decoder = decoder{continuationPrefix: "##", cleanUp: true}
	return t, nil
}

// looksCased reports whether a vocabulary was made from text in upper and lower
// case: one token in a hundred has an upper-case letter. (The uncased
// vocabulary has two, both U+211D.)
func looksCased(tokens iter.Seq[string]) bool {
	upper, all := 0, 0
	for token := range tokens {
		all++
		if strings.HasPrefix(token, "[") {
			continue // [CLS], [unused1]
		}
		if strings.IndexFunc(token, unicode.IsUpper) >= 0 {
			upper++
		}
	}
	return upper*100 > all
}
