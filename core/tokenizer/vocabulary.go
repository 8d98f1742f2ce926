package tokenizer

import (
	"math/bits"
	"strings"
)

// vocabulary holds all tokens one after another and finds them by hash.
//
// A token that begins with the continuation prefix ("##") is entered twice: as
// it stands, for the start of a word, and without its prefix, for the rest of
// one. The two kinds differ in the seed of their hash. The hash (FNV-1a) grows
// a byte at a time, so that one pass over a word gives the hashes of all its
// beginnings.
type vocabulary struct {
	text         string   // all tokens
	ends         []uint32 // (ids) end of each token in text
	count        int      // different tokens
	prefixLength int      // bytes of the continuation prefix

	slots   []uint64   // open addressing: hash's low half << 32 | id << 1 | kind, plus one
	shift   int        // 64 − log2(len(slots))
	longest [2]int     // bytes of the longest piece of each kind
	single  [128]int32 // id of each one-character word below U+0080, or −1
}

// The two kinds of piece, and the hash seed of each.
const (
	wordStart    = 0
	continuation = 1

	hashPrime = 0x100000001b3
)

var hashSeeds = [2]uint64{0xcbf29ce484222325, 0x6c62272e07bb0142}

func hashOf(kind int, piece string) uint64 {
	h := hashSeeds[kind]
	for i := 0; i < len(piece); i++ {
		h = (h ^ uint64(piece[i])) * hashPrime
	}
	return h
}

// newVocabulary builds the table for tokens, in which the index is the id and
// "" stands for an id without a token.
func newVocabulary(tokens []string, prefix string) *vocabulary {
	total, pieces := 0, 0
	for _, token := range tokens {
		if token == "" {
			continue
		}
		total += len(token)
		pieces++
		if _, ok := cutPrefix(token, prefix); ok {
			pieces++
		}
	}
	v := &vocabulary{ends: make([]uint32, len(tokens)), prefixLength: len(prefix)}
	var text strings.Builder
	text.Grow(total)
	for id, token := range tokens {
		text.WriteString(token)
		v.ends[id] = uint32(text.Len())
	}
	v.text = text.String()

	logSlots := max(4, bits.Len(uint(pieces+pieces/2)))
	v.slots = make([]uint64, 1<<logSlots)
	v.shift = 64 - logSlots
	for id := range tokens {
		token := v.token(int32(id))
		if token == "" {
			continue
		}
		if v.insert(wordStart, token, int32(id)) {
			v.count++
		}
		if rest, ok := cutPrefix(token, prefix); ok {
			v.insert(continuation, rest, int32(id))
		}
	}
	for c := range v.single {
		v.single[c] = -1
		if id, ok := v.find(string(rune(c))); ok {
			v.single[c] = id
		}
	}
	return v
}

func cutPrefix(token, prefix string) (rest string, ok bool) {
	if len(token) > len(prefix) && token[:len(prefix)] == prefix {
		return token[len(prefix):], true
	}
	return "", false
}

// insert enters a piece and reports whether it is new. A token listed under
// several ids keeps the last one.
func (v *vocabulary) insert(kind int, piece string, id int32) (isNew bool) {
	hash := hashOf(kind, piece)
	value := hash<<32 | uint64(uint32(id)<<1|uint32(kind)) + 1
	mask := uint64(len(v.slots) - 1)
	i := hash * 0x9e3779b97f4a7c15 >> v.shift
	for ; v.slots[i] != 0; i = (i + 1) & mask {
		if v.holds(v.slots[i], hash, kind, piece) {
			break
		}
	}
	isNew = v.slots[i] == 0
	v.slots[i] = value
	v.longest[kind] = max(v.longest[kind], len(piece))
	return isNew
}

// holds reports whether a slot is that of the given piece.
func (v *vocabulary) holds(slot, hash uint64, kind int, piece string) bool {
	if uint32(slot>>32) != uint32(hash) {
		return false
	}
	value := uint32(slot) - 1
	if int(value&1) != kind {
		return false
	}
	token := v.token(int32(value >> 1))
	return token[kind*v.prefixLength:] == piece
}

// lookup returns the id of a piece whose hash is known, or −1.
func (v *vocabulary) lookup(kind int, piece []byte, hash uint64) int32 {
	mask := uint64(len(v.slots) - 1)
	for i := hash * 0x9e3779b97f4a7c15 >> v.shift; ; i = (i + 1) & mask {
		slot := v.slots[i]
		if slot == 0 {
			return -1
		}
		if uint32(slot>>32) != uint32(hash) {
			continue
		}
		value := uint32(slot) - 1
		if int(value&1) != kind {
			continue
		}
		if token := v.token(int32(value >> 1)); token[kind*v.prefixLength:] == string(piece) {
			return int32(value >> 1)
		}
	}
}

// find returns the id of a whole token.
func (v *vocabulary) find(token string) (int32, bool) {
	if token == "" {
		return 0, false
	}
	id := v.lookup(wordStart, []byte(token), hashOf(wordStart, token))
	return id, id >= 0
}

// size returns the number of ids, gaps included.
func (v *vocabulary) size() int { return len(v.ends) }

// token returns the token with an id, or "".
func (v *vocabulary) token(id int32) string {
	if id < 0 || int(id) >= len(v.ends) {
		return ""
	}
	start := uint32(0)
	if id > 0 {
		start = v.ends[id-1]
	}
	return v.text[start:v.ends[id]]
}
