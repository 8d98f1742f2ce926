// Products of quantised rows with packed panels of at most 8 columns, for 8-bit
// and for 16-bit weights: T is i8 or i16.
//
// A quantised row holds k int16 values, padded with zeros to a multiple of four.
// A panel holds for each pair of k, for each of 8 columns, the two weights; those
// of 8 bits are widened as they are loaded. i32x4.dot_i16x8_s then does two
// multiplications and an addition a lane. Missing columns are zero.
//
// The sums are integers, so every order of them is exact. Two pairs a turn are
// the best in all engines: one pays for the loop, more for their registers.

/** See core/kernel Integers.Gemm. */
export function gemm_i8(c: usize, ldc: i32, q: usize, rowScales: usize, m: i32, n: i32, k: i32, panel: usize, columnScales: usize, bias: usize): void {
  gemm<i8>(c, ldc, q, rowScales, m, n, k, panel, columnScales, bias);
}

export function gemm_i16(c: usize, ldc: i32, q: usize, rowScales: usize, m: i32, n: i32, k: i32, panel: usize, columnScales: usize, bias: usize): void {
  gemm<i16>(c, ldc, q, rowScales, m, n, k, panel, columnScales, bias);
}

/** See core/kernel Integers.gemmBlocks. */
export function gemm_i8_blocks(c: usize, ldc: i32, blocks: usize, rowScales: usize, m: i32, n: i32, k: i32, panels: usize, columnScales: usize, bias: usize): void {
  overBlocks<i8>(c, ldc, blocks, rowScales, m, n, k, panels, columnScales, bias);
}

export function gemm_i16_blocks(c: usize, ldc: i32, blocks: usize, rowScales: usize, m: i32, n: i32, k: i32, panels: usize, columnScales: usize, bias: usize): void {
  overBlocks<i16>(c, ldc, blocks, rowScales, m, n, k, panels, columnScales, bias);
}

/** Pairs of k: an even number. */
// @ts-ignore: decorator
@inline
function pairsOf(k: i32): i32 {
  return ((k + 3) >> 2) << 1;
}

/** Bytes of a panel for one pair of k. */
// @ts-ignore: decorator
@inline
function step<T>(): usize {
  return 16 * sizeof<T>();
}

/** The pairs of weights of the first and of the last four columns. */
// @ts-ignore: decorator
@inline
function left<T>(panel: usize): v128 {
  if (sizeof<T>() == 1) return v128.load8x8_s(panel);
  return v128.load(panel);
}

// @ts-ignore: decorator
@inline
function right<T>(panel: usize): v128 {
  if (sizeof<T>() == 1) return v128.load8x8_s(panel, 8);
  return v128.load(panel, 16);
}

function gemm<T>(c: usize, ldc: i32, q: usize, rowScales: usize, m: i32, n: i32, k: i32, panel: usize, columnScales: usize, bias: usize): void {
  ldc <<= 2;
  const pairs = pairsOf(k), stride = pairs << 2;
  if (n != 8 || pairs == 0) {
    narrow<T>(c, ldc, q, rowScales, m, n, pairs, panel, columnScales, bias);
    return;
  }
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    tile4x8<T>(c, ldc, q, stride, rowScales, pairs, panel, columnScales, bias);
    q += stride << 2;
    c += ldc << 2;
    rowScales += 16;
  }
  for (; i < m; i++) {
    tile1x8<T>(c, q, rowScales, pairs, panel, columnScales, bias);
    q += stride;
    c += ldc;
    rowScales += 4;
  }
}

function overBlocks<T>(c: usize, ldc: i32, blocks: usize, rowScales: usize, m: i32, n: i32, k: i32, panels: usize, columnScales: usize, bias: usize): void {
  ldc <<= 2;
  const pairs = pairsOf(k);
  for (; n > 0; n -= 8) {
    let row = c, block = blocks, scales = rowScales;
    for (let i = m; i > 0; i -= 4) {
      block4x8<T>(row, ldc, block, scales, pairs, panels, columnScales, bias);
      row += ldc << 2;
      block += pairs << 4;
      scales += 16;
    }
    c += 32;
    panels += <usize>pairs * step<T>();
    columnScales += 32;
    if (bias) bias += 32;
  }
}

/** Scales 8 integer sums of a row, adds the bias and stores them. */
// @ts-ignore: decorator
@inline
function finish(c: usize, s0: v128, s1: v128, rowScale: usize, columnScales: usize, bias: usize): void {
  const r = v128.load32_splat(rowScale);
  let f0 = f32x4.mul(f32x4.convert_i32x4_s(s0), f32x4.mul(r, v128.load(columnScales)));
  let f1 = f32x4.mul(f32x4.convert_i32x4_s(s1), f32x4.mul(r, v128.load(columnScales, 16)));
  if (bias) {
    f0 = f32x4.add(f0, v128.load(bias));
    f1 = f32x4.add(f1, v128.load(bias, 16));
  }
  v128.store(c, f0);
  v128.store(c, f1, 16);
}

