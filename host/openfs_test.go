package host

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// mapFS is a file system in memory with some files of the tiny model, under the
// names that are given.
func mapFS(t *testing.T, names map[string]string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	for name, from := range names {
		data, err := os.ReadFile(filepath.Join(tiny, from))
		if err != nil {
			t.Fatal(err)
		}
		m[name] = &fstest.MapFile{Data: data}
	}
	return m
}

// TestOpenFS: a model of a file system is the model of the folder.
func TestOpenFS(t *testing.T) {
	embed := func(m *Model, err error) ([][]float32, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		vectors, err := m.Embed(context.Background(), "one text", "another")
		if err != nil {
			t.Fatal(err)
		}
		return vectors, m.Info().Space
	}
	want, space := embed(Open(tiny, Options{}))
	for name, c := range map[string]struct {
		files   fs.FS
		options Options
	}{
		"a folder":    {os.DirFS(tiny), Options{}},
		"in memory":   {mapFS(t, map[string]string{"config.json": "config.json", "tokenizer.json": "tokenizer.json", "model.safetensors": "model.safetensors"}), Options{}},
		"other names": {mapFS(t, map[string]string{"c/c.json": "config.json", "t.txt": "vocab.txt", "w.safetensors": "model.safetensors"}), Options{Config: "c/c.json", Tokenizer: "t.txt"}},
		"PyTorch":     {mapFS(t, map[string]string{"config.yaml": "config.yaml", "tokenizer.json": "tokenizer.json", "w.bin": "pytorch_model.bin"}), Options{}},
	} {
		got, at := embed(OpenFS(c.files, c.options))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: another vector", name)
		}
		if at != space && name != "other names" { // whose vocab.txt says other things beside its tokens
			t.Errorf("%s: space %s, want %s", name, at, space)
		}
	}
	whole := map[string]string{"config.json": "config.json", "tokenizer.json": "tokenizer.json", "model.safetensors": "model.safetensors"}
	damaged := mapFS(t, whole)
	damaged["model.safetensors"].Data = damaged["model.safetensors"].Data[:1000]
	for name, c := range map[string]struct {
		files   fs.FS
		options Options
		says    string
	}{
		"none":          {nil, Options{}, "no file system"},
		"empty":         {fstest.MapFS{}, Options{}, "no checkpoint in the file system"},
		"no config":     {mapFS(t, map[string]string{"model.safetensors": "model.safetensors"}), Options{}, "no configuration in the file system"},
		"two":           {mapFS(t, map[string]string{"a.pt": "vocab.txt", "b.pt": "vocab.txt"}), Options{}, "several checkpoints"},
		"no checkpoint": {mapFS(t, map[string]string{"config.json": "config.json", "a.pt": "vocab.txt"}), Options{}, "a.pt"},
		"cut":           {damaged, Options{}, "model.safetensors"},
		"names nothing": {mapFS(t, whole), Options{Config: "none.json"}, "none.json"},
		"outside":       {mapFS(t, whole), Options{Tokenizer: "../x"}, "../x"},
		"engine":        {mapFS(t, whole), Options{Engine: "abacus"}, "abacus"},
	} {
		m, err := OpenFS(c.files, c.options)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// boastful claims that its files are of a petabyte.
type boastful struct{ fs.FS }

func (b boastful) Open(name string) (fs.File, error) {
	f, err := b.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return boastfulFile{f}, nil
}

type boastfulFile struct{ fs.File }

func (b boastfulFile) Stat() (fs.FileInfo, error) {
	info, err := b.File.Stat()
	return boastfulInfo{info}, err
}

type boastfulInfo struct{ fs.FileInfo }

func (boastfulInfo) Size() int64 { return 1 << 50 }

// TestOpenFSClaims: no memory is made of the size that a file system claims.
func TestOpenFSClaims(t *testing.T) {
	m, err := OpenFS(boastful{mapFS(t, map[string]string{"config.json": "config.json", "tokenizer.json": "tokenizer.json", "model.safetensors": "model.safetensors"})}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
