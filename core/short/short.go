// Package short keeps what files say from filling an error's message.
package short

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// The most of a file's own words that an error repeats.
const (
	MaxQuoted  = 120 // bytes of a name or a value
	maxListed  = 8   // sizes of a shape
	maxMessage = 400 // bytes of another package's message
)

// Quote returns a name of the file as an error shows it: in quotes, and cut
// where it is long.
func Quote[T ~string](name T) string {
	if len(name) <= MaxQuoted {
		return strconv.Quote(string(name))
	}
	return fmt.Sprintf("%q… (%d bytes)", Cut(string(name), MaxQuoted), len(name))
}

// Text returns a value of the file, cut where it is long.
func Text(s string) string {
	if len(s) <= MaxQuoted {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", Cut(s, MaxQuoted), len(s))
}

// Cut returns at most n bytes of s, whole characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// List returns sizes as an error shows them.
func List[T int | int64](sizes []T) string {
	if len(sizes) <= maxListed {
		return fmt.Sprint(sizes)
	}
	s := fmt.Sprint(sizes[:maxListed])
	return fmt.Sprintf("%s …] (%d sizes)", s[:len(s)-1], len(sizes))
}

// Error returns an error of another package, whose message may repeat any
// length of the file, with the middle of that message left out where it is long.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return shortened{err}
}

type shortened struct{ err error }

func (e shortened) Error() string {
	s := e.err.Error()
	if len(s) <= maxMessage {
		return s
	}
	tail := len(s) - maxMessage/2
	for !utf8.RuneStart(s[tail]) && tail < len(s)-1 {
		tail++
	}
	return Cut(s, maxMessage/2) + " … " + s[tail:]
}

func (e shortened) Unwrap() error { return e.err }
