package main

import "testing"

func TestSection(t *testing.T) {
	report := "# Jobs\n\nintro\n\n## One\n\n| a |\n\n## Two\n\nlast\n"
	for title, want := range map[string]string{"One": "\n| a |\n", "Two": "\nlast\n", "Three": "", "Tw": ""} {
		if got := section(report, title); got != want {
			t.Errorf("section %q is %q, want %q", title, got, want)
		}
	}
}
