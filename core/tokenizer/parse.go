package tokenizer

import (
	"bytes"
	"encoding/json/jsontext"
	"fmt"
)

// file is what a tokenizer.json says, before it is checked and put together.
type file struct {
	version       string
	addedTokens   []addedToken
	normalizer    string // types; "" for null
	settings      normalization
	preTokenizer  string
	postProcessor string
	prefix        []templateItem
	suffix        []templateItem
	templateIDs   map[string][]int32
	decoderType   string
	decoder       decoder
	model         modelFile
}

// modelFile is the model section.
type modelFile struct {
	kind                 string
	unknown              string
	continuationPrefix   string
	maxCharactersPerWord int
	vocabulary           vocabularyFile
	hasMerges            bool
}

// vocabularyFile is the vocabulary as it stands in the file: names one after
// another, which costs no allocation for each.
type vocabularyFile struct {
	text []byte
	ends []int // end of each name in text
	ids  []int32
}

// Parse reads a tokenizer.json (its first character is "{") or a vocab.txt (one
// token a line, the line number from 0 being the id).
//
// Of a tokenizer.json, the sections truncation and padding are ignored: those
// are the caller's business. A vocab.txt says nothing but the tokens, so the
// settings of BERT are taken, lower-casing being left out for a vocabulary with
// words in upper case.
//
// # Errors
//
//   - JSON that is not well-formed, or a member of another kind than it must have
//   - a model other than WordPiece, or a normalizer, pre-tokenizer,
//     post-processor or decoder other than BERT's: refused by name
//   - a vocabulary without its unknown token, or with ids far beyond the number
//     of its tokens
func Parse(data []byte) (*Tokenizer, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		f, err := readFile(trimmed)
		if err != nil {
			return nil, fmt.Errorf("read tokenizer.json: %w", err)
		}
		t, err := f.build()
		if err != nil {
			return nil, fmt.Errorf("read tokenizer.json: %w", err)
		}
		return t, nil
	}
	t, err := parseVocabulary(data)
	if err != nil {
		return nil, fmt.Errorf("read vocab.txt: %w", err)
	}
	return t, nil
}

