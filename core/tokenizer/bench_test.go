package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// englishText is a book that comes with Go, or a sentence over and over. The go
// command sets GOROOT for tests.
func englishText() string {
	if data, err := os.ReadFile(filepath.Join(os.Getenv("GOROOT"), "src/testdata/Isaac.Newton-Opticks.txt")); err == nil {
		return string(data)
	}
	return strings.Repeat("Every morning, I make a cup of coffee to start my day; embeddings come later. ", 7000)
}

func BenchmarkAppendIDs(b *testing.B) {
	tokenizer := parse(b, "tokenizer/bert-base-uncased.json")
	english := englishText()
	for _, c := range []struct{ name, text string }{
		{"english", english},
		{"russian", strings.Repeat("Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства. ", 500)},
		{"chinese", strings.Repeat("天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。", 1000)},
		{"korean", strings.Repeat("키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. ", 500)},
		{"short", english[:100]},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids, _, _ = tokenizer.AppendIDs(ids[:0], c.text, Options{})
			}
			b.ReportMetric(float64(len(ids)), "tokens")
		})
	}
}

func BenchmarkEncodeWithOffsets(b *testing.B) {
	tokenizer := parse(b, "tokenizer/bert-base-uncased.json")
	text := englishText()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokenizer.Encode(text, Options{Offsets: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := readTestdata(b, "tokenizer/bert-base-uncased.json")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
