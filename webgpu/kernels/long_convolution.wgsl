// Long convolution by fast Fourier transform. For each row's real input u of
// length L, zero outside, and P the power of two ≥ max(L, 64),
//
//     y[t] = D u[t] + sum of k_fwd[j] u[t-j] + sum of k_rev[i] u[t+1+i]
//
// as a circular convolution of length N = 2P. Channels a and b = a + 1 of a text
// travel as real and imaginary part of one complex sequence. With Z its
// spectrum and H_a, H_b those of the filters, the result's is
//
//     Y[k] = (H_a + H_b)/2 · Z[k] + (H_a - H_b)/2 · conj Z[N-k].
//
// (Two texts would share a filter and spare the second term, but then the
// rounding of one would depend on the other.) Filters are made in pairs too, and
// taken apart by H_a = (Z[k] + conj Z[N-k])/2, H_b = (Z[k] - conj Z[N-k])/2i.
// They are real, so H[N-k] = conj H[k]: P numbers hold a spectrum, 1/2N times the
// true one, with H[P], which is real like H[0], as number 0's imaginary part.
// D is added to the filter's place 0, the reverse taps stand at the end of its N
// places.
//
// Unified (P ≤ 2,048): `unified` does the whole of a row in workgroup memory.
// Streamed (larger N = N1 · N2, place n1·N2 + n2, number k1 + N1·k2): `columns`
// transforms over n1 and multiplies by roots of unity, `rows` transforms over
// n2, multiplies by the filter and goes back over k2, `columns_inverse`
// finishes. Scratch holds (pairs, N1, N2) complex numbers. Number k1 + N1·k2 is
// mirrored by N1-k1 + N1·(N2-1-k2), so rows k1 and N1-k1 meet in a workgroup, and
// row N1-k1 lies behind row k1; rows 0 and N1/2 mirror themselves. The spectra of
// channels a and b are one, H_a + H_b and H_a - H_b of a number side by side, which
// one load of 16 bytes brings: it has rows 0 to N1/2 - 1, halves of rows 0 and N1/2
// in row 0.
//
// Transforms are Stockham's, radix 16, with a last pass of radix 8, 4 or 2
// where the length asks for it. Each invocation holds 16 numbers, so that one
// exchange through workgroup memory does for 256, two for 4,096. The inverse is
// the forward transform with real and imaginary part exchanged before and after.
//
// Every index into an invocation's 16 numbers is a literal: a loop's index would
// move them from registers to memory, which costs a factor of four or more.
//
// Roots of unity are host-made from 64-bit floats: WGSL's own sin and cos are
// only good to 2⁻¹¹.

override SIZE_LOG: u32 = 12;    // log2 of this dispatch's transforms, 5 to 12
override OTHER_LOG: u32 = 0;    // streamed: log2 of the other factor of N
override THREADS: u32 = 256;    // invocations; 16 numbers each
// Real and imaginary parts go through workgroup memory one after the other
// (1), which takes 16 KiB for 256 invocations, or together (2).
override PLANES: u32 = 1;

struct Shape {
  rows: u32,            // rows of this dispatch: channels · texts, or channels of a filter
  texts: u32,           // B
  length: u32,          // L, or the number of taps of a filter
  row: u32,             // elements from channel to channel, or from tap row to tap row
  first_channel: u32,   // channel of row 0, in u, gate, y, D and deltas
  filter_channel: u32,  // channel of row 0 in the spectrum
  tap_rows: u32,        // rows of taps from the forward to the reverse network, 0 where there is none
  mode: u32,            // 0: y = convolution; 1: y = convolution · gate; 2: y += convolution
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> twiddle: array<vec2<f32>>;   // exp(-2πi k / 2^e) at 2^(e-1) + k
@group(0) @binding(2) var<storage, read> u: array<f32>;               // (D, columns); for filters: taps (2, rows, row)
@group(0) @binding(3) var<storage, read> gate: array<f32>;            // (D, columns)
@group(0) @binding(4) var<storage, read_write> y: array<f32>;         // (D, columns)
@group(0) @binding(5) var<storage, read> spectrum: array<vec2<f32>>;  // unified: (channels, P)
@group(0) @binding(5) var<storage, read> spectra: array<vec4<f32>>;   // streamed: (pairs of channels, P)
@group(0) @binding(6) var<storage, read_write> scratch: array<vec2<f32>>;  // (pairs, N); for filters: the spectrum
@group(0) @binding(6) var<storage, read> transformed: array<vec2<f32>>;    // the same, only read
@group(0) @binding(6) var<storage, read_write> numbers: array<vec4<f32>>;  // the same for filters, two numbers each
@group(0) @binding(7) var<storage, read> skip: array<f32>;            // D term, (D)
@group(0) @binding(8) var<storage, read> deltas: array<f32>;          // decay rates, (D)
@group(0) @binding(9) var<storage, read> time: array<f32>;            // decay's time t, (Lmax)

var<workgroup> held: array<f32, 16 * PLANES * THREADS>;

alias Sixteen = array<vec2<f32>, 16>;

// Neighbouring invocations write 16 places apart in the first pass, and in
// runs of 16 that are 256 apart in the second; the exclusive ors spread both
// over the 32 banks. place(a + b) = place(a) ^ place(b) where a and b share no
// bit, so that an invocation's 16 places are one number and 16 constants.
fn place(i: u32) -> u32 { return i ^ ((i >> 5u) & 31u) ^ ((i >> 4u) & 16u); }

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(fma(a.x, b.x, -(a.y * b.y)), fma(a.x, b.y, a.y * b.x));
}

fn conjugate(a: vec2<f32>) -> vec2<f32> { return vec2<f32>(a.x, -a.y); }
fn over_i(a: vec2<f32>) -> vec2<f32> { return vec2<f32>(a.y, -a.x); }

// exp(-2πi k / 2^log) for 0 ≤ k < 2^(log-1)
fn root(log: u32, k: u32) -> vec2<f32> { return twiddle[(1u << (log - 1u)) + k]; }

// Radix 4 in place: numbers a, b, c, d of v become outputs 0, 1, 2, 3.
fn radix4(v: ptr<function, Sixteen>, a: u32, b: u32, c: u32, d: u32) {
  let even = (*v)[a] + (*v)[c]; let apart = (*v)[a] - (*v)[c];
  let odd = (*v)[b] + (*v)[d]; let turned = over_i((*v)[b] - (*v)[d]);
  (*v)[a] = even + odd; (*v)[b] = apart + turned; (*v)[c] = even - odd; (*v)[d] = apart - turned;
}

fn swap(v: ptr<function, Sixteen>, a: u32, b: u32) {
  let t = (*v)[a];
  (*v)[a] = (*v)[b];
  (*v)[b] = t;
}

