package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"m2embed/host/engine"
	"m2embed/host/small"
)

func Example() {
	ctx := context.Background()
	// With the tag m2embed_module these are module.Bytes of m2embed/wasm/module.
	wasm, err := os.ReadFile("../../wasm/module/m2embed.wasm")
	if err != nil {
		log.Fatal(err)
	}
	e, err := engine.Open(ctx, wasm, engine.Model{
		Config:    small.Config,
		Tokenizer: small.Tokenizer,
		Weights:   bytes.NewReader(small.Weights),
		Size:      int64(len(small.Weights)),
	}, engine.Options{MemoryLimit: 256 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close(ctx)

	vectors, err := e.Texts(ctx, "a cat on the sofa", "a kitten on the couch", "tax law")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), "vectors of", len(vectors[0]))
	fmt.Println("cats are alike:", dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]))
	// Output:
	// 3 vectors of 256
	// cats are alike: true
}

func dot(a, b []float32) (sum float32) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
