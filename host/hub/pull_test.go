package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"m2embed/host/internal/hosttest"
)

// hub is a server shaped like the Hugging Face hub: small files are answered
// directly with Git's hash, large ones by a redirect to a second server.
type hub struct {
	*httptest.Server
	storage *httptest.Server
	files   map[string][]byte // of owner/model

	mutex    sync.Mutex
	requests []string // "METHOD host-kind file range"
	// answer may handle a request for a file's bytes in place of the server.
	answer func(w http.ResponseWriter, r *http.Request, name string, data []byte) bool
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func newHub(t *testing.T, files map[string][]byte) *hub {
	h := &hub{files: files}
	h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
	h.Server = httptest.NewServer(http.HandlerFunc(h.serveHub))
	t.Cleanup(h.Close)
	t.Cleanup(h.storage.Close)
	return h
}

func (h *hub) note(r *http.Request, kind, name string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.requests = append(h.requests, strings.TrimSpace(r.Method+" "+kind+" "+name+" "+r.Header.Get("Range")))
}

func (h *hub) serveHub(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(path, "old/name/"); ok { // a repository that has moved
		http.Redirect(w, r, "/owner/model/"+rest, http.StatusTemporaryRedirect)
		return
	}
	rest, ok := strings.CutPrefix(path, "owner/model/resolve/")
	if !ok {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.Header().Set("X-Error-Message", "Repository not found")
		http.Error(w, "", http.StatusNotFound)
		return
	}
	revision, name, _ := strings.Cut(rest, "/")
	if revision != "main" && revision != commit {
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		http.Error(w, "", http.StatusNotFound)
		return
	}
	h.note(r, "hub", name)
	data, ok := h.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "Entry not found", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	if len(data) > 100_000 {
		sum := sha256.Sum256(data)
		w.Header().Set("X-Linked-Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
		http.Redirect(w, r, h.storage.URL+"/blob/"+name, http.StatusFound)
		return
	}
	sum := sha1.New()
	fmt.Fprintf(sum, "blob %d\x00%s", len(data), data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum.Sum(nil))+`"`)
	h.send(w, r, name, data)
}

func (h *hub) serveStorage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/blob/")
	h.note(r, "storage", name)
	if r.Header.Get("Authorization") != "" {
		http.Error(w, "a token was sent to another host", http.StatusBadRequest)
		return
	}
	h.send(w, r, name, h.files[name])
}