// Radix 16 as 4 · 4: the root exp(-2πi cr/16) stands between column c and
// output r; a last transposition puts the outputs in order.
fn radix16(v: ptr<function, Sixteen>) {
  const c = 0.92387953251128676;
  const s = 0.38268343236508977;
  const h = 0.70710678118654752;
  radix4(v, 0u, 4u, 8u, 12u); radix4(v, 1u, 5u, 9u, 13u);
  radix4(v, 2u, 6u, 10u, 14u); radix4(v, 3u, 7u, 11u, 15u);
  (*v)[5] = multiply((*v)[5], vec2<f32>(c, -s));
  (*v)[6] = vec2<f32>((*v)[6].x + (*v)[6].y, (*v)[6].y - (*v)[6].x) * h;
  (*v)[7] = multiply((*v)[7], vec2<f32>(s, -c));
  (*v)[9] = vec2<f32>((*v)[9].x + (*v)[9].y, (*v)[9].y - (*v)[9].x) * h;
  (*v)[10] = over_i((*v)[10]);
  (*v)[11] = vec2<f32>((*v)[11].y - (*v)[11].x, -(*v)[11].x - (*v)[11].y) * h;
  (*v)[13] = multiply((*v)[13], vec2<f32>(s, -c));
  (*v)[14] = vec2<f32>((*v)[14].y - (*v)[14].x, -(*v)[14].x - (*v)[14].y) * h;
  (*v)[15] = multiply((*v)[15], vec2<f32>(-c, s));
  radix4(v, 0u, 1u, 2u, 3u); radix4(v, 4u, 5u, 6u, 7u);
  radix4(v, 8u, 9u, 10u, 11u); radix4(v, 12u, 13u, 14u, 15u);
  swap(v, 1u, 4u); swap(v, 2u, 8u); swap(v, 3u, 12u);
  swap(v, 6u, 9u); swap(v, 7u, 13u); swap(v, 11u, 14u);
}

// Multiplies number q of v by w^q.
fn twist16(v: ptr<function, Sixteen>, w: vec2<f32>) {
  let w2 = multiply(w, w);
  let w3 = multiply(w, w2);
  let w4 = multiply(w2, w2);
  let w8 = multiply(w4, w4);
  let w12 = multiply(w4, w8);
  (*v)[1] = multiply((*v)[1], w);
  (*v)[2] = multiply((*v)[2], w2);
  (*v)[3] = multiply((*v)[3], w3);
  (*v)[4] = multiply((*v)[4], w4);
  (*v)[5] = multiply((*v)[5], multiply(w4, w));
  (*v)[6] = multiply((*v)[6], multiply(w4, w2));
  (*v)[7] = multiply((*v)[7], multiply(w4, w3));
  (*v)[8] = multiply((*v)[8], w8);
  (*v)[9] = multiply((*v)[9], multiply(w8, w));
  (*v)[10] = multiply((*v)[10], multiply(w8, w2));
  (*v)[11] = multiply((*v)[11], multiply(w8, w3));
  (*v)[12] = multiply((*v)[12], w12);
  (*v)[13] = multiply((*v)[13], multiply(w12, w));
  (*v)[14] = multiply((*v)[14], multiply(w12, w2));
  (*v)[15] = multiply((*v)[15], multiply(w12, w3));
}

// Radix 8, 4 and 2 over numbers s, s + 16/R, …, number r times w1^r.
fn last8(v: ptr<function, Sixteen>, s: u32, w1: vec2<f32>) {
  const h = 0.70710678118654752;
  let w2 = multiply(w1, w1);
  let w3 = multiply(w1, w2);
  let w4 = multiply(w2, w2);
  (*v)[s + 2u] = multiply((*v)[s + 2u], w1);
  (*v)[s + 4u] = multiply((*v)[s + 4u], w2);
  (*v)[s + 6u] = multiply((*v)[s + 6u], w3);
  (*v)[s + 8u] = multiply((*v)[s + 8u], w4);
  (*v)[s + 10u] = multiply((*v)[s + 10u], multiply(w4, w1));
  (*v)[s + 12u] = multiply((*v)[s + 12u], multiply(w3, w3));
  (*v)[s + 14u] = multiply((*v)[s + 14u], multiply(w4, w3));
  radix4(v, s, s + 4u, s + 8u, s + 12u);
  radix4(v, s + 2u, s + 6u, s + 10u, s + 14u);
  let b1 = vec2<f32>((*v)[s + 6u].x + (*v)[s + 6u].y, (*v)[s + 6u].y - (*v)[s + 6u].x) * h;
  let b2 = over_i((*v)[s + 10u]);
  let b3 = vec2<f32>((*v)[s + 14u].y - (*v)[s + 14u].x, -(*v)[s + 14u].x - (*v)[s + 14u].y) * h;
  let a0 = (*v)[s]; let a1 = (*v)[s + 4u]; let a2 = (*v)[s + 8u]; let a3 = (*v)[s + 12u];
  let b0 = (*v)[s + 2u];
  (*v)[s] = a0 + b0; (*v)[s + 8u] = a0 - b0;
  (*v)[s + 2u] = a1 + b1; (*v)[s + 10u] = a1 - b1;
  (*v)[s + 4u] = a2 + b2; (*v)[s + 12u] = a2 - b2;
  (*v)[s + 6u] = a3 + b3; (*v)[s + 14u] = a3 - b3;
}

fn last4(v: ptr<function, Sixteen>, s: u32, w1: vec2<f32>) {
  let w2 = multiply(w1, w1);
  (*v)[s + 4u] = multiply((*v)[s + 4u], w1);
  (*v)[s + 8u] = multiply((*v)[s + 8u], w2);
  (*v)[s + 12u] = multiply((*v)[s + 12u], multiply(w1, w2));
  radix4(v, s, s + 4u, s + 8u, s + 12u);
}

fn last2(v: ptr<function, Sixteen>, s: u32, w1: vec2<f32>) {
  let a = (*v)[s];
  let b = multiply((*v)[s + 8u], w1);
  (*v)[s] = a + b; (*v)[s + 8u] = a - b;
}

// The last pass where 4 does not divide SIZE_LOG.
fn last_pass(v: ptr<function, Sixteen>, j: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  if (SIZE_LOG % 4u == 3u) {
    last8(v, 0u, root(SIZE_LOG, j));
    last8(v, 1u, root(SIZE_LOG, j + threads));
  } else if (SIZE_LOG % 4u == 2u) {
    last4(v, 0u, root(SIZE_LOG, j));
    last4(v, 1u, root(SIZE_LOG, j + threads));
    last4(v, 2u, root(SIZE_LOG, j + 2u * threads));
    last4(v, 3u, root(SIZE_LOG, j + 3u * threads));
  } else {
    last2(v, 0u, root(SIZE_LOG, j));
    last2(v, 1u, root(SIZE_LOG, j + threads));
    last2(v, 2u, root(SIZE_LOG, j + 2u * threads));
    last2(v, 3u, root(SIZE_LOG, j + 3u * threads));
    last2(v, 4u, root(SIZE_LOG, j + 4u * threads));
    last2(v, 5u, root(SIZE_LOG, j + 5u * threads));
    last2(v, 6u, root(SIZE_LOG, j + 6u * threads));
    last2(v, 7u, root(SIZE_LOG, j + 7u * threads));
  }
}

// Real and imaginary parts of number q of v, to place to + q · step …
fn put_real(v: ptr<function, Sixteen>, to: u32, step: u32) {
  held[to ^ place(0u * step)] = (*v)[0].x; held[to ^ place(1u * step)] = (*v)[1].x;
  held[to ^ place(2u * step)] = (*v)[2].x; held[to ^ place(3u * step)] = (*v)[3].x;
  held[to ^ place(4u * step)] = (*v)[4].x; held[to ^ place(5u * step)] = (*v)[5].x;
  held[to ^ place(6u * step)] = (*v)[6].x; held[to ^ place(7u * step)] = (*v)[7].x;
  held[to ^ place(8u * step)] = (*v)[8].x; held[to ^ place(9u * step)] = (*v)[9].x;
  held[to ^ place(10u * step)] = (*v)[10].x; held[to ^ place(11u * step)] = (*v)[11].x;
  held[to ^ place(12u * step)] = (*v)[12].x; held[to ^ place(13u * step)] = (*v)[13].x;
  held[to ^ place(14u * step)] = (*v)[14].x; held[to ^ place(15u * step)] = (*v)[15].x;
}

