package main

import (
	"os"
	"strings"

	"m2embed/core/model"
	"m2embed/host/convert"
	"m2embed/host/hub"
	"m2embed/host/small"
)

var convertCommand = &command{
	name:     "convert",
	synopsis: "[flags] IN OUT",
	summary:  "Write a checkpoint as safetensors, one tensor at a time.",
	details: `
IN is a folder or a checkpoint file: safetensors, or one of torch.save, of which
nothing is executed. OUT is a folder, which gets model.safetensors, config.json
and the tokenizer, or a name that ends in .safetensors. After an error or Ctrl-C
no file is left behind.

int8 stores matrices as integers with one scale a row: 8 bits where that is
enough for long texts too, 12 bits (held in 16) where it is not.

Example:

  m2embed convert pytorch_model.bin my-model --dtype int8
`,
	define: func(c *call) func() error {
		var o convert.Options
		c.flags.StringVar(&o.DType, "dtype", "f32", "`f32|f16|bf16|int8`: type of the matrices and tables that is written")
		c.flags.StringVar(&o.Padding, "padding", "", "`none|longest|max_length|N`: padding to write into config.json (default: what it says, else max_length)")
		c.flags.StringVar(&o.Config, "config", "", "configuration `file`, config.json or a retrieval YAML, where it does not lie beside the checkpoint")
		c.flags.StringVar(&o.Tokenizer, "tokenizer", "", "tokenizer.json or vocab.txt `file`, where it does not lie beside the checkpoint")
		return func() error {
			if len(c.args) != 2 {
				return usagef("%d arguments, want IN and OUT", len(c.args))
			}
			if _, err := model.ParsePadding(o.Padding); err != nil {
				return usagef("--%v", err)
			}
			if err := checkDType(o.DType); err != nil {
				return err
			}
			bar := newProgress(c, "converting")
			o.Progress = bar.set
			err := convert.Model(c.ctx, c.args[0], c.args[1], o)
			bar.finish()
			if err == nil {
				c.note("wrote %s", c.args[1])
			}
			return err
		}
	},
}

func checkDType(name string) error {
	switch name {
	case "f32", "f16", "bf16", "int8":
		return nil
	}
	return usagef("--dtype %q, want f32, f16, bf16 or int8", name)
}

var pullCommand = &command{
	name:     "pull",
	synopsis: "[flags] OWNER/MODEL FOLDER",
	summary:  "Download a model from a hub and convert it.",
	details: `
The published retrieval models are togethercomputer/m2-bert-80M-2k-retrieval,
-8k- and -32k-. They expect texts padded to their maximum, so that a short text
costs 16 times less with the 2k model than with the 32k one. They are a model
of uncased text; where the tokenizer.json beside the weights is another one,
that of bert-base-uncased, which is built in, is installed and a warning says so.

A download that was interrupted goes on where it stopped. Files are shared with
other tools for the hub through their cache, and nothing in it is fetched again.
As for these tools, the environment may hold HF_TOKEN or HF_TOKEN_PATH,
HF_ENDPOINT, HF_HOME or HF_HUB_CACHE, and HF_HUB_OFFLINE=1 for files of the cache
only; a token that was saved by them is used. It goes to the hub only.

Example:

  m2embed pull togethercomputer/m2-bert-80M-2k-retrieval m2-bert-80M-2k
`,
	define: func(c *call) func() error {
		o := hub.Options{Tokenizer: small.Tokenizer, SHA256: map[string]string{}}
		var sums []string
		c.flags.StringVar(&o.Revision, "revision", "main", "branch, tag or commit, a `name`")
		c.flags.StringVar(&o.BaseURL, "hub", "", "address, a `url`, of the hub (default: HF_ENDPOINT, or "+hub.DefaultHub+")")
		c.flags.StringVar(&o.Cache, "cache", "", "`folder` of files that other tools have fetched, too; empty for none (default: theirs)")
		c.flags.StringVar(&o.DType, "dtype", "f32", "`f32|f16|bf16|int8`: type of the matrices and tables that is written")
		c.flags.StringArrayVar(&sums, "sha256", nil, "`file=hex`: the expected digest of a file; may be given several times")
		return func() error {
			if len(c.args) != 2 {
				return usagef("%d arguments, want OWNER/MODEL and FOLDER", len(c.args))
			}
			if err := checkDType(o.DType); err != nil {
				return err
			}
			for _, s := range sums {
				file, digest, ok := strings.Cut(s, "=")
				if !ok || len(digest) != 64 {
					return usagef("--sha256 %q, want FILE=64 hexadecimal digits", s)
				}
				o.SHA256[file] = digest
			}
			environment := hub.Environment(os.Getenv)
			o.Token, o.Offline = environment.Token, environment.Offline
			if !c.set("hub") {
				o.BaseURL = environment.Endpoint
			}
			if !c.set("cache") {
				o.Cache = environment.Cache
			}
			o.Repo, o.Folder = c.args[0], c.args[1]
			return pull(c, o)
		}
	},
}

func pull(c *call, o hub.Options) error {
	var bar *progress
	current := ""
	o.Progress = func(file string, done, total int64) {
		if file != current {
			bar.finish()
			bar, current = newProgress(c, file), file
		}
		bar.set(done, total)
	}
	o.Warn = func(message string) {
		bar.finish()
		c.note("m2embed pull: %s", message)
	}
	err := hub.Pull(c.ctx, o)
	bar.finish()
	if err == nil {
		c.note("pulled %s into %s", o.Repo, o.Folder)
	}
	return err
}
