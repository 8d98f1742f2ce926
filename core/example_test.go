package core_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"m2embed/core"
	"m2embed/core/checkpoint"
)

// core takes bytes; package host finds files.
func ExampleOpen() {
	read := func(name string) []byte {
		data, err := os.ReadFile("../testdata/tiny/" + name)
		if err != nil {
			log.Fatal(err)
		}
		return data
	}
	weights, err := checkpoint.OpenBytes(read("model.safetensors"))
	if err != nil {
		log.Fatal(err)
	}
	e, err := core.Open(read("config.json"), read("tokenizer.json"), weights, core.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	results, err := e.Embed(context.Background(), core.Texts("a text", "another"), core.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(len(r.Vector), "numbers of", r.Tokens, "tokens, run at", r.Length)
	}
	// Output:
	// 64 numbers of 4 tokens, run at 512
	// 64 numbers of 7 tokens, run at 512
}

func ExampleCosine() {
	fmt.Println(core.Cosine([]float32{1, 0}, []float32{2, 0}), core.Cosine([]float32{1, 0}, []float32{0, 3}))
	// Output: 1 0
}
