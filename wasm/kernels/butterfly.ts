// Passes of the Fourier transform over a group. A complex row is 128 bytes: 16
// real lanes, then 16 imaginary lanes. Four lanes at a time; nothing shuffles.

const ROW: usize = 128;
const IM: usize = 64;

// @ts-ignore: decorator
@inline
function productRe(ar: v128, ai: v128, br: v128, bi: v128): v128 {
  return f32x4.sub(f32x4.mul(ar, br), f32x4.mul(ai, bi));
}

// @ts-ignore: decorator
@inline
function productIm(ar: v128, ai: v128, br: v128, bi: v128): v128 {
  return f32x4.add(f32x4.mul(ar, bi), f32x4.mul(ai, br));
}

/** See core/kernel Set.Radix4Forward. */
export function radix4_forward(x: usize, n: i32, blocks: i32, twiddles: usize): void {
  const quarter = n >> 2;
  const span = <usize>quarter << 7;
  for (let block = 0; block < blocks; block++) {
    let w = twiddles;
    for (let j = 0; j < quarter; j++) {
      forwardRow(x, span, w);
      x += ROW;
      w += 24;
    }
    x += 3 * span;
  }
}

function forwardRow(x: usize, span: usize, w: usize): void {
  const b = x + span, c = b + span, d = c + span;
  for (let l: usize = 0; l < IM; l += 16) {
    const are = v128.load(x + l), aim = v128.load(x + l, 64), cre = v128.load(c + l), cim = v128.load(c + l, 64);
    const s0r = f32x4.add(are, cre), s0i = f32x4.add(aim, cim), s1r = f32x4.sub(are, cre), s1i = f32x4.sub(aim, cim);
    const bre = v128.load(b + l), bim = v128.load(b + l, 64), dre = v128.load(d + l), dim = v128.load(d + l, 64);
    const s2r = f32x4.add(bre, dre), s2i = f32x4.add(bim, dim), s3r = f32x4.sub(bim, dim), s3i = f32x4.sub(dre, bre);
    v128.store(x + l, f32x4.add(s0r, s2r));
    v128.store(x + l, f32x4.add(s0i, s2i), 64);
    const pr = f32x4.sub(s0r, s2r), pi = f32x4.sub(s0i, s2i), w2r = v128.load32_splat(w, 8), w2i = v128.load32_splat(w, 12);
    v128.store(b + l, productRe(pr, pi, w2r, w2i));
    v128.store(b + l, productIm(pr, pi, w2r, w2i), 64);
    const qr = f32x4.add(s1r, s3r), qi = f32x4.add(s1i, s3i), w1r = v128.load32_splat(w), w1i = v128.load32_splat(w, 4);
    v128.store(c + l, productRe(qr, qi, w1r, w1i));
    v128.store(c + l, productIm(qr, qi, w1r, w1i), 64);
    const rr = f32x4.sub(s1r, s3r), ri = f32x4.sub(s1i, s3i), w3r = v128.load32_splat(w, 16), w3i = v128.load32_splat(w, 20);
    v128.store(d + l, productRe(rr, ri, w3r, w3i));
    v128.store(d + l, productIm(rr, ri, w3r, w3i), 64);
  }
}

/** See core/kernel Set.Radix4Inverse. */
export function radix4_inverse(x: usize, n: i32, blocks: i32, twiddles: usize): void {
  const quarter = n >> 2;
  const span = <usize>quarter << 7;
  for (let block = 0; block < blocks; block++) {
    let w = twiddles;
    for (let j = 0; j < quarter; j++) {
      inverseRow(x, span, w);
      x += ROW;
      w += 24;
    }
    x += 3 * span;
  }
}

/** The product with the conjugate of b. */
// @ts-ignore: decorator
@inline
function conjugateRe(ar: v128, ai: v128, br: v128, bi: v128): v128 {
  return f32x4.add(f32x4.mul(ar, br), f32x4.mul(ai, bi));
}

// @ts-ignore: decorator
@inline
function conjugateIm(ar: v128, ai: v128, br: v128, bi: v128): v128 {
  return f32x4.sub(f32x4.mul(ai, br), f32x4.mul(ar, bi));
}

