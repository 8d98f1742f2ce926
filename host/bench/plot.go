package main

import (
	"fmt"
	"math"
	"strings"
)

// plot draws what one thread does over the length of the text, in tokens per
// second of processor time, both axes logarithmic, as SVG.
func (r result) plot() string {
	const (
		width, height            = 760, 440
		left, right, top, bottom = 70, 220, 30, 50
	)
	lengths := r.lengths()
	if len(lengths) == 0 {
		return ""
	}
	low, high := math.Inf(1), 0.0
	for _, s := range r.Speed {
		if s.Threads == 1 {
			low, high = math.Min(low, s.Processor), math.Max(high, s.Processor)
		}
	}
	low, high = low/1.3, high*1.3
	first, last := float64(lengths[0]), float64(lengths[len(lengths)-1])
	x := func(length float64) float64 {
		return left + (width-left-right)*math.Log(length/first)/math.Log(last/first)
	}
	y := func(speed float64) float64 {
		return height - bottom - (height-top-bottom)*math.Log(speed/low)/math.Log(high/low)
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, height)
	p(`<title>Tokens per second of one core over the length of the text</title>`)
	p(`<rect width="%d" height="%d" fill="white"/>`, width, height)
	for _, l := range lengths {
		p(`<line x1="%.1[1]f" y1="%[2]d" x2="%.1[1]f" y2="%[3]d" stroke="#ddd"/>`, x(float64(l)), top, height-bottom)
		p(`<text x="%.1f" y="%d" text-anchor="middle">%d</text>`, x(float64(l)), height-bottom+18, l)
	}
	for _, mantissa := range []float64{1, 2, 5} {
		for power := 0; power < 6; power++ {
			v := mantissa * math.Pow10(power)
			if v < low || v > high {
				continue
			}
			p(`<line x1="%[1]d" y1="%.1[3]f" x2="%[2]d" y2="%.1[3]f" stroke="#ddd"/>`, left, width-right, y(v))
			p(`<text x="%d" y="%.1f" text-anchor="end">%.0f</text>`, left-6, y(v)+4, v)
		}
	}
	p(`<text x="%d" y="%d" text-anchor="middle">tokens in the text</text>`, (left+width-right)/2, height-12)
	p(`<text x="16" y="%[1]d" text-anchor="middle" transform="rotate(-90 16 %[1]d)">tokens per second of processor time</text>`, (top+height-bottom)/2)
	colours := map[string]string{
		"m2embed 80M f32": "#0b5fff", "m2embed 80M int8": "#00897b", "m2embed small int8": "#6a1b9a",
		"onnxruntime BERT-base f32": "#e65100", "onnxruntime BERT-base int8": "#ad1457",
	}
	at := top + 10
	for _, engine := range r.engines() {
		var points []string
		for _, l := range lengths {
			if s := r.speed(engine, l, 1); s != nil {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(l)), y(s.Processor)))
			}
		}
		if len(points) == 0 {
			continue
		}
		p(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(points, " "), colours[engine])
		for _, point := range points {
			cx, cy, _ := strings.Cut(point, ",")
			p(`<circle cx="%s" cy="%s" r="3" fill="%s"/>`, cx, cy, colours[engine])
		}
		p(`<line x1="%[1]d" y1="%[2]d" x2="%[3]d" y2="%[2]d" stroke="%[4]s" stroke-width="2"/>`, width-right+12, at, width-right+40, colours[engine])
		p(`<text x="%d" y="%d">%s</text>`, width-right+46, at+4, engine)
		at += 20
	}
	p(`</svg>`)
	return b.String()
}
