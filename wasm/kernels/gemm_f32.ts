// Matrix product over one packed panel of at most 8 output columns.
//
// Two forms of the 4 × 8 register tile add the same products in the same
// order, so they return the same bits, and differ in speed by engine:
//
// - rolled: one k a turn, each activation splat from memory. Best in V8 and
//   SpiderMonkey, whose register allocators spill when the loop is unrolled.
// - lanes: four k a turn, activations loaded as vectors and splat by
//   shuffles. Best in wazero, which pays for each bounds check and for the
//   values carried round the loop.
//
// Every accumulator has a fresh constant and each step is add(mul(x, w), c):
// other spellings of the same sum cost wazero up to a third.

/** The rolled form; see core/kernel Set.GemmF32. */
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

/** The lanes form. */
export function gemm_f32_lanes(c: usize, ldc: i32, a: usize, lda: i32, m: i32, n: i32, k: i32, panel: usize, bias: usize): void {
  if (n != 8 || k < 4) {
    gemm_f32(c, ldc, a, lda, m, n, k, panel, bias);
    return;
  }
  ldc <<= 2;
  lda <<= 2;
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    tile4x8lanes(c, ldc, a, lda, k, panel, bias);
    a += lda << 2;
    c += ldc << 2;
  }
  for (; i < m; i++) {
    tile1x8(c, a, k, panel, bias);
    a += lda;
    c += ldc;
  }
}

// @ts-ignore: decorator
@inline
function start(bias: usize, offset: usize): v128 {
  return bias ? v128.load(bias + offset) : f32x4.splat(0);
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

function tile4x8lanes(c: usize, ldc: i32, a: usize, lda: i32, k: i32, panel: usize, bias: usize): void {
  let c00 = start(bias, 0), c01 = start(bias, 16);
  let c10 = c00, c11 = c01, c20 = c00, c21 = c01, c30 = c00, c31 = c01;
  const lda2 = lda + lda, lda3 = lda2 + lda;
  do {
    const y0 = v128.load(a), y1 = v128.load(a + lda), y2 = v128.load(a + lda2), y3 = v128.load(a + lda3);
    {
      const b1 = v128.load(panel, 16), b0 = v128.load(panel, 0);
      const x0 = v128.shuffle<f32>(y0, y0, 0, 0, 0, 0);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
      const x1 = v128.shuffle<f32>(y1, y1, 0, 0, 0, 0);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x2 = v128.shuffle<f32>(y2, y2, 0, 0, 0, 0);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x3 = v128.shuffle<f32>(y3, y3, 0, 0, 0, 0);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    }
    {
      const b1 = v128.load(panel, 48), b0 = v128.load(panel, 32);
      const x0 = v128.shuffle<f32>(y0, y0, 1, 1, 1, 1);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
      const x1 = v128.shuffle<f32>(y1, y1, 1, 1, 1, 1);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x2 = v128.shuffle<f32>(y2, y2, 1, 1, 1, 1);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x3 = v128.shuffle<f32>(y3, y3, 1, 1, 1, 1);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    }
    {
      const b1 = v128.load(panel, 80), b0 = v128.load(panel, 64);
      const x0 = v128.shuffle<f32>(y0, y0, 2, 2, 2, 2);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
      const x1 = v128.shuffle<f32>(y1, y1, 2, 2, 2, 2);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x2 = v128.shuffle<f32>(y2, y2, 2, 2, 2, 2);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x3 = v128.shuffle<f32>(y3, y3, 2, 2, 2, 2);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    }
    {
      const b1 = v128.load(panel, 112), b0 = v128.load(panel, 96);
      const x0 = v128.shuffle<f32>(y0, y0, 3, 3, 3, 3);
      c00 = f32x4.add(f32x4.mul(x0, b0), c00);
      c01 = f32x4.add(f32x4.mul(x0, b1), c01);
      const x1 = v128.shuffle<f32>(y1, y1, 3, 3, 3, 3);
      c10 = f32x4.add(f32x4.mul(x1, b0), c10);
      c11 = f32x4.add(f32x4.mul(x1, b1), c11);
      const x2 = v128.shuffle<f32>(y2, y2, 3, 3, 3, 3);
      c20 = f32x4.add(f32x4.mul(x2, b0), c20);
      c21 = f32x4.add(f32x4.mul(x2, b1), c21);
      const x3 = v128.shuffle<f32>(y3, y3, 3, 3, 3, 3);
      c30 = f32x4.add(f32x4.mul(x3, b0), c30);
      c31 = f32x4.add(f32x4.mul(x3, b1), c31);
    }
    a += 16;
    panel += 128;
    k -= 4;
  } while (k >= 4);
  while (k) {
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
