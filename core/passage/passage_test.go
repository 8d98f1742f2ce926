package passage

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"m2embed/core/tokenizer"
	"m2embed/host/small"
)

// cut returns the passages as text, each with its context in front.
func cut(text string, o Options) []string {
	var out []string
	for _, p := range Cut(text, Words(text), o) {
		out = append(out, p.Text(text))
	}
	return out
}

func TestCut(t *testing.T) {
	ten := "one two three four five six seven eight nine ten"
	table := []struct {
		name, text string
		options    Options
		markdown   bool
		want       []string
	}{
		{"nothing", " \n\t\n ", Options{}, false, nil},
		{"one", "  a b\n", Options{}, false, []string{"a b"}},
		{"paragraphs are packed", "a b\n\nc d\n\ne f", Options{Target: 4, Max: 5}, false, []string{"a b\n\nc d", "e f"}},
		{"all that fits is one", "a b\n\nc d\n\ne f", Options{Target: 4, Max: 6}, false, []string{"a b\n\nc d\n\ne f"}},
		{"a paragraph over the target", "a b c d e f\n\ng", Options{Target: 4, Max: 6}, false, []string{"a b c d e f", "g"}},
		{"little at the end", "a b c d\n\ne", Options{Target: 8, Max: 8}, false, []string{"a b c d\n\ne"}},
		{"little behind a full one", "a b c d e f g h\n\ni", Options{Target: 8, Max: 9}, false, []string{"a b c d e f g h\n\ni"}},
		{"less than half is filled up", "a\n\nb c d e f", Options{Target: 4, Max: 8}, false, []string{"a\n\nb c d e f"}},
		{"sentences", "A b c. D e f. G h i.", Options{Target: 8, Max: 8}, false, []string{"A b c. D e f.", "G h i."}},
		{"no sentence within", "At 3.5 m. the e.g. Dr. No of U.S. A. Milne said vs. Bo. Then.", Options{Target: 18, Max: 28}, false,
			[]string{"At 3.5 m. the e.g. Dr. No of U.S. A. Milne said vs. Bo.", "Then."}},
		{"quotes end with it", `He said "no." She left! (So.) X`, Options{Target: 7, Max: 7}, false, []string{`He said "no."`, `She left! (So.)`, "X"}},
		{"ideographs", "天地玄黄。宇宙洪荒。日月", Options{Target: 5, Max: 5}, false, []string{"天地玄黄。", "宇宙洪荒。", "日月"}},
		{"lines", "a b c\nd e f\ng h", Options{Target: 6, Max: 6}, false, []string{"a b c\nd e f", "g h"}},
		{"items", "- a b. c\n- d e", Options{Target: 5, Max: 5}, false, []string{"- a b. c", "- d e"}},
		{"clauses", "a b c, d e f, g h i", Options{Target: 8, Max: 8}, false, []string{"a b c, d e f,", "g h i"}},
		{"words", ten, Options{Target: 4, Max: 4}, false, []string{"one two three four", "five six seven eight", "nine ten"}},
		{"pieces of a word", strings.Repeat("ä", 30), Options{Target: 2, Max: 2}, false,
			[]string{strings.Repeat("ä", 14), strings.Repeat("ä", 14), "ää"}},
		{"overlap of sentences", "A b. C d. E f. G h.", Options{Target: 6, Max: 6, Overlap: 3}, false, []string{"A b. C d.", "C d. E f.", "E f. G h."}},
		{"overlap too large", "A b c d. E f.", Options{Target: 6, Max: 6, Overlap: 3}, false, []string{"A b c d.", "E f."}},
		{"headings", "# A\n\na b\n\n## B\nc d\n\n## C\n\ne f\n\n# D\n\ng h", Options{Target: 6}, true,
			[]string{"# A\n\na b", "A\n## B\nc d", "A\n## C\n\ne f", "# D\n\ng h"}},
		{"headings without text", "# A\n## B\nc d", Options{Target: 6}, true, []string{"# A\n## B\nc d"}},
		{"a section of several", "# A\n\na b c d\n\ne f g h", Options{Target: 6, Max: 7}, true, []string{"# A\n\na b c d", "A\ne f g h"}},
		{"little above a heading", "x\n\n# A\n\na b c", Options{Target: 16}, true, []string{"x\n\n# A\n\na b c"}},
		{"no headings in code", "a\n\n```\n# b\n\nc\n```\n\nd", Options{Target: 8, Max: 10}, true, []string{"a\n\n```\n# b\n\nc\n```", "d"}},
		{"underlined", "A *b*\n===\n\nc d\n\nE\n---\nf g", Options{Target: 8}, true, []string{"A *b*\n===\n\nc d", "A b\nE\n---\nf g"}},
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			if c.markdown {
				c.options.Headings = Markdown(c.text)
			}
			if got := cut(c.text, c.options); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			check(t, c.text, Words(c.text), c.options)
		})
	}
}