func (h *hub) send(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	if h.answer != nil && h.answer(w, r, name, data) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// cutAfter sends n bytes of a promised body, then breaks the connection.
func cutAfter(w http.ResponseWriter, r *http.Request, data []byte, n int) {
	from := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(data[from:min(from+n, len(data))])
	if from+n < len(data) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func publishedFiles(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"config.json":       hosttest.ReadFile(t, "../../testdata/tiny/"+"config.json"),
		"pytorch_model.bin": hosttest.ReadFile(t, "../../testdata/tiny/"+"pytorch_model.bin"),
		"tokenizer.json":    hosttest.ReadFile(t, "../../testdata/tiny/"+"tokenizer.json"),
	}
}

// impatient makes the retries of a test quick.
func impatient(t *testing.T) {
	pause, idle := firstPause, idleTimeout
	firstPause, idleTimeout = time.Millisecond, 300*time.Millisecond
	t.Cleanup(func() { firstPause, idleTimeout = pause, idle })
}

func checkPulled(t *testing.T, folder string) {
	t.Helper()
	if names := hosttest.FolderNames(t, folder); !slices.Equal(names, []string{"config.json", "model.safetensors", "tokenizer.json"}) {
		t.Errorf("files %v", names)
	}
	config := hosttest.ReadFile(t, filepath.Join(folder, "config.json"))
	weights := hosttest.OpenFile(t, filepath.Join(folder, "model.safetensors"))
	want := hosttest.OpenFile(t, "../../testdata/tiny/"+"model.safetensors")
	if !slices.Equal(hosttest.Floats(t, weights, hosttest.SomeTensor), hosttest.Floats(t, want, hosttest.SomeTensor)) {
		t.Error("the tensors differ")
	}
	if !bytes.Contains(config, []byte(`"padding": "max_length"`)) {
		t.Errorf("configuration %s", config)
	}
}

func TestPull(t *testing.T) {
	impatient(t)
	for _, repo := range []string{"owner/model", "old/name"} {
		h := newHub(t, publishedFiles(t))
		folder := filepath.Join(t.TempDir(), "new", "model")
		var last int64
		err := Pull(t.Context(), Options{
			Repo: repo, BaseURL: h.URL + "/", Folder: folder, Token: "secret",
			Warn: func(m string) { t.Error(m) },
			Progress: func(file string, done, total int64) {
				if file == "pytorch_model.bin" {
					last = done
					if total != int64(len(h.files[file])) {
						t.Errorf("total %d", total)
					}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		checkPulled(t, folder)
		if last != int64(len(h.files["pytorch_model.bin"])) {
			t.Errorf("progress ended at %d", last)
		}
	}
}

// TestPullPrompts: prompts that stand in sentence-transformers' file come into the
// configuration, unless it has its own.
func TestPullPrompts(t *testing.T) {
	impatient(t)
	files := publishedFiles(t)
	for _, c := range []struct{ own, theirs, want, fault string }{
		{"", `{"prompts": {"query": "ask: "}, "default_prompt_name": null}`, `"query": "ask: "`, ""},
		{`"prompts": {"query": "own: "},`, `{"prompts": {"query": "ask: "}}`, `"own: "`, ""},
		{"", `{}`, `"padding": "max_length"`, ""},
		{"", `{"prompts": ["ask: "]}`, "", "config_sentence_transformers.json: prompts is not an object of texts"},
		{"", `<html>`, "", "config_sentence_transformers.json: invalid character"},
	} {
		whole := maps.Clone(files)
		whole["config.json"] = bytes.Replace(whole["config.json"], []byte("{"), []byte("{"+c.own), 1)
		whole["config_sentence_transformers.json"] = []byte(c.theirs)
		folder := t.TempDir()
		err := Pull(t.Context(), Options{Repo: "owner/model", BaseURL: newHub(t, whole).URL, Folder: folder})
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: error %v, want %q", c.theirs, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		checkPulled(t, folder)
		if got := hosttest.ReadFile(t, filepath.Join(folder, "config.json")); !bytes.Contains(got, []byte(c.want)) {
			t.Errorf("%s: configuration %s", c.theirs, got)
		}
	}
}

// TestPullInterrupted breaks the connection again and again, within one pull
// and across two.
func TestPullInterrupted(t *testing.T) {
	impatient(t)
	h := newHub(t, publishedFiles(t))
	h.answer = func(w http.ResponseWriter, r *http.Request, name string, data []byte) bool {
		if name == "pytorch_model.bin" {
			cutAfter(w, r, data, 100_000)
			return true
		}
		return false
	}
	folder := t.TempDir()
	o := Options{Repo: "owner/model", BaseURL: h.URL, Folder: folder}
	if err := Pull(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	checkPulled(t, folder)
	if n := strings.Count(strings.Join(h.requests, "\n"), "GET storage pytorch_model.bin"); n != 9 {
		t.Errorf("%d requests for 9 pieces: %v", n, h.requests)
	}

	// A server that dies: the second pull goes on where the first stopped.
	folder = t.TempDir()
	o.Folder = folder
	count := 0
	h.answer = func(w http.ResponseWriter, r *http.Request, name string, data []byte) bool {
		if name == "pytorch_model.bin" {
			if count++; count > 1 {
				http.Error(w, "out of order", http.StatusServiceUnavailable)
				return true
			}
			cutAfter(w, r, data, 300_000)
			return true
		}
		return false
	}
	err := Pull(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable, 8 times in a row") {
		t.Fatalf("error %v", err)
	}
	if names := hosttest.FolderNames(t, folder); !slices.Equal(names, []string{".download"}) {
		t.Errorf("files %v", names)
	}
	h.answer, h.requests = nil, nil
	if err := Pull(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	checkPulled(t, folder)
	if !slices.Contains(h.requests, "GET storage pytorch_model.bin bytes=300000-") {
		t.Errorf("requests %v", h.requests)
	}
}

// TestPullServers pulls from servers that misbehave.
func TestPullServers(t *testing.T) {
	impatient(t)
	weightsOnly := func(f func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool) func(http.ResponseWriter, *http.Request, string, []byte) bool {
		count := 0
		return func(w http.ResponseWriter, r *http.Request, name string, data []byte) bool {
			if name != "pytorch_model.bin" {
				return false
			}
			count++
			return f(w, r, data, count)
		}
	}
	for _, c := range []struct {
		name, want string // part of the error, or "" for success
		answer     func(http.ResponseWriter, *http.Request, string, []byte) bool
	}{
		{"no ranges", "", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			if count == 1 {
				cutAfter(w, r, data, 1000)
			}
			w.Write(data)
			return true
		})},
		{"no ranges, always cut", "times in a row", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			r.Header.Del("Range")
			cutAfter(w, r, data, 1000)
			return true
		})},
		{"range refused", "", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			if count == 1 {
				cutAfter(w, r, data, 1000)
			}
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return false
		})},
		{"wrong range", "asked for bytes from 1000 on", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			if count == 1 {
				cutAfter(w, r, data, 1000)
			}
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(http.StatusPartialContent)
			return true
		})},
		{"damaged", "the digest is", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			bad := slices.Clone(data)
			bad[5000] ^= 1
			w.Write(bad)
			return true
		})},
		{"too long", "more than the", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			w.Write(data)
			w.Write([]byte("more"))
			return true
		})},
		{"short", "ended after", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			r.Header.Del("Range")
			w.Write(data[:500])
			return true
		})},
		{"busy at first", "", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			if count < 3 {
				http.Error(w, "", http.StatusTooManyRequests)
				return true
			}
			return false
		})},
		{"silent", "times in a row", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			<-r.Context().Done()
			return true
		})},
		{"forbidden", "a token", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			http.Error(w, "", http.StatusForbidden)
			return true
		})},
		{"forbidden at length", "a token", weightsOnly(func(w http.ResponseWriter, r *http.Request, data []byte, count int) bool {
			w.Header().Set("X-Error-Message", strings.Repeat("no ", 20_000))
			http.Error(w, "", http.StatusForbidden)
			return true
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, publishedFiles(t))
			h.answer = c.answer
			folder := filepath.Join(t.TempDir(), "m")
			err := Pull(t.Context(), Options{Repo: "owner/model", BaseURL: h.URL, Folder: folder})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkPulled(t, folder)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
			if n := len(err.Error()); n > 1000 {
				t.Errorf("an error of %d bytes", n)
			}
			if names := hosttest.FolderNames(t, folder); !slices.Equal(names, []string{".download"}) {
				t.Errorf("files %v", names)
			}
			parts := hosttest.FolderNames(t, filepath.Join(folder, ".download"))
			if c.name == "damaged" && slices.ContainsFunc(parts, func(n string) bool { return strings.HasSuffix(n, ".part") }) {
				t.Errorf("the damaged file is still there: %v", parts)
			}
		})
	}
}

