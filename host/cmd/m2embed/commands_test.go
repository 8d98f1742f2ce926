package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"m2embed/core"
	"m2embed/core/tokenizer"
)

func TestSimilarity(t *testing.T) {
	texts := []string{"a cat", "a kitten", "tax law"}
	var matrix struct {
		Texts      []string
		Similarity [][]float64
		Space      string
	}
	args := append([]string{"similarity", "--padding", "none"}, texts...)
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--json")...).stdout), &matrix); err != nil {
		t.Fatal(err)
	}
	vectors := parseLines(t, succeed(t, append([]string{"embed", "--padding", "none"}, texts...)...).stdout)
	for i := range texts {
		for j := range texts {
			want := core.Cosine(vectors[i].Embedding, vectors[j].Embedding)
			if got := matrix.Similarity[i][j]; math.Abs(got-want) > 1e-12 || i == j && math.Abs(got-1) > 1e-12 {
				t.Errorf("similarity of %d and %d is %v, want %v", i, j, got, want)
			}
		}
	}
	if !slices.Equal(matrix.Texts, texts) || matrix.Space != vectors[0].Space || matrix.Space == "" {
		t.Errorf("texts %q in space %q, want %q", matrix.Texts, matrix.Space, vectors[0].Space)
	}
	table := strings.Split(strings.TrimSpace(succeed(t, args...).stdout), "\n")
	if len(table) != 3 || !strings.HasSuffix(table[1], "  a kitten") || !strings.HasPrefix(strings.TrimSpace(table[0]), "1.0000 ") {
		t.Errorf("table %q", table)
	}
}

