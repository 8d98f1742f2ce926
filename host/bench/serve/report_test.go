package main

import (
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	some := []float64{0.004, 0.021}
	b := bench{results: results{
		Start:    map[string]*startRow{"80M f32": {[]float64{0.1, 0.2, 0.3}, []float64{80, 80, 90}, 30, 65, some}},
		Beside:   map[string]*besideRow{"80M f32": {[]float64{0.002}, []float64{0.008, 0.009, 0.2}, []float64{100}, []float64{90}, some}},
		Overhead: map[string]*overheadRow{"80M f32": {[]float64{0.0104}, []float64{0.01}, []float64{0.0002}, []float64{80}, []float64{100}, []float64{0.010}, []float64{0.011}, []float64{0.002}, some}},
		Crowd:    []crowdRow{{"x", []float64{10}, []float64{1}, []float64{0.1}, []float64{0.2}, 3, 400, some}},
		Notes:    []string{"a note"},
	}}
	text := b.markdown()
	for _, want := range []string{
		"| 80M f32 | 200 ms | **no** | 80.0 MB | 30.0 MB | 50.0 MB | yes | 65.0 MB | **no** | 2 % |",
		"| 80M f32 | 2.0 ms | 2.0 | 9.0 | 200.0 | 4.5 ×: yes | 65: **no** | 10 % | yes | 3 | 2 % |",
		"| 80M f32 | 10.00 (10.00) ms | 10.40 (10.40) ms | 4.0 (4.0) % | yes | 0.20 ms | 100/s | 80/s | 80 % | **no** | 10.00 ms | 11.00 ms | 10 % | 2.00 ms | 2 % |",
		"| x | 10.0 | 1000 ms | 1000 | 100.0 | 100.0 | 200 | 200 | 3.0 s | 400 MB | 2 % |", "a note.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		part   float64
		want   float64
	}{{nil, 0.5, 0}, {[]float64{3}, 0.99, 3}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 3, 2, 1}, 0.99, 4}, {[]float64{4, 3, 2, 1}, 0, 1}} {
		if got := quantile(c.values, c.part); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.part, got, c.want)
		}
	}
}
