package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"m2embed/core/checkpoint"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/hosttest"
	"m2embed/host/internal/locate"
)

// modelFolder makes a folder with a PyTorch checkpoint and the other parts.
func modelFolder(t *testing.T, weights string) string {
	t.Helper()
	folder := t.TempDir()
	hosttest.WriteFile(t, filepath.Join(folder, "pytorch_model.bin"), hosttest.ReadFile(t, tiny+weights))
	hosttest.WriteFile(t, filepath.Join(folder, "config.json"), hosttest.ReadFile(t, tiny+"config.json"))
	hosttest.WriteFile(t, filepath.Join(folder, "tokenizer.json"), hosttest.ReadFile(t, tiny+"tokenizer.json"))
	return folder
}

func open(t *testing.T, path string, o Options) *Files {
	t.Helper()
	files, err := OpenFiles(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	})
	return files
}

const tiny = "../testdata/tiny/"

func TestOpenSafetensors(t *testing.T) {
	files := open(t, tiny, Options{})
	if !bytes.Equal(files.ConfigJSON, hosttest.ReadFile(t, tiny+"config.json")) || !bytes.Equal(files.Tokenizer, hosttest.ReadFile(t, tiny+"tokenizer.json")) {
		t.Error("configuration or tokenizer differ")
	}
	if !strings.Contains(files.Describe, "model.safetensors (safetensors, 0.9 MB)") {
		t.Errorf("described as %q", files.Describe)
	}
	tensor, err := files.Weights.Tensor(hosttest.SomeTensor)
	if err != nil {
		t.Fatal(err)
	}
	view, ok := tensor.Float32View()
	if !ok || !files.Writable {
		t.Fatalf("view %v, writable %v", ok, files.Writable)
	}
	// Writing stays in the process.
	before := hosttest.ReadFile(t, tiny+"model.safetensors")
	view[0] = 12345
	if x := hosttest.Floats(t, files.Weights, hosttest.SomeTensor); x[0] != 12345 {
		t.Errorf("%v was not written", x[0])
	}
	if !bytes.Equal(before, hosttest.ReadFile(t, tiny+"model.safetensors")) {
		t.Error("the file changed")
	}
}

func TestOpenCaches(t *testing.T) {
	reference := hosttest.OpenFile(t, tiny+"model.safetensors")
	for _, weights := range []string{"pytorch_model.bin", "pytorch_model.legacy.bin", "composer.pt"} {
		folder := modelFolder(t, weights)
		cache := filepath.Join(folder, "pytorch_model.bin"+locate.CacheSuffix)
		converted := 0
		o := Options{Progress: func(done, total int64) error {
			if done == total {
				converted++
			}
			return nil
		}}
		check := func(what string, want int) {
			t.Helper()
			files := open(t, folder, o)
			if converted != want {
				t.Errorf("%s, %s: converted %d times, want %d", weights, what, converted, want)
			}
			if !slices.Equal(hosttest.Floats(t, files.Weights, hosttest.SomeTensor), hosttest.Floats(t, reference, hosttest.SomeTensor)) {
				t.Errorf("%s, %s: the tensors differ", weights, what)
			}
			if files.Weights.Format() != "safetensors" || !strings.Contains(files.Describe, "converted from") {
				t.Errorf("%s, %s: %s", weights, what, files.Describe)
			}
			if !bytes.Contains(files.ConfigJSON, []byte(`"padding": "max_length"`)) {
				t.Errorf("%s: no padding in %s", what, files.ConfigJSON)
			}
			if names := hosttest.FolderNames(t, folder); len(names) != 4 {
				t.Errorf("%s: files %v", what, names)
			}
		}
		check("first", 1)
		check("second", 1)
		// A new modification time, other content of equal size, a damaged cache.
		path := filepath.Join(folder, "pytorch_model.bin")
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		check("touched", 2)
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		data := hosttest.ReadFile(t, path)
		data[len(data)-1] ^= 1 // the last byte: a zip comment's length, or a padding number
		if weights == "pytorch_model.legacy.bin" {
			hosttest.WriteFile(t, path, data)
			if err := os.Chtimes(path, time.Now(), stat.ModTime()); err != nil {
				t.Fatal(err)
			}
			open(t, folder, o)
			if converted != 3 {
				t.Errorf("other content: converted %d times", converted)
			}
			continue
		}
		whole := hosttest.ReadFile(t, cache)
		hosttest.WriteFile(t, cache, whole[:len(whole)-5])
		check("cut cache", 3)
		hosttest.WriteFile(t, cache, nil)
		check("empty cache", 4)
	}
}

