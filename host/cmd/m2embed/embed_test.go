package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// goldenTolerance is that of pooled vectors of the tiny model: the original's
// own float32 and float64 runs differ by 2e-6.
const goldenTolerance = 1e-5

var goldenLengths = []int{1, 2, 3, 5, 17, 64, 100, 512}

// readNPY is a plain reader of what package npy writes.
func readNPY(t *testing.T, data []byte) [][]float32 {
	t.Helper()
	body, ok := bytes.CutPrefix(data, []byte("\x93NUMPY\x01\x00"))
	if !ok {
		t.Fatalf("no .npy: %.100q", data)
	}
	m := regexp.MustCompile(`^{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), } *\n`).FindSubmatch(body[2:])
	if m == nil {
		t.Fatalf("no header of a .npy: %.100q", data)
	}
	header := 10 + len(m[0])
	if size := 10 + int(binary.LittleEndian.Uint16(body)); size != header || size%64 != 0 {
		t.Fatalf("header of %d bytes, named as %d", header, size)
	}
	rows, _ := strconv.Atoi(string(m[1]))
	columns, _ := strconv.Atoi(string(m[2]))
	data = data[header:]
	if len(data) != 4*rows*columns {
		t.Fatalf("%d bytes for %d × %d", len(data), rows, columns)
	}
	matrix := make([][]float32, rows)
	for i := range matrix {
		for range columns {
			matrix[i] = append(matrix[i], math.Float32frombits(binary.LittleEndian.Uint32(data)))
			data = data[4:]
		}
	}
	return matrix
}

func readOutput(t *testing.T, path string) [][]float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch filepath.Ext(path) {
	case ".npz":
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.File) != 2 || archive.File[0].Name != "embedding.npy" || archive.File[1].Name != "space.npy" {
			t.Fatalf("the archive holds %v", archive.File)
		}
		f, err := archive.Open("embedding.npy")
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
	case ".jsonl":
		var matrix [][]float32
		for i, l := range parseLines(t, string(data)) {
			if l.Index != i {
				t.Fatalf("line %d has index %d", i, l.Index)
			}
			matrix = append(matrix, l.Embedding)
		}
		return matrix
	}
	return readNPY(t, data)
}

// goldenList is a JSON file with the ids of the golden texts.
func goldenList(t *testing.T, indent bool) string {
	f := golden(t, "outputs.safetensors")
	var lists [][]int32
	for _, l := range goldenLengths {
		lists = append(lists, goldenIDs(t, f, fmt.Sprintf("L%d/input_ids", l)))
	}
	var data []byte
	if indent {
		data, _ = json.MarshalIndent(lists, "", " ")
	} else {
		for _, l := range lists {
			one, _ := json.Marshal(l)
			data = append(append(data, one...), '\n')
		}
	}
	return write(t, "ids.json", data)
}

// TestGolden: what is written and read again is what PyTorch computes.
func TestGolden(t *testing.T) {
	want := golden(t, "outputs.safetensors")
	arrays := map[string]string{
		"": "pooled_cls", "cls": "pooled_cls", "mean": "pooled_mean", "cls_hidden": "cls_hidden", "mean_hidden": "mean_hidden",
	}
	folder := t.TempDir()
	for _, name := range []string{"v.npy", "v.npz", "v.jsonl"} {
		for pooling, array := range arrays {
			for _, normalize := range []string{"no", "yes"} {
				path := filepath.Join(folder, name)
				args := []string{"embed", "--model", tiny, "--ids", goldenList(t, pooling == ""), "--padding", "none", "--normalize", normalize, "--output", path, "--batch", "3"}
				if pooling != "" {
					args = append(args, "--pooling", pooling)
				}
				succeed(t, args...)
				got := readOutput(t, path)
				if len(got) != len(goldenLengths) {
					t.Fatalf("%s: %d vectors", name, len(got))
				}
				for i, l := range goldenLengths {
					at := fmt.Sprintf("L%d/%s", l, array)
					if normalize == "yes" {
						at += "_l2"
					}
					if e := difference(got[i], goldenFloats(t, want, at)); !(e <= goldenTolerance) {
						t.Errorf("%s %s: max abs error %g", name, at, e)
					}
				}
			}
		}
	}
	leftOver(t, folder, "v.jsonl", "v.npy", "v.npz")
}