func TestMarkdown(t *testing.T) {
	table := []struct{ text, want string }{
		{"# A", "1 A"},
		{"####### A\n#A\n#\n# #", ""},
		{"## A b ##\n\n### `C` [d](http://e) \\#", "2 A b; 3 C d #"},
		{"    # code\n   # A", "1 A"},
		{"A\n==\nB\n--\n\nC\nd\n--", "1 A"},
		{"---\ntitle: A\n---\n# B", "1 B"},
		{"```\n# A\n```\n# B\n```\n# C", "1 B; 1 C"},
		{"~~~\n# A\n```\n~~~~\n# B", "1 B"},
		{"- a\n--\n> b\n==", ""},
	}
	for _, c := range table {
		var got []string
		for _, h := range Markdown(c.text) {
			got = append(got, fmt.Sprintf("%d %s", h.Level, h.Title))
			if h.Start < 0 || h.End > len(c.text) || h.End <= h.Start {
				t.Errorf("%q: heading at %d to %d", c.text, h.Start, h.End)
			}
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%q: %q, want %q", c.text, s, c.want)
		}
	}
}

// TestHeadingsFromOutside gives headings that no text has.
func TestHeadingsFromOutside(t *testing.T) {
	text := "a b c"
	o := Options{Headings: []Heading{{-1, 1, 1, "x"}, {0, 9, 1, "x"}, {2, 2, 1, "x"}, {2, 3, 7, "B"}, {0, 1, 1, "x"}, {4, 5, 0, "C"}}}
	if got := cut(text, o); !reflect.DeepEqual(got, []string{"a b c"}) {
		t.Errorf("%q", got)
	}
}

