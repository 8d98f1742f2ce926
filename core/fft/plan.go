// Package fft does the long convolution of M2-BERT through Fourier transforms
// of float32 channel groups (kernel.GroupWidth channels side by side, two real
// channels a complex lane).
//
// A forward transform takes rows in order and leaves the spectrum in
// bit-reversed order; the inverse takes that order and gives rows in order
// again. Nothing is ever reordered in memory, because a product of spectra
// only needs frequency q beside N-q, and in bit-reversed order those two are
// mirror images: within the positions [2^m, 2^(m+1)) position p mirrors
// 3·2^m-1-p, and positions 0 and 1 hold frequencies 0 and N/2.
//
// Neither direction scales; [Plan.Spectrum] folds 1/N into the filter.
// Twiddles are made in float64 and rounded once. A transform of N rows costs
// about 17·N·log4(N) operations a lane and its error grows like log N times the
// float32 rounding unit.
package fft

import (
	"fmt"
	"math"
	"math/bits"

	"m2embed/core/kernel"
)

// UnifiedRows is the longest transform that runs level by level over the
// whole array (the unified convolution: L ≤ 2,048). Longer ones are streamed:
// see [Plan.Convolve].
const UnifiedRows = 4096

// streamedRows is the largest part of a streamed transform that is finished
// while it lies in the processor's near cache.
const streamedRows = 1024

// Plan holds the twiddle factors for transforms of N complex rows. It is
// immutable and safe for concurrent use.
type Plan struct {
	N        int
	set      *kernel.Set
	twiddles [][]float32 // one table a radix-4 level: N, N/4, N/16, …
}

// NewPlan prepares transforms of n rows; n is a power of two, at least 2.
func NewPlan(set *kernel.Set, n int) *Plan {
	if n < 2 || n&(n-1) != 0 {
		panic(fmt.Sprintf("fft: %d rows, want a power of two from 2 up", n))
	}
	p := &Plan{N: n, set: set}
	for m := n; m >= 4; m /= 4 {
		p.twiddles = append(p.twiddles, twiddles(m))
	}
	return p
}

// twiddles lists w^j, w^2j, w^3j for j < n/4 with w = e^{-2πi/n}.
func twiddles(n int) []float32 {
	table := make([]float32, 0, 6*(n/4))
	for j := range n / 4 {
		for _, power := range [3]int{1, 2, 3} {
			sin, cos := unitCircle(power*j, n)
			table = append(table, float32(cos), float32(-sin))
		}
	}
	return table
}

// unitCircle returns sine and cosine of 2πj/n, n divisible by 4, with the angle
// reduced to an octant so that symmetric factors are equal to the last bit.
func unitCircle(j, n int) (sin, cos float64) {
	j %= n
	octant := 8 * j / n
	angle := func(k int) float64 { return 2 * math.Pi * float64(k) / float64(n) }
	switch octant {
	case 0:
		return math.Sin(angle(j)), math.Cos(angle(j))
	case 1, 2:
		r := j - n/4
		return math.Cos(angle(r)), -math.Sin(angle(r))
	case 3, 4:
		r := j - n/2
		return -math.Sin(angle(r)), -math.Cos(angle(r))
	case 5, 6:
		r := j - 3*n/4
		return -math.Cos(angle(r)), math.Sin(angle(r))
	}
	return math.Sin(angle(j - n)), math.Cos(angle(j - n))
}

// Bucket is the number of rows that a convolution of length L is transformed
// with: twice the next power of two, at least 2. It serves every length up to
// half of it.
func Bucket(length int) int {
	if length <= 1 {
		return 2
	}
	return 2 << bits.Len(uint(length-1))
}

// Forward transforms x (N, GroupWidth) in place into bit-reversed order.
func (p *Plan) Forward(x []float32) { p.forward(x, 0, len(p.twiddles)) }

// Inverse undoes Forward but for the factor N.
func (p *Plan) Inverse(x []float32) { p.inverse(x, 0, len(p.twiddles)) }

// forward does the levels first ≤ level < last over all of x, whose rows are a
// multiple of the first level's size; the last level of all ends in Radix2 if
// N is not a power of four.
func (p *Plan) forward(x []float32, first, last int) {
	rows := len(x) / kernel.GroupWidth
	for level := first; level < last; level++ {
		n := p.N >> (2 * level)
		p.set.Radix4Forward(x, n, rows/n, p.twiddles[level])
	}
	if last == len(p.twiddles) && p.odd() {
		p.set.Radix2(x, rows/2)
	}
}

// inverse undoes the levels first ≤ level < last.
func (p *Plan) inverse(x []float32, first, last int) {
	rows := len(x) / kernel.GroupWidth
	if last == len(p.twiddles) && p.odd() {
		p.set.Radix2(x, rows/2)
	}
	for level := last - 1; level >= first; level-- {
		n := p.N >> (2 * level)
		p.set.Radix4Inverse(x, n, rows/n, p.twiddles[level])
	}
}

// odd says that N is twice a power of four.
func (p *Plan) odd() bool { return bits.TrailingZeros(uint(p.N))%2 == 1 }
