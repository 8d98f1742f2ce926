package fft

import (
	"fmt"
	"math"
	"os"
	"testing"

	"m2embed/core/checkpoint"
	"m2embed/core/kernel"
)

// goldenLimit bounds the difference to the original's float32 convolution; the
// values reach 43 and the original differs from float64 by as much.
const goldenLimit = 3e-5

// TestGoldenLongConvolution compares with the original: both directions, and
// forward alone. The second bidirectional form that the original has and never
// calls must come out different.
func TestGoldenLongConvolution(t *testing.T) {
	b, err := os.ReadFile("../../testdata/golden/longconv.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []float32 {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const channels = 3
	for _, set := range kernel.Sets() {
		for _, length := range []int{1, 2, 3, 5, 64, 100, 2048, 2049, 4096} {
			at := fmt.Sprintf("L%d/", length)
			rows := LongRows(length, length)
			group := func(name string) []float32 {
				v, x := read(at+name), make([]float32, rows*width)
				for c := range channels {
					for i := range length {
						// Real and imaginary lanes alike.
						x[i*width+c], x[i*width+kernel.GroupLanes+c] = v[c*length+i], v[c*length+i]
					}
				}
				return x
			}
			forward, reverse := group("k"), group("k_rev")
			for c, d := range read(at + "D") {
				forward[c] += d
				forward[kernel.GroupLanes+c] += d
			}
			u := group("u")[:length*width]
			for name, reverse := range map[string][]float32{"y": reverse, "y_f64": reverse, "y_causal": nil} {
				got, want := convolve(set, u, forward, reverse, length, length), read(at+name)
				worst := 0.0
				for c := range channels {
					for i := range length {
						for _, lane := range []int{c, kernel.GroupLanes + c} {
							worst = max(worst, math.Abs(float64(got[i*width+lane])-float64(want[c*length+i])))
						}
					}
				}
				if !(worst <= goldenLimit) {
					t.Errorf("%s: %s%s: max abs error %g, limit %g", set.Name, at, name, worst, goldenLimit)
				}
			}
			got, other := convolve(set, u, forward, reverse, length, length), read(at+"y_conj")
			if d := math.Abs(float64(got[0]) - float64(other[0])); d < 10*goldenLimit {
				t.Errorf("%s: L%d: the reverse taps begin at lag 0", set.Name, length)
			}
		}
	}
}