func TestTokens(t *testing.T) {
	tok, err := tokenizer.Parse(small.Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("Die Katze, 日本語 und\n\n\u3000 42 käse ", 5000) + strings.Repeat("y.", 100000) + " end"
	e, err := tok.Encode(long, tokenizer.Options{WithoutSpecialTokens: true, Offsets: true})
	if got := Tokens(tok, long); err != nil || len(got) != len(e.Offsets) || !slices.EqualFunc(got, e.Offsets, func(at int, o tokenizer.Span) bool { return at == o.Start }) {
		t.Errorf("%d tokens in pieces, %d in one", len(got), len(e.Offsets))
	}
	text := strings.Repeat("The cat sat on the mat, embedding passages. And Dr. Who did not! ", 40)
	starts := Tokens(tok, text)
	passages := Cut(text, starts, Options{Target: 50})
	if len(passages) < 8 {
		t.Errorf("%d passages", len(passages))
	}
	check(t, text, starts, Options{Target: 50})
	for _, p := range passages {
		e, err := tok.Encode(text[p.Start:p.End], tokenizer.Options{WithoutSpecialTokens: true})
		if err != nil || e.Length != p.Tokens {
			t.Errorf("%d tokens by themselves, %d counted: %v", e.Length, p.Tokens, err)
		}
	}
}

// check holds passages against what Cut promises.
func check(t *testing.T, text string, starts []int, o Options) {
	t.Helper()
	passages := Cut(text, starts, o)
	target := o.Target
	if target <= 0 {
		target = DefaultTarget
	}
	most := o.Max
	if most <= 0 {
		most = target + target/2
	}
	most = max(most, target)
	covered := 0
	whole := utf8.ValidString(text)
	var before Passage
	for i, p := range passages {
		if p.Start < 0 || p.Start >= p.End || p.End > len(text) {
			t.Fatalf("passage %d: %d to %d of %d", i, p.Start, p.End, len(text))
		}
		if whole && !utf8.ValidString(text[p.Start:p.End]) {
			t.Fatalf("passage %d: %d to %d split a character", i, p.Start, p.End)
		}
		if i > 0 && (p.Start <= before.Start || p.End <= before.End || o.Overlap <= 0 && p.Start < before.End) {
			t.Fatalf("passage %d: %d to %d behind %d to %d", i, p.Start, p.End, before.Start, before.End)
		}
		if s := text[p.Start:p.End]; s != strings.TrimFunc(s, unicode.IsSpace) {
			t.Fatalf("passage %d: %q has white space around it", i, s)
		}
		if p.Start > covered && strings.TrimFunc(text[covered:p.Start], unicode.IsSpace) != "" {
			t.Fatalf("passage %d: %q is left out", i, text[covered:p.Start])
		}
		if p.Tokens > most {
			t.Fatalf("passage %d: %d tokens, at most %d allowed", i, p.Tokens, most)
		}
		if p.Above < 0 || p.Above > len(p.Headings) {
			t.Fatalf("passage %d: %d of %d headings above", i, p.Above, len(p.Headings))
		}
		covered, before = p.End, p
	}
	if strings.TrimFunc(text[covered:], unicode.IsSpace) != "" {
		t.Fatalf("%q is left out at the end", text[covered:])
	}
}

func FuzzCut(f *testing.F) {
	f.Add("# A\n\nOne two. Three, four!\n\n```\ncode\n```\n- x\n- y", 8, 0, 4)
	f.Add("a\xff\xfe b\u00a0\u3000中。文", 1, 1, 0)
	f.Add(strings.Repeat("```x\n", 20)+"~~~\nA\n===", 3, 5, 1)
	f.Add("A\n==\n"+strings.Repeat("ab.cd", 50), 2, 2, 1)
	f.Fuzz(func(t *testing.T, text string, target, most, overlap int) {
		o := Options{Target: target % 300, Max: most % 500, Overlap: overlap % 300}
		starts := Words(text)
		check(t, text, starts, o)
		o.Headings = Markdown(text)
		check(t, text, starts, o)
	})
}

// TestLongWords: a word that is one token is cut all the same, and others as before.
func TestLongWords(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 1<<20), "a " + strings.Repeat("é", 1<<18) + " b\n\nc " + strings.Repeat("\u3000 ", 3000) + "d"} {
		var starts []int
		for at := range text {
			if at == 0 || text[at-1] == ' ' || text[at-1] == '\n' {
				starts = append(starts, at)
			}
		}
		check(t, text, starts, Options{Target: 16})
		for i, p := range Cut(text, starts, Options{Target: 16}) {
			if n := len(strings.TrimSpace(strings.ReplaceAll(text[p.Start:p.End], "\u3000", ""))); n > 24*longestToken {
				t.Errorf("passage %d has %d bytes", i, n)
			}
		}
	}
	text := strings.Repeat("x", longestToken) + strings.Repeat(" ", longestToken) + "y"
	starts := []int{0, 2 * longestToken}
	if got := bounded(text, starts); &got[0] != &starts[0] {
		t.Errorf("%d starts of %d tokens", len(got), len(starts))
	}
}

// TestCost reads texts made to be slow: the time grows with the length.
func TestCost(t *testing.T) {
	for name, text := range map[string]string{
		"fences":  strings.Repeat("```x\n", 1<<18),
		"stops":   strings.Repeat(".", 1<<20),
		"a. b.":   strings.Repeat("a.", 1<<19),
		"spaces":  strings.Repeat(" ", 1<<20) + "a",
		"lines":   strings.Repeat("\n", 1<<20),
		"hashes":  strings.Repeat("# a\n", 1<<18),
		"letters": strings.Repeat("a", 1<<20),
		"items":   strings.Repeat("- a\n", 1<<18),
	} {
		t.Run(name, func(t *testing.T) {
			Cut(text, Words(text), Options{Headings: Markdown(text)})
		})
	}
}
