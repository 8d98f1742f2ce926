package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"m2embed/core/tokenizer"
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

Example:

  m2embed tokenize "Hello, embeddings!"
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
			truncation, ok := truncations[*cut]
			if !ok {
				return usagef("--truncation %q, want keep-sep, drop-sep or refuse", *cut)
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
	which.options.NoCache = true // the weights are not wanted
	m, err := which.open()
	if err != nil {
		return err
	}
	defer m.Close()
	if m.Tokenizer() == nil {
		return errors.New("the model has no tokenizer; name one with --tokenizer")
	}
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
			fmt.Fprintln(out, m.Tokenizer().Decode(i.IDs, o.WithoutSpecialTokens))
			continue
		}
		e, err := m.Tokenize(i.Text, o)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", source.where(i.place), err), out.Flush())
		}
		if err := writeTokens(out, m.Tokenizer(), e, asJSON); err != nil {
			return err
		}
	}
}

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