func TestOpenCacheOptions(t *testing.T) {
	folder, other := modelFolder(t, "pytorch_model.bin"), t.TempDir()
	open(t, folder, Options{NoCache: true})
	open(t, folder, Options{Cache: other})
	open(t, folder, Options{Cache: filepath.Join(other, "named.safetensors")})
	open(t, folder, Options{Cache: filepath.Join(other, "new") + "/"})
	if names := hosttest.FolderNames(t, folder); len(names) != 3 {
		t.Errorf("files %v", names)
	}
	if names := hosttest.FolderNames(t, other); !slices.Equal(names, []string{"named.safetensors", "new", "pytorch_model.bin" + locate.CacheSuffix}) {
		t.Errorf("files %v", names)
	}
	files := open(t, folder, Options{NoCache: true})
	if files.Weights.Format() != "pytorch zip" || !files.Writable {
		t.Errorf("%s, writable %v", files.Describe, files.Writable)
	}
	if _, err := OpenFiles(folder, Options{Cache: filepath.Join(folder, "config.json", "below")}); err == nil {
		t.Error("a cache below a file")
	}
}

// TestOpenUnwritable has no place to write to: first beside the checkpoint,
// then in the user's folder too.
func TestOpenUnwritable(t *testing.T) {
	folder, home := modelFolder(t, "pytorch_model.bin"), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	real := atomicfile.Make
	readonly := func(n string) (*os.File, error) { return nil, &os.PathError{Op: "open", Path: n, Err: syscall.EROFS} }
	hosttest.FailingDisk(t, func(n string) (*os.File, error) {
		if strings.HasPrefix(n, folder) {
			return readonly(n)
		}
		return real(n)
	})
	files := open(t, folder, Options{})
	if !strings.HasPrefix(files.Describe, home) {
		t.Errorf("described as %q, want a file in %s", files.Describe, home)
	}
	atomicfile.Make = func(n string) (*os.File, error) { t.Errorf("made %s", n); return real(n) }
	open(t, folder, Options{}) // from the user's folder
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	atomicfile.Make = readonly
	files = open(t, folder, Options{})
	if files.Weights.Format() != "pytorch zip" || !strings.Contains(files.Describe, "not cached") {
		t.Errorf("described as %q", files.Describe)
	}
	if _, err := OpenFiles(folder, Options{Cache: filepath.Join(folder, "x.safetensors")}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("a named cache: error %v", err)
	}
	if names := hosttest.FolderNames(t, folder); len(names) != 3 {
		t.Errorf("files %v", names)
	}
}

