package host

import "m2embed/core/tokenizer"

// TextTokenizer is a tokenizer that can stand in for core's. Special tokens and
// truncation are core's all the same.
type TextTokenizer interface {
	Encode(text string, o tokenizer.Options) (tokenizer.Encoding, error)
	Decode(ids []int32, skipSpecial bool) string
	Close() error
}
