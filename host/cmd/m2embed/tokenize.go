package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"m2embed/core/tokenizer"
	"m2embed/host"
)

var tokenizeCommand = &command{
	name:     "tokenize",
	synopsis: "[flags] [TEXT…]",
	summary:  "Show the tokens of texts: ids, pieces and their places.",
	details: `
Prints a token a line: id, piece, and the bytes of the text that it stands for,
with an empty line after each text. With --json each text becomes a line with
the members ids, tokens, offsets (start and end byte), length (before cutting)
and truncated. With --decode, lists of ids from --ids are turned into texts.
--tokenizer alone names a tokenizer that needs no model.

Examples:

  m2embed tokenize "Hello, embeddings!"
  m2embed tokenize --tokenizer vocab.txt --input lines.txt --json
`,
	define: func(c *call) func() error {
		in := defineInput(c)
		in.defineBatch()
		which := defineModel(c)
		asJSON := c.flags.Bool("json", false, "write JSON lines")
		bare := c.flags.Bool("without-special-tokens", false, "leave out [CLS] and [SEP]")
		decode := c.flags.Bool("decode", false, "turn --ids into texts")
		limit := c.flags.Int("max-length", 0, "`tokens` at which a text is cut, special tokens included (default: no limit)")
		cut := c.flags.String("truncation", "keep-sep", "`keep-sep|drop-sep|refuse`: how a text is cut")
		return func() error {
			truncation, err := tokenizer.ParseTruncation(*cut)
			if err != nil {
				return usagef("--%v", err)
			}
			if *limit < 0 {
				return usagef("--max-length %d, want at least 1", *limit)
			}
			if *decode != (in.ids != "") {
				return usagef("--ids and --decode go together")
			}
			o := tokenizer.Options{MaxLength: *limit, Truncation: truncation, WithoutSpecialTokens: *bare, Offsets: true}
			return tokenize(c, in, which, o, *asJSON)
		}
	},
}

// tokens is a text's line of JSON.
type tokens struct {
	IDs       []int32  `json:"ids"`
	Tokens    []string `json:"tokens"`
	Offsets   [][2]int `json:"offsets"`
	Length    int      `json:"length"`
	Truncated bool     `json:"truncated"`
}

func tokenize(c *call, in *inputFlags, which *modelFlags, o tokenizer.Options, asJSON bool) error {
	source, err := in.open(c.args)
	if err != nil {
		return err
	}
	defer source.close()
	splitter, vocabulary, err := openTokenizer(which)
	if err != nil {
		return err
	}
	defer splitter.Close()
	out := bufio.NewWriter(c.stdout)
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		i, err := source.next()
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if i.IDs != nil {
			fmt.Fprintln(out, vocabulary.Decode(i.IDs, o.WithoutSpecialTokens))
			continue
		}
		e, err := splitter.Tokenize(i.Text, o)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", source.where(i.place), err), out.Flush())
		}
		if err := writeTokens(out, vocabulary, e, asJSON); err != nil {
			return err
		}
	}
}

// splitter is what splits texts: a model, or a tokenizer by itself.
type splitter interface {
	Tokenize(text string, o tokenizer.Options) (tokenizer.Encoding, error)
	Close() error
}

// openTokenizer opens the tokenizer of a model, or the one that is named where
// no model is, and its vocabulary.
func openTokenizer(which *modelFlags) (splitter, *tokenizer.Tokenizer, error) {
	if err := which.check(); err != nil {
		return nil, nil, err
	}
	o := &which.options
	if which.path == "" && o.Tokenizer != "" {
		if o.Config != "" || o.TokenizeWith != host.Tokenizers[0] {
			return nil, nil, usagef("--tokenizer alone takes neither --config nor --tokenize-with: they need a --model")
		}
		data, err := os.ReadFile(o.Tokenizer)
		if err != nil {
			return nil, nil, err
		}
		t, err := tokenizer.Parse(data)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", o.Tokenizer, err)
		}
		return alone{t}, t, nil
	}
	o.NoCache = true // the weights are not wanted
	m, err := which.open()
	if err != nil {
		return nil, nil, err
	}
	if m.Tokenizer() == nil {
		return nil, nil, errors.Join(errors.New("the model has no tokenizer; name one with --tokenizer"), m.Close())
	}
	return m, m.Tokenizer(), nil
}

// alone is a tokenizer without a model.
type alone struct{ *tokenizer.Tokenizer }

func (a alone) Tokenize(text string, o tokenizer.Options) (tokenizer.Encoding, error) {
	return a.Encode(text, o)
}

func (alone) Close() error { return nil }

func writeTokens(w io.Writer, t *tokenizer.Tokenizer, e tokenizer.Encoding, asJSON bool) error {
	if !asJSON {
		for i, id := range e.IDs {
			if _, err := fmt.Fprintf(w, "%6d  %-16s %d:%d\n", id, t.Token(id), e.Offsets[i].Start, e.Offsets[i].End); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	line := tokens{IDs: e.IDs, Tokens: []string{}, Offsets: [][2]int{}, Length: e.Length, Truncated: e.Truncated}
	for i, id := range e.IDs {
		line.Tokens = append(line.Tokens, t.Token(id))
		line.Offsets = append(line.Offsets, [2]int{e.Offsets[i].Start, e.Offsets[i].End})
	}
	return writeJSON(w, line)
}
