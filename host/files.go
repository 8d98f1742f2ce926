package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"m2embed/core/checkpoint"
	"m2embed/host/convert"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/configjson"
	"m2embed/host/internal/locate"
	"m2embed/host/internal/mapped"
	"m2embed/host/small"
)

// Files are the parts of an opened model.
type Files struct {
	ConfigJSON []byte // nil if there is none
	Tokenizer  []byte // tokenizer.json or vocab.txt, nil if there is none
	Weights    *checkpoint.File
	// Writable says that the bytes of Weights may be overwritten, for
	// repacking in place: they are this process's own, and the file stays as
	// it is.
	Writable bool
	// Describe says in one line where the weights come from.
	Describe string
	// Close releases the weights. Tensors and views of them must not be used
	// afterwards: their memory is gone.
	Close func() error
}

// OpenFiles opens the parts of a model without running it: a folder as the
// Hugging Face hub has them (config.json or a retrieval YAML; tokenizer.json or
// vocab.txt, optional; model.safetensors, pytorch_model.bin or one other
// checkpoint), or a checkpoint file, with the other parts beside it or named in
// the options; or, for "", of the model that is built in.
//
// Safetensors are mapped into memory, not read. A PyTorch file is converted
// once into a safetensors file that is mapped from then on; see package convert.
// That file is taken again as long as size, modification time and a SHA-256
// of samples (the first and last MiB, where the directory with the checksums
// of all tensors stands, and 64 blocks of 4 KiB in between) of the checkpoint
// are the same. If nothing can be written anywhere, the PyTorch file itself
// is mapped.
//
// The configuration that goes with a PyTorch file gets the padding
// "max_length" unless it has one, as package convert does it.
func OpenFiles(path string, o Options) (*Files, error) {
	if path == "" {
		return embeddedFiles(o)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if told := o.Progress; told != nil {
		o.Progress = func(done, total int64) error {
			err := told(done, total)
			if err != nil {
				cancel(err)
			}
			return err
		}
	}
	files, err := openFiles(ctx, path, o)
	if err != nil {
		if stopped := context.Cause(ctx); stopped != nil {
			err = stopped
		}
		return nil, fmt.Errorf("open model %s: %w", path, locate.Reason(path, err))
	}
	return files, nil
}

// embeddedFiles are the parts of the model that is built in.
func embeddedFiles(o Options) (*Files, error) {
	if o.Config != "" || o.Tokenizer != "" {
		return nil, errors.New("the embedded model has a configuration and a tokenizer of its own; name other weights, too")
	}
	weights, err := checkpoint.OpenBytes(small.Weights)
	if err != nil {
		return nil, fmt.Errorf("embedded model: %w", err)
	}
	return &Files{
		ConfigJSON: small.Config, Tokenizer: small.Tokenizer, Weights: weights,
		Describe: fmt.Sprintf("embedded model %s (%.1f MB)", small.Name, float64(len(small.Weights))/1e6),
		Close:    func() error { return nil },
	}, nil
}

func openFiles(ctx context.Context, path string, o Options) (*Files, error) {
	source, err := locate.Model(path, o.Config, o.Tokenizer)
	if err != nil {
		return nil, err
	}
	files, err := readParts(source)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(source.Weights)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mapWeights := func(note string) error {
		err := files.mapWeights(f, note)
		if err != nil && source.Weights != path {
			err = fmt.Errorf("%s: %w", filepath.Base(source.Weights), err)
		}
		return err
	}
	head := make([]byte, 9)
	n, _ := f.ReadAt(head, 0)
	if n == len(head) && head[8] == '{' { // safetensors
		return files, mapWeights("")
	}
	if err := files.padAsPyTorch(); err != nil {
		return nil, err
	}
	if o.NoCache {
		return files, mapWeights("")
	}
	err = files.mapConverted(ctx, f, o)
	var unwritable *atomicfile.Error
	if o.Cache == "" && errors.As(err, &unwritable) {
		return files, mapWeights(fmt.Sprintf(", not cached (%v)", unwritable))
	}
	return files, err
}

// readParts reads configuration and tokenizer.
func readParts(source locate.Paths) (files *Files, err error) {
	files = &Files{}
	if files.ConfigJSON, err = source.ReadConfig(); err != nil {
		return nil, err
	}
	files.Tokenizer, err = source.ReadTokenizer()
	return files, err
}

// padAsPyTorch gives the configuration that goes with a PyTorch file its
// padding; see OpenFiles.
func (m *Files) padAsPyTorch() (err error) {
	if m.ConfigJSON != nil {
		m.ConfigJSON, err = configjson.SetPadding(m.ConfigJSON, "")
	}
	return err
}

// filesIn opens the parts of a model in a file system, see OpenFS, and returns
// the name of its weights.
func filesIn(fsys fs.FS, o Options) (*Files, string, error) {
	source, err := locate.In(fsys, o.Config, o.Tokenizer)
	if err != nil {
		return nil, "", err
	}
	files, err := readParts(source)
	if err != nil {
		return nil, "", err
	}
	return files, source.Weights, files.readWeights(fsys, source.Weights)
}

// readWeights opens a checkpoint of a file system: mapped where it is a file of
// the operating system, in memory otherwise.
func (m *Files) readWeights(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if file, ok := f.(*os.File); ok {
		if err := m.mapWeights(file, ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else {
		data, err := io.ReadAll(f) // whatever size the file system claims
		if err != nil {
			return err
		}
		if m.Weights, err = checkpoint.OpenBytes(data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Writable, m.Close = true, func() error { return nil }
		m.Describe = fmt.Sprintf("%s (%s, %.1f MB, in memory)", name, m.Weights.Format(), float64(len(data))/1e6)
	}
	if m.Weights.Format() == "safetensors" {
		return nil
	}
	if err := m.padAsPyTorch(); err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

// mapWeights maps a checkpoint file and opens it over the mapping.
func (m *Files) mapWeights(f *os.File, note string) error {
	data, writable, unmap, err := mapped.Open(f)
	if err != nil {
		return err
	}
	weights, err := checkpoint.OpenBytes(data)
	if err != nil {
		return errors.Join(err, unmap())
	}
	m.Weights, m.Writable, m.Close = weights, writable, unmap
	m.Describe = fmt.Sprintf("%s (%s, %.1f MB)%s", f.Name(), weights.Format(), float64(len(data))/1e6, note)
	return nil
}

// sourceKey is the metadata entry that says what a cache was made from.
const sourceKey = "m2embed.source"

// mapConverted maps the safetensors cache of a PyTorch file, and makes it
// first if there is none or if it was made from something else.
func (m *Files) mapConverted(ctx context.Context, f *os.File, o Options) error {
	key, err := contentKey(f)
	if err != nil {
		return err
	}
	places := cachePlaces(f.Name(), o.Cache)
	for _, place := range places {
		if m.mapCache(place, key, f.Name()) {
			return nil
		}
	}
	var failed error
	for _, place := range places {
		err := makeCache(ctx, f.Name(), place, key, o)
		if err == nil {
			if m.mapCache(place, key, f.Name()) {
				return nil
			}
			err = atomicfile.WriteError(fmt.Errorf("the cache %s cannot be read back", place))
		}
		failed = errors.Join(failed, err)
		var unwritable *atomicfile.Error
		if !errors.As(err, &unwritable) {
			return err // not the place's fault
		}
	}
	return failed
}

// mapCache maps a cache file if it was made from the given content.
func (m *Files) mapCache(place, key, origin string) bool {
	f, err := os.Open(place)
	if err != nil {
		return false
	}
	defer f.Close()
	if m.mapWeights(f, ", converted from "+origin) != nil {
		return false
	}
	if m.Weights.Metadata()[sourceKey] == key {
		return true
	}
	m.Close()
	m.Weights, m.Close = nil, nil
	return false
}

// makeCache converts a checkpoint into a cache file.
func makeCache(ctx context.Context, checkpointPath, place, key string, o Options) error {
	if err := os.MkdirAll(filepath.Dir(place), 0o777); err != nil {
		return atomicfile.WriteError(err)
	}
	f, err := atomicfile.Create(place)
	if err != nil {
		return err
	}
	defer f.Discard()
	progress := func(done, total int64) {
		if o.Progress != nil {
			o.Progress(done, total) // its error cancels ctx
		}
	}
	if err := convert.Weights(ctx, f, checkpointPath, convert.Options{Progress: progress, Metadata: map[string]string{sourceKey: key}}); err != nil {
		return err
	}
	return f.Publish()
}

// cachePlaces lists where the cache of a checkpoint may be, the best first.
func cachePlaces(checkpointPath, cache string) []string {
	name := filepath.Base(checkpointPath) + locate.CacheSuffix
	if cache != "" {
		stat, err := os.Stat(cache)
		if err == nil && stat.IsDir() || strings.HasSuffix(cache, string(filepath.Separator)) {
			return []string{filepath.Join(cache, name)}
		}
		return []string{cache}
	}
	places := []string{filepath.Join(filepath.Dir(checkpointPath), name)}
	if folder, err := os.UserCacheDir(); err == nil {
		absolute, err := filepath.Abs(checkpointPath)
		if err == nil {
			sum := sha256.Sum256([]byte(absolute))
			places = append(places, filepath.Join(folder, "m2embed", hex.EncodeToString(sum[:8])+"-"+name))
		}
	}
	return places
}

// contentKey identifies what a file holds; OpenFiles says how.
func contentKey(f *os.File) (string, error) {
	const edge, block, blocks = 1 << 20, 1 << 12, 64
	stat, err := f.Stat()
	if err != nil {
		return "", err
	}
	size := stat.Size()
	hash := sha256.New()
	add := func(offset, n int64) {
		if err == nil {
			_, err = io.Copy(hash, io.NewSectionReader(f, offset, n))
		}
	}
	if size <= 2*edge+block*blocks {
		add(0, size)
	} else {
		add(0, edge)
		for i := range int64(blocks) {
			add(edge+(size-2*edge-block)/blocks*i, block)
		}
		add(size-edge, edge)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("1 %d %d %s", size, stat.ModTime().UnixNano(), hex.EncodeToString(hash.Sum(nil))), nil
}