/** Four rows that were regrouped as pairs of k (pairs, 4): see gemm_f32.ts. */
function block4x8<T>(c: usize, ldc: i32, block: usize, rowScales: usize, pairs: i32, panel: usize, columnScales: usize, bias: usize): void {
  let c00 = i32x4.splat(0), c01 = i32x4.splat(0), c10 = i32x4.splat(0), c11 = i32x4.splat(0);
  let c20 = i32x4.splat(0), c21 = i32x4.splat(0), c30 = i32x4.splat(0), c31 = i32x4.splat(0);
  for (; pairs > 0; pairs -= 2) {
    {
      const b1 = right<T>(panel), b0 = left<T>(panel);
      const x3 = v128.load32_splat(block, 12);
      c30 = i32x4.add(i32x4.dot_i16x8_s(x3, b0), c30);
      c31 = i32x4.add(i32x4.dot_i16x8_s(x3, b1), c31);
      const x2 = v128.load32_splat(block, 8);
      c20 = i32x4.add(i32x4.dot_i16x8_s(x2, b0), c20);
      c21 = i32x4.add(i32x4.dot_i16x8_s(x2, b1), c21);
      const x1 = v128.load32_splat(block, 4);
      c10 = i32x4.add(i32x4.dot_i16x8_s(x1, b0), c10);
      c11 = i32x4.add(i32x4.dot_i16x8_s(x1, b1), c11);
      const x0 = v128.load32_splat(block);
      c00 = i32x4.add(i32x4.dot_i16x8_s(x0, b0), c00);
      c01 = i32x4.add(i32x4.dot_i16x8_s(x0, b1), c01);
    }
    {
      const b1 = right<T>(panel + step<T>()), b0 = left<T>(panel + step<T>());
      const x3 = v128.load32_splat(block, 28);
      c30 = i32x4.add(i32x4.dot_i16x8_s(x3, b0), c30);
      c31 = i32x4.add(i32x4.dot_i16x8_s(x3, b1), c31);
      const x2 = v128.load32_splat(block, 24);
      c20 = i32x4.add(i32x4.dot_i16x8_s(x2, b0), c20);
      c21 = i32x4.add(i32x4.dot_i16x8_s(x2, b1), c21);
      const x1 = v128.load32_splat(block, 20);
      c10 = i32x4.add(i32x4.dot_i16x8_s(x1, b0), c10);
      c11 = i32x4.add(i32x4.dot_i16x8_s(x1, b1), c11);
      const x0 = v128.load32_splat(block, 16);
      c00 = i32x4.add(i32x4.dot_i16x8_s(x0, b0), c00);
      c01 = i32x4.add(i32x4.dot_i16x8_s(x0, b1), c01);
    }
    block += 32;
    panel += 2 * step<T>();
  }
  finish(c, c00, c01, rowScales, columnScales, bias);
  c += ldc;
  finish(c, c10, c11, rowScales + 4, columnScales, bias);
  c += ldc;
  finish(c, c20, c21, rowScales + 8, columnScales, bias);
  c += ldc;
  finish(c, c30, c31, rowScales + 12, columnScales, bias);
}

function tile4x8<T>(c: usize, ldc: i32, q: usize, stride: i32, rowScales: usize, pairs: i32, panel: usize, columnScales: usize, bias: usize): void {
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const stride2 = stride + stride, stride3 = stride2 + stride;
  do {
    const b1 = right<T>(panel), b0 = left<T>(panel);
    const x0 = v128.load32_splat(q);
    c00 = i32x4.add(i32x4.dot_i16x8_s(x0, b0), c00);
    c01 = i32x4.add(i32x4.dot_i16x8_s(x0, b1), c01);
    const x1 = v128.load32_splat(q + stride);
    c10 = i32x4.add(i32x4.dot_i16x8_s(x1, b0), c10);
    c11 = i32x4.add(i32x4.dot_i16x8_s(x1, b1), c11);
    const x2 = v128.load32_splat(q + stride2);
    c20 = i32x4.add(i32x4.dot_i16x8_s(x2, b0), c20);
    c21 = i32x4.add(i32x4.dot_i16x8_s(x2, b1), c21);
    const x3 = v128.load32_splat(q + stride3);
    c30 = i32x4.add(i32x4.dot_i16x8_s(x3, b0), c30);
    c31 = i32x4.add(i32x4.dot_i16x8_s(x3, b1), c31);
    q += 4;
    panel += step<T>();
    pairs -= 1;
  } while (pairs);
  finish(c, c00, c01, rowScales, columnScales, bias);
  c += ldc;
  finish(c, c10, c11, rowScales + 4, columnScales, bias);
  c += ldc;
  finish(c, c20, c21, rowScales + 8, columnScales, bias);
  c += ldc;
  finish(c, c30, c31, rowScales + 12, columnScales, bias);
}

