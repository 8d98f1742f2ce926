/**
 * e^r · 2^n for |r| ≤ ln(2)/2 and -126 ≤ n ≤ 127; r are float32 lanes, n the
 * low 9 bits of 32-bit lanes.
 * The polynomial of degree 6 has a relative error below 2e-9 (weighted least
 * squares with Lawson's reweighting), far less than its float32 rounding.
 */
// @ts-ignore: decorator
@inline
export function exponential(r: v128, n: v128): v128 {
  let e = f32x4.add(f32x4.mul(f32x4.splat(0.0013836835278198123), r), f32x4.splat(0.008374824188649654));
  e = f32x4.add(f32x4.mul(e, r), f32x4.splat(0.04166822507977486));
  e = f32x4.add(f32x4.mul(e, r), f32x4.splat(0.16666419804096222));
  e = f32x4.add(f32x4.mul(e, r), f32x4.splat(0.49999991059303284));
  e = f32x4.add(f32x4.mul(e, r), f32x4.splat(1));
  e = f32x4.add(f32x4.mul(e, r), f32x4.splat(1));
  return f32x4.mul(e, i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23));
}
