package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"m2embed/host/bench/share"
)

func sample() result {
	return result{
		Machine: machine(),
		Kernels: []kernelRow{{"product f32 1×2×3", "go", 1.5, 2.25, "GFLOP/s"}},
		Speed: []speedRow{
			{"m2embed 80M f32", 128, 1, 3, 700, 800, 650}, {"m2embed 80M f32", 32768, 1, 3, 600, 610, 600},
			{"m2embed 80M f32", 128, 2, 3, 1330, 1400, 690}, {"onnxruntime BERT-base f32", 128, 1, 3, 350, 400, 340},
		},
		Int8Cosine: []cosineRow{{128, 0.9998}},
		Tokenizers: []tokenizerRow{{2000, 30, 28, 2, 0.5}},
		Memory:     []memoryRow{{What: "conversion", Peak: 14, File: 441}},
		Threads: []threadsRow{
			{"80M f32", 1, 128, 1, 5, 1000}, {"80M f32", 1, 128, 2, 5, 1900}, {"80M f32", 1, 128, 4, 5, 1710},
			{"80M f32", 8, 128, 2, 5, 2000}, {"80M f32", 8, 128, 4, 5, 3800},
		},
		Latency: []latencyRow{{"80M f32", 2, 16, 1.3, 12345, 20000, 15000}},
		Kept:    []share.Row{{Length: 128, Convolve: 0.05}},
		Anew:    []share.Row{{Length: 128, Convolve: 0.04, Filters: 0.125}},
		Notes:   []string{"a note"},
	}
}

func TestMarkdown(t *testing.T) {
	text := sample().markdown()
	for _, want := range []string{
		"| product f32 1×2×3 | go | 1.50 | 2.25 | GFLOP/s |",
		"| m2embed 80M f32 | 1 | 700 (800) | 600 (610) |",
		"| m2embed 80M f32 | 650 | 600 |",
		"| m2embed f32 : onnxruntime f32, 1 thread | | 2.00 | – |",
		"| m2embed f32, 2 threads : 1 | | 1.90 | – |",
		"| 2000 | 30.0 | 28.0 | 2.00 | 0.50 | 14.0× |",
		"| conversion | 441 MB | 14 MB | 0.03 |",
		"| 128 | 5.0 % | 4.0 % | 12.5 % |",
		"| model | tokens | 1 | 2 | 4 | loss |", "| 80M f32 | 128 | 1000 | 1900 | 1710 | 10 % |", "| 80M f32 | 8 × 128 | – | 2000 | 3800 | 0 % |",
		"| 80M f32 | 2 | 0.0013 | 12.3 | 20.0 | 15.0 |", "128: 0.999800", "a note",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	var back result
	if err := json.Unmarshal(sample().json(), &back); err != nil || len(back.Speed) != 4 {
		t.Errorf("bench.json does not read back: %v", err)
	}
}

// TestPlot reads the SVG as XML and looks for points outside the picture.
func TestPlot(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(sample().plot()))
	circles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "circle" {
			continue
		}
		circles++
		for _, a := range start.Attr {
			if a.Name.Local != "cx" && a.Name.Local != "cy" {
				continue
			}
			v, err := strconv.ParseFloat(a.Value, 64)
			if err != nil || v < 0 || v > 760 {
				t.Errorf("%s=%q: %v", a.Name.Local, a.Value, err)
			}
		}
	}
	if circles != 3 {
		t.Errorf("%d points, want 3", circles)
	}
	if (result{}).plot() != "" {
		t.Error("a plot of nothing")
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestThreadCounts(t *testing.T) {
	for _, c := range []struct {
		processors int
		want       []int
	}{{1, []int{1}}, {2, []int{1, 2}}, {3, []int{1, 2, 3}}, {16, []int{1, 2, 4, 8, 16}}} {
		if got := threadCounts(c.processors); !slices.Equal(got, c.want) {
			t.Errorf("%d processors: %v, want %v", c.processors, got, c.want)
		}
	}
}
