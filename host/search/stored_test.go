package search

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"m2embed/core/passage"
)

// TestStored reads back what lies in an index: every word with its place.
func TestStored(t *testing.T) {
	ix := open(t, "", Options{Embedder: bag{}, Space: "s"})
	text := "# Tea\n\nGreen teas, and getUserName."
	add(t, ix, Document{ID: "b", Text: "Café"}, Document{ID: "a", Title: "Drinks", Text: text, Headings: passage.Markdown(text)})
	var passages []StoredPassage
	if err := ix.Passages(t.Context(), func(p StoredPassage) error { passages = append(passages, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(passages) != 2 || passages[0].Document != "a" || passages[0].Title != "Drinks" || passages[0].Heading != "Tea" || passages[0].Text != text || len(passages[0].Vector) != 64 {
		t.Fatalf("%+v", passages)
	}
	var got []string
	err := ix.Occurrences(t.Context(), func(o Occurrence) error {
		name := "b"
		if o.Passage == passages[0].Number {
			name = "a"
		}
		got = append(got, fmt.Sprintf("%s %s%d.%d", o.Stem, name, o.Column, o.Offset))
		return nil
	})
	want := "and a0.3, cafe b0.0, drink a1.0, get a2.0, getusernam a0.4, green a0.1, name a2.2, tea a0.0, tea a0.2, user a2.1"
	if all := strings.Join(got, ", "); err != nil || all != want {
		t.Errorf("%s, %v; want %s", all, err, want)
	}
	// Of three segments, one of them with a passage that is gone.
	add(t, ix, Document{ID: "c", Text: "tea leaves"})
	add(t, ix, Document{ID: "d", Text: "leaves of tea"})
	if _, err := ix.Remove(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	got = nil
	err = ix.Occurrences(t.Context(), func(o Occurrence) error {
		if o.Passage != passages[0].Number && o.Passage != passages[1].Number {
			got = append(got, fmt.Sprintf("%s %d", o.Stem, o.Offset))
		}
		return nil
	})
	if all := strings.Join(got, ", "); err != nil || all != "leav 0, of 1, tea 2" {
		t.Errorf("after removal: %s, %v", all, err)
	}
	stop := errors.New("stop")
	if err := ix.Passages(t.Context(), func(StoredPassage) error { return stop }); err != stop {
		t.Errorf("passages: %v", err)
	}
	for range 2 { // an ended walk leaves the index as it was
		if err := ix.Occurrences(t.Context(), func(Occurrence) error { return stop }); err != stop {
			t.Errorf("occurrences: %v", err)
		}
	}
}
