package host_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing/fstest"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/small"
)

// "" is the embedded model; else a folder, a checkpoint file, or a snapshot of a
// hub's cache.
func ExampleOpen() {
	model, err := host.Open("", host.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	vectors, err := model.Embed(context.Background(), "A cat sleeps on the sofa.", "A kitten naps on the couch.", "Tax law for companies.")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), "vectors of", len(vectors[0]), "numbers")
	fmt.Println("cats are nearer to each other than to taxes:", core.Cosine(vectors[0], vectors[1]) > 0.3+core.Cosine(vectors[0], vectors[2]))
	// Output:
	// 3 vectors of 256 numbers
	// cats are nearer to each other than to taxes: true
}

// What is searched with is embedded for the task query: models that were trained
// with a prompt for it get it, others take the text as it is.
func ExampleModel_For() {
	model, err := host.Open("base", host.Options{}) // m2-bert-base: host/base
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	passages := []string{"Port 5222 is open.", "Parcels are sent back within a month.", "The cat sleeps."}
	vectors, err := model.Embed(context.Background(), passages...)
	if err != nil {
		log.Fatal(err)
	}
	query, err := model.For("query").Embed(context.Background(), "how do I return a parcel?")
	if err != nil {
		log.Fatal(err)
	}
	best := 0
	for i, v := range vectors {
		if core.Cosine(query[0], v) > core.Cosine(query[0], vectors[best]) {
			best = i
		}
	}
	fmt.Println(passages[best])
	// Output: Parcels are sent back within a month.
}

// The engine wasm runs m2embed.wasm under wazero, in bounded memory; with the tag
// m2embed_module the module is built in.
func ExampleOptions() {
	module, err := os.ReadFile("../wasm/module/m2embed.wasm")
	if err != nil {
		log.Fatal(err)
	}
	model, err := host.Open("", host.Options{Engine: "wasm", Module: module, MemoryLimit: 256 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	vectors, err := model.Embed(context.Background(), "a text")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors[0]), "numbers from", model.Info().Engine)
}

// A model in a file system: here in memory, as one of an embed.FS would be.
func ExampleOpenFS() {
	files := fstest.MapFS{
		"config.json":       {Data: small.Config},
		"tokenizer.json":    {Data: small.Tokenizer},
		"model.safetensors": {Data: small.Weights},
	}
	model, err := host.OpenFS(files, host.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	info := model.Info()
	fmt.Println(info.Dimension, "numbers, up to", info.MaxLength, "tokens, padding", info.Padding)
	// Output: 256 numbers, up to 32768 tokens, padding none
}

// Inputs may be texts or token ids. The result tells what was run, and an error
// which input is to blame.
func ExampleModel_EmbedInputs() {
	model, err := host.Open("", host.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	inputs := []core.Input{{Text: "one two three four five six"}, {IDs: []int32{101, 2028, 102}}}
	results, err := model.EmbedInputs(context.Background(), inputs, core.Options{MaxLength: 5})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Tokens, "tokens, run at", r.Length, "cut:", r.Truncated)
	}
	inputs[1].IDs[1] = 99999
	_, err = model.EmbedInputs(context.Background(), inputs, core.Options{})
	var wrong *core.InputError
	fmt.Println(errors.As(err, &wrong), wrong.Index)
	// Output:
	// 8 tokens, run at 5 cut: true
	// 3 tokens, run at 3 cut: false
	// true 1
}