fn put_imaginary(v: ptr<function, Sixteen>, to: u32, step: u32) {
  held[to ^ place(0u * step)] = (*v)[0].y; held[to ^ place(1u * step)] = (*v)[1].y;
  held[to ^ place(2u * step)] = (*v)[2].y; held[to ^ place(3u * step)] = (*v)[3].y;
  held[to ^ place(4u * step)] = (*v)[4].y; held[to ^ place(5u * step)] = (*v)[5].y;
  held[to ^ place(6u * step)] = (*v)[6].y; held[to ^ place(7u * step)] = (*v)[7].y;
  held[to ^ place(8u * step)] = (*v)[8].y; held[to ^ place(9u * step)] = (*v)[9].y;
  held[to ^ place(10u * step)] = (*v)[10].y; held[to ^ place(11u * step)] = (*v)[11].y;
  held[to ^ place(12u * step)] = (*v)[12].y; held[to ^ place(13u * step)] = (*v)[13].y;
  held[to ^ place(14u * step)] = (*v)[14].y; held[to ^ place(15u * step)] = (*v)[15].y;
}

// … and from place start + q · step.
fn get_real(v: ptr<function, Sixteen>, start: u32, step: u32) {
  (*v)[0].x = held[start ^ place(0u * step)]; (*v)[1].x = held[start ^ place(1u * step)];
  (*v)[2].x = held[start ^ place(2u * step)]; (*v)[3].x = held[start ^ place(3u * step)];
  (*v)[4].x = held[start ^ place(4u * step)]; (*v)[5].x = held[start ^ place(5u * step)];
  (*v)[6].x = held[start ^ place(6u * step)]; (*v)[7].x = held[start ^ place(7u * step)];
  (*v)[8].x = held[start ^ place(8u * step)]; (*v)[9].x = held[start ^ place(9u * step)];
  (*v)[10].x = held[start ^ place(10u * step)]; (*v)[11].x = held[start ^ place(11u * step)];
  (*v)[12].x = held[start ^ place(12u * step)]; (*v)[13].x = held[start ^ place(13u * step)];
  (*v)[14].x = held[start ^ place(14u * step)]; (*v)[15].x = held[start ^ place(15u * step)];
}

fn get_imaginary(v: ptr<function, Sixteen>, start: u32, step: u32) {
  (*v)[0].y = held[start ^ place(0u * step)]; (*v)[1].y = held[start ^ place(1u * step)];
  (*v)[2].y = held[start ^ place(2u * step)]; (*v)[3].y = held[start ^ place(3u * step)];
  (*v)[4].y = held[start ^ place(4u * step)]; (*v)[5].y = held[start ^ place(5u * step)];
  (*v)[6].y = held[start ^ place(6u * step)]; (*v)[7].y = held[start ^ place(7u * step)];
  (*v)[8].y = held[start ^ place(8u * step)]; (*v)[9].y = held[start ^ place(9u * step)];
  (*v)[10].y = held[start ^ place(10u * step)]; (*v)[11].y = held[start ^ place(11u * step)];
  (*v)[12].y = held[start ^ place(12u * step)]; (*v)[13].y = held[start ^ place(13u * step)];
  (*v)[14].y = held[start ^ place(14u * step)]; (*v)[15].y = held[start ^ place(15u * step)];
}

// Number q of v moves from place to + q · step to start + q · step; both are
// given through place().
fn exchange(v: ptr<function, Sixteen>, to: u32, to_step: u32, start: u32, step: u32) {
  let second = (PLANES - 1u) * 16u * THREADS;
  put_real(v, to, to_step);
  if (PLANES == 1u) {
    workgroupBarrier();
    get_real(v, start, step);
    workgroupBarrier();
  }
  put_imaginary(v, to | second, to_step);
  workgroupBarrier();
  if (PLANES == 2u) { get_real(v, start, step); }
  get_imaginary(v, start | second, step);
  workgroupBarrier();
}

// Number q of v becomes what stands at the mirrored place of another row, from
// its end on; a row that mirrors itself about number 0 is turned by one more.
fn exchange_mirrored(v: ptr<function, Sixteen>, origin: u32, other: u32, j: u32, turned: bool) {
  let threads = 1u << (SIZE_LOG - 4u);
  exchange(v, place(origin + j), threads, place(other + select(threads - 1u - j, (threads - j) & (threads - 1u), turned)), threads);
  let w = *v;
  let first = turned && j == 0u;
  (*v)[0] = select(w[15], w[0], first);
  (*v)[1] = select(w[14], w[15], first); (*v)[2] = select(w[13], w[14], first);
  (*v)[3] = select(w[12], w[13], first); (*v)[4] = select(w[11], w[12], first);
  (*v)[5] = select(w[10], w[11], first); (*v)[6] = select(w[9], w[10], first);
  (*v)[7] = select(w[8], w[9], first); (*v)[8] = select(w[7], w[8], first);
  (*v)[9] = select(w[6], w[7], first); (*v)[10] = select(w[5], w[6], first);
  (*v)[11] = select(w[4], w[5], first); (*v)[12] = select(w[3], w[4], first);
  (*v)[13] = select(w[2], w[3], first); (*v)[14] = select(w[1], w[2], first);
  (*v)[15] = select(w[0], w[1], first);
}

// Transforms 2^SIZE_LOG numbers, forwards. Invocation j of the 2^SIZE_LOG / 16
// that share them holds numbers j + q·2^SIZE_LOG/16 in v[q], before and after.
// Number i lies at place(origin + i·step).
fn transform(v: ptr<function, Sixteen>, origin: u32, step: u32, j: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let own = place(origin + j * step);
  radix16(v);
  exchange(v, place(origin + 16u * j * step), step, own, threads * step);
  if (SIZE_LOG >= 8u) {
    twist16(v, root(8u, j & 15u));
    radix16(v);
  }
  if (SIZE_LOG > 8u) {
    let k = j & 15u;
    exchange(v, place(origin + (16u * (j - k) + k) * step), 16u * step, own, threads * step);
    if (SIZE_LOG == 12u) {
      twist16(v, root(12u, j));
      radix16(v);
    }
  }
  if (SIZE_LOG % 4u != 0u) { last_pass(v, j); }
}

// A row of u or y. Behind the last channel it has no elements, and begins where
// some row does.
struct Row { first: u32, length: u32 }

fn row_at(channel: u32, text: u32) -> Row {
  let exists = channel < shape.rows / shape.texts;
  let first = (shape.first_channel + select(0u, channel, exists)) * shape.row + text * shape.length;
  return Row(first, select(0u, shape.length, exists));
}

// Loads stand in no branch, so that none waits for another.
fn input(row: Row, i: u32) -> f32 { return select(0.0, u[row.first + min(i, shape.length - 1u)], i < row.length); }

fn inputs(a: Row, b: Row, i: u32) -> vec2<f32> { return vec2<f32>(input(a, i), input(b, i)); }

// What a number of the result meets: its gate, or what it is added to.
fn other(row: Row, i: u32) -> f32 {
  let at = row.first + min(i, shape.length - 1u);
  if (shape.mode == 1u) { return gate[at]; }
  if (shape.mode == 2u) { return y[at]; }
  return 0.0;
}

