//go:build !daulet

package host

import "errors"

// OpenRustTokenizer opens the Hugging Face tokenizers library, which this
// program was built without.
func OpenRustTokenizer([]byte) (TextTokenizer, error) {
	return nil, errors.New("this program was built without the Rust tokenizer: ./build.sh tokenizers makes its library, and the build tag daulet links it in")
}
