package hub

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/locate"
)

// Settings are what the environment says about the hub, as for Hugging
// Face's own tools, which read older names, too.
type Settings struct {
	Endpoint string // HF_ENDPOINT
	// HF_TOKEN or HUGGING_FACE_HUB_TOKEN, or what HF_TOKEN_PATH or the file token in
	// HF_HOME holds; none where HF_HUB_DISABLE_IMPLICIT_TOKEN is set
	Token   string
	Cache   string // HF_HUB_CACHE or HUGGINGFACE_HUB_CACHE, or hub in HF_HOME; empty if there is no home
	Offline bool   // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
}

// Environment reads the settings from an environment such as os.Getenv. Paths in
// it may begin with ~ and hold variables.
func Environment(get func(name string) string) Settings {
	first := func(names ...string) string {
		for _, name := range names {
			if value := get(name); value != "" {
				return value
			}
		}
		return ""
	}
	user, err := os.UserHomeDir()
	if err != nil {
		user = ""
	}
	path := func(names ...string) string {
		given := first(names...)
		if rest, found := strings.CutPrefix(given, "~"); found && user != "" && (rest == "" || os.IsPathSeparator(rest[0])) {
			given = user + rest
		}
		return os.Expand(given, func(name string) string { return orDefault(get(name), "$"+name) })
	}
	home := path("HF_HOME")
	if home == "" {
		caches := path("XDG_CACHE_HOME")
		if caches == "" && user != "" {
			caches = filepath.Join(user, ".cache")
		}
		if caches != "" {
			home = filepath.Join(caches, "huggingface")
		}
	}
	s := Settings{
		Endpoint: orDefault(get("HF_ENDPOINT"), DefaultHub), Cache: path("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
		Token: strings.TrimSpace(first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")), Offline: isTrue(first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
	}
	saved := path("HF_TOKEN_PATH")
	if home != "" {
		s.Cache, saved = orDefault(s.Cache, filepath.Join(home, "hub")), orDefault(saved, filepath.Join(home, "token"))
	}
	switch {
	case isTrue(get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
		s.Token = ""
	case s.Token == "" && saved != "":
		if text, err := locate.ReadLimited(saved, 1<<12); err == nil {
			s.Token = strings.TrimSpace(string(text))
		}
	}
	return s
}

// isTrue says whether a variable is set as Hugging Face's tools take it.
func isTrue(value string) bool {
	switch strings.ToUpper(value) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// The cache holds for each repository refs/BRANCH with a commit, blobs/ETAG
// with a file's bytes, and snapshots/COMMIT/NAME, a link to a blob.
var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`) // also of a blob
	commitSum = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// shelf is the repository's folder in the cache, "" if there is none.
func (d *downloader) shelf() string {
	if d.options.Cache == "" {
		return ""
	}
	return filepath.Join(d.options.Cache, "models--"+strings.ReplaceAll(d.options.Repo, "/", "--"))
}

// cached returns the path of a file in the cache, if it is there and whole.
func (d *downloader) cached(file remoteFile) string {
	shelf := d.shelf()
	if shelf == "" || !commitSum.MatchString(d.revision) || file.etag == "" {
		return ""
	}
	path := filepath.Join(shelf, "snapshots", d.revision, file.name)
	if d.verify(path, file) == nil {
		return path
	}
	// Another commit may have the same file.
	if blob := filepath.Join(shelf, "blobs", file.etag); plainName.MatchString(file.etag) && d.verify(blob, file) == nil && d.link(shelf, file) == nil {
		return path
	}
	return ""
}

// cache moves a downloaded file into the cache and returns its path there, or
// "" where that is not possible; then the file stays where it is.
func (d *downloader) cache(file remoteFile, part string) string {
	shelf := d.shelf()
	if shelf == "" || !commitSum.MatchString(d.revision) || !plainName.MatchString(file.etag) {
		return ""
	}
	blobs := filepath.Join(shelf, "blobs")
	if os.MkdirAll(blobs, 0o777) != nil || moveFile(part, filepath.Join(blobs, file.etag)) != nil {
		return ""
	}
	if d.link(shelf, file) != nil {
		return filepath.Join(blobs, file.etag)
	}
	if asked := orDefault(d.options.Revision, "main"); asked != d.revision && plainName.MatchString(asked) {
		refs := filepath.Join(shelf, "refs")
		if os.MkdirAll(refs, 0o777) == nil {
			atomicfile.Write(filepath.Join(refs, asked), []byte(d.revision)) // only a help for those who are offline
		}
	}
	return filepath.Join(shelf, "snapshots", d.revision, file.name)
}

// link gives a blob its name in the snapshot.
func (d *downloader) link(shelf string, file remoteFile) error {
	path := filepath.Join(shelf, "snapshots", d.revision, file.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(filepath.Join("..", "..", "blobs", file.etag), path)
}

// moveFile renames a file or, onto another disk, copies it.
func moveFile(from, to string) error {
	if os.Rename(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := atomicfile.Create(to)
	if err != nil {
		return err
	}
	defer out.Discard()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Publish(); err != nil {
		return err
	}
	in.Close()
	return os.Remove(from)
}

// findOffline takes a file from the cache without asking the hub.
func (d *downloader) findOffline(name string) (string, error) {
	shelf := d.shelf()
	if shelf == "" {
		return "", errors.New("without a network a cache is needed, but no folder is named for it")
	}
	revision := d.revision
	if !commitSum.MatchString(revision) {
		if !plainName.MatchString(revision) {
			return "", fmt.Errorf("revision %q cannot be looked up without a network", revision)
		}
		text, err := locate.ReadLimited(filepath.Join(shelf, "refs", revision), 1<<10)
		if revision = strings.TrimSpace(string(text)); err != nil || !commitSum.MatchString(revision) {
			return "", fmt.Errorf("%s at %s is not in the cache %s, and no network is to be used (HF_HUB_OFFLINE)", d.options.Repo, d.revision, d.options.Cache)
		}
	}
	path := filepath.Join(shelf, "snapshots", revision, name)
	if _, err := os.Stat(path); err != nil {
		return "", &notFoundError{fmt.Sprintf("%s is not in the cache %s, and no network is to be used (HF_HUB_OFFLINE)", name, d.options.Cache)}
	}
	// A blob's name is its digest.
	file := remoteFile{name: name, size: -1}
	if target, err := os.Readlink(path); err == nil {
		file.etag = filepath.Base(target)
	}
	if err := d.verify(path, file); err != nil {
		return "", fmt.Errorf("%s in the cache: %w", name, err)
	}
	return path, nil
}

// allChecked says which file has an expected digest but was not fetched: its
// giver believes that it was checked.
func (d *downloader) allChecked() error {
	for _, name := range slices.Sorted(maps.Keys(d.options.SHA256)) {
		if !d.fetched[name] {
			return fmt.Errorf("a SHA-256 is given for %q, but the files that were fetched are %s", name, strings.Join(slices.Sorted(maps.Keys(d.fetched)), ", "))
		}
	}
	return nil
}
