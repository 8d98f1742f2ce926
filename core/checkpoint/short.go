package checkpoint

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// The most of a file's own words that an error repeats.
const (
	maxQuoted  = 120 // bytes of a name
	maxListed  = 8   // sizes of a shape
	maxMessage = 400 // bytes of another package's message
)

// quoted returns a name of the file as an error shows it: in quotes, and cut
// where it is long.
func quoted[T ~string](name T) string {
	if len(name) <= maxQuoted {
		return strconv.Quote(string(name))
	}
	return fmt.Sprintf("%q… (%d bytes)", cutText(string(name), maxQuoted), len(name))
}

// cutText returns at most n bytes of s, whole characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// listed returns sizes as an error shows them.
func listed[T int | int64](sizes []T) string {
	if len(sizes) <= maxListed {
		return fmt.Sprint(sizes)
	}
	s := fmt.Sprint(sizes[:maxListed])
	return fmt.Sprintf("%s …] (%d sizes)", s[:len(s)-1], len(sizes))
}

// shortError is an error of another package, whose message may repeat any
// length of the file, with the middle of that message left out.
type shortError struct{ err error }

func (e shortError) Error() string {
	s := e.err.Error()
	if len(s) <= maxMessage {
		return s
	}
	tail := len(s) - maxMessage/2
	for !utf8.RuneStart(s[tail]) && tail < len(s)-1 {
		tail++
	}
	return cutText(s, maxMessage/2) + " … " + s[tail:]
}

func (e shortError) Unwrap() error { return e.err }

// errRoom is the answer to a file whose description would take much more
// memory than the file has bytes.
var errRoom = errors.New("its description repeats itself to more bytes than the file's size allows")

// roomFor returns how many bytes the description of a file may take in memory:
// 24 MB, some 20,000 tensors, and twice the file.
func roomFor(size int64) int64 { return 24<<20 + 2*size }