func readFile(data []byte) (*file, error) {
	f := &file{model: modelFile{
		unknown:              "[UNK]",
		continuationPrefix:   "##",
		maxCharactersPerWord: 100,
	}}
	d := newJSONReader(data)
	err := d.object(func(name string) error {
		switch name {
		case "version":
			return d.string(&f.version)
		case "added_tokens":
			f.addedTokens = nil
			return d.array(func(int) error { return f.readAddedToken(d) })
		case "normalizer":
			return f.readNormalizer(d)
		case "pre_tokenizer":
			return readTyped(d, &f.preTokenizer, nil)
		case "post_processor":
			return f.readPostProcessor(d)
		case "decoder":
			return f.readDecoder(d)
		case "model":
			return f.readModel(d)
		}
		return d.SkipValue()
	})
	if err != nil {
		return nil, err
	}
	if rest := bytes.TrimLeft(data[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the JSON text", len(rest))
	}
	return f, nil
}

// readTyped takes an object with a "type", or null. member takes the value of
// another name, or reports false.
func readTyped(d jsonReader, kind *string, member func(name string) (bool, error)) error {
	return d.object(func(name string) error {
		if name == "type" {
			return d.string(kind)
		}
		if member != nil {
			if taken, err := member(name); taken || err != nil {
				return err
			}
		}
		return d.SkipValue()
	})
}

// Bounds of added_tokens, beyond those of any tokenizer: what is kept of them takes
// many times the bytes of the file.
const (
	maxAddedTokens = 1 << 16
	maxAddedToken  = 1 << 12 // bytes of one
)

func (f *file) readAddedToken(d jsonReader) error {
	var token addedToken
	id := 0
	err := d.object(func(name string) error {
		switch name {
		case "id":
			return d.count(&id)
		case "content":
			return d.string(&token.content)
		case "single_word":
			return d.bool(&token.singleWord)
		case "lstrip":
			return d.bool(&token.stripLeft)
		case "rstrip":
			return d.bool(&token.stripRight)
		case "normalized":
			return d.bool(&token.normalized)
		case "special":
			return d.bool(&token.special)
		}
		return d.SkipValue()
	})
	switch {
	case err != nil || token.content == "":
		return err
	case len(token.content) > maxAddedToken:
		return fmt.Errorf("token %s of %d bytes, want at most %d", shorten(token.content), len(token.content), maxAddedToken)
	case len(f.addedTokens) == maxAddedTokens:
		return fmt.Errorf("more than %d tokens", maxAddedTokens)
	}
	f.addedTokens = append(f.addedTokens, token)
	return nil
}

func (f *file) readNormalizer(d jsonReader) error {
	// What a BertNormalizer that leaves a setting out means by it.
	f.settings = normalization{cleanText: true, ideographs: true, lowerCase: true}
	stripIsSet := false
	err := readTyped(d, &f.normalizer, func(name string) (bool, error) {
		switch name {
		case "clean_text":
			return true, d.bool(&f.settings.cleanText)
		case "handle_chinese_chars":
			return true, d.bool(&f.settings.ideographs)
		case "strip_accents":
			stripIsSet = d.PeekKind() != 'n'
			return true, d.bool(&f.settings.stripAccent)
		case "lowercase", "do_lower_case":
			return true, d.bool(&f.settings.lowerCase)
		}
		return false, nil
	})
	if !stripIsSet {
		f.settings.stripAccent = f.settings.lowerCase
	}
	if f.normalizer == "" {
		f.settings = normalization{}
	}
	return err
}

func (f *file) readDecoder(d jsonReader) error {
	f.decoder = decoder{continuationPrefix: "##", cleanUp: true}
	return readTyped(d, &f.decoderType, func(name string) (bool, error) {
		switch name {
		case "prefix":
			return true, d.string(&f.decoder.continuationPrefix)
		case "cleanup":
			return true, d.bool(&f.decoder.cleanUp)
		}
		return false, nil
	})
}

func (f *file) readModel(d jsonReader) error {
	m := &f.model
	return readTyped(d, &m.kind, func(name string) (bool, error) {
		switch name {
		case "unk_token":
			return true, d.string(&m.unknown)
		case "continuing_subword_prefix":
			return true, d.string(&m.continuationPrefix)
		case "max_input_chars_per_word":
			return true, d.count(&m.maxCharactersPerWord)
		case "merges":
			m.hasMerges = true
		case "vocab":
			if d.PeekKind() == '[' {
				return true, fmt.Errorf("an array, as a Unigram model has it: %w", errUnsupportedModel)
			}
			return true, m.vocabulary.read(d)
		}
		return false, nil
	})
}

// read takes an object of tokens and ids. There are tens of thousands: the
// object is checked as a whole, and then gone through without a call for each.
func (v *vocabularyFile) read(d jsonReader) error {
	*v = vocabularyFile{}
	if d.null() {
		return nil
	}
	if kind := d.PeekKind(); kind != '{' {
		return d.unexpected(kind, "an object")
	}
	object, err := d.ReadValue()
	if err != nil {
		return err
	}
	members := min(bytes.Count(object, []byte{':'}), len(object)/5) // "":0,
	v.text = make([]byte, 0, len(object)/2)
	v.ends, v.ids = make([]int, 0, members), make([]int32, 0, members)
	rest := object[1:]
	for {
		// What is left is  "name" : value , …  with white space anywhere.
		if rest = skip(rest, ','); rest[0] == '}' {
			return nil
		}
		length := stringLength(rest)
		start := len(v.text)
		if name := rest[1 : length-1]; bytes.IndexByte(name, '\\') < 0 {
			v.text = append(v.text, name...)
		} else if v.text, err = jsontext.AppendUnquote(v.text, rest[:length]); err != nil {
			return err
		}
		rest = skip(rest[length:], ':')
		id, digits := 0, 0
		for ; rest[digits] >= '0' && rest[digits] <= '9' && digits < 9; digits++ {
			id = 10*id + int(rest[digits]-'0')
		}
		if next := rest[digits]; digits == 0 || !(next == ',' || next == '}' || next <= ' ') {
			value := rest[:min(len(rest), 20)]
			if end := bytes.IndexAny(value, ",} "); end >= 0 {
				value = value[:end]
			}
			return fmt.Errorf("%s: %s, want a whole number from 0 to %d", shorten(string(v.text[start:])), shorten(string(value)), 999_999_999)
		}
		rest = rest[digits:]
		v.ends = append(v.ends, len(v.text))
		v.ids = append(v.ids, int32(id))
	}
}

// skip drops white space and separators from the start of JSON text.
func skip(text []byte, separator byte) []byte {
	for text[0] == separator || text[0] == ' ' || text[0] == '\n' || text[0] == '\r' || text[0] == '\t' {
		text = text[1:]
	}
	return text
}

// stringLength returns the length of the JSON string at the start of text, its
// quotes included.
func stringLength(text []byte) int {
	for i := 1; ; i++ {
		i += bytes.IndexByte(text[i:], '"')
		escapes := 0
		for text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}