func TestPullErrors(t *testing.T) {
	impatient(t)
	whole := publishedFiles(t)
	without := func(name string) map[string][]byte {
		files := publishedFiles(t)
		delete(files, name)
		return files
	}
	given := sha256.Sum256(whole["pytorch_model.bin"])
	for _, c := range []struct {
		name  string
		files map[string][]byte
		o     Options
		want  string
	}{
		{"no repository", whole, Options{Repo: "no/body"}, "no such repository"},
		{"no revision", whole, Options{Revision: "v9"}, `no revision "v9"`},
		{"no configuration", without("config.json"), Options{}, "no file config.json"},
		{"no weights", without("pytorch_model.bin"), Options{}, "none of model.safetensors, pytorch_model.bin, model.bin"},
		{"another given digest", whole, Options{SHA256: map[string]string{"pytorch_model.bin": strings.Repeat("0", 64)}}, "the given is 0000"},
		{"short given digest", whole, Options{SHA256: map[string]string{"pytorch_model.bin": "00"}}, "has not 64 digits"},
		{"given digest", whole, Options{SHA256: map[string]string{"pytorch_model.bin": strings.ToUpper(hex.EncodeToString(given[:]))}}, ""},
		{"name with dots", whole, Options{Repo: "owner/../x"}, "owner/model"},
		{"name with a scheme", whole, Options{Repo: "http://x/y"}, "owner/model"},
		{"no name", whole, Options{Repo: "-"}, "owner/model"},
		{"file URL", whole, Options{BaseURL: "file:///etc"}, "want http or https"},
		{"unknown type", whole, Options{DType: "f8"}, "dtype"},
		{"nobody listens", whole, Options{BaseURL: "http://127.0.0.1:1"}, "nothing listens"},
		{"nobody listens to a user", whole, Options{BaseURL: "http://user:secret@127.0.0.1:1"}, "nothing listens at http://user:xxxxx@"},
		{"broken weights", map[string][]byte{"config.json": whole["config.json"], "pytorch_model.bin": whole["pytorch_model.bin"][:200_000]}, Options{}, "the file is cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, c.files)
			parent := t.TempDir()
			folder := filepath.Join(parent, "a", "b")
			o := c.o
			o.Folder = folder
			o.Repo, o.BaseURL = orDefault(o.Repo, "owner/model"), orDefault(o.BaseURL, h.URL)
			err := Pull(t.Context(), o)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v holds the password", err)
			}
			if len(h.requests) == 0 || strings.HasPrefix(c.name, "no ") && !strings.Contains(c.name, "weights") {
				if names := hosttest.FolderNames(t, parent); len(names) != 0 {
					t.Errorf("left behind: %v", names)
				}
			}
		})
	}
	if err := Pull(t.Context(), Options{Repo: "a/b"}); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("error %v", err)
	}
	h := newHub(t, whole)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	folder := filepath.Join(t.TempDir(), "x")
	if err := Pull(cancelled, Options{Repo: "owner/model", BaseURL: h.URL, Folder: folder}); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("error %v", err)
	}
}

