package base_test

import (
	"io/fs"
	"os"
	"slices"
	"testing"

	"m2embed/core"
	"m2embed/host"
	"m2embed/host/base"
)

// TestBase: the model is within its size, finds a kitten near a cat, and says to
// what lengths its vectors may be cut; and that of the program is that of the folder.
func TestBase(t *testing.T) {
	files := base.Files
	if files == nil {
		files = os.DirFS(".")
	}
	var bytes int64
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		about, err := fs.Stat(files, name)
		if err != nil {
			t.Fatal(err)
		}
		bytes += about.Size()
	}
	if bytes > 25_000_000 {
		t.Errorf("%d bytes, want at most 25 MB", bytes)
	}
	model, err := host.OpenFS(files, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	texts := []string{"a cat sits on the sofa", "a kitten on the couch", "tax law for companies"}
	vectors, err := model.Embed(t.Context(), texts...)
	if err != nil {
		t.Fatal(err)
	}
	if alike, other := core.Cosine(vectors[0], vectors[1]), core.Cosine(vectors[0], vectors[2]); alike < other+0.3 {
		t.Errorf("similarity of two texts about cats %.3f, of one and a text about taxes %.3f", alike, other)
	}
	for _, n := range model.Config().MatryoshkaDimensions {
		found, err := model.EmbedInputs(t.Context(), core.Texts(texts[0]), core.Options{Dimensions: n})
		if err != nil || len(found[0].Vector) != n {
			t.Errorf("%d dimensions: %d, %v", n, len(found[0].Vector), err)
		}
	}
	beside, err := host.Open(".", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	same, err := beside.Embed(t.Context(), texts...)
	if err != nil || !slices.Equal(same[0], vectors[0]) || beside.Info().Space != model.Info().Space {
		t.Errorf("the folder is another model: %v", err)
	}
}
