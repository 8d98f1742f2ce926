package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"m2embed/core"
	"m2embed/host"
)

// result is what one runtime found, case by case and input by input.
type result struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Error   string  `json:"error"`
	Found   []found `json:"found"`
}

type found struct {
	Name   string `json:"name"`
	Length int    `json:"length"`
	Bits   string `json:"bits"` // the vector's bytes in hex
}

func (f found) vector() ([]float64, error) {
	b, err := hex.DecodeString(f.Bits)
	if err != nil {
		return nil, err
	}
	var v []float64
	for at := 0; at < len(b); at += 4 {
		v = append(v, float64(math.Float32frombits(binary.LittleEndian.Uint32(b[at:]))))
	}
	return v, nil
}

// collect embeds each input of a case by itself.
func (r *result) collect(c testCase, embed func([]core.Input, core.Options) ([]core.Embedding, error)) error {
	o, err := c.coreOptions()
	if err != nil {
		return err
	}
	for i, in := range c.coreInputs() {
		e, err := embed([]core.Input{in}, o)
		if err != nil {
			return fmt.Errorf("%s, %s, input %d: %w", r.Name, c.Name, i, err)
		}
		var b []byte
		for _, v := range e[0].Vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		r.Found = append(r.Found, found{fmt.Sprintf("%s %d", c.Name, i), e[0].Length, hex.EncodeToString(b)})
	}
	return nil
}

func (m modelFiles) read(root string) (config, vocabulary []byte, err error) {
	if config, err = os.ReadFile(filepath.Join(root, m.Config)); err != nil {
		return
	}
	vocabulary, err = os.ReadFile(filepath.Join(root, m.Tokenizer))
	return
}

func runNative(ctx context.Context, root string, cases []testCase) (result, error) {
	r := result{Name: "native"}
	for _, c := range cases {
		config, vocabulary, err := c.Model.read(root)
		if err != nil {
			return r, err
		}
		weights, err := open(filepath.Join(root, c.Model.Weights))
		if err != nil {
			return r, err
		}
		e, err := core.Open(config, vocabulary, weights, core.OpenOptions{})
		if err != nil {
			return r, err
		}
		err = r.collect(c, func(in []core.Input, o core.Options) ([]core.Embedding, error) { return e.Embed(ctx, in, o) })
		r.Version = runtime.Version() + " " + e.Model().Kernels()
		e.Close()
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// versionOf is the version of a Go module that this program was built with.
func versionOf(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

func runWazero(ctx context.Context, root string, cases []testCase) (result, error) {
	r := result{Name: "wazero", Version: versionOf("github.com/tetratelabs/wazero")}
	module, err := os.ReadFile(filepath.Join(root, "wasm", "module", "m2embed.wasm"))
	if err != nil {
		return r, err
	}
	for _, c := range cases {
		m, err := host.Open(filepath.Join(root, c.Model.Weights), host.Options{
			Engine: "wasm", Module: module, Config: filepath.Join(root, c.Model.Config), Tokenizer: filepath.Join(root, c.Model.Tokenizer),
		})
		if err != nil {
			return r, err
		}
		err = r.collect(c, func(in []core.Input, o core.Options) ([]core.Embedding, error) { return m.EmbedInputs(ctx, in, o) })
		m.Close()
		if err != nil {
			return r, err
		}
	}
	return r, nil
}