function inverseRow(x: usize, span: usize, w: usize): void {
  const b = x + span, c = b + span, d = c + span;
  for (let l: usize = 0; l < IM; l += 16) {
    const cre = v128.load(c + l), cim = v128.load(c + l, 64), w1r = v128.load32_splat(w), w1i = v128.load32_splat(w, 4);
    const cr = conjugateRe(cre, cim, w1r, w1i), ci = conjugateIm(cre, cim, w1r, w1i);
    const dre = v128.load(d + l), dim = v128.load(d + l, 64), w3r = v128.load32_splat(w, 16), w3i = v128.load32_splat(w, 20);
    const dr = conjugateRe(dre, dim, w3r, w3i), di = conjugateIm(dre, dim, w3r, w3i);
    const s1r = f32x4.add(cr, dr), s1i = f32x4.add(ci, di), s3r = f32x4.sub(di, ci), s3i = f32x4.sub(cr, dr);
    const bre = v128.load(b + l), bim = v128.load(b + l, 64), w2r = v128.load32_splat(w, 8), w2i = v128.load32_splat(w, 12);
    const br = conjugateRe(bre, bim, w2r, w2i), bi = conjugateIm(bre, bim, w2r, w2i);
    const are = v128.load(x + l), aim = v128.load(x + l, 64);
    const s0r = f32x4.add(are, br), s0i = f32x4.add(aim, bi), s2r = f32x4.sub(are, br), s2i = f32x4.sub(aim, bi);
    v128.store(x + l, f32x4.add(s0r, s1r));
    v128.store(x + l, f32x4.add(s0i, s1i), 64);
    v128.store(b + l, f32x4.add(s2r, s3r));
    v128.store(b + l, f32x4.add(s2i, s3i), 64);
    v128.store(c + l, f32x4.sub(s0r, s1r));
    v128.store(c + l, f32x4.sub(s0i, s1i), 64);
    v128.store(d + l, f32x4.sub(s2r, s3r));
    v128.store(d + l, f32x4.sub(s2i, s3i), 64);
  }
}

/** See core/kernel Set.Radix2. */
export function radix2(x: usize, blocks: i32): void {
  for (let block = 0; block < blocks; block++) {
    for (let l: usize = 0; l < ROW; l += 16) {
      const a = v128.load(x + l), b = v128.load(x + l, 128);
      v128.store(x + l, f32x4.add(a, b));
      v128.store(x + l, f32x4.sub(a, b), 128);
    }
    x += 2 * ROW;
  }
}

/** See core/kernel Set.SpectrumProduct. */
export function spectrum_product(x: usize, y: usize, kx: usize, ky: usize, pairs: i32): void {
  const last = <usize>(pairs - 1) << 7;
  y += last;
  ky += last;
  for (let i = 0; i < pairs; i++) {
    for (let l: usize = 0; l < IM; l += 16) {
      const xre = v128.load(x + l), xim = v128.load(x + l, 64), yre = v128.load(y + l), yim = v128.load(y + l, 64);
      const ar = f32x4.add(xre, yre), ai = f32x4.sub(xim, yim), br = f32x4.add(xim, yim), bi = f32x4.sub(yre, xre);
      const kre = v128.load(kx + l), kim = v128.load(kx + l, 64), lre = v128.load(ky + l), lim = v128.load(ky + l, 64);
      const pr = productRe(ar, ai, kre, kim), pi = productIm(ar, ai, kre, kim);
      const qr = productRe(br, bi, lre, lim), qi = productIm(br, bi, lre, lim);
      v128.store(x + l, f32x4.sub(pr, qi));
      v128.store(x + l, f32x4.add(pi, qr), 64);
      v128.store(y + l, f32x4.add(pr, qi));
      v128.store(y + l, f32x4.sub(qr, pi), 64);
    }
    x += ROW;
    kx += ROW;
    y -= ROW;
    ky -= ROW;
  }
}

/** See core/kernel Set.SpectrumSplit. */
export function spectrum_split(x: usize, y: usize, pairs: i32, scale: f32): void {
  y += <usize>(pairs - 1) << 7;
  const s = f32x4.splat(scale);
  for (let i = 0; i < pairs; i++) {
    for (let l: usize = 0; l < IM; l += 16) {
      const xre = v128.load(x + l), xim = v128.load(x + l, 64), yre = v128.load(y + l), yim = v128.load(y + l, 64);
      v128.store(x + l, f32x4.mul(s, f32x4.add(xre, yre)));
      v128.store(x + l, f32x4.mul(s, f32x4.sub(xim, yim)), 64);
      v128.store(y + l, f32x4.mul(s, f32x4.add(xim, yim)));
      v128.store(y + l, f32x4.mul(s, f32x4.sub(yre, xre)), 64);
    }
    x += ROW;
    y -= ROW;
  }
}
