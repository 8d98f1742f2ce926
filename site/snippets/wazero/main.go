// Command wazero embeds its arguments with the same module that pages load:
//
//	go run . m2embed.wasm model-folder "a text" "another text"
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"m2embed/host"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: wazero m2embed.wasm model-folder text...")
	}
	module, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	model, err := host.Open(os.Args[2], host.Options{Engine: "wasm", Module: module})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	texts := os.Args[3:]
	vectors, err := model.Embed(context.Background(), texts...)
	if err != nil {
		log.Fatal(err)
	}
	for i, v := range vectors {
		fmt.Printf("%d numbers, beginning %v: %s\n", len(v), v[:3], texts[i])
	}
}
