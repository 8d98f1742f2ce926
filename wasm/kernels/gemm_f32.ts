// Matrix product with packed panels of at most 8 output columns.
//
// Four rows of activations that were regrouped as (K, 4) are read through one
// address, which spares every step three additions and, in wazero, three bounds
// checks. Two forms of the 4 × 8 register tile over them add the same products
// in the same order, so they return the same bits, and differ in speed by
// engine:
//
// - rolled: one k a turn. Best in V8 and SpiderMonkey, whose register
//   allocators spill when the loop is unrolled.
// - unrolled: two k a turn, the highest addresses first. Best in wazero, which
//   pays for values carried round the loop and checks an address only when it
//   lies above those that it has checked.
//
// Rows that are left over, or were not regrouped, run row-major. Every
// accumulator has a fresh constant and each step is add(mul(x, w), c): other
// spellings of the same sum cost wazero up to a third.

/** Row-major activations, one panel; see core/kernel Set.GemmF32. */
export function gemm_f32(c: usize, ldc: i32, a: usize, lda: i32, m: i32, n: i32, k: i32, panel: usize, bias: usize): void {
  ldc <<= 2;
  lda <<= 2;
  if (n != 8 || k == 0) {
    narrow(c, ldc, a, lda, m, n, k, panel, bias);
    return;
  }
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    tile4x8(c, ldc, a, lda, k, panel, bias);
    a += lda << 2;
    c += ldc << 2;
  }
  for (; i < m; i++) {
    tile1x8(c, a, k, panel, bias);
    a += lda;
    c += ldc;
  }
}

/** The rolled form; see core/kernel Set.gemmF32Blocks. */
export function gemm_f32_blocks(c: usize, ldc: i32, blocks: usize, m: i32, n: i32, k: i32, panels: usize, bias: usize): void {
  overBlocks(c, ldc, blocks, m, n, k, panels, bias, false);
}

/** The unrolled form. */
export function gemm_f32_blocks_unrolled(c: usize, ldc: i32, blocks: usize, m: i32, n: i32, k: i32, panels: usize, bias: usize): void {
  overBlocks(c, ldc, blocks, m, n, k, panels, bias, true);
}

function overBlocks(c: usize, ldc: i32, blocks: usize, m: i32, n: i32, k: i32, panels: usize, bias: usize, unrolled: bool): void {
  ldc <<= 2;
  for (; n > 0; n -= 8) {
    let row = c, block = blocks;
    for (let i = m; i > 0; i -= 4) {
      if (unrolled) block4x8unrolled(row, ldc, block, k, panels, bias);
      else block4x8(row, ldc, block, k, panels, bias);
      row += ldc << 2;
      block += k << 4;
    }
    c += 32;
    panels += k << 5;
    if (bias) bias += 32;
  }
}

/** Regroups m rows (a multiple of 4) of n words of 4 bytes, `stride` bytes apart, as blocks (n, 4). */
export function interleave(dst: usize, src: usize, stride: i32, m: i32, n: i32): void {
  for (; m > 0; m -= 4) {
    let a = src, b = a + stride, c = b + stride, d = c + stride;
    src = d + stride;
    let i = n;
    for (; i >= 4; i -= 4) {
      const x = v128.load(a), y = v128.load(b), z = v128.load(c), w = v128.load(d);
      const xy = v128.shuffle<i32>(x, y, 0, 4, 1, 5), zw = v128.shuffle<i32>(z, w, 0, 4, 1, 5);
      const xyHigh = v128.shuffle<i32>(x, y, 2, 6, 3, 7), zwHigh = v128.shuffle<i32>(z, w, 2, 6, 3, 7);
      v128.store(dst, v128.shuffle<i64>(xy, zw, 0, 2));
      v128.store(dst, v128.shuffle<i64>(xy, zw, 1, 3), 16);
      v128.store(dst, v128.shuffle<i64>(xyHigh, zwHigh, 0, 2), 32);
      v128.store(dst, v128.shuffle<i64>(xyHigh, zwHigh, 1, 3), 48);
      a += 16;
      b += 16;
      c += 16;
      d += 16;
      dst += 64;
    }
    for (; i > 0; i--) {
      store<i32>(dst, load<i32>(a));
      store<i32>(dst, load<i32>(b), 4);
      store<i32>(dst, load<i32>(c), 8);
      store<i32>(dst, load<i32>(d), 12);
      a += 4;
      b += 4;
      c += 4;
      d += 4;
      dst += 16;
    }
  }
}

// @ts-ignore: decorator
@inline
function start(bias: usize, offset: usize): v128 {
  return bias ? v128.load(bias + offset) : f32x4.splat(0);
}

