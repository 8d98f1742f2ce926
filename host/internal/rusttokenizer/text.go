// Package rusttokenizer is a second opinion on core's tokenizer: the Hugging Face
// library, where it is linked in.
package rusttokenizer

import "m2embed/core/tokenizer"

// Text is a tokenizer that can stand in for core's. Special tokens and
// truncation are core's all the same.
type Text interface {
	Encode(text string, o tokenizer.Options) (tokenizer.Encoding, error)
	Decode(ids []int32, skipSpecial bool) string
	Close() error
}