fn others(a: Row, b: Row, i: u32) -> vec2<f32> { return vec2<f32>(other(a, i), other(b, i)); }

fn output(row: Row, i: u32, value: f32, met: f32) {
  if (i < row.length) { y[row.first + i] = select(value + met, value * met, shape.mode == 1u); }
}

// Parts are exchanged after the inverse.
fn outputs(a: Row, b: Row, i: u32, value: vec2<f32>, met: vec2<f32>) {
  output(a, i, value.y, met.x);
  output(b, i, value.x, met.y);
}

// Number z of a pair, whose mirror is m, by the sum and the difference of the
// filters a and b; parts exchanged for the inverse.
fn filtered(z: vec2<f32>, m: vec2<f32>, sum: vec2<f32>, difference: vec2<f32>) -> vec2<f32> {
  return (multiply(z, sum) + multiply(conjugate(m), difference)).yx;
}

// Filters' spectra a and b, scaled, of number z whose mirror is m.
fn apart(z: vec2<f32>, m: vec2<f32>, scale: f32) -> vec4<f32> {
  return vec4<f32>(z + conjugate(m), over_i(z - conjugate(m))) * scale;
}

// A filter's row: its first tap of either direction and its decay rate.
struct FilterRow { first: u32, reverse: u32, rate: f32, skip: f32, exists: bool }

fn filter_row(row: u32) -> FilterRow {
  let exists = row < shape.rows;
  let own = select(0u, row, exists);
  let channel = shape.first_channel + own;
  return FilterRow(own * shape.row, (shape.tap_rows + own) * shape.row, abs(deltas[channel]), skip[channel], exists);
}

// Places n < P and N-1-n of a filter's N places: forward taps from the front,
// reverse taps from the back, both under the decay exp(-t |delta|), and D at
// place 0. Loads stand in no branch, so that none waits for another.
fn forward_place(row: FilterRow, n: u32) -> f32 {
  let i = min(n, shape.length - 1u);
  let tap = u[row.first + i] * exp(-time[i] * row.rate) + select(0.0, row.skip, n == 0u);
  return select(0.0, tap, row.exists && n < shape.length);
}

fn reverse_place(row: FilterRow, n: u32) -> f32 {
  let i = min(n, shape.length - 1u);
  let tap = u[row.reverse + i] * exp(-time[i] * row.rate);
  return select(0.0, tap, row.exists && n < shape.length && shape.tap_rows > 0u);
}

// Places n, n + N/16, … of filters a and a + 1, for n < N/16.
fn load_filters(v: ptr<function, Sixteen>, a: u32, n: u32, places: u32) {
  let step = places / 16u;
  let first = filter_row(a);
  let second = filter_row(a + 1u);
  (*v)[0] = vec2<f32>(forward_place(first, n + 0u * step), forward_place(second, n + 0u * step));
  (*v)[1] = vec2<f32>(forward_place(first, n + 1u * step), forward_place(second, n + 1u * step));
  (*v)[2] = vec2<f32>(forward_place(first, n + 2u * step), forward_place(second, n + 2u * step));
  (*v)[3] = vec2<f32>(forward_place(first, n + 3u * step), forward_place(second, n + 3u * step));
  (*v)[4] = vec2<f32>(forward_place(first, n + 4u * step), forward_place(second, n + 4u * step));
  (*v)[5] = vec2<f32>(forward_place(first, n + 5u * step), forward_place(second, n + 5u * step));
  (*v)[6] = vec2<f32>(forward_place(first, n + 6u * step), forward_place(second, n + 6u * step));
  (*v)[7] = vec2<f32>(forward_place(first, n + 7u * step), forward_place(second, n + 7u * step));
  (*v)[8] = vec2<f32>(reverse_place(first, 8u * step - 1u - n), reverse_place(second, 8u * step - 1u - n));
  (*v)[9] = vec2<f32>(reverse_place(first, 7u * step - 1u - n), reverse_place(second, 7u * step - 1u - n));
  (*v)[10] = vec2<f32>(reverse_place(first, 6u * step - 1u - n), reverse_place(second, 6u * step - 1u - n));
  (*v)[11] = vec2<f32>(reverse_place(first, 5u * step - 1u - n), reverse_place(second, 5u * step - 1u - n));
  (*v)[12] = vec2<f32>(reverse_place(first, 4u * step - 1u - n), reverse_place(second, 4u * step - 1u - n));
  (*v)[13] = vec2<f32>(reverse_place(first, 3u * step - 1u - n), reverse_place(second, 3u * step - 1u - n));
  (*v)[14] = vec2<f32>(reverse_place(first, 2u * step - 1u - n), reverse_place(second, 2u * step - 1u - n));
  (*v)[15] = vec2<f32>(reverse_place(first, 1u * step - 1u - n), reverse_place(second, 1u * step - 1u - n));
}

// A unified filter's number k and, as the mirrored one's value, number k + P.
fn filter_at(channel: u32, k: u32) -> vec4<f32> {
  let size = 1u << (SIZE_LOG - 1u);
  let a = spectrum[channel * size + k];
  let b = conjugate(spectrum[channel * size + ((size - k) & (size - 1u))]);
  return select(vec4<f32>(a, b), vec4<f32>(a.x, 0.0, a.y, 0.0), k == 0u);
}

// Numbers q and q + 8 of v, k and k + P of the spectrum.
fn filter_numbers(v: ptr<function, Sixteen>, mirror: ptr<function, Sixteen>, q: u32, channel_a: u32, channel_b: u32, k: u32) {
  let a = filter_at(channel_a, k);
  let b = filter_at(channel_b, k);
  (*v)[q] = filtered((*v)[q], (*mirror)[q], a.xy + b.xy, a.xy - b.xy);
  (*v)[q + 8u] = filtered((*v)[q + 8u], (*mirror)[q + 8u], a.zw + b.zw, a.zw - b.zw);
}