// TestNumPy reads both formats with NumPy, where that is installed.
func TestNumPy(t *testing.T) {
	if exec.Command("python3", "-c", "import numpy").Run() != nil {
		t.Skip("no Python with NumPy here; readNPY and archive/zip stand in for it in TestGolden")
	}
	folder := t.TempDir()
	a, b := filepath.Join(folder, "v.npy"), filepath.Join(folder, "v.npz")
	texts := []string{"embed", "one", "two words", "", "--model", tiny}
	succeed(t, append(texts, "--output", a)...)
	succeed(t, append(texts, "--output", b)...)
	script := `import numpy, sys
a = numpy.load(sys.argv[1]); z = numpy.load(sys.argv[2]); b = z["embedding"]
assert z.files == ["embedding"] and a.dtype == numpy.float32 and b.dtype == numpy.float32
assert a.shape == (3, 64) and (a == b).all()
for row in a: print(*[repr(float(x)) for x in row])`
	out, err := exec.Command("python3", "-c", script, a, b).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, row := range readOutput(t, a) {
		values := strings.Fields(lines[i])
		for j, x := range row {
			if v, err := strconv.ParseFloat(values[j], 64); err != nil || float32(v) != x {
				t.Fatalf("NumPy reads %s, we wrote %v", values[j], x)
			}
		}
	}
}

// TestSources: the same texts by every way in give the same lines.
func TestSources(t *testing.T) {
	want := succeed(t, "embed", "first text", "", "  déjà vu\t", "日本").stdout
	lines := "first text\n\n  déjà vu\t\n日本"
	objects := `{"text": "first text", "n": 1}` + "\n\n" + `{"text":""}` + "\r\n" + `{"text":"  d\u00e9j\u00e0 vu\t"}` + "\n" + `{"n":{"text":5},"text":"日本"}` + "\n"
	for name, run := range map[string]func() result{
		"lines":       func() result { return m2embed("embed", "--input", write(t, "a.txt", []byte(lines))) },
		"final break": func() result { return m2embed("embed", "--input", write(t, "a.txt", []byte(lines+"\n"))) },
		"CR LF, BOM": func() result {
			return m2embed("embed", "--input", write(t, "a", []byte("\xef\xbb\xbf"+strings.ReplaceAll(lines, "\n", "\r\n"))))
		},
		"JSON lines": func() result { return m2embed("embed", "--input", write(t, "a.jsonl", []byte(objects))) },
		"other member": func() result {
			return m2embed("embed", "--field", "body", "--input", write(t, "a.txt", []byte(strings.ReplaceAll(objects, `"text"`, `"body"`))))
		},
		"stdin": func() result { return runWith(context.Background(), strings.NewReader(lines), "embed", "--input", "-") },
		"dash":  func() result { return runWith(context.Background(), strings.NewReader(lines), "embed", "-") },
		"stdin JSON": func() result {
			return runWith(context.Background(), strings.NewReader(objects), "embed", "--input", "-", "--field", "text")
		},
		"batches of 1": func() result { return m2embed("embed", "--batch", "1", "--input", write(t, "a.txt", []byte(lines))) },
		"one thread": func() result {
			return m2embed("embed", "--threads", "1", "--filter-memory", "-1", "--input", write(t, "a.txt", []byte(lines)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := run()
			if r.code != exitOK || r.stdout != want {
				t.Errorf("code %d, another result: %s", r.code, r.stderr)
			}
		})
	}
	titled := `{"title":"A","text":"b c"}` + "\n" + `{"text":"b c"}`
	got := succeed(t, "embed", "--title-field", "title", "--input", write(t, "a.jsonl", []byte(titled))).stdout
	if got != succeed(t, "embed", "A b c", "b c").stdout {
		t.Error("a title is not put before its text")
	}
}

// TestSummary: standard error says what was run.
func TestSummary(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"embed a b c", "3 texts, 9 tokens, run at 512 (max_length), native"},
		{"embed a --padding none", "1 text, 3 tokens, run at 3 (no padding)"},
		{"embed a a,a --padding none", "2 texts, 8 tokens, run at 3 to 5 (no padding)"},
		{"embed a a,a --padding longest", "2 texts, 8 tokens, run at 5 (longest)"},
		{"embed a --padding 40", "1 text, 3 tokens, run at 40 (padded to 40)"},
		{"embed a,a,a,a --max-length 4 --padding none", "1 text, 9 tokens, run at 4 (no padding), 1 cut"},
	} {
		r := succeed(t, append(strings.Fields(c.args), "--model", tiny)...)
		if !strings.HasPrefix(r.stderr, c.want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %q, want %q", c.args, r.stderr, c.want)
		}
	}
	if r := succeed(t, "embed", "a", "--quiet", "--model", tiny); r.stderr != "" {
		t.Errorf("--quiet prints %q", r.stderr)
	}
	short := succeed(t, "embed", "a", "--format", "text", "--model", tiny).stdout
	if !strings.HasPrefix(short, "0: 3 tokens, run at 512, norm ") || strings.Count(short, " ") > 30 {
		t.Errorf("short form %q", short)
	}
}