function block4x8(c: usize, ldc: i32, block: usize, k: i32, panel: usize, bias: usize): void {
  let c00 = start(bias, 0), c01 = start(bias, 16);
  let c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
  do {
    const b1 = v128.load(panel, 16), b0 = v128.load(panel);
    const x0 = v128.load32_splat(block);
    c00 = f32x4.add(f32x4.mul(x0, b0), c00);
    c01 = f32x4.add(f32x4.mul(x0, b1), c01);
    const x1 = v128.load32_splat(block, 4);
    c10 = f32x4.add(f32x4.mul(x1, b0), c10);
    c11 = f32x4.add(f32x4.mul(x1, b1), c11);
    const x2 = v128.load32_splat(block, 8);
    c20 = f32x4.add(f32x4.mul(x2, b0), c20);
    c21 = f32x4.add(f32x4.mul(x2, b1), c21);
    const x3 = v128.load32_splat(block, 12);
    c30 = f32x4.add(f32x4.mul(x3, b0), c30);
    c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    block += 16;
    panel += 32;
    k -= 1;
  } while (k);
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += ldc;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += ldc;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += ldc;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

function block4x8unrolled(c: usize, ldc: i32, block: usize, k: i32, panel: usize, bias: usize): void {
  let c00 = start(bias, 0), c01 = start(bias, 16);
  let c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
  for (; k >= 2; k -= 2) {
    {
      const b1 = v128.load(panel, 16), b0 = v128.load(panel);
      const x3 = v128.load32_splat(block, 12);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
      const x2 = v128.load32_splat(block, 8);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x1 = v128.load32_splat(block, 4);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x0 = v128.load32_splat(block);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
    }
    {
      const b1 = v128.load(panel, 48), b0 = v128.load(panel, 32);
      const x3 = v128.load32_splat(block, 28);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
      const x2 = v128.load32_splat(block, 24);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x1 = v128.load32_splat(block, 20);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x0 = v128.load32_splat(block, 16);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
    }
    block += 32;
    panel += 64;
  }
  if (k) {
    const b1 = v128.load(panel, 16), b0 = v128.load(panel);
    const x3 = v128.load32_splat(block, 12);
    c30 = f32x4.add(f32x4.mul(x3, b0), c30);
    c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    const x2 = v128.load32_splat(block, 8);
    c20 = f32x4.add(f32x4.mul(x2, b0), c20);
    c21 = f32x4.add(f32x4.mul(x2, b1), c21);
    const x1 = v128.load32_splat(block, 4);
    c10 = f32x4.add(f32x4.mul(x1, b0), c10);
    c11 = f32x4.add(f32x4.mul(x1, b1), c11);
    const x0 = v128.load32_splat(block);
    c00 = f32x4.add(f32x4.mul(x0, b0), c00);
    c01 = f32x4.add(f32x4.mul(x0, b1), c01);
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += ldc;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += ldc;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += ldc;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

function tile4x8(c: usize, ldc: i32, a: usize, lda: i32, k: i32, panel: usize, bias: usize): void {
  let c00 = start(bias, 0), c01 = start(bias, 16);
  let c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
  const lda2 = lda + lda, lda3 = lda2 + lda;
  do {
    const b1 = v128.load(panel, 16), b0 = v128.load(panel);
    const x0 = v128.load32_splat(a);
    c00 = f32x4.add(f32x4.mul(x0, b0), c00);
    c01 = f32x4.add(f32x4.mul(x0, b1), c01);
    const x1 = v128.load32_splat(a + lda);
    c10 = f32x4.add(f32x4.mul(x1, b0), c10);
    c11 = f32x4.add(f32x4.mul(x1, b1), c11);
    const x2 = v128.load32_splat(a + lda2);
    c20 = f32x4.add(f32x4.mul(x2, b0), c20);
    c21 = f32x4.add(f32x4.mul(x2, b1), c21);
    const x3 = v128.load32_splat(a + lda3);
    c30 = f32x4.add(f32x4.mul(x3, b0), c30);
    c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    a += 4;
    panel += 32;
    k -= 1;
  } while (k);
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += ldc;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += ldc;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += ldc;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

/** One row: the tail of the tiles, and texts of one row. */
function tile1x8(c: usize, a: usize, k: i32, panel: usize, bias: usize): void {
  let c0 = start(bias, 0), c1 = start(bias, 16);
  do {
    const b1 = v128.load(panel, 16), b0 = v128.load(panel);
    const x = v128.load32_splat(a);
    c0 = f32x4.add(f32x4.mul(x, b0), c0);
    c1 = f32x4.add(f32x4.mul(x, b1), c1);
    a += 4;
    panel += 32;
    k -= 1;
  } while (k);
  v128.store(c, c0);
  v128.store(c, c1, 16);
}

/** Panels of fewer than 8 columns (the last of a matrix), and k = 0. */
function narrow(c: usize, ldc: i32, a: usize, lda: i32, m: i32, n: i32, k: i32, panel: usize, bias: usize): void {
  for (let i = 0; i < m; i++) {
    let j = 0;
    for (; j + 4 <= n; j += 4) {
      let sum = start(bias, <usize>j << 2);
      let w = panel + (<usize>j << 2);
      for (let p = 0; p < k; p++) {
        sum = f32x4.add(f32x4.mul(v128.load32_splat(a + (<usize>p << 2)), v128.load(w)), sum);
        w += <usize>n << 2;
      }
      v128.store(c + (<usize>j << 2), sum);
    }
    for (; j < n; j++) {
      let sum: f32 = bias ? load<f32>(bias + (<usize>j << 2)) : 0;
      let w = panel + (<usize>j << 2);
      for (let p = 0; p < k; p++) {
        sum = load<f32>(a + (<usize>p << 2)) * load<f32>(w) + sum;
        w += <usize>n << 2;
      }
      store<f32>(c + (<usize>j << 2), sum);
    }
    a += lda;
    c += ldc;
  }
}
