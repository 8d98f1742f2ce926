import { exponential } from "./exponential";
import { loadPart, storePart } from "./part";

/** Bytes of one row of a group: GroupWidth float32 values. */
const ROW: usize = 128;

/** See core/kernel Set.ShortFilter. Four channels at a time, first row first: the two rows before wait in registers. */
export function short_filter(x: usize, rows: i32, taps: usize): void {
  for (let c: usize = 0; c < ROW; c += 16) {
    const first = v128.load(taps + c), second = v128.load(taps + c, 128), third = v128.load(taps + c, 256), bias = v128.load(taps + c, 384);
    let before2 = f32x4.splat(0), before1 = f32x4.splat(0);
    let p = x + c;
    for (let t = rows; t > 0; t--) {
      const v = v128.load(p);
      const s = f32x4.add(f32x4.mul(second, before1), f32x4.add(f32x4.mul(first, before2), bias));
      v128.store(p, f32x4.add(f32x4.mul(third, v), s));
      before2 = before1;
      before1 = v;
      p += ROW;
    }
  }
}

/** See core/kernel Set.Sine: rows of n values, each value times its frequency. */
export function sine(x: usize, frequency: usize, rows: i32, n: i32): void {
  for (let r = 0; r < rows; r++) {
    let f = frequency, i = n;
    for (; i >= 4; i -= 4) {
      v128.store(x, sineOfProduct(v128.load(f), v128.load(x)));
      f += 16;
      x += 16;
    }
    if (i > 0) {
      storePart(x, sineOfProduct(loadPart(f, i), loadPart(x, i)), i);
      x += <usize>i << 2;
    }
  }
}

/**
 * sin(f·x). The product and its reduction by multiples of π are float64, as a
 * float32 product of a few hundred is already off by 1e-5; the rest is float32.
 */
// @ts-ignore: decorator
@inline
function sineOfProduct(f: v128, x: v128): v128 {
  const p0 = f64x2.mul(f64x2.promote_low_f32x4(f), f64x2.promote_low_f32x4(x));
  const p1 = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(f, f, 1, 1)), f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1)));
  // Added to 3·2^51, n is rounded and stands in the sum's low bits.
  const shifted0 = f64x2.add(f64x2.mul(p0, f64x2.splat(0.3183098861837907)), f64x2.splat(6755399441055744));
  const shifted1 = f64x2.add(f64x2.mul(p1, f64x2.splat(0.3183098861837907)), f64x2.splat(6755399441055744));
  const n0 = f64x2.sub(shifted0, f64x2.splat(6755399441055744)), n1 = f64x2.sub(shifted1, f64x2.splat(6755399441055744));
  const r0 = f64x2.sub(p0, f64x2.mul(n0, f64x2.splat(3.141592653589793)));
  const r1 = f64x2.sub(p1, f64x2.mul(n1, f64x2.splat(3.141592653589793)));
  const r = v128.shuffle<i64>(f32x4.demote_f64x2_zero(r0), f32x4.demote_f64x2_zero(r1), 0, 2);
  const n = v128.shuffle<i32>(shifted0, shifted1, 0, 2, 4, 6);

  // sin(r)/r is a polynomial of degree 4 in r² for |r| ≤ π/2, off by less than
  // 4e-9; an odd multiple of π turns the sign.
  const u = f32x4.mul(r, r);
  let s = f32x4.add(f32x4.mul(f32x4.splat(2.591527618278633e-06), u), f32x4.splat(-0.0001980151719180867));
  s = f32x4.add(f32x4.mul(s, u), f32x4.splat(0.008332912810146809));
  s = f32x4.add(f32x4.mul(s, u), f32x4.splat(-0.16666649281978607));
  s = f32x4.add(f32x4.mul(f32x4.mul(s, u), r), r);
  return v128.xor(s, i32x4.shl(n, 31));
}

/** See core/kernel Set.Decay. */
export function decay(k: usize, t: usize, rows: i32, deltas: usize): void {
  for (let j = 0; j < rows; j++) {
    const time = f64x2.splat(-(<f64>load<f32>(t)));
    for (let c: usize = 0; c < ROW; c += 16) {
      const d = f32x4.abs(v128.load(deltas + c));
      const y0 = exponent(time, f64x2.promote_low_f32x4(d)), y1 = exponent(time, f64x2.promote_low_f32x4(v128.shuffle<i64>(d, d, 1, 1)));
      // Added to 3·2^51, n is rounded and stands in the sum's low bits.
      const shifted0 = f64x2.add(f64x2.mul(y0, f64x2.splat(1.4426950408889634)), f64x2.splat(6755399441055744));
      const shifted1 = f64x2.add(f64x2.mul(y1, f64x2.splat(1.4426950408889634)), f64x2.splat(6755399441055744));
      const n0 = f64x2.sub(shifted0, f64x2.splat(6755399441055744)), n1 = f64x2.sub(shifted1, f64x2.splat(6755399441055744));
      const r0 = f64x2.sub(y0, f64x2.mul(n0, f64x2.splat(0.6931471805599453)));
      const r1 = f64x2.sub(y1, f64x2.mul(n1, f64x2.splat(0.6931471805599453)));
      const r = v128.shuffle<i64>(f32x4.demote_f64x2_zero(r0), f32x4.demote_f64x2_zero(r1), 0, 2);
      const n = v128.shuffle<i32>(shifted0, shifted1, 0, 2, 4, 6);
      v128.store(k + c, f32x4.mul(v128.load(k + c), exponential(r, n)));
    }
    k += ROW;
    t += 4;
  }
}

/** -t·|d|, held where the exponential is a normal float32; beyond, taps are below 1e-37 of themselves. */
// @ts-ignore: decorator
@inline
function exponent(time: v128, d: v128): v128 {
  return f64x2.pmin(f64x2.pmax(f64x2.mul(time, d), f64x2.splat(-87)), f64x2.splat(87));
}