func TestOpenLayouts(t *testing.T) {
	weights, torch := hosttest.ReadFile(t, tiny+"model.dedup.safetensors"), hosttest.ReadFile(t, tiny+"pytorch_model.bin")
	config, source := hosttest.ReadFile(t, tiny+"config.json"), hosttest.ReadFile(t, tiny+"config.yaml")
	type parts map[string][]byte
	for _, c := range []struct {
		name  string
		files parts
		open  string // within the folder
		o     Options
		want  string // in the description, or in the error after "!"
	}{
		{"safetensors before pytorch", parts{"model.safetensors": weights, "pytorch_model.bin": torch, "config.json": config}, "", Options{}, "model.safetensors"},
		{"YAML", parts{"model.safetensors": weights, "m2.yaml": source}, "", Options{}, "model.safetensors"},
		{"config.json before YAML", parts{"model.safetensors": weights, "m2.yaml": []byte("model_config: ["), "config.json": config}, "", Options{}, "model.safetensors"},
		{"another YAML beside", parts{"model.safetensors": weights, "m2.yaml": source, "train.yml": []byte("a: 1")}, "", Options{}, "model.safetensors"},
		{"one checkpoint of any name", parts{"epoch3.pt": torch, "config.json": config, "optimizer.pt": torch}, "", Options{}, "epoch3.pt"},
		{"only a cache", parts{"x.bin" + locate.CacheSuffix: weights, "config.json": config}, "", Options{}, "!no checkpoint"},
		{"two checkpoints", parts{"a.pt": torch, "b.pt": torch, "config.json": config}, "", Options{}, "!several checkpoints in"},
		{"two YAMLs", parts{"a.pt": torch, "a.yaml": source, "b.yaml": source}, "", Options{}, "!several YAML"},
		{"broken YAML", parts{"a.pt": torch, "a.yaml": []byte("model: {model_config: }")}, "", Options{}, "!a.yaml"},
		{"sharded", parts{"model.safetensors.index.json": config, "config.json": config}, "", Options{}, "!several files"},
		{"nothing", parts{}, "", Options{}, "!no checkpoint"},
		{"no configuration", parts{"model.safetensors": weights}, "", Options{}, "!no configuration"},
		{"file", parts{"x.bin": torch, "config.json": config}, "x.bin", Options{}, "x.bin"},
		{"file alone", parts{"x.bin": torch}, "x.bin", Options{}, "x.bin"},
		{"file with named parts", parts{"x.bin": torch}, "x.bin", Options{Config: tiny + "config.yaml", Tokenizer: tiny + "vocab.txt"}, "x.bin"},
		{"missing named part", parts{"x.bin": torch}, "x.bin", Options{Config: "/nowhere.json"}, "!no such file"},
		{"missing", parts{}, "y.bin", Options{}, "!no such file"},
		{"empty file", parts{"x.bin": nil}, "x.bin", Options{}, "!is empty"},
		{"cut file", parts{"x.bin": torch[:99000]}, "x.bin", Options{}, "!cut"},
		{"no model", parts{"x.bin": []byte("hello there, what is this")}, "x.bin", Options{}, "!unknown format"},
		{"cut safetensors", parts{"x.safetensors": weights[:99000]}, "x.safetensors", Options{}, "!x.safetensors"},
		{"large configuration", parts{"x.bin": torch, "config.json": bytes.Repeat([]byte(" "), 2<<20)}, "", Options{}, "!larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			folder := t.TempDir()
			for name, data := range c.files {
				hosttest.WriteFile(t, filepath.Join(folder, name), data)
			}
			files, err := OpenFiles(filepath.Join(folder, c.open), c.o)
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q in it", err, want)
				}
				if names := hosttest.FolderNames(t, folder); len(names) != len(c.files) {
					t.Errorf("left behind: %v", names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			if !strings.Contains(files.Describe, c.want) {
				t.Errorf("described as %q, want %q in it", files.Describe, c.want)
			}
			if (files.ConfigJSON == nil) != (c.name == "file alone") {
				t.Errorf("configuration %q", files.ConfigJSON)
			}
			if (files.Tokenizer == nil) != (c.o.Tokenizer == "") {
				t.Errorf("tokenizer of %d bytes", len(files.Tokenizer))
			}
		})
	}
}

// TestOpenRefuses checks what must not be hidden by writing somewhere else.
func TestOpenRefuses(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	folder := modelFolder(t, "pytorch_model.bin")
	path := filepath.Join(folder, "pytorch_model.bin")
	data := hosttest.ReadFile(t, path)
	f, err := checkpoint.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	tensor, err := f.Tensor(hosttest.SomeTensor)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(tensor.Data[8:], math.Float32bits(float32(math.NaN())))
	hosttest.WriteFile(t, path, data)
	if _, err := OpenFiles(folder, Options{}); err == nil || !strings.Contains(err.Error(), hosttest.SomeTensor) {
		t.Errorf("error %v, want the tensor with a NaN", err)
	}
	hosttest.WriteFile(t, path, hosttest.ReadFile(t, tiny+"pytorch_model.bin"))
	enough := errors.New("enough")
	if _, err := OpenFiles(folder, Options{Progress: func(_, _ int64) error { return enough }}); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	if names := hosttest.FolderNames(t, folder); len(names) != 3 {
		t.Errorf("left behind: %v", names)
	}
}