func TestTruncation(t *testing.T) {
	long := strings.Repeat("a ", 600)
	for _, c := range []struct {
		args   []string
		length int
	}{
		{nil, 512}, {[]string{"--max-length", "16"}, 16}, {[]string{"--truncation", "drop-sep"}, 512},
	} {
		l := parseLines(t, succeed(t, append([]string{"embed", long, "--model", tiny, "--padding", "none"}, c.args...)...).stdout)[0]
		if !l.Truncated || l.Length != c.length || l.Tokens != 602 {
			t.Errorf("%v: truncated %v, %d tokens, run at %d, want %d", c.args, l.Truncated, l.Tokens, l.Length, c.length)
		}
	}
	keep := succeed(t, "embed", long, "--model", tiny, "--max-length", "8", "--padding", "none").stdout
	if keep == succeed(t, "embed", long, "--model", tiny, "--max-length", "8", "--padding", "none", "--truncation", "drop-sep").stdout {
		t.Error("a text without [SEP] has the vector of one with it")
	}
	m2embed("embed", "--model", tiny, "short", long, "--model", tiny, "--truncation", "refuse").fail(t, exitFailure, "text 2", "602")
	m2embed("embed", "--model", tiny, "a", "--model", tiny, "--max-length", "513").fail(t, exitFailure, "513", "at most 512")
	m2embed("embed", "--model", tiny, "a", "--model", tiny, "--padding", "513").fail(t, exitFailure, "513", "at most 512")
}

