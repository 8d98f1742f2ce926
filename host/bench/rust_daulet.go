//go:build daulet

package main

import (
	"m2embed/core/tokenizer"
	"m2embed/host/internal/rusttokenizer"
)

// rustLibrary returns the Rust tokenizers library's encoding of a text, linked
// into this program, and what frees it.
func rustLibrary(vocabulary []byte) (encode func(text string) error, done func() error, err error) {
	t, err := rusttokenizer.New(vocabulary)
	if err != nil {
		return nil, nil, err
	}
	return func(text string) error {
		_, err := t.Encode(text, tokenizer.Options{})
		return err
	}, t.Close, nil
}
