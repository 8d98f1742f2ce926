package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// TestProgress: a bar shows counts and rate, takes itself away, and is not
// there without a terminal.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	if newProgress(&call{ctx: context.Background(), stderr: &out}, "x") != nil {
		t.Error("a bar without a terminal")
	}
	began := time.Now().Add(-2 * time.Second)
	p := &progress{out: &out, label: "embedding"}
	p.setTokens(0, 0, 0, time.Now())
	if out.Len() > 0 {
		t.Errorf("a bar for short work: %q", out.String())
	}
	for i := range 11 {
		p.setTokens(float64(i)/10, 100*i, 3000*i, began)
		time.Sleep(12 * time.Millisecond)
	}
	p.finish()
	p.finish()
	text := out.String()
	if !strings.Contains(text, "embedding 1,000 texts, 14,") && !strings.Contains(text, "tokens/s") {
		t.Errorf("no rate in %q", text)
	}
	last := text[strings.LastIndexAny(strings.TrimRight(text, "\r"), "\r\n")+1:]
	if strings.TrimSpace(strings.NewReplacer("\x1b[2K", "", "\r", "").Replace(last)) != "" {
		t.Errorf("the bar is still there: %q", last)
	}
	out.Reset()
	p = &progress{out: &out, label: "converting"}
	p.set(1<<20, 4<<20)
	p.set(4<<20, 4<<20)
	p.finish()
	if !strings.Contains(out.String(), "converting") || !strings.Contains(out.String(), "MB") {
		t.Errorf("no bytes in %q", out.String())
	}
	var none *progress
	none.set(1, 2)
	none.setTokens(0, 0, 0, began)
	none.finish()
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100: "100"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 4.8e9: "4.8 GB", 3.25e12: "3.25 TB", 1e6: "1 MB"} {
		if got := amount(x, "B"); got != want {
			t.Errorf("amount(%v) = %q, want %q", x, got, want)
		}
	}
	if counted(1, "text") != "1 text" || counted(2000, "text") != "2,000 texts" {
		t.Error("counted is wrong")
	}
	if got := excerpt("a\x00\nb\x1b[2Jédef", 7); got != "a  b [2…" {
		t.Errorf("excerpt %q", got)
	}
}