// TestPullTokenizer pulls repositories with a cased tokenizer and with none.
func TestPullTokenizer(t *testing.T) {
	impatient(t)
	ours := hosttest.ReadFile(t, "../../testdata/tiny/"+"tokenizer.json")
	cased := bytes.ReplaceAll(ours, []byte(`"lowercase": true`), []byte(`"lowercase": false`))
	if bytes.Equal(cased, ours) {
		t.Fatal("the golden tokenizer says nothing about lower case")
	}
	for _, c := range []struct {
		name       string
		theirs     []byte
		ours       []byte
		want, warn string
	}{
		{"usable", ours, []byte("{}"), string(ours), ""},
		{"cased", cased, ours, string(ours), "the tokenizer of bert-base-uncased is used instead"},
		{"cased, nothing else", cased, nil, "", "no tokenizer was installed"},
		{"broken", []byte("{"), ours, string(ours), "does not fit its weights"},
		{"missing", nil, ours, string(ours), ""},
		{"missing, nothing else", nil, nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := publishedFiles(t)
			files["tokenizer.json"] = c.theirs
			if c.theirs == nil {
				delete(files, "tokenizer.json")
			}
			h := newHub(t, files)
			folder, warned := t.TempDir(), ""
			err := Pull(t.Context(), Options{
				Repo: "owner/model", BaseURL: h.URL, Folder: folder, Tokenizer: c.ours,
				Warn: func(m string) { warned += m },
			})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if c.want != "" {
				got = string(hosttest.ReadFile(t, filepath.Join(folder, "tokenizer.json")))
			} else if names := hosttest.FolderNames(t, folder); slices.Contains(names, "tokenizer.json") {
				t.Errorf("files %v, want no tokenizer", names)
			}
			if got != c.want {
				t.Errorf("tokenizer of %d bytes, want %d", len(got), len(c.want))
			}
			if c.warn == "" && warned != "" || !strings.Contains(warned, c.warn) {
				t.Errorf("warning %q, want %q in it", warned, c.warn)
			}
		})
	}
}
