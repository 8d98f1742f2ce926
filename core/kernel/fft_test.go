package kernel

import (
	"math"
	"math/bits"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"m2embed/core/tolerance"
)

// twiddleTable is the six numbers per j < n/4 that the radix-4 passes take.
func twiddleTable(n int) []float32 {
	var table []float32
	for j := range n / 4 {
		for e := 1; e <= 3; e++ {
			w := cmplx.Rect(1, -2*math.Pi*float64(j*e)/float64(n))
			table = append(table, float32(real(w)), float32(imag(w)))
		}
	}
	return table
}

func lane(x []float32, row, l int) complex128 {
	re, im := complexRow(x, row)
	return complex(float64(re[l]), float64(im[l]))
}

func nearComplex(t *testing.T, what string, got, want complex128, limit float64) {
	t.Helper()
	if !(cmplx.Abs(got-want) <= limit) {
		t.Fatalf("%s: got %v, want %v, limit %.3g", what, got, want, limit)
	}
}

// TestRadix4Pass checks one pass in each direction against its definition.
func TestRadix4Pass(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(12, 1))
		for _, n := range []int{4, 8, 12, 16, 20, 64, 256} {
			for _, blocks := range []int{1, 2, 3, 5} {
				x := random(r, n*blocks*GroupWidth, 1)
				g := newGuard(len(x))
				copy(g.body, x)
				set.Radix4Forward(g.body, n, blocks, twiddleTable(n))
				g.check(t)
				quarter := n / 4
				for block := range blocks {
					for j := range quarter {
						for l := range GroupLanes {
							for at, out := range []int{0, 2, 1, 3} {
								var sum complex128
								for in := range 4 {
									sum += lane(x, block*n+in*quarter+j, l) * cmplx.Pow(complex(0, -1), complex(float64(in*out), 0))
								}
								sum *= cmplx.Rect(1, -2*math.Pi*float64(j*out)/float64(n))
								nearComplex(t, "Radix4Forward", lane(g.body, block*n+at*quarter+j, l), sum, 6*tolerance.FFTPass)
							}
						}
					}
				}
				set.Radix4Inverse(g.body, n, blocks, twiddleTable(n))
				g.check(t)
				for i := range x {
					near(t, "Radix4Inverse", g.body[i]/4, float64(x[i]), 6*tolerance.FFTPass)
				}
			}
		}
	})
}

// transform runs all passes of a forward transform: bit-reversed spectrum.
func transform(set *Set, x []float32, n int) {
	blocks := 1
	for n >= 4 {
		set.Radix4Forward(x, n, blocks, twiddleTable(n))
		n, blocks = n/4, blocks*4
	}
	if n == 2 {
		set.Radix2(x, blocks)
	}
}

// TestPassesMakeTheTransform compares the passes with a direct sum.
func TestPassesMakeTheTransform(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(13, 1))
		for _, n := range []int{1, 2, 4, 8, 16, 32, 64, 128} {
			x := random(r, n*GroupWidth, 1)
			g := newGuard(len(x))
			copy(g.body, x)
			transform(set, g.body, n)
			g.check(t)
			for row := range n {
				q := int(bits.Reverse64(uint64(row)) >> (64 - bits.TrailingZeros(uint(n))))
				if n == 1 {
					q = 0
				}
				for l := range GroupLanes {
					var sum complex128
					for s := range n {
						sum += lane(x, s, l) * cmplx.Rect(1, -2*math.Pi*float64(q*s%n)/float64(n))
					}
					nearComplex(t, "transform", lane(g.body, row, l), sum, tolerance.FFTPass*math.Sqrt(float64(n))*4)
				}
			}
		}
	})
}

func TestRadix2(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(14, 1))
		for _, blocks := range []int{0, 1, 2, 3, 8} {
			x := random(r, 2*blocks*GroupWidth, 1)
			g := newGuard(len(x))
			copy(g.body, x)
			set.Radix2(g.body, blocks)
			g.check(t)
			for block := range blocks {
				for c := range GroupWidth {
					i := 2*block*GroupWidth + c
					a, b := x[i], x[i+GroupWidth]
					if g.body[i] != a+b || g.body[i+GroupWidth] != a-b {
						t.Fatalf("blocks=%d: wrong sum or difference", blocks)
					}
				}
			}
		}
	})
}

// TestSpectrum checks the split of filters and the product against the
// spectra of the single real channels.
func TestSpectrum(t *testing.T) {
	forEachSet(t, func(t *testing.T, set *Set) {
		r := rand.New(rand.NewPCG(15, 1))
		for _, pairs := range []int{0, 1, 2, 3, 7, 16} {
			n := pairs * GroupWidth
			x, y, kx, ky := random(r, n, 1), random(r, n, 1), random(r, n, 1), random(r, n, 1)
			gx, gy, gkx, gky := newGuard(n), newGuard(n), newGuard(n), newGuard(n)
			copy(gx.body, x)
			copy(gy.body, y)
			copy(gkx.body, kx)
			copy(gky.body, ky)
			const scale = 0.375
			set.SpectrumSplit(gkx.body, gky.body, pairs, scale)
			set.SpectrumProduct(gx.body, gy.body, gkx.body, gky.body, pairs)
			for _, g := range []guard{gx, gy, gkx, gky} {
				g.check(t)
			}
			for i := range pairs {
				for l := range GroupLanes {
					other := pairs - 1 - i
					// The real-part channel's spectrum and the imaginary-part
					// channel's, times two, at frequency q.
					split := func(u, v complex128) (a, b complex128) {
						return u + cmplx.Conj(v), complex(0, -1) * (u - cmplx.Conj(v))
					}
					ka, kb := split(lane(kx, i, l), lane(ky, other, l))
					nearComplex(t, "SpectrumSplit", lane(gkx.body, i, l), ka*scale, 4*tolerance.FFTPass)
					nearComplex(t, "SpectrumSplit", lane(gky.body, other, l), kb*scale, 4*tolerance.FFTPass)
					a, b := split(lane(x, i, l), lane(y, other, l))
					p, q := a*ka*scale, b*kb*scale
					nearComplex(t, "SpectrumProduct", lane(gx.body, i, l), p+complex(0, 1)*q, 20*tolerance.FFTPass)
					nearComplex(t, "SpectrumProduct", lane(gy.body, other, l), cmplx.Conj(p)+complex(0, 1)*cmplx.Conj(q), 20*tolerance.FFTPass)
				}
			}
		}
	})
}
