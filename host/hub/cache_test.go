package hub

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tinyHub is a hub that has the model of testdata.
func tinyHub(t *testing.T) *hub {
	files := map[string][]byte{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		data, err := os.ReadFile(filepath.Join("../../testdata/tiny", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return newHub(t, files)
}

// TestPullCache: what is in the cache, in the layout of the hub's own tools, is
// not fetched again, and is enough without a network.
func TestPullCache(t *testing.T) {
	h := tinyHub(t)
	cache := t.TempDir()
	o := Options{Repo: "owner/model", BaseURL: h.URL, Folder: t.TempDir(), Cache: cache}
	if err := Pull(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	shelf := filepath.Join(cache, "models--owner--model")
	if text, err := os.ReadFile(filepath.Join(shelf, "refs", "main")); err != nil || string(text) != commit {
		t.Errorf("refs/main is %q: %v", text, err)
	}
	for name, data := range h.files {
		path := filepath.Join(shelf, "snapshots", commit, name)
		got, err := os.ReadFile(path)
		if err != nil || !slices.Equal(got, data) {
			t.Errorf("%s in the cache: %v", name, err)
		}
		if target, err := os.Readlink(path); err != nil || !strings.HasPrefix(target, filepath.Join("..", "..", "blobs")) {
			t.Errorf("%s leads to %q: %v", name, target, err)
		}
	}
	h.requests = nil
	o.Folder = t.TempDir()
	if err := Pull(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.requests {
		if strings.HasPrefix(r, "GET") {
			t.Errorf("fetched again: %s", r)
		}
	}
	h.requests = nil
	o.Folder, o.Offline = t.TempDir(), true
	if err := Pull(t.Context(), o); err != nil || len(h.requests) != 0 {
		t.Fatalf("offline: %v, requests %q", err, h.requests)
	}
	for what, change := range map[string]func(o *Options){
		"another branch": func(o *Options) { o.Revision = "other" },
		"another model":  func(o *Options) { o.Repo = "owner/other" },
		"no cache":       func(o *Options) { o.Cache = "" },
	} {
		o := o
		o.Folder = t.TempDir()
		change(&o)
		if err := Pull(t.Context(), o); err == nil || !strings.Contains(err.Error(), "network") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A damaged file of the cache is not used.
	target, err := filepath.EvalSymlinks(filepath.Join(shelf, "snapshots", commit, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Pull(t.Context(), o); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("damaged, offline: %v", err)
	}
	o.Offline = false
	if err := Pull(t.Context(), o); err != nil {
		t.Errorf("damaged: %v", err)
	}
}

// TestPullUnchecked: a digest of a file that is not fetched is an error.
func TestPullUnchecked(t *testing.T) {
	h := tinyHub(t)
	err := Pull(t.Context(), Options{Repo: "owner/model", BaseURL: h.URL, Folder: t.TempDir(), SHA256: map[string]string{"pytorch_model.bin": strings.Repeat("0", 64)}})
	if err == nil || !strings.Contains(err.Error(), `"pytorch_model.bin"`) || !strings.Contains(err.Error(), "model.safetensors") {
		t.Error(err)
	}
}

// TestPullRefused: where nothing listens, no second try is made after a pause.
func TestPullRefused(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	synctest.Test(t, func(t *testing.T) { // where time passes in pauses alone
		began := time.Now()
		err := Pull(t.Context(), Options{Repo: "owner/model", BaseURL: gone.URL, Folder: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "nothing listens") || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestKeepToken: the token stays with the origin.
func TestKeepToken(t *testing.T) {
	for to, kept := range map[string]bool{
		"https://hub.example/x": true, "http://hub.example/x": false, "https://hub.example:444/x": false, "https://cdn.example/x": false, "https://hub.example.evil/x": false,
	} {
		from := httptest.NewRequest("GET", "https://hub.example/a", nil)
		r := httptest.NewRequest("GET", to, nil)
		r.Header.Set("Authorization", "Bearer secret")
		keepToken(r, []*http.Request{from})
		if got := r.Header.Get("Authorization") != ""; got != kept {
			t.Errorf("%s: sent %v, want %v", to, got, kept)
		}
	}
}

// TestPullRetryAfter: a server that asks for a pause gets it.
func TestPullRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "999999": longestRetryAfter, "-1": 0, "x": 0, "Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Thu, 01 Jan 2015 00:00:09 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		tries, began := 0, time.Now()
		d := &downloader{}
		err := d.retry(t.Context(), func() (bool, error) {
			if tries++; tries == 1 {
				return false, &busyError{os.ErrDeadlineExceeded, 7 * time.Second}
			}
			return false, nil
		})
		if err != nil || tries != 2 || time.Since(began) != 7*time.Second {
			t.Errorf("%v, %d tries in %v", err, tries, time.Since(began))
		}
	})
}

// TestHubEnvironment: the variables of the hub's own tools.
func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	other := filepath.Join(home, "other")
	for path, text := range map[string]string{filepath.Join(home, "token"): "saved\n", other: " elsewhere "} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hub := filepath.Join(home, "hub")
	user, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environment map[string]string
		want        Settings
	}{
		{map[string]string{"HF_HOME": home}, Settings{DefaultHub, "saved", hub, false}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN": "t", "HF_ENDPOINT": "http://h", "HF_HUB_OFFLINE": "1"}, Settings{"http://h", "t", hub, true}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN_PATH": other, "HF_HUB_CACHE": "/c", "HF_HUB_OFFLINE": "0"}, Settings{DefaultHub, "elsewhere", "/c", false}},
		{map[string]string{"XDG_CACHE_HOME": home, "HF_HUB_OFFLINE": "true"}, Settings{DefaultHub, "", filepath.Join(home, "huggingface", "hub"), true}},
		{map[string]string{"HF_HOME": home, "HUGGING_FACE_HUB_TOKEN": "old", "HUGGINGFACE_HUB_CACHE": "/old", "TRANSFORMERS_OFFLINE": "YES"}, Settings{DefaultHub, "old", "/old", true}},
		{map[string]string{"HF_HOME": home, "HF_TOKEN": "t", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, Settings{DefaultHub, "", hub, false}},
		{map[string]string{"HF_HOME": "$WHERE", "WHERE": home, "HF_HUB_CACHE": "~/${WHERE}/$NOWHERE"}, Settings{DefaultHub, "saved", user + "/" + home + "/$NOWHERE", false}},
		{map[string]string{"HF_HOME": "~", "HF_TOKEN": "t", "HF_HUB_CACHE": "~else/c"}, Settings{DefaultHub, "t", "~else/c", false}},
	} {
		if got := Environment(func(name string) string { return c.environment[name] }); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.environment, got, c.want)
		}
	}
}

// TestMoveFile: a file moves within a disk and onto another, and leaves nothing.
func TestMoveFile(t *testing.T) {
	folders := map[string]string{"the same disk": t.TempDir()}
	if other, err := os.MkdirTemp("/dev/shm", "m2embed-"); err == nil {
		defer os.RemoveAll(other)
		folders["memory"] = other
	}
	for name, folder := range folders {
		from, to := filepath.Join(folder, "from"), filepath.Join(t.TempDir(), "to")
		if err := os.WriteFile(from, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := moveFile(from, to); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(to); err != nil || string(got) != name {
			t.Errorf("from %s: %q, %v", name, got, err)
		}
		for _, folder := range []string{folder, filepath.Dir(to)} {
			entries, err := os.ReadDir(folder)
			if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "to" {
				t.Errorf("from %s: left %v in %s (%v)", name, entries, folder, err)
			}
		}
	}
	if err := moveFile(filepath.Join(t.TempDir(), "absent"), filepath.Join(t.TempDir(), "to")); err == nil {
		t.Error("moved what is not there")
	}
}
