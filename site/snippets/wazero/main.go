// Command wazero embeds its arguments with the same module that pages load:
//
//	go run . m2embed.wasm model-folder "a text" "another text"
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"m2embed/host/engine"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: wazero m2embed.wasm model-folder text...")
	}
	wasm, folder, texts := os.Args[1], os.Args[2], os.Args[3:]
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		return b
	}
	weights, err := os.Open(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		log.Fatal(err)
	}
	defer weights.Close()
	about, err := weights.Stat()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	model, err := engine.Open(ctx, read(wasm), engine.Model{
		Config:    read(filepath.Join(folder, "config.json")),
		Tokenizer: read(filepath.Join(folder, "tokenizer.json")),
		Weights:   weights,
		Size:      about.Size(),
	}, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close(ctx)

	vectors, err := model.Texts(ctx, texts...)
	if err != nil {
		log.Fatal(err)
	}
	for i, v := range vectors {
		fmt.Printf("%d numbers, beginning %v: %s\n", len(v), v[:3], texts[i])
	}
}