function tile1x8<T>(c: usize, q: usize, rowScale: usize, pairs: i32, panel: usize, columnScales: usize, bias: usize): void {
  let c0 = i32x4.splat(0), c1 = c0;
  do {
    const b1 = right<T>(panel), b0 = left<T>(panel);
    const x = v128.load32_splat(q);
    c0 = i32x4.add(i32x4.dot_i16x8_s(x, b0), c0);
    c1 = i32x4.add(i32x4.dot_i16x8_s(x, b1), c1);
    q += 4;
    panel += step<T>();
    pairs -= 1;
  } while (pairs);
  finish(c, c0, c1, rowScale, columnScales, bias);
}

/** Panels of fewer than 8 columns, and k = 0. */
function narrow<T>(c: usize, ldc: i32, q: usize, rowScales: usize, m: i32, n: i32, pairs: i32, panel: usize, columnScales: usize, bias: usize): void {
  for (let i = 0; i < m; i++) {
    const scale = load<f32>(rowScales + (<usize>i << 2));
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < pairs; p++) {
        const x = q + (<usize>p << 2), w = panel + <usize>p * step<T>() + 2 * sizeof<T>() * j;
        sum += <i32>load<i16>(x) * <i32>load<T>(w) + <i32>load<i16>(x, 2) * <i32>load<T>(w + sizeof<T>());
      }
      let out = <f32>sum * (scale * load<f32>(columnScales + (<usize>j << 2)));
      if (bias) out += load<f32>(bias + (<usize>j << 2));
      store<f32>(c + (<usize>j << 2), out);
    }
    q += <usize>pairs << 2;
    c += ldc;
  }
}

/** See core/kernel Integers.Pack. */
export function pack_i8(panel: usize, w: usize, n: i32, k: i32): void {
  pack<i8>(panel, w, n, k);
}

export function pack_i16(panel: usize, w: usize, n: i32, k: i32): void {
  pack<i16>(panel, w, n, k);
}

function pack<T>(panel: usize, w: usize, n: i32, k: i32): void {
  const pairs = pairsOf(k), size = sizeof<T>();
  memory.fill(panel, 0, <usize>pairs * step<T>());
  for (let j = 0; j < n; j++) {
    let column = panel + 2 * size * j;
    for (let p = 0; p < k; p++) {
      store<T>(column, load<T>(w));
      w += size;
      column += p & 1 ? step<T>() - size : size;
    }
  }
}

/** See core/kernel Integers.Quantize; limit is what the largest magnitude of a row becomes. */
export function quantize_rows(q: usize, scales: usize, sums: usize, a: usize, lda: i32, m: i32, k: i32, limit: f32): void {
  for (let i = 0; i < m; i++) {
    quantizeRow(q, scales + (<usize>i << 2), sums + (<usize>i << 2), a, k, limit);
    a += <usize>lda << 2;
    q += <usize>((k + 3) & ~3) << 1;
  }
}

/** Rows whose largest magnitude is below this count as zeros: limit / largest would overflow. */
const SMALLEST: f32 = 1e-33;

function quantizeRow(q: usize, scale: usize, sum: usize, a: usize, k: i32, limit: f32): void {
  // The bits of magnitudes are ordered as the magnitudes are, NaN above all.
  let tops = i32x4.splat(0);
  let p = 0;
  for (; p + 4 <= k; p += 4) tops = i32x4.max_s(tops, v128.and(v128.load(a + (<usize>p << 2)), i32x4.splat(0x7fffffff)));
  let top = reinterpret<f32>(max(max(i32x4.extract_lane(tops, 0), i32x4.extract_lane(tops, 1)), max(i32x4.extract_lane(tops, 2), i32x4.extract_lane(tops, 3))));
  for (; p < k; p++) top = max(top, abs(load<f32>(a + (<usize>p << 2))));
  if (!(top >= SMALLEST && top <= f32.MAX_VALUE)) {
    // A row with a value that is no number, or infinite, has such a scale, so that no product with it is finite.
    store<f32>(scale, top < SMALLEST ? 0 : top);
    store<i32>(sum, 0);
    memory.fill(q, 0, <usize>((k + 3) & ~3) << 1);
    return;
  }
  store<f32>(scale, top / limit);
  const inverse: f32 = limit / top;
  const inverses = f32x4.splat(inverse);
  let totals = i32x4.splat(0);
  for (p = 0; p + 4 <= k; p += 4) {
    // Added to 3·2^22, a value is rounded to even and stands in the low bits.
    const r = i32x4.sub(f32x4.add(f32x4.mul(v128.load(a + (<usize>p << 2)), inverses), f32x4.splat(12582912)), i32x4.splat(0x4b400000));
    totals = i32x4.add(totals, r);
    v128.store64_lane(q + (<usize>p << 1), i16x8.narrow_i32x4_s(r, r), 0);
  }
  let total = i32x4.extract_lane(totals, 0) + i32x4.extract_lane(totals, 1) + i32x4.extract_lane(totals, 2) + i32x4.extract_lane(totals, 3);
  for (; p < k; p++) {
    const r = <i32>nearest(load<f32>(a + (<usize>p << 2)) * inverse);
    total += r;
    store<i16>(q + (<usize>p << 1), <i16>r);
  }
  for (; p & 3; p++) store<i16>(q + (<usize>p << 1), 0);
  store<i32>(sum, total);
}
