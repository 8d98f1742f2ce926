// Package tokenizer turns text into the token ids of a BERT WordPiece
// vocabulary and back.
//
// A text goes through these steps, each of them as in the Hugging Face
// tokenizers library 0.23, to which ids and offsets are equal:
//
//	added tokens   "[MASK]" and its like are found in the raw text and kept whole
//	normalisation  clean, spaces around ideographs, strip accents, lower case
//	splitting      at white space; every punctuation character stands alone
//	WordPiece      longest piece first, [UNK] for a word that does not come out
//	template       [CLS] pieces [SEP]
//
// Source: Devlin et al., BERT (2019), section 3 and its bert-base-uncased files.
//
// The package reads bytes that it is given and touches no file. A Tokenizer is
// immutable and safe for concurrent use.
package tokenizer

import "sync"

// Tokenizer is a WordPiece vocabulary with the settings of its normalisation,
// template and decoder. Parse makes one.
type Tokenizer struct {
	vocabulary *vocabulary
	normalizer *normalizer

	size                  int // ids, those of added tokens included
	unknownID             int32
	maxCharactersPerWord  int
	prefixIDs, suffixIDs  []int32 // the template: prefixIDs text suffixIDs
	rawAdded, foldedAdded *addedTokens
	special               map[int32]bool // ids that Decode may skip
	addedText             map[int32]string
	decoded               map[int32]string // what Decode makes of an added token
	addedID               map[string]int32
	decoder               decoder

	scratches sync.Pool // of *scratch
}

// VocabularySize returns the number of ids: the highest id and one.
func (t *Tokenizer) VocabularySize() int { return t.size }

// LowerCase reports whether text is lower-cased, as an uncased model needs.
func (t *Tokenizer) LowerCase() bool { return t.normalizer.settings.lowerCase }

// Token returns the token with the given id, with its "##" where it has one,
// or "" when there is none.
func (t *Tokenizer) Token(id int32) string {
	if text, ok := t.addedText[id]; ok {
		return text
	}
	return t.vocabulary.token(id)
}

// ID returns the id of a token given as it stands in the vocabulary.
func (t *Tokenizer) ID(token string) (int32, bool) {
	if id, ok := t.addedID[token]; ok {
		return id, true
	}
	return t.vocabulary.find(token)
}

// PadID returns the id of [PAD], or −1 when the vocabulary has none.
func (t *Tokenizer) PadID() int32 { return t.idOrNone("[PAD]") }

// ClassID returns the id of [CLS], or −1 when the vocabulary has none.
func (t *Tokenizer) ClassID() int32 { return t.idOrNone("[CLS]") }

// SeparatorID returns the id of [SEP], or −1 when the vocabulary has none.
func (t *Tokenizer) SeparatorID() int32 { return t.idOrNone("[SEP]") }

// UnknownID returns the id that stands for words the vocabulary cannot spell.
func (t *Tokenizer) UnknownID() int32 { return t.unknownID }

// MaskID returns the id of [MASK], or −1 when the vocabulary has none.
func (t *Tokenizer) MaskID() int32 { return t.idOrNone("[MASK]") }

func (t *Tokenizer) idOrNone(token string) int32 {
	if id, ok := t.ID(token); ok {
		return id
	}
	return -1
}