func TestSearch(t *testing.T) {
	var lines []string
	for i := range 150 {
		lines = append(lines, fmt.Sprintf("line %d of words", i*i))
	}
	path := write(t, "lines.txt", []byte(strings.Join(lines, "\n")))
	r := succeed(t, "search", lines[77], "--input", path, "--top", "4", "--padding", "none", "--json")
	var hits []hit
	d := json.NewDecoder(strings.NewReader(r.stdout))
	for {
		var h hit
		if err := d.Decode(&h); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		hits = append(hits, h)
	}
	if len(hits) != 4 || hits[0].Index != 77 || hits[0].Text != lines[77] {
		t.Fatalf("hits %+v", hits)
	}
	// The same by comparing all with the line as a question.
	asked := parseLines(t, succeed(t, "embed", lines[77], "--task", "query", "--padding", "none").stdout)[0]
	vectors := parseLines(t, succeed(t, "embed", "--input", path, "--padding", "none").stdout)
	var all []float64
	for _, v := range vectors {
		all = append(all, core.Cosine(asked.Embedding, v.Embedding))
	}
	slices.SortFunc(all, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
	for i, h := range hits {
		if h.Rank != i+1 || h.Similarity != all[i] {
			t.Errorf("hit %d: %+v, want similarity %v", i, h, all[i])
		}
	}
	three := succeed(t, "search", "x", "--input", path, "--top", "3").stdout
	if strings.Count(three, "\n") != 3 {
		t.Errorf("three hits as %q", three)
	}
	if text := succeed(t, "search", "x", "--text", "y", "--text", "z").stdout; strings.Count(text, "\n") != 2 {
		t.Errorf("two texts as %q", text)
	}
}

// TestTokenize compares with the reference library's answers.
func TestTokenize(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(tiny, "tokenizer_cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	vocabulary, err := os.ReadFile(filepath.Join(tiny, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	reference, err := tokenizer.Parse(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var got tokens
		if err := json.Unmarshal([]byte(succeed(t, "tokenize", "--json", "--model", tiny, "--text", c.Text).stdout), &got); err != nil {
			t.Fatal(err)
		}
		if c.IDs == nil || !slices.Equal(got.IDs, c.IDs) {
			t.Errorf("%.40q: ids %v, want %v", c.Text, got.IDs, c.IDs)
		}
		if len(got.Tokens) != len(got.IDs) || len(got.Offsets) != len(got.IDs) || got.Length != len(got.IDs) || got.Truncated {
			t.Errorf("%.40q: %+v", c.Text, got)
		}
		ids, _ := json.Marshal(got.IDs)
		decoded := succeed(t, "tokenize", "--decode", "--model", tiny, "--ids", write(t, "ids.json", ids), "--without-special-tokens").stdout
		if want := reference.Decode(got.IDs, true) + "\n"; decoded != want {
			t.Errorf("decoded %q, want %q", decoded, want)
		}
	}
	plain := succeed(t, "tokenize", "hello there", "--model", tiny).stdout
	if !strings.HasPrefix(plain, "   101  [CLS]") || !strings.HasSuffix(plain, "0:0\n\n") {
		t.Errorf("%q", plain)
	}
	// A tokenizer by itself splits as the model with it.
	for _, name := range []string{"vocab.txt", "tokenizer.json"} {
		if got := succeed(t, "tokenize", "hello there", "--tokenizer", filepath.Join(tiny, name)).stdout; got != plain {
			t.Errorf("%s alone: %q, want %q", name, got, plain)
		}
	}
	m2embed("tokenize", "x", "--tokenizer", "no/such/file").fail(t, exitFailure, "no/such/file")
	m2embed("tokenize", "x", "--tokenizer", filepath.Join(tiny, "config.json")).fail(t, exitFailure, "config.json")
	var cut tokens
	if err := json.Unmarshal([]byte(succeed(t, "tokenize", "--json", "--max-length", "4", "a b c d e f").stdout), &cut); err != nil {
		t.Fatal(err)
	}
	if len(cut.IDs) != 4 || cut.Length != 8 || !cut.Truncated {
		t.Errorf("cut: %+v", cut)
	}
	m2embed("tokenize", "a b c", "--max-length", "3", "--truncation", "refuse").fail(t, exitFailure, "text 1", "5")
}

// TestConvert: a converted model gives the vectors of the original, exactly in
// f32 and nearly in the other types.
func TestConvert(t *testing.T) {
	texts := []string{"one text", "and another, longer text"}
	embed := func(model string, more ...string) []line {
		return parseLines(t, succeed(t, append(append([]string{"embed", "--model", model}, texts...), more...)...).stdout)
	}
	want := embed(tiny)
	for dtype, limit := range map[string]float64{"f32": 0, "f16": 2e-2, "bf16": 1e-1, "int8": 2e-1} { // of values up to 1
		out := filepath.Join(t.TempDir(), "model")
		r := succeed(t, "convert", filepath.Join(tiny, "pytorch_model.bin"), out, "--dtype", dtype)
		if r.stdout != "" || !strings.Contains(r.stderr, out) {
			t.Errorf("convert prints %q and %q", r.stdout, r.stderr)
		}
		leftOver(t, out, "config.json", "model.safetensors", "tokenizer.json")
		for i, l := range embed(out) {
			e := difference(l.Embedding, want[i].Embedding)
			t.Logf("%s: max abs error %.2g", dtype, e)
			if !(e <= limit) || l.Length != 512 {
				t.Errorf("%s: max abs error %g, limit %g; run at %d", dtype, e, limit, l.Length)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "model")
	succeed(t, "convert", tiny, out, "--padding", "none")
	if got := embed(out); got[0].Length != got[0].Tokens {
		t.Errorf("run at %d, although the model says no padding", got[0].Length)
	}
	if got, want := embed(out), embed(tiny, "--padding", "none"); !slices.Equal(got[0].Embedding, want[0].Embedding) {
		t.Error("the model's own padding and the same one by flag differ")
	}
}

// TestCache: a PyTorch checkpoint is converted once.
func TestCache(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"pytorch_model.bin", "config.json", "vocab.txt"} {
		data, err := os.ReadFile(filepath.Join(tiny, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want := succeed(t, "embed", "x", "--model", folder, "--no-cache").stdout
	leftOver(t, folder, "config.json", "pytorch_model.bin", "vocab.txt")
	for range 2 {
		if succeed(t, "embed", "x", "--model", folder).stdout != want {
			t.Error("the cache gives another vector")
		}
		leftOver(t, folder, "config.json", "pytorch_model.bin", "pytorch_model.bin.m2embed.safetensors", "vocab.txt")
	}
	// A YAML in the place of config.json.
	if got := succeed(t, "embed", "x", "--model", filepath.Join(folder, "pytorch_model.bin"), "--config", filepath.Join(tiny, "config.yaml")).stdout; got != want {
		t.Error("the YAML gives another vector")
	}
}

func TestInspect(t *testing.T) {
	var got inspection
	if err := json.Unmarshal([]byte(succeed(t, "inspect", tiny, "--json", "--length", "128,512").stdout), &got); err != nil {
		t.Fatal(err)
	}
	file := golden(t, "model.safetensors")
	if len(got.Tensors) != len(file.Names()) || got.Format != "safetensors" || got.Config.HiddenSize != 64 || got.Padding != "max_length" {
		t.Errorf("%d tensors, %+v", len(got.Tensors), got.Config)
	}
	used := map[string]bool{}
	for _, x := range got.Tensors {
		used[x.Name] = x.Used
	}
	for name, want := range map[string]bool{
		"embeddings.word_embeddings.weight": true, "pooler.dense.bias": true, "encoder.layer.1.mlp.wo.weight": true,
		"encoder.layer.0.attention.filter_fn2.pos_emb.z": true, "embeddings.position_ids": false,
	} {
		if is, ok := used[name]; !ok || is != want {
			t.Errorf("%s: there %v, used %v, want %v", name, ok, is, want)
		}
	}
	// D 64, I 256, 2 layers, 4 blocks, GLU; filters of order 32 from 5 features.
	k := got.Costs[0]
	if want := 2.0 * 128 * 2 * (4*64*64 + 3*64*256/4); k.Dense != want {
		t.Errorf("dense work %v, want %v", k.Dense, want)
	}
	if want := 2.0 * 128 * 2 * 4 * (5*32 + 2*32*32 + 32*64); k.Filters != want {
		t.Errorf("filters' work %v, want %v", k.Filters, want)
	}
	if k.Kept != 4*2*2*64*256 || k.Activations < 2*4*128*64 || k.Activations > 4<<20 {
		t.Errorf("memory %d and %d bytes", k.Kept, k.Activations)
	}
	text := succeed(t, "inspect", tiny).stdout
	for _, want := range []string{"M2-BERT: 2 layers, D 64, I 256", "embeddings.word_embeddings.weight", "tokens, vocabulary 1,000", " of them used"} {
		if !strings.Contains(text, want) {
			t.Errorf("inspect lacks %q", want)
		}
	}
	// What a file holds is shown also where no model comes of it.
	r := m2embed("inspect", filepath.Join(tiny, "outputs.safetensors"), "--config", filepath.Join(tiny, "config.json"))
	if r.code != exitFailure || !strings.Contains(r.stdout, "L512/pooled_cls") || !strings.Contains(r.stderr, "tensor") {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
	m2embed("inspect", tiny, "--length", "513").stdoutIgnored().fail(t, exitFailure, "513", "512")
}

// stdoutIgnored is the result without its standard output.
func (r result) stdoutIgnored() result {
	r.stdout = ""
	return r
}

func TestBench(t *testing.T) {
	r := succeed(t, "bench", "--length", "8,32", "--rounds", "2", "--texts", "3", "--json")
	d := json.NewDecoder(strings.NewReader(r.stdout))
	for _, l := range []int{8, 32} {
		var b benchLine
		if err := d.Decode(&b); err != nil {
			t.Fatal(err)
		}
		if b.Length != l || b.Texts != 3 || b.Median <= 0 || b.Fastest > b.Median || math.Abs(b.Rate*b.Median/float64(3*l)-1) > 1e-9 {
			t.Errorf("%+v", b)
		}
	}
	if text := succeed(t, "bench", "--length", "8", "--rounds", "1").stdout; !strings.Contains(text, "tokens/s") {
		t.Errorf("%q", text)
	}
}

// TestPull downloads from a hub on this machine.
func TestPull(t *testing.T) {
	files := http.StripPrefix("/some/model/resolve/main/", http.FileServer(http.Dir(tiny)))
	hub := httptest.NewServer(files)
	defer hub.Close()
	folder := filepath.Join(t.TempDir(), "model")
	t.Setenv("HF_HOME", t.TempDir())
	succeed(t, "pull", "some/model", folder, "--hub", hub.URL)
	leftOver(t, folder, "config.json", "model.safetensors", "tokenizer.json")
	if succeed(t, "embed", "x", "--model", folder).stdout != succeed(t, "embed", "x", "--model", tiny).stdout {
		t.Error("the pulled model gives another vector")
	}
	missing := filepath.Join(t.TempDir(), "missing")
	m2embed("pull", "no/model", missing, "--hub", hub.URL).fail(t, exitFailure, "no/model", "config.json")
	if _, err := os.Stat(missing); err == nil {
		t.Error("a failed download leaves its folder")
	}
}

// TestServe starts the server, asks it, and stops it by Ctrl-C.
func TestServe(t *testing.T) {
	site := t.TempDir()
	if err := os.WriteFile(filepath.Join(site, "index.html"), []byte("<p>the page"), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("M2EMBED_TOKEN", "secret")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"serve", "--address", "127.0.0.1:0", "--site", site, "--model", tiny, "--name", "my/model"}, nil, io.Discard, w)
		w.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(r)
	address := ""
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), " on ")
	}
	go io.Copy(io.Discard, r)
	client := &http.Client{Timeout: 10 * time.Second}
	get := func(method, path, token, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequest(method, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if token != "" {
			request.Header.Set("Authorization", "bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/healthz", "", "", 200, "ok"},
		{"GET", "/", "", "", 401, "invalid_api_key"},
		{"GET", "/metrics", "", "", 401, "invalid_api_key"},
		{"GET", "/", "secret", "", 200, "<p>the page"},
		{"GET", "/../../etc/passwd", "secret", "", 404, ""},
		{"GET", "/v1/models", "", "", 401, "invalid_api_key"},
		{"GET", "/v1/models", "secret", "", 200, `"id":"my/model"`},
		{"GET", "/v1/models/my/model", "secret", "", 200, `"dimensions":64`},
		{"POST", "/v1/embeddings", "wrong", `{"input":"x"}`, 401, "invalid_api_key"},
		{"POST", "/v1/embeddings", "secret", `{"input":"x","model":"my/model"}`, 200, `"model":"my/model"`},
	} {
		if status, text := get(c.method, c.path, c.token, c.body); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %.200s", c.method, c.path, status, text)
		}
	}
	cancel()
	if code := <-ended; code != exitOK { // or the server does not stop
		t.Errorf("code %d, want %d", code, exitOK)
	}
}