@compute @workgroup_size(THREADS)
fn unified(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let j = id % threads;
  let slot = id / threads;
  let pair = group.x * (THREADS / threads) + slot;
  let a = 2u * (pair / shape.texts);
  let text = pair % shape.texts;
  let row_a = row_at(a, text);
  let row_b = row_at(a + 1u, text);
  let filter_a = shape.filter_channel + a;
  let filter_b = filter_a + select(0u, 1u, row_b.length > 0u);   // numbers behind the last filter could be none
  let origin = slot << SIZE_LOG;
  var v: Sixteen;
  v[0] = inputs(row_a, row_b, j + 0u * threads);
  v[1] = inputs(row_a, row_b, j + 1u * threads);
  v[2] = inputs(row_a, row_b, j + 2u * threads);
  v[3] = inputs(row_a, row_b, j + 3u * threads);
  v[4] = inputs(row_a, row_b, j + 4u * threads);
  v[5] = inputs(row_a, row_b, j + 5u * threads);
  v[6] = inputs(row_a, row_b, j + 6u * threads);
  v[7] = inputs(row_a, row_b, j + 7u * threads);
  for (var direction = 0u; direction < 2u; direction++) {
    transform(&v, origin, 1u, j);
    if (direction == 0u) {
      var mirror = v;
      exchange_mirrored(&mirror, origin, origin, j, true);
      filter_numbers(&v, &mirror, 0u, filter_a, filter_b, j + 0u * threads);
      filter_numbers(&v, &mirror, 1u, filter_a, filter_b, j + 1u * threads);
      filter_numbers(&v, &mirror, 2u, filter_a, filter_b, j + 2u * threads);
      filter_numbers(&v, &mirror, 3u, filter_a, filter_b, j + 3u * threads);
      filter_numbers(&v, &mirror, 4u, filter_a, filter_b, j + 4u * threads);
      filter_numbers(&v, &mirror, 5u, filter_a, filter_b, j + 5u * threads);
      filter_numbers(&v, &mirror, 6u, filter_a, filter_b, j + 6u * threads);
      filter_numbers(&v, &mirror, 7u, filter_a, filter_b, j + 7u * threads);
    }
  }
  // All loads before the first store: the compiler cannot tell that they differ.
  let m0 = others(row_a, row_b, j + 0u * threads);
  let m1 = others(row_a, row_b, j + 1u * threads);
  let m2 = others(row_a, row_b, j + 2u * threads);
  let m3 = others(row_a, row_b, j + 3u * threads);
  let m4 = others(row_a, row_b, j + 4u * threads);
  let m5 = others(row_a, row_b, j + 5u * threads);
  let m6 = others(row_a, row_b, j + 6u * threads);
  let m7 = others(row_a, row_b, j + 7u * threads);
  outputs(row_a, row_b, j + 0u * threads, v[0], m0);
  outputs(row_a, row_b, j + 1u * threads, v[1], m1);
  outputs(row_a, row_b, j + 2u * threads, v[2], m2);
  outputs(row_a, row_b, j + 3u * threads, v[3], m3);
  outputs(row_a, row_b, j + 4u * threads, v[4], m4);
  outputs(row_a, row_b, j + 5u * threads, v[5], m5);
  outputs(row_a, row_b, j + 6u * threads, v[6], m6);
  outputs(row_a, row_b, j + 7u * threads, v[7], m7);
}

@compute @workgroup_size(THREADS)
fn unified_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let j = id % threads;
  let slot = id / threads;
  let a = 2u * (group.x * (THREADS / threads) + slot);
  let origin = slot << SIZE_LOG;
  let places = 1u << SIZE_LOG;
  var v: Sixteen;
  load_filters(&v, a, j, places);
  transform(&v, origin, 1u, j);
  var mirror = v;
  exchange_mirrored(&mirror, origin, origin, j, true);
  let scale = 0.25 / f32(places);
  let to = ((shape.filter_channel + a) << (SIZE_LOG - 1u)) + j;
  let first = apart(v[0], mirror[0], scale);
  let middle = apart(v[8], mirror[8], scale);
  store_filters(a, to, select(first, vec4<f32>(first.x, middle.x, first.z, middle.z), j == 0u));
  store_filters(a, to + 1u * threads, apart(v[1], mirror[1], scale));
  store_filters(a, to + 2u * threads, apart(v[2], mirror[2], scale));
  store_filters(a, to + 3u * threads, apart(v[3], mirror[3], scale));
  store_filters(a, to + 4u * threads, apart(v[4], mirror[4], scale));
  store_filters(a, to + 5u * threads, apart(v[5], mirror[5], scale));
  store_filters(a, to + 6u * threads, apart(v[6], mirror[6], scale));
  store_filters(a, to + 7u * threads, apart(v[7], mirror[7], scale));
}

fn store_filters(a: u32, to: u32, number: vec4<f32>) {
  if (a < shape.rows) { scratch[to] = number.xy; }
  if (a + 1u < shape.rows) { scratch[to + (1u << (SIZE_LOG - 1u))] = number.zw; }
}

// In the column phases SIZE_LOG is log2 N1 and OTHER_LOG log2 N2; a workgroup
// takes 16·THREADS / N1 neighbouring columns n2 of a pair.

// The roots of N that turn numbers k1 = j + q·N1/16 of column n2: j·n2, and
// n2·N1/16 for each q. They are read before the numbers are exchanged.
struct Turn { first: vec2<f32>, step: vec2<f32> }

fn turn_of(n2: u32, j: u32) -> Turn {
  let log = SIZE_LOG + OTHER_LOG;
  return Turn(root(log, j * n2), root(log, n2 << (SIZE_LOG - 4u)));
}

// Multiplies number q of v by the root k1·n2 of N.
fn turn(v: ptr<function, Sixteen>, by: Turn) {
  twist16(v, by.step);
  (*v)[0] = multiply((*v)[0], by.first); (*v)[1] = multiply((*v)[1], by.first);
  (*v)[2] = multiply((*v)[2], by.first); (*v)[3] = multiply((*v)[3], by.first);
  (*v)[4] = multiply((*v)[4], by.first); (*v)[5] = multiply((*v)[5], by.first);
  (*v)[6] = multiply((*v)[6], by.first); (*v)[7] = multiply((*v)[7], by.first);
  (*v)[8] = multiply((*v)[8], by.first); (*v)[9] = multiply((*v)[9], by.first);
  (*v)[10] = multiply((*v)[10], by.first); (*v)[11] = multiply((*v)[11], by.first);
  (*v)[12] = multiply((*v)[12], by.first); (*v)[13] = multiply((*v)[13], by.first);
  (*v)[14] = multiply((*v)[14], by.first); (*v)[15] = multiply((*v)[15], by.first);
}

// Where row k1 begins in a pair's scratch.
fn scratch_row(k1: u32) -> u32 {
  let half = 1u << (SIZE_LOG - 1u);
  return select(2u * k1, 2u * ((2u * half - k1) & (half - 1u)) + 1u, k1 >= half) << OTHER_LOG;
}

fn store_columns(v: ptr<function, Sixteen>, to: u32, j: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  scratch[to + scratch_row(j + 0u * threads)] = (*v)[0];
  scratch[to + scratch_row(j + 1u * threads)] = (*v)[1];
  scratch[to + scratch_row(j + 2u * threads)] = (*v)[2];
  scratch[to + scratch_row(j + 3u * threads)] = (*v)[3];
  scratch[to + scratch_row(j + 4u * threads)] = (*v)[4];
  scratch[to + scratch_row(j + 5u * threads)] = (*v)[5];
  scratch[to + scratch_row(j + 6u * threads)] = (*v)[6];
  scratch[to + scratch_row(j + 7u * threads)] = (*v)[7];
  scratch[to + scratch_row(j + 8u * threads)] = (*v)[8];
  scratch[to + scratch_row(j + 9u * threads)] = (*v)[9];
  scratch[to + scratch_row(j + 10u * threads)] = (*v)[10];
  scratch[to + scratch_row(j + 11u * threads)] = (*v)[11];
  scratch[to + scratch_row(j + 12u * threads)] = (*v)[12];
  scratch[to + scratch_row(j + 13u * threads)] = (*v)[13];
  scratch[to + scratch_row(j + 14u * threads)] = (*v)[14];
  scratch[to + scratch_row(j + 15u * threads)] = (*v)[15];
}

