package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/andybalholm/brotli"
)

// headersFile holds rules for headers, as several static hosts read them.
const headersFile = "_headers"

// mostHeaders bounds the bytes of headersFile.
const mostHeaders = 1 << 20

// site serves the files of a folder: compressed where that helps, with the
// headers that its file _headers says. Unless that says otherwise, browsers ask
// each time whether a file is still the same, so that a new build shows at once.
func site(files fs.FS) http.Handler {
	server := http.FileServerFS(visible{files})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, r, &apiError{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", param: "method", code: "method_not_supported", message: clip(r.Method) + ", want GET"})
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// It is small, and read each time so that a new build's rules hold at once.
		for _, rule := range readHeaders(files) {
			if rule.matches(r.URL.Path) {
				for _, h := range rule.headers {
					w.Header().Set(h[0], h[1])
				}
			}
		}
		packed := &packer{ResponseWriter: w, request: r}
		defer packed.close()
		server.ServeHTTP(packed, r)
	})
}

// ReadHeaders says what is wrong with a site's rules for headers, or nil.
func ReadHeaders(files fs.FS) error {
	_, err := parseHeaders(files)
	return err
}

func readHeaders(files fs.FS) []headerRule {
	rules, _ := parseHeaders(files)
	return rules
}

// headerRule is a rule of headersFile.
type headerRule struct {
	pattern string // a path in which * stands for anything
	headers [][2]string
}

// parseHeaders reads patterns and, indented below each, its headers. Of two
// rules for a path the later one's headers replace the earlier one's.
func parseHeaders(files fs.FS) ([]headerRule, error) {
	f, err := openFile(files, headersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rules []headerRule
	lines := bufio.NewScanner(io.LimitReader(f, mostHeaders))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			rules = append(rules, headerRule{pattern: text})
		default:
			name, value, found := strings.Cut(text, ":")
			if !found || len(rules) == 0 || name == "" || strings.ContainsAny(name, " \t") {
				return nil, fmt.Errorf("%s, line %d: %q, want a path or, indented below one, a header: value", headersFile, n, clip(text))
			}
			rule := &rules[len(rules)-1]
			rule.headers = append(rule.headers, [2]string{name, strings.TrimSpace(value)})
		}
	}
	return rules, lines.Err()
}

func (r headerRule) matches(path string) bool {
	parts := strings.Split(r.pattern, "*")
	rest, found := strings.CutPrefix(path, parts[0])
	if !found || len(parts) == 1 {
		return found && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, found = strings.Cut(rest, part); !found {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// visible hides folders that have no index.html, and what a host does not show.
type visible struct{ fs.FS }

func (f visible) Open(name string) (fs.File, error) {
	file, err := f.open(name)
	if err != nil && !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		// Names that are too long or lead out of the folder are of no file, too.
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file, err
}

func (f visible) open(name string) (fs.File, error) {
	if name == headersFile {
		return nil, fs.ErrNotExist
	}
	stat, err := fs.Stat(f.FS, name)
	if err != nil {
		return nil, err
	}
	if !stat.IsDir() {
		return openFile(f.FS, name)
	}
	index, err := openFile(f.FS, path.Join(name, "index.html"))
	if err != nil {
		return nil, err
	}
	index.Close()
	return f.FS.Open(name)
}

// openFile opens a regular file. To open a pipe would be to wait for its writer.
func openFile(files fs.FS, name string) (fs.File, error) {
	stat, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return files.Open(name)
}

// packed are the types of what compresses well.
var packed = map[string]bool{
	"text/html": true, "text/css": true, "text/plain": true, "text/javascript": true, "text/markdown": true, "text/xml": true,
	"application/json": true, "application/wasm": true, "application/manifest+json": true, "application/xml": true, "image/svg+xml": true,
}

// smallest is the size from which compression is worth it.
const smallest = 1 << 10

// packer compresses a response whose type is one that compresses well. Ranges
// are of the file as it is.
type packer struct {
	http.ResponseWriter
	request *http.Request
	began   bool
	to      io.WriteCloser // nil: as it is
}

func (p *packer) WriteHeader(status int) {
	if p.began {
		return
	}
	p.began = true
	h := p.Header()
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	size, _ := strconv.Atoi(h.Get("Content-Length"))
	if packed[kind] && h.Get("Content-Encoding") == "" {
		h.Add("Vary", "Accept-Encoding")
		if status == http.StatusOK && p.request.Header.Get("Range") == "" && size >= smallest {
			p.to = brotli.HTTPCompressor(p.ResponseWriter, p.request)
			if h.Get("Content-Encoding") != "" {
				h.Del("Content-Length")
				h.Del("Accept-Ranges")
			} else {
				p.to = nil
			}
		}
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *packer) Write(data []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.to != nil {
		return p.to.Write(data)
	}
	return p.ResponseWriter.Write(data)
}

func (p *packer) close() {
	if p.to != nil && p.request.Method != http.MethodHead {
		p.to.Close()
	}
}

// Unwrap is for http.ResponseController.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }
