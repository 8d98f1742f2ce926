package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
)

// Describe yields all that decides which ids a text gets, piece by piece, in an
// order that is the same for equal tokenizers: to tell tokenizers apart. A piece
// is valid until the next.
func (t *Tokenizer) Describe(yield func(piece []byte)) {
	yield(fmt.Appendf(nil, "%d ids, unknown %d, words of %d characters, template %v %v, %+v",
		t.size, t.unknownID, t.maxCharactersPerWord, t.prefixIDs, t.suffixIDs, t.normalizer.settings))
	var added []*addedToken // pointers, and a stable sort: code that other sorts have brought into the module
	for _, found := range []*addedTokens{t.rawAdded, t.foldedAdded} {
		if found == nil {
			continue
		}
		for _, token := range found.byContent {
			added = append(added, &token)
		}
	}
	slices.SortStableFunc(added, func(a, b *addedToken) int {
		return cmp.Or(cmp.Compare(a.content, b.content), cmp.Compare(a.id, b.id))
	})
	for _, token := range added {
		token.special = false // a matter of Decode
		yield(fmt.Appendf(nil, "%+v", *token))
	}
	var b []byte
	for id := range int32(t.size) {
		b = append(b[:0], t.Token(id)...)
		yield(b)
	}
}
