package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"m2embed/core/short"
	"m2embed/host/internal/atomicfile"
)

// notFoundError says that the hub has no such file.
type notFoundError struct{ message string }

func (e *notFoundError) Error() string { return e.message }

// downloader fetches the files of one repository into a folder.
type downloader struct {
	options  Options
	base     string // the hub's address
	shown    string // the same without a password, for messages
	revision string // becomes the commit as soon as the hub has named it
	folder   string
	client   *http.Client
	fetched  map[string]bool // files, by name
}

// keepToken takes the token out of a redirected request that leaves the hub's
// origin, be it for another host or from https to http.
func keepToken(r *http.Request, via []*http.Request) {
	if from := via[0].URL; r.URL.Host != from.Host || r.URL.Scheme != from.Scheme {
		r.Header.Del("Authorization")
	}
}

func newDownloader(o Options, base *url.URL, folder string) *downloader {
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("10 redirects in a row")
		}
		keepToken(r, via)
		return nil
	}
	return &downloader{fetched: map[string]bool{}, options: o, base: base.String(), shown: base.Redacted(), revision: orDefault(o.Revision, "main"), folder: folder, client: &client}
}

// The patience of a downloader. Tests shorten the waits.
const maxAttempts = 8 // in a row that bring no byte

var (
	firstPause  = 500 * time.Millisecond // doubled after each failure
	idleTimeout = 60 * time.Second       // without a byte
)

// remoteFile is what the hub says about a file.
type remoteFile struct {
	name string
	url  string
	etag string // without quotes; the SHA-256 of large files, the Git hash of small ones
	size int64  // -1 if unknown
}

// fetchFirst fetches the first of the files that the repository has.
func (d *downloader) fetchFirst(ctx context.Context, names ...string) (string, error) {
	var missing *notFoundError
	for _, name := range names {
		path, err := d.fetch(ctx, name)
		if !errors.As(err, &missing) {
			return path, err
		}
	}
	return "", fmt.Errorf("the repository has none of %s", strings.Join(names, ", "))
}

// fetch downloads a file, checks it, and returns its path.
func (d *downloader) fetch(ctx context.Context, name string) (string, error) {
	path, err := d.find(ctx, name)
	if err == nil {
		d.fetched[name] = true
	}
	return path, err
}

// find takes a file from the cache or from an earlier try, or downloads it.
func (d *downloader) find(ctx context.Context, name string) (string, error) {
	if d.options.Offline {
		return d.findOffline(name)
	}
	file, err := d.describe(ctx, name)
	if err != nil {
		return "", err
	}
	if path := d.cached(file); path != "" {
		return path, nil
	}
	whole := filepath.Join(d.folder, name)
	if _, err := os.Stat(whole); err == nil { // of an earlier try
		if d.verify(whole, file) == nil && file.etag != "" {
			return whole, nil
		}
		if err := os.Remove(whole); err != nil {
			return "", err
		}
	}
	part := whole + ".part"
	if file.etag != "" {
		// The name tells the content, so what is resumed belongs together.
		sum := sha256.Sum256([]byte(file.etag))
		part = whole + "." + hex.EncodeToString(sum[:8]) + ".part"
	} else {
		os.Remove(part)
	}
	if err := d.download(ctx, file, part); err != nil {
		return "", fmt.Errorf("download %s: %w", name, err)
	}
	if err := d.verify(part, file); err != nil {
		return "", errors.Join(fmt.Errorf("download %s: %w", name, err), os.Remove(part))
	}
	if path := d.cache(file, part); path != "" {
		return path, nil
	}
	return whole, os.Rename(part, whole)
}

// request makes a request to the hub or, without a token, to where it points.
func (d *downloader) request(ctx context.Context, method, address string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "m2embed")
	r.Header.Set("Accept-Encoding", "identity") // offsets count the file's own bytes
	if d.options.Token != "" {
		r.Header.Set("Authorization", "Bearer "+d.options.Token)
	}
	return r, nil
}