@compute @workgroup_size(THREADS)
fn columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let wide = THREADS / threads;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let by = turn_of(n2, j);
  let a = 2u * (group.y / shape.texts);
  let row_a = row_at(a, group.y % shape.texts);
  let row_b = row_at(a + 1u, group.y % shape.texts);
  var v: Sixteen;
  v[0] = inputs(row_a, row_b, ((j + 0u * threads) << OTHER_LOG) + n2);
  v[1] = inputs(row_a, row_b, ((j + 1u * threads) << OTHER_LOG) + n2);
  v[2] = inputs(row_a, row_b, ((j + 2u * threads) << OTHER_LOG) + n2);
  v[3] = inputs(row_a, row_b, ((j + 3u * threads) << OTHER_LOG) + n2);
  v[4] = inputs(row_a, row_b, ((j + 4u * threads) << OTHER_LOG) + n2);
  v[5] = inputs(row_a, row_b, ((j + 5u * threads) << OTHER_LOG) + n2);
  v[6] = inputs(row_a, row_b, ((j + 6u * threads) << OTHER_LOG) + n2);
  v[7] = inputs(row_a, row_b, ((j + 7u * threads) << OTHER_LOG) + n2);
  transform(&v, column, wide, j);
  turn(&v, by);
  store_columns(&v, (group.y << (SIZE_LOG + OTHER_LOG)) + n2, j);
}

@compute @workgroup_size(THREADS)
fn columns_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let wide = THREADS / threads;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let by = turn_of(n2, j);
  var v: Sixteen;
  load_filters(&v, 2u * group.y, (j << OTHER_LOG) + n2, 1u << (SIZE_LOG + OTHER_LOG));
  transform(&v, column, wide, j);
  turn(&v, by);
  store_columns(&v, (shape.filter_channel << (SIZE_LOG + OTHER_LOG - 1u)) + (group.y << (SIZE_LOG + OTHER_LOG)) + n2, j);
}

@compute @workgroup_size(THREADS)
fn columns_inverse(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let wide = THREADS / threads;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let by = turn_of(n2, j);
  let a = 2u * (group.y / shape.texts);
  let row_a = row_at(a, group.y % shape.texts);
  let row_b = row_at(a + 1u, group.y % shape.texts);
  let start = (group.y << (SIZE_LOG + OTHER_LOG)) + n2;
  var v: Sixteen;
  v[0] = transformed[start + scratch_row(j + 0u * threads)];
  v[1] = transformed[start + scratch_row(j + 1u * threads)];
  v[2] = transformed[start + scratch_row(j + 2u * threads)];
  v[3] = transformed[start + scratch_row(j + 3u * threads)];
  v[4] = transformed[start + scratch_row(j + 4u * threads)];
  v[5] = transformed[start + scratch_row(j + 5u * threads)];
  v[6] = transformed[start + scratch_row(j + 6u * threads)];
  v[7] = transformed[start + scratch_row(j + 7u * threads)];
  v[8] = transformed[start + scratch_row(j + 8u * threads)];
  v[9] = transformed[start + scratch_row(j + 9u * threads)];
  v[10] = transformed[start + scratch_row(j + 10u * threads)];
  v[11] = transformed[start + scratch_row(j + 11u * threads)];
  v[12] = transformed[start + scratch_row(j + 12u * threads)];
  v[13] = transformed[start + scratch_row(j + 13u * threads)];
  v[14] = transformed[start + scratch_row(j + 14u * threads)];
  v[15] = transformed[start + scratch_row(j + 15u * threads)];
  turn(&v, by);
  transform(&v, column, wide, j);
  // All loads before the first store: the compiler cannot tell that they differ.
  let m0 = others(row_a, row_b, ((j + 0u * threads) << OTHER_LOG) + n2);
  let m1 = others(row_a, row_b, ((j + 1u * threads) << OTHER_LOG) + n2);
  let m2 = others(row_a, row_b, ((j + 2u * threads) << OTHER_LOG) + n2);
  let m3 = others(row_a, row_b, ((j + 3u * threads) << OTHER_LOG) + n2);
  let m4 = others(row_a, row_b, ((j + 4u * threads) << OTHER_LOG) + n2);
  let m5 = others(row_a, row_b, ((j + 5u * threads) << OTHER_LOG) + n2);
  let m6 = others(row_a, row_b, ((j + 6u * threads) << OTHER_LOG) + n2);
  let m7 = others(row_a, row_b, ((j + 7u * threads) << OTHER_LOG) + n2);
  outputs(row_a, row_b, ((j + 0u * threads) << OTHER_LOG) + n2, v[0], m0);
  outputs(row_a, row_b, ((j + 1u * threads) << OTHER_LOG) + n2, v[1], m1);
  outputs(row_a, row_b, ((j + 2u * threads) << OTHER_LOG) + n2, v[2], m2);
  outputs(row_a, row_b, ((j + 3u * threads) << OTHER_LOG) + n2, v[3], m3);
  outputs(row_a, row_b, ((j + 4u * threads) << OTHER_LOG) + n2, v[4], m4);
  outputs(row_a, row_b, ((j + 5u * threads) << OTHER_LOG) + n2, v[5], m5);
  outputs(row_a, row_b, ((j + 6u * threads) << OTHER_LOG) + n2, v[6], m6);
  outputs(row_a, row_b, ((j + 7u * threads) << OTHER_LOG) + n2, v[7], m7);
}

// In the row phases SIZE_LOG is log2 N2 and OTHER_LOG log2 N1. Pair 0 is rows 0
// and N1/2, pair p is rows p and N1-p. An invocation of `rows` holds numbers
// i + q·N2/16 of the first row and, of the second, N2-1 less each of these, so that
// a number meets its mirror without an exchange and both take the same filter
// number. Only rows of pair 0 mirror themselves, through workgroup memory. Filters are
// read with the rows, before the first barrier. Workgroups are small, as all of
// one wait for one another, and exchange real and imaginary parts together.

// (pairs of the workgroup, two rows, N2)
var<workgroup> paired: array<vec2<f32>, 32 * THREADS>;

// As place(), for pairs of banks.
fn pair_place(i: u32) -> u32 { return i ^ ((i >> 4u) & 15u); }

fn put_pair(v: ptr<function, Sixteen>, to: u32, step: u32) {
  paired[to ^ pair_place(0u * step)] = (*v)[0]; paired[to ^ pair_place(1u * step)] = (*v)[1];
  paired[to ^ pair_place(2u * step)] = (*v)[2]; paired[to ^ pair_place(3u * step)] = (*v)[3];
  paired[to ^ pair_place(4u * step)] = (*v)[4]; paired[to ^ pair_place(5u * step)] = (*v)[5];
  paired[to ^ pair_place(6u * step)] = (*v)[6]; paired[to ^ pair_place(7u * step)] = (*v)[7];
  paired[to ^ pair_place(8u * step)] = (*v)[8]; paired[to ^ pair_place(9u * step)] = (*v)[9];
  paired[to ^ pair_place(10u * step)] = (*v)[10]; paired[to ^ pair_place(11u * step)] = (*v)[11];
  paired[to ^ pair_place(12u * step)] = (*v)[12]; paired[to ^ pair_place(13u * step)] = (*v)[13];
  paired[to ^ pair_place(14u * step)] = (*v)[14]; paired[to ^ pair_place(15u * step)] = (*v)[15];
}

fn get_pair(v: ptr<function, Sixteen>, start: u32, step: u32) {
  (*v)[0] = paired[start ^ pair_place(0u * step)]; (*v)[1] = paired[start ^ pair_place(1u * step)];
  (*v)[2] = paired[start ^ pair_place(2u * step)]; (*v)[3] = paired[start ^ pair_place(3u * step)];
  (*v)[4] = paired[start ^ pair_place(4u * step)]; (*v)[5] = paired[start ^ pair_place(5u * step)];
  (*v)[6] = paired[start ^ pair_place(6u * step)]; (*v)[7] = paired[start ^ pair_place(7u * step)];
  (*v)[8] = paired[start ^ pair_place(8u * step)]; (*v)[9] = paired[start ^ pair_place(9u * step)];
  (*v)[10] = paired[start ^ pair_place(10u * step)]; (*v)[11] = paired[start ^ pair_place(11u * step)];
  (*v)[12] = paired[start ^ pair_place(12u * step)]; (*v)[13] = paired[start ^ pair_place(13u * step)];
  (*v)[14] = paired[start ^ pair_place(14u * step)]; (*v)[15] = paired[start ^ pair_place(15u * step)];
}