// TestOddTexts: whatever the text is, its vector is finite.
func TestOddTexts(t *testing.T) {
	texts := map[string]string{
		"empty": "", "NUL": "a\x00b\x00", "invalid UTF-8": "a\xff\xfe\xc3(", "white space": " \t\u00a0\u2003", "special tokens": "[CLS] [SEP] [PAD] [MASK] [UNK]",
		"no space": strings.Repeat("x", 10<<20), "marks": "e" + strings.Repeat("\u0301", 1<<20), "emoji": "👩‍👩‍👧‍👦", "controls": "\x01\x7f\u200b\ufeff", "surrogates": "\xed\xa0\x80",
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			r := runWith(context.Background(), strings.NewReader(text+"\n"), "embed", "-", "--padding", "none")
			if r.code != exitOK {
				t.Fatalf("code %d: %s", r.code, r.stderr)
			}
			l := parseLines(t, r.stdout)
			if len(l) != 1 || len(l[0].Embedding) == 0 {
				t.Fatalf("%d vectors", len(l))
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	cut, err := os.ReadFile(filepath.Join(tiny, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(tiny, "config.json")
	vocabulary := filepath.Join(tiny, "vocab.txt")
	wrongConfig, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	wrongConfig = bytes.Replace(wrongConfig, []byte(`"hidden_size": 64`), []byte(`"hidden_size": 1792`), 1)
	withWeights := func(weights string) []string {
		return []string{"embed", "x", "--model", weights, "--config", config, "--tokenizer", vocabulary}
	}
	for name, c := range map[string]struct {
		args  []string
		words []string
	}{
		"no file":            {[]string{"embed", "--input", "no/such/file"}, []string{"no/such/file"}},
		"an empty folder":    {[]string{"embed", "--input", t.TempDir()}, []string{"holds no texts"}},
		"a program":          {[]string{"embed", "--input", write(t, "a.txt", []byte("\x00\x01"))}, []string{"holds no texts"}},
		"a missing column":   {[]string{"embed", "--field", "x", "--input", write(t, "a.csv", []byte("id,text\n1,a\n"))}, []string{`no column "x"`, "id, text"}},
		"a folder of ids":    {[]string{"embed", "--ids", t.TempDir()}, []string{"folder"}},
		"an empty file":      {[]string{"embed", "--input", write(t, "a.txt", nil)}, []string{"a.txt holds no texts"}},
		"no JSON":            {[]string{"embed", "--input", write(t, "a.jsonl", []byte("{\"text\":\"a\"}\nplain"))}, []string{"a.jsonl: line 2", "not JSON"}},
		"cut JSON":           {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`{"text":"a`))}, []string{"line 1", "not JSON"}},
		"no object":          {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`["a"]`))}, []string{"line 1", "not a JSON object"}},
		"null":               {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`null`))}, []string{"line 1", "null"}},
		"missing field":      {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`{"body":"a","id":1}`))}, []string{"line 1", `no member "text"`, `"body", "id"`, "--field"}},
		"missing field name": {[]string{"embed", "--field", "b", "--input", write(t, "a.jsonl", []byte(`{"text":"a"}`))}, []string{"line 1", `no member "b"`}},
		"number for a text":  {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`{"text":5}`))}, []string{"line 1", `"text" is 5, want a string`}},
		"null for a text":    {[]string{"embed", "--input", write(t, "a.jsonl", []byte(`{"text":null}`))}, []string{"line 1", "want a string"}},
		"ids: no JSON":       {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[1,2],[`))}, []string{"list 2", "not JSON"}},
		"ids: not lists":     {[]string{"embed", "--ids", write(t, "a.json", []byte(`{"ids":[1]}`))}, []string{"list 1", "want a list of token ids"}},
		"ids: texts":         {[]string{"embed", "--ids", write(t, "a.json", []byte(`["a"]`))}, []string{"list 1", `"a"`}},
		"ids: fraction":      {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[1.5]]`))}, []string{"list 1", "1.5"}},
		"ids: too large":     {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[99999999999]]`))}, []string{"list 1"}},
		"ids: outside":       {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[1],[2,70000]]`)), "--model", tiny}, []string{"list 2", "70000", "0 to 999"}},
		"ids: negative":      {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[-1]]`))}, []string{"list 1", "-1"}},
		"ids: empty list":    {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[]]`))}, []string{"list 1", "no tokens"}},
		"ids: empty file":    {[]string{"embed", "--ids", write(t, "a.json", nil)}, []string{"holds no texts"}},
		"ids: nested":        {[]string{"embed", "--ids", write(t, "a.json", []byte(`[[[1]]]`))}, []string{"list 1", "want a token id"}},
		"ids: mixed":         {[]string{"embed", "--ids", write(t, "a.json", []byte(`[1,[2]]`))}, []string{"list 1"}},
		"ids: too many":      {[]string{"embed", "--ids", write(t, "a.json", []byte("["+strings.Repeat("1,", 512)+"1]")), "--model", tiny}, []string{"list 1", "513", "512"}},
		"no model":           {[]string{"embed", "x", "--model", "no/such/model"}, []string{"no/such/model"}},
		"no config":          {[]string{"embed", "x", "--model", write(t, "model.safetensors", cut)}, []string{"--config"}},
		"folder, no model":   {[]string{"embed", "x", "--model", t.TempDir()}, []string{"checkpoint"}},
		"cut checkpoint":     {withWeights(write(t, "model.safetensors", cut[:len(cut)/2])), []string{"model.safetensors"}},
		"empty checkpoint":   {withWeights(write(t, "model.safetensors", nil)), []string{"empty"}},
		"no checkpoint":      {withWeights(vocabulary), []string{"vocab.txt"}},
		"damaged weights":    {withWeights(damaged(t, cut)), []string{"text 1", "not finite"}},
		"wrong config":       {[]string{"embed", "x", "--model", filepath.Join(tiny, "model.safetensors"), "--config", write(t, "config.json", wrongConfig)}, []string{"1792", "64", "hidden_size"}},
		"config is no JSON":  {[]string{"embed", "x", "--model", tiny, "--config", vocabulary}, []string{"config.json"}},
		"embedded, config":   {[]string{"embed", "x", "--config", config}, []string{"embedded model"}},
		"foreign tokenizer":  {[]string{"embed", "x", "--model", tiny, "--tokenizer", write(t, "vocab.txt", []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nHello\nWorld\n"))}, []string{"tokenizer"}},
		"no tokenizer":       {[]string{"embed", "x", "--config", config, "--model", write(t, "model.safetensors", cut)}, []string{"tokenizer"}},
		"output: no folder":  {[]string{"embed", "x", "--output", "no/such/folder/v.npy"}, []string{"no/such/folder/v.npy"}},
		"output: a folder":   {[]string{"embed", "x", "--format", "npy", "--output", t.TempDir()}, []string{"folder"}},
		"output: a device":   {[]string{"embed", "x", "--format", "jsonl", "--output", os.DevNull}, []string{"regular file"}},
		"compare ids":        {[]string{"search", "x", "--ids", write(t, "a.json", []byte("[[1,"))}, []string{"not JSON"}},
		"inspect a cut one":  {[]string{"inspect", write(t, "model.safetensors", cut[:1000])}, []string{"model.safetensors"}},
		"bench beyond":       {[]string{"bench", "--model", tiny, "--length", "513"}, []string{"513", "512"}},
		"convert nothing":    {[]string{"convert", "no/such/file", filepath.Join(t.TempDir(), "out")}, []string{"no/such/file"}},
		"pull no name":       {[]string{"pull", "a b", filepath.Join(t.TempDir(), "out")}, []string{"owner/model"}},
		"serve nowhere":      {[]string{"serve", "--address", "300.0.0.1:1"}, []string{"300.0.0.1"}},
		"serve no site":      {[]string{"serve", "--site", "no/such/folder"}, []string{"no/such/folder"}},
	} {
		t.Run(name, func(t *testing.T) { m2embed(c.args...).fail(t, exitFailure, c.words...) })
	}
	// Sizes can be taken from the weights.
	succeed(t, "embed", "x", "--model", filepath.Join(tiny, "model.safetensors"), "--config", write(t, "config.json", wrongConfig), "--config-from-weights")
}

// damaged is a checkpoint with a NaN where every text needs a number: the
// last one, which is the pooler's.
func damaged(t *testing.T, weights []byte) string {
	t.Helper()
	w := slices.Clone(weights)
	for at := len(w) - 4*64*64; at < len(w); at += 4 {
		binary.LittleEndian.PutUint32(w[at:], math.Float32bits(float32(math.NaN())))
	}
	return write(t, "model.safetensors", w)
}

// TestEmbedded: the model that is built in tells texts apart.
func TestEmbedded(t *testing.T) {
	r := succeed(t, "similarity", "--json", "a cat sits on the sofa", "a kitten on the couch", "tax law for companies")
	var m struct{ Similarity [][]float64 }
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil {
		t.Fatal(err)
	}
	if alike, other := m.Similarity[0][1], m.Similarity[0][2]; alike < other+0.3 {
		t.Errorf("similarity of two texts about cats %.3f, of one and a text about taxes %.3f", alike, other)
	}
}

// TestNoPooler: a checkpoint without one runs under the poolings that need
// none.
func TestNoPooler(t *testing.T) {
	args := []string{"embed", "hello", "--model", filepath.Join(tiny, "composer.pt"), "--no-cache", "--quiet"}
	m2embed(args...).fail(t, exitFailure, "cls_hidden")
	// As npy, which holds the vectors alone: another file may be another space.
	vector := func(args ...string) string {
		path := filepath.Join(t.TempDir(), "v.npy")
		succeed(t, append(args, "--pooling", "mean_hidden", "--output", path)...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if vector(args...) != vector("embed", "hello", "--model", tiny, "--quiet") {
		t.Error("the same weights give another vector")
	}
}

// TestOutputIsWhole: errors late in the work leave the old file, or none.
func TestOutputIsWhole(t *testing.T) {
	input := write(t, "a.jsonl", []byte(strings.Repeat(`{"text":"a"}`+"\n", 200)+"broken\n"))
	for _, name := range []string{"v.npy", "v.npz", "v.jsonl"} {
		folder := t.TempDir()
		path := filepath.Join(folder, name)
		m2embed("embed", "--input", input, "--output", path, "--padding", "none").fail(t, exitFailure, "line 201")
		leftOver(t, folder)
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		m2embed("embed", "--input", input, "--output", path, "--padding", "none").fail(t, exitFailure, "line 201")
		leftOver(t, folder, name)
		if data, _ := os.ReadFile(path); string(data) != "old" {
			t.Errorf("%s: an error changed the file that was there", name)
		}
		succeed(t, "embed", "x", "--output", path)
		if n := len(readOutput(t, path)); n != 1 {
			t.Errorf("%s: %d rows, want 1", name, n)
		}
		leftOver(t, folder, name)
	}
	// A link is followed, not replaced.
	folder := t.TempDir()
	link := filepath.Join(folder, "link.npy")
	if err := os.WriteFile(filepath.Join(folder, "v.npy"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("v.npy", link); err != nil {
		t.Skip("no links here")
	}
	succeed(t, "embed", "x", "--output", link)
	if stat, err := os.Lstat(link); err != nil || stat.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if n := len(readOutput(t, filepath.Join(folder, "v.npy"))); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestInterrupt: Ctrl-C while input still comes ends with code 130 and no
// file.
func TestInterrupt(t *testing.T) {
	for _, name := range []string{"v.npy", "v.npz", "v.jsonl"} {
		folder := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		go func() {
			for range 500 {
				if _, err := io.WriteString(w, "some words to embed\n"); err != nil {
					return
				}
			}
			cancel() // and the pipe stays open
		}()
		got := runWith(ctx, r, "embed", "-", "--padding", "none", "--output", filepath.Join(folder, name))
		got.fail(t, exitInterrupted, "interrupted")
		leftOver(t, folder)
		r.CloseWithError(errors.New("the test is over"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"embed", "x"}, {"similarity", "x", "y"}, {"search", "x", "--text", "y"}, {"tokenize", "x"}, {"bench"},
		{"convert", filepath.Join(tiny, "pytorch_model.bin"), filepath.Join(t.TempDir(), "out")},
	} {
		runWith(ctx, strings.NewReader(""), args...).fail(t, exitInterrupted, args[0], "interrupted")
	}
}

// TestStreaming: a file of many lines is not held in memory.
func TestStreaming(t *testing.T) {
	const lines = 20_000
	path := filepath.Join(t.TempDir(), "v.npy")
	got := runWith(context.Background(), io.LimitReader(&repeated{text: []byte("ab\n")}, 3*lines), "embed", "-", "--padding", "none", "--output", path, "--pooling", "cls_hidden")
	if got.code != exitOK {
		t.Fatal(got.stderr)
	}
	matrix := readOutput(t, path)
	if len(matrix) != lines || !slices.Equal(matrix[0], matrix[lines-1]) {
		t.Errorf("%d rows, want %d equal ones", len(matrix), lines)
	}
}

// repeated is a text without end.
type repeated struct {
	text []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}

// TestSpace: outputs name the space that inspect names, unless vectors are made
// in another way than the model's.
func TestSpace(t *testing.T) {
	var inspected inspection
	if err := json.Unmarshal([]byte(succeed(t, "inspect", tiny, "--json").stdout), &inspected); err != nil {
		t.Fatal(err)
	}
	space := inspected.Space
	if len(space) != 16 || !strings.Contains(succeed(t, "inspect", tiny).stdout, "space "+space+"\n") {
		t.Errorf("space %q", space)
	}
	of := func(more ...string) string {
		return parseLines(t, succeed(t, append([]string{"embed", "x", "--model", tiny}, more...)...).stdout)[0].Space
	}
	for _, same := range [][]string{{}, {"--padding", "max_length"}, {"--padding", "512"}, {"--normalize", "no"}, {"--max-length", "9"}, {"--threads", "1"}} {
		if got := of(same...); got != space {
			t.Errorf("%q: space %s, want %s", same, got, space)
		}
	}
	seen := map[string][]string{space: {"the model's own"}}
	for _, other := range [][]string{{"--padding", "none"}, {"--padding", "16"}, {"--pooling", "mean"}, {"--normalize", "yes"}} {
		got := of(other...)
		if seen[got] != nil {
			t.Errorf("%q: the space of %q", other, seen[got])
		}
		seen[got] = other
	}
	path := filepath.Join(t.TempDir(), "v.npz")
	succeed(t, "embed", "x", "--model", tiny, "--output", path)
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	f, err := archive.Open("space.npy")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.ReplaceAll(string(data[128:]), "\x00", ""); text != space {
		t.Errorf("the archive names the space %q, want %s", text, space)
	}
}

// TestEmbedDocuments: files that are no plain text, and folders, are read as index
// reads them.
func TestEmbedDocuments(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	table := put("faq.csv", "id;question;answer\n1;When?;At noon\n2;Where?;At the caf\xe9\n")
	rows := parseLines(t, succeed(t, "embed", "--input", table, "--field", "answer").stdout)
	want := parseLines(t, succeed(t, "embed", "At noon", "At the café").stdout)
	if len(rows) != 2 || !slices.Equal(rows[0].Embedding, want[0].Embedding) || !slices.Equal(rows[1].Embedding, want[1].Embedding) || rows[1].Index != 1 {
		t.Errorf("%d rows", len(rows))
	}
	if out := succeed(t, "embed", "--input", table).stdout; !strings.Contains(out, `"id":`+strconv.Quote(table+"#2")) {
		t.Errorf("%.200s", out)
	}
	titled := parseLines(t, succeed(t, "embed", "--input", table, "--field", "answer", "--title-field", "question").stdout)
	if both := parseLines(t, succeed(t, "embed", "When? At noon").stdout); !slices.Equal(titled[0].Embedding, both[0].Embedding) {
		t.Error("the title is not before the text")
	}
	// Lines in another charset, and packed.
	lines := put("latin.txt", "At noon\nAt the caf\xe9\n")
	for i, l := range parseLines(t, succeed(t, "embed", "--input", lines).stdout) {
		if !slices.Equal(l.Embedding, want[i].Embedding) {
			t.Errorf("line %d of Latin-1", i+1)
		}
	}
	put("page.html", "<title>t</title><p>Seen</p><script>not</script>")
	put("bad.json", "[")
	r := m2embed("embed", "--input", folder, "--output", filepath.Join(folder, "out.jsonl"))
	if r.code != exitFailure || !strings.Contains(r.stderr, "bad.json: ") || !strings.Contains(r.stderr, "1 file could not be read") {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
	data, err := os.ReadFile(filepath.Join(folder, "out.jsonl"))
	if got := parseLines(t, string(data)); err != nil || len(got) != 4 {
		t.Errorf("%d texts in the folder, %v", len(got), err)
	}
}

// TestEmbedParquet reads back what was written.
func TestEmbedParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.parquet")
	succeed(t, "embed", "first text", "second, größer", "--output", path)
	want := parseLines(t, succeed(t, "embed", "first text", "second, größer").stdout)
	type row struct {
		ID     string    `parquet:"id"`
		Tokens int32     `parquet:"tokens"`
		Text   string    `parquet:"text"`
		Vector []float32 `parquet:"vector,list"`
	}
	rows, err := parquet.ReadFile[row](path)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].ID != "1" || rows[1].ID != "2" || rows[1].Text != "second, größer" || int(rows[1].Tokens) != want[1].Tokens || !slices.Equal(rows[0].Vector, want[0].Embedding) || !slices.Equal(rows[1].Vector, want[1].Embedding) {
		t.Errorf("%d rows: %.300v", len(rows), rows)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parquet.OpenFile(f, stat.Size())
	if err != nil {
		t.Fatal(err)
	}
	if space, ok := p.Lookup("m2embed.space"); !ok || space == "" {
		t.Errorf("space %q", space)
	}
}
