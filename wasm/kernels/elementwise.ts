import { exponential } from "./exponential";
import { loadPart, storePart } from "./part";

/** See core/kernel Set.Multiply. */
export function multiply(dst: usize, a: usize, b: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    v128.store(dst, f32x4.mul(v128.load(a), v128.load(b)));
    dst += 16;
    a += 16;
    b += 16;
  }
  if (n > 0) storePart(dst, f32x4.mul(loadPart(a, n), loadPart(b, n)), n);
}

/** See core/kernel Set.MultiplyAdd. */
export function multiply_add(dst: usize, a: usize, b: usize, c: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    v128.store(dst, f32x4.add(f32x4.mul(v128.load(a), v128.load(b)), v128.load(c)));
    dst += 16;
    a += 16;
    b += 16;
    c += 16;
  }
  if (n > 0) storePart(dst, f32x4.add(f32x4.mul(loadPart(a, n), loadPart(b, n)), loadPart(c, n)), n);
}

/** See core/kernel Set.GeluGate; value 0 stands for ones. */
export function gelu_gate(dst: usize, gate: usize, value: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    let g = gelu(v128.load(gate));
    if (value) {
      g = f32x4.mul(g, v128.load(value));
      value += 16;
    }
    v128.store(dst, g);
    dst += 16;
    gate += 16;
  }
  if (n > 0) {
    let g = gelu(loadPart(gate, n));
    if (value) g = f32x4.mul(g, loadPart(value, n));
    storePart(dst, g, n);
  }
}

/**
 * gelu(x) = max(x, 0) - a·Φ(-a) with a = |x| and the normal distribution's
 * tail Φ(-a) = exp(-a²/2) · M(a). Beyond a = 13.19 the exponential would leave
 * the range of a float32. pmin and pmax are one instruction of the processor,
 * min and max eight; a NaN stays one through the tail.
 *
 * M is a polynomial of degree 8 in s = 1 / (1 + 0.3a), fitted (weighted least
 * squares with Lawson's reweighting, in float64) to erfcx(a/√2)/2 for
 * 0 ≤ a ≤ 14 with a relative error below 6e-8. The result is within 1e-7 of
 * the exact one for |x| ≤ 1 and within 1e-7·|x| beyond; negative tails keep a
 * relative accuracy of 4e-6.
 */
// @ts-ignore: decorator
@inline
function gelu(x: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), f32x4.splat(13.19));
  const s = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.3), a)));
  let m = f32x4.add(f32x4.mul(f32x4.splat(0.0383782796561718), s), f32x4.splat(-0.16916607320308685));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(0.2286600023508072));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(-0.07650639861822128));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(0.1425354778766632));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(0.09468354284763336));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(0.12192033976316452));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(0.1194876879453659));
  m = f32x4.add(f32x4.mul(m, s), f32x4.splat(7.168848242145032e-06));

  // e^y = 2^n · e^r; ln 2 in two parts keeps r exact to a float32's last bits.
  // Added to 3·2^22, n is rounded and stands in the sum's low bits.
  const y = f32x4.mul(f32x4.mul(a, a), f32x4.splat(-0.5));
  const shifted = f32x4.add(f32x4.mul(y, f32x4.splat(1.44269504)), f32x4.splat(12582912));
  const n = f32x4.sub(shifted, f32x4.splat(12582912));
  const r = f32x4.sub(f32x4.sub(y, f32x4.mul(n, f32x4.splat(0.693145752))), f32x4.mul(n, f32x4.splat(1.42860677e-6)));
  const tail = f32x4.mul(a, f32x4.mul(m, exponential(r, shifted)));
  return f32x4.sub(f32x4.pmax(f32x4.splat(0), x), tail);
}

/**
 * See core/kernel Set.LayerNorm. The sums are float64, in four lanes; residual
 * 0 stands for zeros.
 */
export function layer_norm(dst: usize, x: usize, residual: usize, weight: usize, bias: usize, n: i32, eps: f64): void {
  let sum0 = f64x2.splat(0), sum1 = f64x2.splat(0);
  let i = n, p = dst;
  for (; i >= 4; i -= 4) {
    let v = v128.load(x);
    if (residual) {
      v = f32x4.add(v, v128.load(residual));
      residual += 16;
    }
    v128.store(p, v);
    sum0 = f64x2.add(sum0, f64x2.promote_low_f32x4(v));
    sum1 = f64x2.add(sum1, f64x2.promote_low_f32x4(high(v)));
    x += 16;
    p += 16;
  }
  let sum = total(sum0, sum1);
  for (; i > 0; i--) {
    let v = load<f32>(x);
    if (residual) {
      v += load<f32>(residual);
      residual += 4;
    }
    store<f32>(p, v);
    sum += <f64>v;
    x += 4;
    p += 4;
  }
  const mean = sum / <f64>n, means = f64x2.splat(mean);

  let squares0 = f64x2.splat(0), squares1 = f64x2.splat(0);
  for (i = n, p = dst; i >= 4; i -= 4) {
    const v = v128.load(p);
    const d0 = f64x2.sub(f64x2.promote_low_f32x4(v), means), d1 = f64x2.sub(f64x2.promote_low_f32x4(high(v)), means);
    squares0 = f64x2.add(squares0, f64x2.mul(d0, d0));
    squares1 = f64x2.add(squares1, f64x2.mul(d1, d1));
    p += 16;
  }
  let squares = total(squares0, squares1);
  for (; i > 0; i--) {
    const d = <f64>load<f32>(p) - mean;
    squares += d * d;
    p += 4;
  }
  const inverse = 1 / Math.sqrt(squares / <f64>n + eps), inverses = f64x2.splat(inverse);

  for (i = n, p = dst; i >= 4; i -= 4) {
    const v = v128.load(p);
    const z0 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.sub(f64x2.promote_low_f32x4(v), means), inverses));
    const z1 = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.sub(f64x2.promote_low_f32x4(high(v)), means), inverses));
    const z = v128.shuffle<i64>(z0, z1, 0, 2);
    v128.store(p, f32x4.add(f32x4.mul(z, v128.load(weight)), v128.load(bias)));
    p += 16;
    weight += 16;
    bias += 16;
  }
  for (; i > 0; i--) {
    const z = <f32>((<f64>load<f32>(p) - mean) * inverse);
    store<f32>(p, z * load<f32>(weight) + load<f32>(bias));
    p += 4;
    weight += 4;
    bias += 4;
  }
}

// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return v128.shuffle<i64>(v, v, 1, 1);
}

// @ts-ignore: decorator
@inline
function total(a: v128, b: v128): f64 {
  return f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1) + (f64x2.extract_lane(b, 0) + f64x2.extract_lane(b, 1));
}
