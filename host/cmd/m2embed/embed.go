package main

import "cmp"

var embedCommand = &command{
	name:     "embed",
	synopsis: "[flags] [TEXT…]",
	summary:  "Make a vector of each text.",
	details: `
Texts come from the arguments and --text, or from a file, or as token ids. A
file is embedded piece by piece: it may be larger than memory. Every line is a
text, also an empty one, so that row i of the result belongs to line i. Folders,
and files that are no plain text, are read as m2embed index reads them: each
document is a text, rows of tables and pages of HTML among them; the results have
its name as id. Files in a folder that cannot be read are listed at the end, and
the exit code is 1.

Results are written to a temporary file that gets its name when it is complete:
after an error or Ctrl-C there is no output file, and one that was there before
is unchanged. JSON lines have the members index, tokens (before cutting), length
(positions run, pads included), truncated, space and embedding, and for a
document id. A .npy holds a float32 array (texts, D); a .npz the same array
under the name embedding, and a text under the name space; a .parquet the
columns id (the number of the line or text, or the document's name), tokens,
truncated, text and vector, and the space in its metadata. Vectors compare within
one space only: it names the model, its weights and the way of padding, pooling
and scaling.

The summary on standard error says what was run, pads included. Pads are input
to M2-BERT like any token: a vector depends on the length to which its text was
padded. Published models expect max_length, which is what they get unless
--padding says otherwise.

A model that was trained with prompts has them by their tasks: m2embed inspect
lists them. What is searched with is embedded with --task query, all else without
--task.

--engine webgpu needs a WebGPU library: libwebgpu_dawn beside the program or in
the system's search path, or the path in M2EMBED_WEBGPU_LIBRARY. Engines sum in
different orders, so their vectors differ in the last digits.

Options of the original embed_text.py scripts:

  --text TEXT              the same; several texts are allowed
  --output-file FILE       --output FILE (.npy, .npz, .jsonl, .parquet)
  --model-name REPO        m2embed pull REPO FOLDER, then --model FOLDER
  --yaml-file FILE         --config FILE
  --checkpoint FILE        --model FILE
  --together-api           a hosted service; m2embed serve speaks its protocol
  encode_queries(texts)    --input FILE, --batch N
  encode_corpus(objects)   --input FILE.jsonl --title-field title
  first 10 values          --format text
  conversion script        m2embed convert IN OUT

Examples:

  m2embed embed "The quick brown fox"
  m2embed embed --input lines.txt --output vectors.npy
  m2embed embed --input faq.csv --field answer --output faq.parquet
  m2embed embed --model m2-bert-80M-2k --input corpus.jsonl --output v.npz
  some command | m2embed embed > vectors.jsonl

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`,
	define: func(c *call) func() error {
		in, out := defineInput(c), defineOutput(c)
		in.defineBatch()
		which, how := defineModel(c), defineVector(c)
		quiet := c.flags.Bool("quiet", false, "no progress bar and no summary")
		return func() error { return embed(c, in, out, which, how, *quiet) }
	},
}

func embed(c *call, in *inputFlags, out *outputFlags, which *modelFlags, how *vectorFlags, quiet bool) error {
	if err := out.check(); err != nil {
		return err
	}
	work, err := openEmbedding(c, c.args, in, which, how)
	if err != nil {
		return err
	}
	defer work.close()
	work.quiet = quiet
	info := work.model.Info()
	info.Dimension = cmp.Or(how.options.Dimensions, info.Dimension)
	sink, err := out.open(info, work.model.SpaceOf(how.options))
	if err != nil {
		return err
	}
	defer sink.discard()
	err = work.run(work.source, in.batch, sink.write)
	if err != nil {
		return err
	}
	var unread error
	if work.source.unread != nil {
		unread = work.source.unread()
	}
	if work.texts == 0 {
		return cmp.Or(unread, errNoTexts(in))
	}
	if err := sink.finish(); err != nil {
		return err
	}
	if !quiet {
		c.note("%s", work.summary())
	}
	return unread
}
