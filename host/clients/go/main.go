// Command clients asks m2embed serve by OpenAI's client for Go: clients URL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	if err := ask(os.Args[1] + "/v1"); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL openai-go", err)
		os.Exit(1)
	}
	fmt.Println("ok   openai-go")
}

func ask(url string) error {
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("none"), option.WithMaxRetries(0))
	ctx := context.Background()
	texts := []string{"one", "two words"}
	answer, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: openai.EmbeddingModelTextEmbedding3Small,
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
	})
	if err != nil {
		return err
	}
	if len(answer.Data) != 2 || len(answer.Data[0].Embedding) == 0 || answer.Data[1].Index != 1 || answer.Usage.TotalTokens == 0 {
		return fmt.Errorf("answer %+v", answer.Usage)
	}
	for i, text := range texts {
		alone, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
			Model: openai.EmbeddingModelTextEmbedding3Small,
			Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(text)},
		})
		if err != nil {
			return err
		}
		for k, x := range alone.Data[0].Embedding {
			if x != answer.Data[i].Embedding[k] {
				return fmt.Errorf("text %d has another vector alone", i)
			}
		}
	}
	_, err = client.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "other", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 404 || refused.Code != "model_not_found" {
		return fmt.Errorf("another model: %v", err)
	}
	page, err := client.Models.List(ctx)
	if err != nil || len(page.Data) == 0 {
		return fmt.Errorf("models %v, %v", page, err)
	}
	return nil
}