// transform() for rows a and b, of which this invocation holds numbers from i and k on.
fn transform_pair(a: ptr<function, Sixteen>, b: ptr<function, Sixteen>, row_a: u32, row_b: u32, i: u32, k: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  radix16(a);
  radix16(b);
  put_pair(a, pair_place(row_a + 16u * i), 1u);
  put_pair(b, pair_place(row_b + 16u * k), 1u);
  workgroupBarrier();
  get_pair(a, pair_place(row_a + i), threads);
  get_pair(b, pair_place(row_b + k), threads);
  workgroupBarrier();
  if (SIZE_LOG >= 8u) {
    twist16(a, root(8u, i & 15u));
    twist16(b, root(8u, k & 15u));
    radix16(a);
    radix16(b);
  }
  if (SIZE_LOG > 8u) {
    put_pair(a, pair_place(row_a + 16u * i - 15u * (i & 15u)), 16u);
    put_pair(b, pair_place(row_b + 16u * k - 15u * (k & 15u)), 16u);
    workgroupBarrier();
    get_pair(a, pair_place(row_a + i), threads);
    get_pair(b, pair_place(row_b + k), threads);
    workgroupBarrier();
  }
  if (SIZE_LOG % 4u != 0u) {
    last_pass(a, i);
    last_pass(b, k);
  }
}

// A pair's rows in workgroup memory and where its channels' filters begin. Alone:
// rows mirror themselves.
struct Pair { row_a: u32, row_b: u32, filters: u32, alone: bool }

// Number i of the filters' sum and of their difference.
fn filters_at(p: Pair, i: u32) -> vec4<f32> { return spectra[p.filters + i]; }

fn conjugates(f: vec4<f32>) -> vec4<f32> { return f * vec4<f32>(1.0, -1.0, 1.0, -1.0); }

// Filters number q of a, i of its row, by f, and its counterpart 15-q of b.
fn filter_pair(a: ptr<function, Sixteen>, b: ptr<function, Sixteen>, q: u32, i: u32, p: Pair, f: vec4<f32>) {
  let size = 1u << SIZE_LOG;
  let back = size - 1u - i;
  var own = f;
  var others = conjugates(f);
  var x = (*b)[15u - q];   // mirror of a's number
  var z = (*a)[q];         // mirror of b's
  if (p.alone) {
    others = conjugates(filters_at(p, size / 2u + i));
    if (q >= 8u) {
      own = conjugates(filters_at(p, back + 1u));
      others = filters_at(p, size / 2u + back);
    }
    // Number 0 holds two real ones, 0 and N/2.
    let ends = filters_at(p, 0u);
    if (i == 0u) { own = vec4<f32>(ends.x, 0.0, ends.z, 0.0); }
    if (i == size / 2u) { own = vec4<f32>(ends.y, 0.0, ends.w, 0.0); }
    x = paired[pair_place(p.row_a + ((back + 1u) & (size - 1u)))];
    z = paired[pair_place(p.row_b + i)];
  }
  (*a)[q] = filtered((*a)[q], x, own.xy, own.zw);
  (*b)[15u - q] = filtered((*b)[15u - q], z, others.xy, others.zw);
}

fn load_row(v: ptr<function, Sixteen>, start: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  (*v)[0] = scratch[start + 0u * threads]; (*v)[1] = scratch[start + 1u * threads];
  (*v)[2] = scratch[start + 2u * threads]; (*v)[3] = scratch[start + 3u * threads];
  (*v)[4] = scratch[start + 4u * threads]; (*v)[5] = scratch[start + 5u * threads];
  (*v)[6] = scratch[start + 6u * threads]; (*v)[7] = scratch[start + 7u * threads];
  (*v)[8] = scratch[start + 8u * threads]; (*v)[9] = scratch[start + 9u * threads];
  (*v)[10] = scratch[start + 10u * threads]; (*v)[11] = scratch[start + 11u * threads];
  (*v)[12] = scratch[start + 12u * threads]; (*v)[13] = scratch[start + 13u * threads];
  (*v)[14] = scratch[start + 14u * threads]; (*v)[15] = scratch[start + 15u * threads];
}

fn store_row(v: ptr<function, Sixteen>, to: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  scratch[to + 0u * threads] = (*v)[0]; scratch[to + 1u * threads] = (*v)[1];
  scratch[to + 2u * threads] = (*v)[2]; scratch[to + 3u * threads] = (*v)[3];
  scratch[to + 4u * threads] = (*v)[4]; scratch[to + 5u * threads] = (*v)[5];
  scratch[to + 6u * threads] = (*v)[6]; scratch[to + 7u * threads] = (*v)[7];
  scratch[to + 8u * threads] = (*v)[8]; scratch[to + 9u * threads] = (*v)[9];
  scratch[to + 10u * threads] = (*v)[10]; scratch[to + 11u * threads] = (*v)[11];
  scratch[to + 12u * threads] = (*v)[12]; scratch[to + 13u * threads] = (*v)[13];
  scratch[to + 14u * threads] = (*v)[14]; scratch[to + 15u * threads] = (*v)[15];
}

