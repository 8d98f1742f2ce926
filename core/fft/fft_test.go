package fft

import (
	"fmt"
	"math"
	"math/bits"
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"testing"

	"m2embed/core/kernel"
	"m2embed/core/tolerance"
)

func randomGroup(rows int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]float32, rows*width)
	for i := range x {
		x[i] = float32(r.Float64()*2 - 1)
	}
	return x
}

// TestForward compares every length with the sums that define the transform.
func TestForward(t *testing.T) {
	for _, set := range kernel.Sets() {
		for n := 2; n <= 512; n *= 2 {
			x := randomGroup(n, uint64(n))
			got := slices.Clone(x)
			NewPlan(set, n).Forward(got)
			for _, lane := range []int{0, 5, kernel.GroupLanes - 1} {
				for p := range n {
					q := int(bits.Reverse64(uint64(p)) >> (64 - bits.TrailingZeros(uint(n))))
					var want complex128
					for j := range n {
						v := complex(float64(x[j*width+lane]), float64(x[j*width+kernel.GroupLanes+lane]))
						want += v * cmplx.Rect(1, -2*math.Pi*float64(q*j%n)/float64(n))
					}
					have := complex(float64(got[p*width+lane]), float64(got[p*width+kernel.GroupLanes+lane]))
					if e := cmplx.Abs(have - want); e > tolerance.Transform*math.Sqrt(float64(n)) {
						t.Fatalf("%s: n %d lane %d frequency %d: %v, want %v", set.Name, n, lane, q, have, want)
					}
				}
			}
		}
	}
}

func TestInverseUndoesForward(t *testing.T) {
	for _, set := range kernel.Sets() {
		for n := 2; n <= 1<<17; n *= 2 {
			x := randomGroup(n, uint64(n))
			got := slices.Clone(x)
			p := NewPlan(set, n)
			p.Forward(got)
			p.Inverse(got)
			for i := range got {
				if e := math.Abs(float64(got[i])/float64(n) - float64(x[i])); e > 3*tolerance.Transform {
					t.Fatalf("%s: n %d: element %d is off by %g", set.Name, n, i, e)
				}
			}
		}
	}
}

// direct is the long convolution as the sums that define it.
func direct(u, forward, reverse []float32, length, taps, c int) []float64 {
	y := make([]float64, length)
	for t := range y {
		for j := 0; j <= t && j < taps; j++ {
			y[t] += float64(forward[j*width+c]) * float64(u[(t-j)*width+c])
		}
		for i := 0; reverse != nil && i < taps && t+1+i < length; i++ {
			y[t] += float64(reverse[i*width+c]) * float64(u[(t+1+i)*width+c])
		}
	}
	return y
}

// convolve runs u through a Long of the given window; scratch and spectrum
// start as NaN, so that anything not written shows.
func convolve(set *kernel.Set, u, forward, reverse []float32, length, window int) []float32 {
	n := LongRows(length, window)
	l := NewLong(NewPlan(set, n), length, window)
	spectrum := make([]float32, n*width)
	scratch := make([]float32, l.Scratch())
	for i := range spectrum {
		spectrum[i] = float32(math.NaN())
	}
	for i := range scratch {
		scratch[i] = float32(math.NaN())
	}
	copy(spectrum, forward[:l.Taps*width])
	if reverse != nil {
		reverse = reverse[:l.Taps*width]
	}
	l.Filter(spectrum, reverse)
	y := slices.Clone(u)
	l.Apply(y, spectrum, scratch)
	return y
}

func checkLong(t *testing.T, set *kernel.Set, length, window int, bidirectional bool) {
	t.Helper()
	taps := max(min(length, window), LongRows(length, window)/2)
	u, forward, reverse := randomGroup(length, 1), randomGroup(taps, 2), randomGroup(taps, 3)
	if !bidirectional {
		reverse = nil
	}
	got := convolve(set, u, forward, reverse, length, window)
	limit := tolerance.Convolve * math.Sqrt(float64(min(length, 2*window))) * 2
	for _, c := range []int{0, 3, kernel.GroupLanes, width - 1} {
		for i, want := range direct(u, forward, reverse, length, min(taps, window), c) {
			if e := math.Abs(float64(got[i*width+c]) - want); !(e <= limit) {
				t.Fatalf("%s: length %d window %d channel %d row %d: %g, want %g (limit %g)", set.Name, length, window, c, i, got[i*width+c], want, limit)
			}
		}
	}
}

func TestLongAgainstSums(t *testing.T) {
	for _, set := range kernel.Sets() {
		for length := 1; length <= 300; length++ {
			checkLong(t, set, length, 1<<20, true)
		}
		checkLong(t, set, 100, 1<<20, false)
		for _, length := range []int{511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097} {
			checkLong(t, set, length, 1<<20, true)
		}
	}
}

// TestLongWindow covers sequences longer than the filters' window, whole and
// in pieces.
func TestLongWindow(t *testing.T) {
	for _, set := range kernel.Sets() {
		for _, window := range []int{1, 2, 3, 16, 17, 31, 32, 100} {
			for _, length := range []int{1, 2, window, window + 1, 2*window + 1, 3*window + 5, 511, 1000, 1999, 3001} {
				checkLong(t, set, length, window, true)
			}
		}
	}
}

// TestStreamedEqualsUnified proves that both paths give the same bits wherever
// both apply.
func TestStreamedEqualsUnified(t *testing.T) {
	for _, set := range kernel.Sets() {
		for n := 4; n <= 1<<16; n *= 2 {
			p := NewPlan(set, n)
			spectrum := randomGroup(n, 5)
			p.Spectrum(spectrum)
			a := randomGroup(n, 6)
			b := slices.Clone(a)
			p.unified(a, spectrum)
			p.streamed(b, spectrum)
			if !slices.Equal(a, b) {
				t.Fatalf("%s: streamed and unified differ for %d rows", set.Name, n)
			}
		}
	}
}

func TestBucket(t *testing.T) {
	for _, c := range [][2]int{{0, 2}, {1, 2}, {2, 4}, {3, 8}, {4, 8}, {5, 16}, {2047, 4096}, {2048, 4096}, {2049, 8192}, {32768, 65536}} {
		if got := Bucket(c[0]); got != c[1] {
			t.Errorf("Bucket(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

func BenchmarkConvolve(b *testing.B) {
	for _, set := range kernel.Sets() {
		for _, n := range []int{256, 1024, 4096, 16384, 65536} {
			b.Run(fmt.Sprintf("%s/%d", set.Name, n), func(b *testing.B) {
				p := NewPlan(set, n)
				x, k := randomGroup(n, 1), randomGroup(n, 2)
				p.Spectrum(k)
				for b.Loop() {
					copy(x, k)
					p.Convolve(x, k)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n)/width, "ns/value")
			})
		}
	}
}