// describe asks the hub about a file. Large files are answered by a redirect
// to other storage; what is known of them stands in the hub's own answer.
func (d *downloader) describe(ctx context.Context, name string) (remoteFile, error) {
	file := remoteFile{name: name, size: -1}
	file.url = d.base + "/" + d.options.Repo + "/resolve/" + url.PathEscape(d.revision) + "/" + url.PathEscape(name)
	client := *d.client
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || len(via) >= 5 {
			return http.ErrUseLastResponse
		}
		if r.Response != nil && r.Response.Header.Get("X-Linked-Etag") != "" {
			return http.ErrUseLastResponse
		}
		keepToken(r, via)
		return nil // a repository that has moved
	}
	var response *http.Response
	err := d.retry(ctx, func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, idleTimeout)
		defer cancel()
		r, err := d.request(ctx, http.MethodHead, file.url)
		if err != nil {
			return false, &finalError{err}
		}
		if response, err = client.Do(r); err != nil {
			return false, err
		}
		response.Body.Close()
		return false, d.status(response, name)
	})
	if err != nil {
		return file, err
	}
	h := response.Header
	file.etag = strings.Trim(strings.TrimPrefix(orDefault(h.Get("X-Linked-Etag"), h.Get("ETag")), "W/"), `"`)
	if n, err := strconv.ParseInt(h.Get("X-Linked-Size"), 10, 64); err == nil && n >= 0 {
		file.size = n
	} else if response.StatusCode == http.StatusOK {
		file.size = response.ContentLength
	}
	if commit := h.Get("X-Repo-Commit"); commit != "" {
		d.revision = commit // all files of one state
	}
	return file, nil
}

// finalError is one that another try does not change.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// busyError is one of a server that wants to be left alone for a while.
type busyError struct {
	error
	wait time.Duration
}

// longestRetryAfter bounds what a server may ask for.
const longestRetryAfter = 5 * time.Minute

// retryAfter reads a header Retry-After: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, longestRetryAfter)
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(date.Sub(now), 0), longestRetryAfter)
	}
	return 0
}

// status turns a response that is no success into an error.
func (d *downloader) status(r *http.Response, name string) error {
	detail, status := r.Header.Get("X-Error-Message"), short.Text(r.Status)
	if detail != "" {
		detail = ": " + short.Text(detail)
	}
	switch code := r.StatusCode; {
	case code == http.StatusNotFound && r.Header.Get("X-Error-Code") == "RepoNotFound":
		return &finalError{fmt.Errorf("no such repository on %s%s", d.shown, detail)}
	case code == http.StatusNotFound && r.Header.Get("X-Error-Code") == "RevisionNotFound":
		return &finalError{fmt.Errorf("no revision %q%s", d.revision, detail)}
	case code == http.StatusNotFound:
		return &finalError{&notFoundError{fmt.Sprintf("no file %s on %s%s", name, d.shown, detail)}}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return &finalError{fmt.Errorf("%s: the repository does not exist, or a token with access to it is needed%s", status, detail)}
	case code == http.StatusTooManyRequests || code >= 500:
		return &busyError{fmt.Errorf("the server answers %s%s", status, detail), retryAfter(r.Header.Get("Retry-After"), time.Now())}
	case code >= 400 && code != http.StatusRequestedRangeNotSatisfiable:
		return &finalError{fmt.Errorf("the server answers %s%s", status, detail)}
	}
	return nil
}

