package checkpoint

import (
	"math"
	"testing"
)

// exactHalf computes a binary16 number from its definition.
func exactHalf(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(h>>10&31), float64(h&1023)
	switch {
	case exponent == 0:
		return sign * math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		return sign * math.Inf(1)
	case exponent == 31:
		return math.NaN()
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// exactBrain computes a bfloat16 number from its definition.
func exactBrain(b uint16) float64 {
	sign := 1.0
	if b&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(b>>7&255), float64(b&127)
	switch {
	case exponent == 0:
		return sign * math.Ldexp(fraction, -133)
	case exponent == 255 && fraction == 0:
		return sign * math.Inf(1)
	case exponent == 255:
		return math.NaN()
	}
	return sign * math.Ldexp(128+fraction, exponent-134)
}

var halves = map[string]struct {
	exact    func(uint16) float64
	widen    func(uint16) float32
	round    func(float32) uint16
	infinity uint16
}{
	"float16":  {exactHalf, Float16ToFloat32, Float32ToFloat16, 0x7c00},
	"bfloat16": {exactBrain, BFloat16ToFloat32, Float32ToBFloat16, 0x7f80},
}

// TestHalfWiden checks all 65,536 values against the definition, and that
// each comes back.
func TestHalfWiden(t *testing.T) {
	for name, h := range halves {
		for i := range 1 << 16 {
			bits := uint16(i)
			got, want := h.widen(bits), h.exact(bits)
			if math.IsNaN(want) {
				if got == got {
					t.Fatalf("%s %#04x = %v, want a NaN", name, bits, got)
				}
				back := h.round(got)
				if x := h.widen(back); x == x || back&0x8000 != bits&0x8000 {
					t.Fatalf("%s %#04x came back as %#04x", name, bits, back)
				}
				continue
			}
			if float64(got) != want || math.Signbit(float64(got)) != (bits&0x8000 != 0) {
				t.Fatalf("%s %#04x = %v, want %v", name, bits, got, want)
			}
			if back := h.round(got); back != bits {
				t.Fatalf("%s %#04x came back as %#04x", name, bits, back)
			}
		}
	}
}

// TestHalfRound checks the rounding around every value: the midpoint to the
// next value goes to the even one, its neighbours to either side.
func TestHalfRound(t *testing.T) {
	for name, h := range halves {
		for i := range h.infinity {
			low, high := i, i+1
			a, b := h.exact(low), h.exact(high)
			if high == h.infinity { // the next value if the exponent went on
				b = a + (a - h.exact(low-1))
			}
			middle := float32((a + b) / 2)
			if float64(middle) != (a+b)/2 {
				continue // a subnormal of bfloat16 has no midpoint in float32
			}
			even := low + low&1
			for _, c := range []struct {
				x    float32
				want uint16
			}{
				{middle, even},
				{math.Nextafter32(middle, 0), low},
				{math.Nextafter32(middle, math.MaxFloat32), high},
			} {
				if c.x == math.MaxFloat32 && high == h.infinity {
					continue
				}
				if got := h.round(c.x); got != c.want {
					t.Fatalf("%s: %v rounds to %#04x, want %#04x", name, c.x, got, c.want)
				}
				if got := h.round(-c.x); got != c.want|0x8000 {
					t.Fatalf("%s: %v rounds to %#04x, want %#04x", name, -c.x, got, c.want|0x8000)
				}
			}
		}
		for _, x := range []float64{math.Inf(1), math.MaxFloat32} {
			if got := h.round(float32(x)); got != h.infinity {
				t.Errorf("%s: %v rounds to %#04x", name, x, got)
			}
		}
	}
}
