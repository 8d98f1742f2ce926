//go:build !daulet

package rusttokenizer

import "errors"

// Open opens the Hugging Face tokenizers library, which this
// program was built without.
func Open([]byte) (Text, error) {
	return nil, errors.New("this program was built without the Rust tokenizer: ./build.sh tokenizers makes its library, and the build tag daulet links it in")
}
