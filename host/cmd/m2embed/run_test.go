package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"m2embed/core"
	"m2embed/core/checkpoint"
)

const tiny = "../../../testdata/tiny"

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// runWith runs a command line as main does.
func runWith(ctx context.Context, stdin io.Reader, args ...string) result {
	var out, err bytes.Buffer
	code := run(ctx, args, stdin, &out, &err)
	return result{code, out.String(), err.String()}
}

func m2embed(args ...string) result {
	return runWith(context.Background(), strings.NewReader(""), args...)
}

// succeed runs a command line that must succeed.
func succeed(t *testing.T, args ...string) result {
	t.Helper()
	r := m2embed(args...)
	if r.code != exitOK {
		t.Fatalf("m2embed %s: code %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r
}

// fail checks an exit code, that the error is one line that holds all of the
// given words, and that nothing stands on standard output.
func (r result) fail(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("code %d, want %d: %s", r.code, code, r.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	for _, w := range words {
		if !strings.Contains(last, w) {
			t.Errorf("the error %q does not name %q", last, w)
		}
	}
	if len(lines) > 1 {
		t.Errorf("more than one line of error: %q", r.stderr)
	}
	if r.stdout != "" {
		t.Errorf("standard output holds %.100q", r.stdout)
	}
}

// write makes a file in a temporary folder.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// line is a line of embed's JSON.
type line struct {
	ID        string // of documents
	Index     int
	Tokens    int
	Length    int
	Truncated bool
	Space     string
	Embedding []float32
}

func parseLines(t *testing.T, text string) []line {
	t.Helper()
	var lines []line
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	for {
		var l line
		err := d.Decode(&l)
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

func golden(t *testing.T, name string) *checkpoint.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tiny, name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func goldenFloats(t *testing.T, f *checkpoint.File, name string) []float32 {
	t.Helper()
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := x.Float32(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func goldenIDs(t *testing.T, f *checkpoint.File, name string) []int32 {
	t.Helper()
	x, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int32
	for at := 0; at < len(x.Data); at += x.DType.Size() {
		ids = append(ids, int32(binary.LittleEndian.Uint32(x.Data[at:])))
	}
	return ids
}

func difference(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		if e := math.Abs(float64(a[i]) - float64(b[i])); !(e <= worst) {
			worst = e
		}
	}
	return worst
}

// leftOver fails if a folder holds anything but the given files.
func leftOver(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("the folder holds %q, want %q", names, want)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"nonsense", []string{`no command "nonsense"`}},
		{"embd", []string{`no command "embd", but embed`}},
		{"embed --nonsense x", []string{"--nonsense"}},
		{"--nonsense embed x", []string{"--nonsense"}},
		{"embed x --padding", []string{"needs an argument", "--padding"}},
		{"embed x --padding 0", []string{"--padding", `"0"`}},
		{"embed x --padding most", []string{"none, longest, max_length"}},
		{"embed x --pooling max", []string{"--pooling", "cls_hidden"}},
		{"embed x --truncation no", []string{"keep-sep"}},
		{"embed x --normalize 1", []string{"yes, no or default"}},
		{"embed x --max-length 1", []string{"at least 2"}},
		{"embed x --max-length -5", []string{"at least 2"}},
		{"embed x --max-length x", []string{"--max-length"}},
		{"embed x --threads -1", []string{"--threads"}},
		{"embed x --engine abacus", []string{"abacus", "native"}},
		{"embed x --batch 0", []string{"--batch"}},
		{"embed x --output out.bin", []string{".npy, .npz, .jsonl, .parquet"}},
		{"embed x --output= --format npy", []string{"--output is empty"}},
		{"embed x --format npy", []string{"needs a file"}},
		{"embed x --format csv", []string{"npy, npz, jsonl, parquet, text"}},
		{"embed x --input y", []string{"exclude each other"}},
		{"embed x --ids y", []string{"exclude each other"}},
		{"embed x --field text", []string{"--field", "--input"}},
		{"embed x --model=", []string{"--model is empty"}},
		{"similarity one", []string{"1 text, want two"}},
		{"similarity", []string{"0 texts, want two"}},
		{"search", []string{"0 arguments", "query"}},
		{"search --interactive", []string{"files or folders"}},
		{"search a b --top 0", []string{"--top"}},
		{"search a b --by chance", []string{"both, words or meaning"}},
		{"search a b --text c", []string{"2 arguments"}},
		{"search q --text x --top 0", []string{"--top"}},
		{"tokenize x --decode", []string{"--ids and --decode"}},
		{"convert", []string{"0 arguments, want IN and OUT"}},
		{"convert in out --dtype f8", []string{"f32, f16, bf16 or int8"}},
		{"convert in out --padding x", []string{"--padding"}},
		{"pull x", []string{"OWNER/MODEL"}},
		{"pull a/b c --sha256 x", []string{"--sha256"}},
		{"inspect a b", []string{"several models"}},
		{"inspect --length 1,x", []string{"length"}},
		{"bench --rounds 0", []string{"--rounds"}},
		{"bench x", []string{`unexpected argument "x"`}},
		{"serve x", []string{`unexpected argument "x"`}},
		{"serve --concurrent 0", []string{"--concurrent"}},
		{"version x", []string{`unexpected argument "x"`}},
		{"help nonsense", []string{`no command "nonsense"`}},
	} {
		t.Run(c.args, func(t *testing.T) { m2embed(strings.Fields(c.args)...).fail(t, exitUsage, c.words...) })
	}
}

func TestHelp(t *testing.T) {
	all := succeed(t, "help")
	if none := m2embed(); none != all {
		t.Error("m2embed alone is not m2embed help")
	}
	for _, c := range commands() {
		if !strings.Contains(all.stdout, "\n  "+c.name+" ") {
			t.Errorf("help does not list %s", c.name)
		}
		text := succeed(t, "help", c.name).stdout
		if text != succeed(t, c.name, "--help").stdout || text != succeed(t, c.name, "-h").stdout {
			t.Errorf("%s: help, --help and -h differ", c.name)
		}
		if !strings.Contains(text, c.summary) || !strings.Contains(text, "usage: m2embed "+c.name) {
			t.Errorf("%s: help lacks summary or usage", c.name)
		}
		for l := range strings.Lines(text) {
			if len([]rune(l)) > 82 {
				t.Errorf("%s: long line of help: %q", c.name, l)
			}
			if strings.Contains(l, "`") {
				t.Errorf("%s: a quote is left: %q", c.name, l)
			}
		}
	}
	// All options of the original scripts have a place.
	text := succeed(t, "embed", "--help").stdout
	for _, old := range []string{"--text", "--output-file", "--model-name", "--yaml-file", "--checkpoint", "--together-api", "encode_queries", "encode_corpus"} {
		if !strings.Contains(text, old) {
			t.Errorf("help of embed does not say what became of %s", old)
		}
	}
}

func TestFlagsAnywhere(t *testing.T) {
	want := succeed(t, "embed", "--padding=none", "--", "a", "b").stdout
	for _, args := range [][]string{
		{"embed", "a", "--padding", "none", "b"},
		{"embed", "a", "b", "--padding", "none"},
		{"embed", "--text", "a", "b", "--padding=none"},
		{"embed", "--text", "a", "--text", "b", "--padding=none"},
	} {
		if got := succeed(t, args...).stdout; got != want {
			t.Errorf("%q: another result", args)
		}
	}
	if n := len(parseLines(t, succeed(t, "embed", "--padding=none", "--text", "--", "--", "-1 degree").stdout)); n != 2 {
		t.Errorf("%d texts, want 2", n)
	}
	m2embed("embed", "-1 degree").fail(t, exitUsage, "-1 degree", "--")
}

func TestVersion(t *testing.T) {
	r := succeed(t, "version")
	for _, want := range []string{"m2embed " + core.Version, "go1.", "kernels: go", "engines: native", "embedded model: "} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("version lacks %q:\n%s", want, r.stdout)
		}
	}
	if succeed(t, "--version") != r {
		t.Error("--version differs from version")
	}
}

// TestBrokenPipe: what cannot be written is an error.
func TestBrokenPipe(t *testing.T) {
	var stderr bytes.Buffer
	for _, args := range [][]string{{"embed", "x"}, {"similarity", "x", "y"}, {"tokenize", "x"}, {"inspect"}} {
		stderr.Reset()
		if code := run(context.Background(), args, nil, failing{}, &stderr); code != exitFailure || !strings.Contains(stderr.String(), "disk full") {
			t.Errorf("%v: code %d: %s", args, code, stderr.String())
		}
	}
	r := runWith(context.Background(), iotest.ErrReader(fmt.Errorf("line noise")), "embed", "-")
	r.fail(t, exitFailure, "standard input: ", "line noise")
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

// TestStandardInput: where no text is named, texts are lines of standard input.
func TestStandardInput(t *testing.T) {
	for _, c := range []struct{ with, without []string }{
		{[]string{"embed", "--input", "-"}, []string{"embed"}},
		{[]string{"similarity", "a", "b", "c"}, []string{"similarity"}},
		{[]string{"search", "c", "--text", "a", "--text", "b", "--text", "c", "--json"}, []string{"search", "c", "--json"}},
		{[]string{"tokenize", "a", "b", "c"}, []string{"tokenize"}},
	} {
		want := runWith(context.Background(), strings.NewReader("a\nb\nc\n"), c.with...)
		got := runWith(context.Background(), strings.NewReader("a\nb\nc\n"), c.without...)
		if want.code != exitOK || got.code != exitOK || got.stdout != want.stdout || got.stdout == "" {
			t.Errorf("%q: code %d: %s%s; want that of %q: %s%s", c.without, got.code, got.stdout, got.stderr, c.with, want.stdout, want.stderr)
		}
	}
	m2embed("embed").fail(t, exitFailure, "standard input holds no texts")
}

// TestCompletion: each shell gets a script, and flags with choices offer them.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := succeed(t, "completion", shell).stdout; !strings.Contains(script, "__complete") {
			t.Errorf("%s: %.100q", shell, script)
		}
	}
	for _, c := range []struct{ line, offers string }{
		{"em", "embed\tMake a vector of each text.\n:4\n"},
		{"embed --engine ", "native\nwasm\nwebgpu\n:4\n"},
		{"embed --padding ", "none\nlongest\nmax_length\n:4\n"},
		{"convert --dtype ", "f32\nf16\nbf16\nint8\n:4\n"},
		{"serve --site ", ":16\n"},
	} {
		if got := succeed(t, append([]string{"__complete"}, strings.Split(c.line, " ")...)...).stdout; got != c.offers {
			t.Errorf("%q: %q, want %q", c.line, got, c.offers)
		}
	}
	if got := succeed(t, "__complete", "help", "").stdout; strings.Count(got, "\n") != len(commands())+1 {
		t.Errorf("help offers %q", got)
	}
}
