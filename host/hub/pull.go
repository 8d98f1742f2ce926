// Package hub pulls models from a hub of the Hugging Face kind.
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"m2embed/core/tokenizer"
	"m2embed/host/convert"
	"m2embed/host/internal/atomicfile"
	"m2embed/host/internal/configjson"
	"m2embed/host/internal/locate"
)

// DefaultHub is where models are pulled from unless Options say otherwise.
const DefaultHub = "https://huggingface.co"

// Options say what to download and where to put it. Repo and Folder are
// required.
type Options struct {
	Repo     string // such as "togethercomputer/m2-bert-80M-2k-retrieval"
	Revision string // branch, tag or commit; empty means "main"
	BaseURL  string // of the hub; empty means DefaultHub
	Folder   string // gets model.safetensors, config.json and tokenizer.json; prompts of sentence-transformers come into config.json
	Token    string // for repositories that are not public; goes to the hub's origin only
	// Cache is a folder in the layout of Hugging Face's hub tools, from which
	// files are taken and into which they are put; empty means none. Offline says
	// that all files must be there.
	Cache   string
	Offline bool
	DType   string // as in package convert
	// SHA256 gives the expected digest, in hexadecimal, of files by name. For
	// others the hub's own digest is checked.
	SHA256 map[string]string
	// Tokenizer is a tokenizer.json of bert-base-uncased. It is taken when
	// the repository has none or an unusable one: beside the published
	// retrieval weights lies that of another, cased model.
	Tokenizer []byte
	// Progress is told how much of a file is there; total is 0 if unknown.
	Progress func(file string, done, total int64)
	// Warn is told what the user should know, in one sentence.
	Warn func(message string)
	// Client makes the requests; nil means one with sensible limits.
	Client *http.Client
}

// Pull downloads a model from a hub of the Hugging Face kind and converts it
// (see package convert) into a folder that host.Open opens. A configuration without
// padding gets "max_length".
//
// A download that was interrupted goes on where it stopped: until it is
// complete, it lies in the folder ".download" inside Folder, which is removed
// in the end. Digests are checked before anything is converted.
//
// # Errors
//
// A missing repository or file, a digest that is not the expected one, a
// connection that keeps failing, and whatever the conversion refuses. Then no file
// stands under its final name unless an earlier pull put it there.
func Pull(ctx context.Context, o Options) error {
	if err := pull(ctx, o); err != nil {
		return fmt.Errorf("pull %s: %w", o.Repo, err)
	}
	return nil
}

var repoName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)

func pull(ctx context.Context, o Options) (err error) {
	if !repoName.MatchString(o.Repo) || strings.Contains(o.Repo, "..") {
		return errors.New("the name is not of the form owner/model")
	}
	if o.Folder == "" {
		return errors.New("no folder given")
	}
	if err := convert.CheckDType(o.DType); err != nil {
		return err
	}
	base, err := url.Parse(strings.TrimRight(orDefault(o.BaseURL, DefaultHub), "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("base URL %q, want http or https", o.BaseURL)
	}
	d := newDownloader(o, base, filepath.Join(o.Folder, ".download"))
	made, err := convert.MakeFolder(d.folder)
	defer func() {
		if err != nil { // what was begun stays for the next try; empty folders go
			for _, folder := range append([]string{d.folder}, made...) {
				os.Remove(folder)
			}
		}
	}()
	if err != nil {
		return err
	}
	config, err := d.fetch(ctx, "config.json")
	if err != nil {
		return err
	}
	if config, err = pullPrompts(ctx, d, config); err != nil {
		return err
	}
	weights, err := d.fetchFirst(ctx, "model.safetensors", "pytorch_model.bin", "model.bin")
	if err != nil {
		return err
	}
	tokenizerPath, err := pullTokenizer(ctx, d, o, config)
	if err != nil {
		return err
	}
	if err := d.allChecked(); err != nil {
		return err
	}
	convertOptions := convert.Options{DType: o.DType, Config: config, Tokenizer: tokenizerPath}
	if o.Progress != nil {
		convertOptions.Progress = func(done, total int64) { o.Progress("conversion", done, total) }
	}
	if err := convert.Model(ctx, weights, o.Folder, convertOptions); err != nil {
		return err
	}
	return os.RemoveAll(d.folder)
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// pullPrompts returns the path of the configuration with the prompts that
// sentence-transformers keeps in a file of their own.
func pullPrompts(ctx context.Context, d *downloader, config string) (string, error) {
	path, err := d.fetch(ctx, locate.PromptsFile)
	var missing *notFoundError
	if errors.As(err, &missing) {
		return config, nil
	}
	if err != nil {
		return "", err
	}
	text, err := locate.ReadLimited(config, locate.MaxConfigSize)
	if err != nil {
		return "", err
	}
	prompts, err := locate.ReadLimited(path, locate.MaxConfigSize)
	if err != nil {
		return "", err
	}
	with, err := configjson.AddPrompts(text, prompts)
	if err != nil {
		return "", fmt.Errorf("%s: %w", locate.PromptsFile, err)
	}
	path = filepath.Join(d.folder, "config.prompts.json")
	return path, atomicfile.Write(path, with)
}

// pullTokenizer returns the path of the tokenizer to use, or "".
func pullTokenizer(ctx context.Context, d *downloader, o Options, config string) (string, error) {
	path, err := d.fetch(ctx, "tokenizer.json")
	var missing *notFoundError
	if err != nil && !errors.As(err, &missing) {
		return "", err
	}
	if err == nil {
		data, err := locate.ReadLimited(path, locate.MaxTokenizerSize)
		if err != nil {
			return "", err
		}
		unusable := checkPulledTokenizer(data, config)
		if unusable == nil {
			return path, nil
		}
		if filepath.Dir(path) == d.folder { // and not in the cache
			if err := os.Remove(path); err != nil {
				return "", err
			}
		}
		if o.Warn != nil {
			instead := "the tokenizer of bert-base-uncased is used instead"
			if o.Tokenizer == nil {
				instead = "no tokenizer was installed"
			}
			o.Warn(fmt.Sprintf("the tokenizer.json of %s does not fit its weights: %v; %s", o.Repo, unusable, instead))
		}
	}
	if o.Tokenizer == nil {
		return "", nil
	}
	path = filepath.Join(d.folder, "tokenizer.json")
	return path, atomicfile.Write(path, o.Tokenizer)
}

// checkPulledTokenizer tells why a tokenizer cannot belong to the weights.
func checkPulledTokenizer(data []byte, config string) error {
	t, err := tokenizer.Parse(data)
	if err != nil {
		return err
	}
	rows := 30528 // of bert-base-uncased, padded
	if text, err := locate.ReadLimited(config, locate.MaxConfigSize); err == nil {
		members, _ := configjson.Read(text)
		var n int
		if json.Unmarshal(members["vocab_size"], &n) == nil && n > 0 {
			rows = n
		}
	}
	return t.CheckUncased(rows)
}