// retry calls try until it succeeds, fails for good, or fails too often in a
// row without progress.
func (d *downloader) retry(ctx context.Context, try func() (progress bool, err error)) error {
	pause := firstPause
	for failures := 1; ; failures++ {
		progress, err := try()
		var final *finalError
		var busy *busyError
		var unknown *net.DNSError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, syscall.ECONNREFUSED):
			return fmt.Errorf("nothing listens at %s: %w", d.shown, err)
		case errors.As(err, &unknown) && unknown.IsNotFound:
			return fmt.Errorf("there is no host of the name in %s: %w", d.shown, err)
		case errors.As(err, &final):
			return final.err
		case progress:
			failures, pause = 0, firstPause
		case failures >= maxAttempts:
			return fmt.Errorf("%w, %d times in a row", err, failures)
		}
		wait := pause
		if errors.As(err, &busy) {
			wait = max(wait, busy.wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// download fills a part file, from where an earlier try left it.
func (d *downloader) download(ctx context.Context, file remoteFile, part string) error {
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	farthest := int64(0) // a server that begins anew each time makes no progress
	err = d.retry(ctx, func() (bool, error) {
		at, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return false, &finalError{err}
		}
		if file.size >= 0 && at > file.size {
			at = 0
			if err := f.Truncate(0); err != nil {
				return false, &finalError{err}
			}
		}
		if at > 0 && at == file.size {
			return false, nil
		}
		farthest = max(farthest, at)
		at, err = d.continueAt(ctx, file, f, at)
		return at > farthest, err
	})
	var full *atomicfile.Error
	if errors.As(err, &full) {
		os.Remove(part) // a full disk must not stay full
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// continueAt requests a file from a byte on and appends what comes. It
// returns how far the part file reaches then.
func (d *downloader) continueAt(ctx context.Context, file remoteFile, f *os.File, at int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(idleTimeout, cancel)
	defer idle.Stop()
	r, err := d.request(ctx, http.MethodGet, file.url)
	if err != nil {
		return 0, &finalError{err}
	}
	if at > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	response, err := d.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if err := d.status(response, file.name); err != nil {
		return 0, err
	}
	restart := false
	switch response.StatusCode {
	case http.StatusPartialContent:
		var start int64
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != at {
			return 0, &finalError{fmt.Errorf("asked for bytes from %d on, got %s", at, short.Quote(response.Header.Get("Content-Range")))}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		var total int64
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes */%d", &total); err == nil && total == at && file.size < 0 {
			return at, nil // complete
		}
		if err := f.Truncate(0); err != nil {
			return 0, &finalError{err}
		}
		return 0, errors.New("the server refuses to continue the download")
	case http.StatusOK:
		restart = at > 0 // the server does not know ranges
	default:
		return 0, &finalError{fmt.Errorf("the server answers %s", short.Text(response.Status))}
	}
	if restart {
		at = 0
		if err := f.Truncate(0); err != nil {
			return 0, &finalError{err}
		}
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return 0, &finalError{err}
	}
	return d.copyBody(response, file, f, at, func() { idle.Reset(idleTimeout) })
}

// copyBody appends a response to the part file, which ends at a byte, and
// returns where it ends then.
func (d *downloader) copyBody(response *http.Response, file remoteFile, f *os.File, at int64, alive func()) (int64, error) {
	total := file.size
	if total < 0 && response.ContentLength >= 0 {
		total = at + response.ContentLength
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := response.Body.Read(buffer)
		alive()
		if total >= 0 && at+int64(n) > total {
			return 0, &finalError{errors.Join(fmt.Errorf("the server sends more than the %d bytes it promised", total), f.Truncate(0))}
		}
		if _, err := f.Write(buffer[:n]); err != nil {
			return at, &finalError{atomicfile.WriteError(err)}
		}
		at += int64(n)
		if d.options.Progress != nil {
			d.options.Progress(file.name, at, max(total, 0))
		}
		switch {
		case err == io.EOF && total >= 0 && at < total:
			return at, fmt.Errorf("the connection ended after %d of %d bytes", at, total)
		case err == io.EOF:
			return at, nil
		case err != nil:
			return at, err
		}
	}
}

// verify compares a file with the digest that was given, or else with the
// hub's: a SHA-256 for large files, Git's hash for small ones.
func (d *downloader) verify(path string, file remoteFile) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	if file.size >= 0 && stat.Size() != file.size {
		return fmt.Errorf("%d bytes, want %d", stat.Size(), file.size)
	}
	want, kind := strings.ToLower(file.etag), "the hub's"
	if given := d.options.SHA256[file.name]; given != "" {
		want, kind = strings.ToLower(given), "the given"
		if len(want) != 2*sha256.Size {
			return fmt.Errorf("the given SHA-256 %q has not %d digits", given, 2*sha256.Size)
		}
	}
	var h hash.Hash
	_, notHex := hex.DecodeString(want)
	switch {
	case notHex != nil:
		return nil // some other server's mark
	case len(want) == 2*sha256.Size:
		h = sha256.New()
	case len(want) == 2*sha1.Size:
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", stat.Size())
	default:
		return nil
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("the digest is %s, %s is %s: the file was damaged or is another one", got, kind, want)
	}
	return nil
}
