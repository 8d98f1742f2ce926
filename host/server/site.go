package server

import (
	"io/fs"
	"net/http"
)

// site serves the files of a folder. Browsers ask each time whether a file is
// still the same, so that a new build shows at once.
func site(files fs.FS) http.Handler {
	server := http.FileServerFS(withoutListings{files})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, &apiError{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", code: "method_not_allowed", message: r.Method + ", want GET"})
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		server.ServeHTTP(w, r)
	})
}

// withoutListings hides folders that have no index.html.
type withoutListings struct{ fs.FS }

func (f withoutListings) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	stat, err := file.Stat()
	if err == nil && stat.IsDir() {
		index := "index.html"
		if name != "." {
			index = name + "/" + index
		}
		_, err = fs.Stat(f.FS, index)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
