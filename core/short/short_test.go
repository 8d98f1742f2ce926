package short

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShort(t *testing.T) {
	for _, n := range []int{0, 1, MaxQuoted / 2, MaxQuoted/2 + 1, MaxQuoted, 1000, 1 << 20} {
		for _, letter := range []string{"m", "ü", "中", "\xff"} {
			text := strings.Repeat(letter, n)
			for what, got := range map[string]string{"Quote": Quote(text), "Text": Text(text), "Error": Error(errors.New(text)).Error()} {
				if len(text) <= MaxQuoted && letter != "\xff" && !strings.Contains(got, text) {
					t.Errorf("%s of %d × %q: %q", what, n, letter, got)
				}
				if len(got) > 4*MaxQuoted+50 || letter != "\xff" && !utf8.ValidString(got) {
					t.Errorf("%s of %d × %q: %d bytes: %q", what, n, letter, len(got), got)
				}
			}
		}
	}
	if got := List(make([]int, 100)); got != "[0 0 0 0 0 0 0 0 …] (100 sizes)" {
		t.Error(got)
	}
	if Error(nil) != nil || !errors.Is(Error(io.EOF), io.EOF) {
		t.Error("Error loses the error")
	}
}
