//go:build m2embed_operations

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// table writes the report as Markdown.
func (r *report) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# WebGPU kernels and forward passes\n\nMade by `webgpu/bench` on %s, %s (%s), through the native executor.\nMedians. Products and whole passes were checked before they were timed.\n", r.Date, r.Adapter.Device, r.Adapter.Description)
	if r.Note != "" {
		fmt.Fprintf(&s, "\n%s\n", r.Note)
	}
	s.WriteString("\n## Whole model, 80M shape\n\n| pass | ms | tokens/s | first run, ms | weights, MiB | scratch and spectra, MiB | 1 - cosine to float64 |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, m := range r.Models {
		fmt.Fprintf(&s, "| %s | %.2f | %.0f | %.0f | %.0f | %.0f | %.1e |\n", m.Name, m.Milliseconds, m.TokensPerSecond, m.First, m.WeightMiB, m.OtherMiB, 1-m.Cosine)
	}
	for _, m := range r.Models {
		if m.Length != 32768 || m.Half {
			continue
		}
		fmt.Fprintf(&s, "\nWhere the time of %s goes; each kind of dispatch timed by itself in batches:\n\n| part | ms | rate |\n|---|---:|---:|\n", m.Name)
		names := slices.Collect(maps.Keys(m.Parts))
		slices.SortFunc(names, func(x, y string) int { return cmp.Compare(m.Parts[y].Milliseconds, m.Parts[x].Milliseconds) })
		for _, name := range names {
			p, rate := m.Parts[name], ""
			if p.Work > 0 {
				rate = fmt.Sprintf("%.1f TFLOP/s", p.Work/p.Milliseconds)
			}
			fmt.Fprintf(&s, "| %s | %.2f | %s |\n", name, p.Milliseconds, rate)
		}
	}
	if len(r.Torch) > 0 {
		s.WriteString("\n## PyTorch, float32 without TF32\n\n| what | ms | rate |\n|---|---:|---:|\n")
		for _, t := range r.Torch {
			rate := ""
			if t.Rate > 0 {
				rate = fmt.Sprintf("%.0f %s", t.Rate, t.Unit)
			}
			fmt.Fprintf(&s, "| %s | %.3f | %s |\n", t.Name, t.Milliseconds, rate)
		}
	}
	s.WriteString("\n## Kernels\n\nThe fraction is of the best rate in the same unit measured in this run: the copy, or the larger of the square products.\n\n| kernel | ms | rate | fraction |\n|---|---:|---:|---:|\n")
	for _, k := range r.Kernels {
		fmt.Fprintf(&s, "| %s | %.3f | %.0f %s | %.2f |\n", k.Name, k.Milliseconds, k.Rate, k.Unit, k.Ceiling)
	}
	return s.String()
}
