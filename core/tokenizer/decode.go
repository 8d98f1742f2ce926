package tokenizer

import "strings"

// decoder says how tokens are joined to a text.
type decoder struct {
	continuationPrefix string
	cleanUp            bool
	plain              bool // no decoder: tokens are joined by spaces as they are
}

// Decode returns a text for ids: pieces joined to words, words separated by
// spaces and, where the tokenizer says so, tidied up around punctuation. Ids out
// of range are left out; so are the special tokens when skipSpecial is set. What
// normalisation took away does not come back.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var text strings.Builder
	first := true
	for _, id := range ids {
		token, ok := t.decoded[id]
		if !ok {
			token = t.vocabulary.token(id)
		}
		if token == "" || skipSpecial && t.special[id] {
			continue
		}
		if t.decoder.plain {
			if !first {
				text.WriteByte(' ')
			}
			text.WriteString(token)
			first = false
			continue
		}
		if !first {
			if rest, ok := strings.CutPrefix(token, t.decoder.continuationPrefix); ok {
				token = rest
			} else {
				token = " " + token
			}
		}
		if t.decoder.cleanUp {
			token = cleanUp(token)
		}
		text.WriteString(token)
		first = false
	}
	return text.String()
}

// tidying takes the space away that stands before punctuation and clitics. The
// order matters, as do the odd ones: this is what the reference library does,
// token by token.
var tidying = [...][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"},
	{" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

func cleanUp(token string) string {
	for _, rule := range tidying {
		token = strings.ReplaceAll(token, rule[0], rule[1])
	}
	return token
}
