package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"m2embed/core/model"
	"m2embed/core/tolerance"
)

// compare writes the table runtime × (same bits as wazero?, largest difference
// and smallest cosine to the float64 truth) and says what is wrong.
func compare(cases []testCase, results []result) (string, error) {
	var b strings.Builder
	var faults []error
	fmt.Fprintln(&b, "| runtime | version | vectors | same bits as wazero | largest difference to float64 | 1 - cosine |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- |")
	var truth [][]float64
	for _, c := range cases {
		for i := range c.Inputs {
			if c.truth == nil {
				truth = append(truth, nil)
			} else {
				truth = append(truth, c.truth[i])
			}
		}
	}
	reference := results[1] // wazero
	for _, r := range results {
		if r.Error != "" {
			fmt.Fprintf(&b, "| %s | did not run | | | | |\n", r.Name)
			faults = append(faults, fmt.Errorf("%s: %s", r.Name, r.Error))
			continue
		}
		if len(r.Found) != len(truth) {
			faults = append(faults, fmt.Errorf("%s: %d vectors, want %d", r.Name, len(r.Found), len(truth)))
			continue
		}
		same := 0
		var worst, angle float64
		for i, f := range r.Found {
			if f.Bits == reference.Found[i].Bits && f.Length == reference.Found[i].Length {
				same++
			} else if r.Name != "native" {
				faults = append(faults, fmt.Errorf("%s: %s has other bits than in wazero", r.Name, f.Name))
			}
			if truth[i] == nil {
				continue
			}
			v, err := f.vector()
			if err != nil || len(v) != len(truth[i]) {
				faults = append(faults, fmt.Errorf("%s: %s: %d values, want %d", r.Name, f.Name, len(v), len(truth[i])))
				continue
			}
			worst = max(worst, largestDifference(v, truth[i]))
			angle = max(angle, 1-model.Cosine(v, truth[i]))
		}
		if !(worst <= tolerance.TinyPooled) {
			faults = append(faults, fmt.Errorf("%s: off by %.3g, limit %.3g", r.Name, worst, tolerance.TinyPooled))
		}
		bits := fmt.Sprintf("%d of %d", same, len(r.Found))
		if same == len(r.Found) {
			bits = "yes"
		}
		if r.Name == "native" {
			bits = "not asked: fused kernels"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %.1e | %.1e |\n", r.Name, strings.TrimPrefix(r.Version, "v"), len(r.Found), bits, worst, angle)
	}
	return b.String(), errors.Join(faults...)
}

func largestDifference(a, b []float64) float64 {
	var d float64
	for i := range a {
		d = math.Max(d, math.Abs(a[i]-b[i]))
	}
	return d
}
