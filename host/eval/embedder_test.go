package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"m2embed/host"
)

// TestAnotherEmbedder searches a set with the vectors of another process, this program
// again, which knows of a text how often the letter a is in it.
func TestAnotherEmbedder(t *testing.T) {
	if os.Getenv("M2EMBED_TEST_EMBEDDER") != "" {
		countLetters(t)
		return
	}
	t.Setenv("M2EMBED_TEST_EMBEDDER", "1")
	folder, data := t.TempDir(), t.TempDir()
	f, err := os.Create(filepath.Join(folder, "letters.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	fmt.Fprint(z, `[{"1":"aaaa aaaa","2":"bbbb bbbb","3":"abbb"},{"q":"aaa aaa"},{"q":{"1":1}}]`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m, err := host.Open("", host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := &evaluation{model: m}
	if e.other, err = startEmbedder("letters=" + os.Args[0] + " -test.run=^TestAnotherEmbedder$"); err != nil {
		t.Fatal(err)
	}
	e.info = host.Info{Name: e.other.name}
	for range 2 {
		if err := e.searchSets(folder, "", data); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(e.other.known); n != 4 {
		t.Errorf("%d texts were embedded, want each of 4 once", n)
	}
	if err := e.other.close(); err != nil {
		t.Error(err)
	}
	d, err := readDevelopment(data)
	if err != nil || d["letters"].Sets["letters"][bestPassage] != 100 {
		t.Errorf("%v, %v, want 100 by the other's meaning", d, err)
	}
	for _, bad := range []string{"", "name", "=command", "name= "} {
		if _, err := startEmbedder(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func countLetters(t *testing.T) {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var texts []string
		if err := json.Unmarshal(line, &texts); err != nil {
			t.Fatal(err)
		}
		vectors := make([][]float32, len(texts))
		for i, text := range texts {
			vectors[i] = []float32{0.1, 0.1}
			for _, c := range text {
				if c == 'a' {
					vectors[i][0]++
				} else {
					vectors[i][1]++
				}
			}
		}
		answer, err := json.Marshal(vectors)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(string(answer))
	}
}
