package checkpoint

import "math"

// Float16ToFloat32 converts an IEEE 754 binary16 number. The result is exact;
// a NaN keeps its sign and payload.
func Float16ToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0:
		// Zero or subnormal: fraction * 2^-24, which float32 holds exactly.
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// Float32ToFloat16 rounds to the nearest IEEE 754 binary16 number, ties to
// even. What is too large becomes an infinity; a NaN stays a (quiet) NaN.
func Float32ToFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits>>16) & 0x8000
	magnitude := bits & 0x7fffffff
	switch {
	case magnitude > 0x7f800000:
		return sign | 0x7e00 | uint16(magnitude>>13)&0x3ff
	case magnitude >= 0x477ff000: // 65520, halfway to the first power of two that does not fit
		return sign | 0x7c00
	case magnitude < 0x38800000: // below 2^-14: a subnormal, counted in units of 2^-24
		if magnitude < 0x33000000 { // below 2^-25: nearer to zero
			return sign
		}
		shift := 126 - magnitude>>23 // the implied one stands at bit 23, the unit at bit `shift`
		significand := magnitude&0x7fffff | 0x800000
		return sign | uint16(roundShift(significand, shift))
	}
	return sign | uint16(roundShift(magnitude-(127-15)<<23, 13))
}

// BFloat16ToFloat32 converts a bfloat16 number, exactly.
func BFloat16ToFloat32(b uint16) float32 {
	return math.Float32frombits(uint32(b) << 16)
}

// Float32ToBFloat16 rounds to the nearest bfloat16 number, ties to even. What
// is too large becomes an infinity; a NaN stays a (quiet) NaN.
func Float32ToBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16(roundShift(bits, 16))
}

// roundShift returns x / 2^shift, rounded to the nearest integer, ties to even.
func roundShift(x, shift uint32) uint32 {
	half := uint32(1) << (shift - 1)
	return (x + half - 1 + x>>shift&1) >> shift
}
