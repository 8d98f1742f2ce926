//go:build !daulet

package main

import "errors"

// rustLibrary needs the build tag daulet and the library that
// host/internal/tokenizertest/build-rust.sh makes.
func rustLibrary([]byte) (encode func(text string) error, done func() error, err error) {
	return nil, nil, errors.New("this program was built without the tag daulet")
}