@compute @workgroup_size(THREADS)
fn rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let i = id % threads;
  let k = threads - 1u - i;
  let slot = id / threads;
  let pair = group.x * (THREADS / threads) + slot;
  let from_a = (group.y << (SIZE_LOG + OTHER_LOG)) + ((2u * pair) << SIZE_LOG) + i;
  let from_b = (group.y << (SIZE_LOG + OTHER_LOG)) + ((2u * pair + 1u) << SIZE_LOG) + k;
  let filters = (shape.filter_channel / 2u + group.y / shape.texts) << (SIZE_LOG + OTHER_LOG - 1u);
  let row_a = (2u * slot) << SIZE_LOG;
  let row_b = (2u * slot + 1u) << SIZE_LOG;
  let p = Pair(row_a, row_b, filters, pair == 0u);
  var a: Sixteen;
  var b: Sixteen;
  load_row(&a, from_a);
  load_row(&b, from_b);
  var f: array<vec4<f32>, 16>;
  f[0] = filters_at(p, (pair << SIZE_LOG) + i + 0u * threads);
  f[1] = filters_at(p, (pair << SIZE_LOG) + i + 1u * threads);
  f[2] = filters_at(p, (pair << SIZE_LOG) + i + 2u * threads);
  f[3] = filters_at(p, (pair << SIZE_LOG) + i + 3u * threads);
  f[4] = filters_at(p, (pair << SIZE_LOG) + i + 4u * threads);
  f[5] = filters_at(p, (pair << SIZE_LOG) + i + 5u * threads);
  f[6] = filters_at(p, (pair << SIZE_LOG) + i + 6u * threads);
  f[7] = filters_at(p, (pair << SIZE_LOG) + i + 7u * threads);
  f[8] = filters_at(p, (pair << SIZE_LOG) + i + 8u * threads);
  f[9] = filters_at(p, (pair << SIZE_LOG) + i + 9u * threads);
  f[10] = filters_at(p, (pair << SIZE_LOG) + i + 10u * threads);
  f[11] = filters_at(p, (pair << SIZE_LOG) + i + 11u * threads);
  f[12] = filters_at(p, (pair << SIZE_LOG) + i + 12u * threads);
  f[13] = filters_at(p, (pair << SIZE_LOG) + i + 13u * threads);
  f[14] = filters_at(p, (pair << SIZE_LOG) + i + 14u * threads);
  f[15] = filters_at(p, (pair << SIZE_LOG) + i + 15u * threads);
  for (var direction = 0u; direction < 2u; direction++) {
    transform_pair(&a, &b, row_a, row_b, i, k);
    if (direction == 0u) {
      if (group.x == 0u) {
        put_pair(&a, pair_place(row_a + i), threads);
        put_pair(&b, pair_place(row_b + k), threads);
        workgroupBarrier();
      }
      filter_pair(&a, &b, 0u, i + 0u * threads, p, f[0]);
      filter_pair(&a, &b, 1u, i + 1u * threads, p, f[1]);
      filter_pair(&a, &b, 2u, i + 2u * threads, p, f[2]);
      filter_pair(&a, &b, 3u, i + 3u * threads, p, f[3]);
      filter_pair(&a, &b, 4u, i + 4u * threads, p, f[4]);
      filter_pair(&a, &b, 5u, i + 5u * threads, p, f[5]);
      filter_pair(&a, &b, 6u, i + 6u * threads, p, f[6]);
      filter_pair(&a, &b, 7u, i + 7u * threads, p, f[7]);
      filter_pair(&a, &b, 8u, i + 8u * threads, p, f[8]);
      filter_pair(&a, &b, 9u, i + 9u * threads, p, f[9]);
      filter_pair(&a, &b, 10u, i + 10u * threads, p, f[10]);
      filter_pair(&a, &b, 11u, i + 11u * threads, p, f[11]);
      filter_pair(&a, &b, 12u, i + 12u * threads, p, f[12]);
      filter_pair(&a, &b, 13u, i + 13u * threads, p, f[13]);
      filter_pair(&a, &b, 14u, i + 14u * threads, p, f[14]);
      filter_pair(&a, &b, 15u, i + 15u * threads, p, f[15]);
      if (group.x == 0u) { workgroupBarrier(); }
    }
  }
  store_row(&a, from_a);
  store_row(&b, from_b);
}

// Pairs as in `rows`, but an invocation holds 16 numbers of one row; a pair's
// members are neighbours in workgroup memory. Each of them stores half of the
// first row's numbers, the second from their mirrors.
@compute @workgroup_size(THREADS)
fn rows_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  let j = id % threads;
  let slot = id / threads;
  let member = slot & 1u;
  let pair = group.x * (THREADS / threads / 2u) + slot / 2u;
  let half = 1u << (SIZE_LOG + OTHER_LOG - 1u);
  let start = (shape.filter_channel / 2u + group.y) * half + (pair << SIZE_LOG);   // of the pair's numbers, two each
  var v: Sixteen;
  load_filter_row(&v, start, (member << SIZE_LOG) + j);
  transform(&v, slot << SIZE_LOG, 1u, j);
  var mirror = v;
  exchange_mirrored(&mirror, slot << SIZE_LOG, select(slot ^ 1u, slot, pair == 0u) << SIZE_LOG, j, pair == 0u && member == 0u);
  let scale = 0.125 / f32(half);
  if (pair == 0u) {
    // Both halves of rows 0 and N1/2.
    let to = start + (member << (SIZE_LOG - 1u)) + j;
    let first = apart(v[0], mirror[0], scale);
    let middle = apart(v[8], mirror[8], scale);
    store_pair(to, select(first, vec4<f32>(first.x, middle.x, first.z, middle.z), member == 0u && j == 0u));
    store_pair(to + 1u * threads, apart(v[1], mirror[1], scale));
    store_pair(to + 2u * threads, apart(v[2], mirror[2], scale));
    store_pair(to + 3u * threads, apart(v[3], mirror[3], scale));
    store_pair(to + 4u * threads, apart(v[4], mirror[4], scale));
    store_pair(to + 5u * threads, apart(v[5], mirror[5], scale));
    store_pair(to + 6u * threads, apart(v[6], mirror[6], scale));
    store_pair(to + 7u * threads, apart(v[7], mirror[7], scale));
  } else if (member == 0u) {
    let to = start + j;
    store_pair(to + 8u * threads, apart(v[8], mirror[8], scale));
    store_pair(to + 9u * threads, apart(v[9], mirror[9], scale));
    store_pair(to + 10u * threads, apart(v[10], mirror[10], scale));
    store_pair(to + 11u * threads, apart(v[11], mirror[11], scale));
    store_pair(to + 12u * threads, apart(v[12], mirror[12], scale));
    store_pair(to + 13u * threads, apart(v[13], mirror[13], scale));
    store_pair(to + 14u * threads, apart(v[14], mirror[14], scale));
    store_pair(to + 15u * threads, apart(v[15], mirror[15], scale));
  } else {
    let to = start + (1u << SIZE_LOG) - 1u - j;
    store_pair(to - 8u * threads, conjugates(apart(v[8], mirror[8], scale)));
    store_pair(to - 9u * threads, conjugates(apart(v[9], mirror[9], scale)));
    store_pair(to - 10u * threads, conjugates(apart(v[10], mirror[10], scale)));
    store_pair(to - 11u * threads, conjugates(apart(v[11], mirror[11], scale)));
    store_pair(to - 12u * threads, conjugates(apart(v[12], mirror[12], scale)));
    store_pair(to - 13u * threads, conjugates(apart(v[13], mirror[13], scale)));
    store_pair(to - 14u * threads, conjugates(apart(v[14], mirror[14], scale)));
    store_pair(to - 15u * threads, conjugates(apart(v[15], mirror[15], scale)));
  }
}

// Number i behind two numbers each from start on.
fn filter_number(start: u32, i: u32) -> vec2<f32> {
  let two = numbers[start + (i >> 1u)];
  return select(two.xy, two.zw, (i & 1u) == 1u);
}

fn load_filter_row(v: ptr<function, Sixteen>, start: u32, i: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  (*v)[0] = filter_number(start, i + 0u * threads);
  (*v)[1] = filter_number(start, i + 1u * threads);
  (*v)[2] = filter_number(start, i + 2u * threads);
  (*v)[3] = filter_number(start, i + 3u * threads);
  (*v)[4] = filter_number(start, i + 4u * threads);
  (*v)[5] = filter_number(start, i + 5u * threads);
  (*v)[6] = filter_number(start, i + 6u * threads);
  (*v)[7] = filter_number(start, i + 7u * threads);
  (*v)[8] = filter_number(start, i + 8u * threads);
  (*v)[9] = filter_number(start, i + 9u * threads);
  (*v)[10] = filter_number(start, i + 10u * threads);
  (*v)[11] = filter_number(start, i + 11u * threads);
  (*v)[12] = filter_number(start, i + 12u * threads);
  (*v)[13] = filter_number(start, i + 13u * threads);
  (*v)[14] = filter_number(start, i + 14u * threads);
  (*v)[15] = filter_number(start, i + 15u * threads);
}

// Filters a and b of a number as their sum and difference.
fn store_pair(to: u32, filters: vec4<f32>) {
  numbers[to] = vec4<f32>(filters.xy + filters.zw, filters.xy - filters.zw);
}
