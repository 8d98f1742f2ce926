package tokenizer

import (
	"fmt"
	"iter"
	"slices"
)

// Published M2-BERT weights were trained with bert-base-uncased. Its size, and a
// few of its ids, tell it from other vocabularies.
const uncasedSize = 30522

var uncasedSamples = []struct {
	token string
	id    int32
}{{"the", 1996}, {"of", 1997}, {"and", 1998}, {"##s", 2015}, {".", 1012}, {"##～", 30521}}

const useUncased = "use the tokenizer.json or vocab.txt of bert-base-uncased (30522 tokens), with which M2-BERT is trained"

// CheckUncased returns an error when this cannot be the tokenizer of M2-BERT
// weights whose word table has vocabSize rows: one for a cased or another
// vocabulary, or one that does not put a text between [CLS] and [SEP]. Such a
// tokenizer lies beside some published weights, and every id that it gives
// selects the wrong row. The error says what to use instead.
func (t *Tokenizer) CheckUncased(vocabSize int) error {
	size := t.VocabularySize()
	switch {
	case looksCased(t.vocabulary.all()):
		return fmt.Errorf("the tokenizer has a cased vocabulary of %d tokens, but the weights (%d word embeddings) need lower-case text: %s", size, vocabSize, useUncased)
	case size > vocabSize:
		return fmt.Errorf("the tokenizer has %d tokens, but the weights only %d word embeddings: %s", size, vocabSize, useUncased)
	case vocabSize-size >= rowPadding:
		return fmt.Errorf("the tokenizer has %d tokens, but the weights %d word embeddings, which is more than padding explains: %s", size, vocabSize, useUncased)
	case !t.LowerCase():
		return fmt.Errorf("the tokenizer does not lower-case the text (do_lower_case is false): %s", useUncased)
	}
	if size == uncasedSize {
		for _, sample := range uncasedSamples {
			if id, ok := t.ID(sample.token); !ok || id != sample.id {
				return fmt.Errorf("the tokenizer has as many tokens as bert-base-uncased, but not the same: %q is not %d: %s", sample.token, sample.id, useUncased)
			}
		}
	}
	class, separator := t.ClassID(), t.SeparatorID()
	if class < 0 || separator < 0 || !slices.Equal(t.prefixIDs, []int32{class}) || !slices.Equal(t.suffixIDs, []int32{separator}) {
		return fmt.Errorf("the tokenizer does not put the text between [CLS] and [SEP]: %s", useUncased)
	}
	return nil
}

// rowPadding is more rows than a word table is padded by: tables are rounded up
// to a multiple of 8 (30522 to 30528), at most of 128.
const rowPadding = 128

// all yields all tokens, by id.
func (v *vocabulary) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for id := range int32(v.size()) {
			if !yield(v.token(id)) {
				return
			}
		}
	}
}
