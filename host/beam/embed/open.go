package embed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/gofrs/flock"

	"m2embed/host"
	"m2embed/host/batch"
)

// opened are the embedders of this process, by their options. They stay open
// while it lives: runners make and drop DoFns at will.
var opened = struct {
	sync.Mutex
	by map[string]*batch.Embedder
}{by: map[string]*batch.Embedder{}}

// Open returns this process's embedder for options, which all transforms share. It
// is open until the process ends.
//
// # Errors
//
// Those of [batch.Open], and of the file system that the model is fetched from.
func Open(ctx context.Context, o Options) (*batch.Embedder, error) {
	o.IDField, o.TextField = "", ""
	key, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	opened.Lock()
	defer opened.Unlock()
	if e := opened.by[string(key)]; e != nil {
		return e, nil
	}
	folder := o.Model
	if strings.Contains(folder, "://") {
		if folder, err = fetch(ctx, o.Model); err != nil {
			return nil, fmt.Errorf("fetch model %s: %w", o.Model, err)
		}
	}
	e, err := batch.Open(folder, host.Options{Engine: o.Engine, Threads: o.Threads}, o.Embed)
	if err != nil {
		return nil, err
	}
	opened.by[string(key)] = e
	return e, nil
}

// fetch copies a model's folder from one of Beam's file systems into the user's
// cache folder, and returns where it lies. Processes of one machine wait for each
// other. A folder is known by the names, sizes and times of its files, so a model
// that changed is fetched again.
func fetch(ctx context.Context, url string) (string, error) {
	fs, err := filesystem.New(ctx, url)
	if err != nil {
		return "", err
	}
	defer fs.Close()
	files, err := fs.List(ctx, strings.TrimSuffix(url, "/")+"/*")
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", errors.New("no files there")
	}
	sort.Strings(files)
	sizes := make([]int64, len(files))
	sum := sha256.New()
	for i, f := range files {
		if sizes[i], err = fs.Size(ctx, f); err != nil {
			return "", err
		}
		var modified time.Time
		if l, ok := fs.(filesystem.LastModifiedGetter); ok {
			if modified, err = l.LastModified(ctx, f); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(sum, "%q %d %d\n", f, sizes[i], modified.UnixNano())
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // containers have no home
	}
	parent := filepath.Join(cache, "m2embed", "beam")
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return "", err
	}
	folder := filepath.Join(parent, path.Base(strings.TrimSuffix(url, "/"))+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	lock := flock.New(folder + ".lock")
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	// What another process left half done is of no use.
	half := folder + ".part"
	if err := errors.Join(os.RemoveAll(half), os.Mkdir(half, 0o777)); err != nil {
		return "", err
	}
	for i, f := range files {
		if err := copyFile(ctx, fs, f, filepath.Join(half, path.Base(f)), sizes[i]); err != nil {
			return "", errors.Join(err, os.RemoveAll(half))
		}
	}
	return folder, os.Rename(half, folder)
}

// copyFile copies a file of a known size.
func copyFile(ctx context.Context, fs filesystem.Interface, from, to string, size int64) error {
	r, err := fs.OpenRead(ctx, from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, r)
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%s has %d bytes, expected %d", from, n, size)
	}
	return ctx.Err()
}
