package main

import (
	"fmt"
	"strconv"
	"strings"
)

// counted is "1 text", "2,000 texts".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int64(n)) + " " + noun + "s"
}

// thousands groups digits: 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// amount is a number with a decimal prefix: 1.23 G.
func amount(x float64, unit string) string {
	for _, p := range []struct {
		factor float64
		name   string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= p.factor {
			return fmt.Sprintf("%.3g %s%s", x/p.factor, p.name, unit)
		}
	}
	return fmt.Sprintf("%.3g %s", x, unit)
}

// excerpt is the beginning of a text on one line, of at most n characters.
func excerpt(text string, n int) string {
	var b strings.Builder
	count := 0
	for _, r := range text {
		if count == n {
			b.WriteString("…")
			break
		}
		if r < ' ' || r == 0x7f || !strconv.IsPrint(r) && r != ' ' {
			r = ' '
		}
		b.WriteRune(r)
		count++
	}
	return b.String()
}
