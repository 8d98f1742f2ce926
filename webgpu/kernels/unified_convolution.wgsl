// Unified long convolution: the whole of a row in workgroup memory. For each
// row's real input u of length L, zero outside, and P the power of two
// ≥ max(L, 64), P ≤ 2,048,
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
// rounding of one would depend on the other.)
//
// Filters are real, so H[N-k] = conj H[k]: their spectra come as the numbers
// k < P, with H[P], which is real like H[0], as number 0's imaginary part.
//
// Transforms are Stockham's, radix 16, with a last pass of radix 8, 4 or 2
// where the length asks for it. Each invocation holds 16 numbers, so that two
// exchanges through workgroup memory do for 4,096. The inverse is the forward
// transform with real and imaginary part exchanged before and after.
//
// Every index into an invocation's 16 numbers is a literal: a loop's index would
// move them from registers to memory, which costs a factor of four or more.

override SIZE_LOG: u32 = 12;    // log2 N, 7 to 12
override THREADS: u32 = 256;    // invocations, N/16 for each pair of channels
// Real and imaginary parts go through workgroup memory one after the other
// (1), which takes 16 KiB for 256 invocations, or together (2).
override PLANES: u32 = 1;

struct Shape {
  rows: u32,            // rows of this dispatch: channels · texts
  texts: u32,           // B
  length: u32,          // L
  row: u32,             // elements from channel to channel
  first_channel: u32,   // channel of row 0, in u, gate and y
  filter_channel: u32,  // channel of row 0 in the spectrum
  tap_rows: u32,        // unused
  mode: u32,            // 0: y = convolution; 1: y = convolution · gate; 2: y += convolution
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> twiddle: array<vec2<f32>>;   // exp(-2πi k / 2^e) at 2^(e-1) + k
@group(0) @binding(2) var<storage, read> u: array<f32>;               // (D, columns)
@group(0) @binding(3) var<storage, read> gate: array<f32>;            // (D, columns)
@group(0) @binding(4) var<storage, read_write> y: array<f32>;         // (D, columns)
@group(0) @binding(5) var<storage, read> spectrum: array<vec2<f32>>;  // (channels, P)

var<workgroup> held: array<f32, 16 * PLANES * THREADS>;

alias Sixteen = array<vec2<f32>, 16>;

// Neighbouring invocations write 16 places apart in the first pass, and in
// runs of 16 that are 256 apart in the second; the exclusive ors spread both
// over the 32 banks.
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

// Real and imaginary parts of number q of v, to place at + q · step …
fn put_real(v: ptr<function, Sixteen>, to: u32, step: u32) {
  held[place(to + 0u * step)] = (*v)[0].x; held[place(to + 1u * step)] = (*v)[1].x;
  held[place(to + 2u * step)] = (*v)[2].x; held[place(to + 3u * step)] = (*v)[3].x;
  held[place(to + 4u * step)] = (*v)[4].x; held[place(to + 5u * step)] = (*v)[5].x;
  held[place(to + 6u * step)] = (*v)[6].x; held[place(to + 7u * step)] = (*v)[7].x;
  held[place(to + 8u * step)] = (*v)[8].x; held[place(to + 9u * step)] = (*v)[9].x;
  held[place(to + 10u * step)] = (*v)[10].x; held[place(to + 11u * step)] = (*v)[11].x;
  held[place(to + 12u * step)] = (*v)[12].x; held[place(to + 13u * step)] = (*v)[13].x;
  held[place(to + 14u * step)] = (*v)[14].x; held[place(to + 15u * step)] = (*v)[15].x;
}

fn put_imaginary(v: ptr<function, Sixteen>, to: u32, step: u32, second: u32) {
  held[second + place(to + 0u * step)] = (*v)[0].y; held[second + place(to + 1u * step)] = (*v)[1].y;
  held[second + place(to + 2u * step)] = (*v)[2].y; held[second + place(to + 3u * step)] = (*v)[3].y;
  held[second + place(to + 4u * step)] = (*v)[4].y; held[second + place(to + 5u * step)] = (*v)[5].y;
  held[second + place(to + 6u * step)] = (*v)[6].y; held[second + place(to + 7u * step)] = (*v)[7].y;
  held[second + place(to + 8u * step)] = (*v)[8].y; held[second + place(to + 9u * step)] = (*v)[9].y;
  held[second + place(to + 10u * step)] = (*v)[10].y; held[second + place(to + 11u * step)] = (*v)[11].y;
  held[second + place(to + 12u * step)] = (*v)[12].y; held[second + place(to + 13u * step)] = (*v)[13].y;
  held[second + place(to + 14u * step)] = (*v)[14].y; held[second + place(to + 15u * step)] = (*v)[15].y;
}

// … and from place start + q · step modulo N after origin.
fn get_real(v: ptr<function, Sixteen>, origin: u32, start: u32, step: u32) {
  let mask = (1u << SIZE_LOG) - 1u;
  (*v)[0].x = held[place(origin + ((start + 0u * step) & mask))]; (*v)[1].x = held[place(origin + ((start + 1u * step) & mask))];
  (*v)[2].x = held[place(origin + ((start + 2u * step) & mask))]; (*v)[3].x = held[place(origin + ((start + 3u * step) & mask))];
  (*v)[4].x = held[place(origin + ((start + 4u * step) & mask))]; (*v)[5].x = held[place(origin + ((start + 5u * step) & mask))];
  (*v)[6].x = held[place(origin + ((start + 6u * step) & mask))]; (*v)[7].x = held[place(origin + ((start + 7u * step) & mask))];
  (*v)[8].x = held[place(origin + ((start + 8u * step) & mask))]; (*v)[9].x = held[place(origin + ((start + 9u * step) & mask))];
  (*v)[10].x = held[place(origin + ((start + 10u * step) & mask))]; (*v)[11].x = held[place(origin + ((start + 11u * step) & mask))];
  (*v)[12].x = held[place(origin + ((start + 12u * step) & mask))]; (*v)[13].x = held[place(origin + ((start + 13u * step) & mask))];
  (*v)[14].x = held[place(origin + ((start + 14u * step) & mask))]; (*v)[15].x = held[place(origin + ((start + 15u * step) & mask))];
}

fn get_imaginary(v: ptr<function, Sixteen>, origin: u32, start: u32, step: u32, second: u32) {
  let mask = (1u << SIZE_LOG) - 1u;
  (*v)[0].y = held[second + place(origin + ((start + 0u * step) & mask))]; (*v)[1].y = held[second + place(origin + ((start + 1u * step) & mask))];
  (*v)[2].y = held[second + place(origin + ((start + 2u * step) & mask))]; (*v)[3].y = held[second + place(origin + ((start + 3u * step) & mask))];
  (*v)[4].y = held[second + place(origin + ((start + 4u * step) & mask))]; (*v)[5].y = held[second + place(origin + ((start + 5u * step) & mask))];
  (*v)[6].y = held[second + place(origin + ((start + 6u * step) & mask))]; (*v)[7].y = held[second + place(origin + ((start + 7u * step) & mask))];
  (*v)[8].y = held[second + place(origin + ((start + 8u * step) & mask))]; (*v)[9].y = held[second + place(origin + ((start + 9u * step) & mask))];
  (*v)[10].y = held[second + place(origin + ((start + 10u * step) & mask))]; (*v)[11].y = held[second + place(origin + ((start + 11u * step) & mask))];
  (*v)[12].y = held[second + place(origin + ((start + 12u * step) & mask))]; (*v)[13].y = held[second + place(origin + ((start + 13u * step) & mask))];
  (*v)[14].y = held[second + place(origin + ((start + 14u * step) & mask))]; (*v)[15].y = held[second + place(origin + ((start + 15u * step) & mask))];
}

fn exchange(v: ptr<function, Sixteen>, origin: u32, to: u32, to_step: u32, start: u32, step: u32) {
  let second = (PLANES - 1u) * 16u * THREADS;
  put_real(v, origin + to, to_step);
  if (PLANES == 1u) {
    workgroupBarrier();
    get_real(v, origin, start, step);
    workgroupBarrier();
  }
  put_imaginary(v, origin + to, to_step, second);
  workgroupBarrier();
  if (PLANES == 2u) { get_real(v, origin, start, step); }
  get_imaginary(v, origin, start, step, second);
  workgroupBarrier();
}

// Transforms N numbers, forwards. Invocation j of the N/16 that share them
// holds numbers j + q·N/16 in v[q], before and after.
fn transform(v: ptr<function, Sixteen>, origin: u32, j: u32) {
  let threads = 1u << (SIZE_LOG - 4u);
  for (var log = 0u; log + 4u <= SIZE_LOG; log += 4u) {
    let k = j & ((1u << log) - 1u);
    if (log > 0u) { twist16(v, root(log + 4u, k)); }
    radix16(v);
    if (log + 4u < SIZE_LOG) { exchange(v, origin, ((j - k) << 4u) + k, 1u << log, j, threads); }
  }
  if (SIZE_LOG % 4u != 0u) { last_pass(v, j); }
}

// The spectrum's numbers k and k + P, both in one.
fn filter_at(channel: u32, k: u32) -> vec4<f32> {
  let size = 1u << (SIZE_LOG - 1u);
  let a = spectrum[channel * size + k];
  let b = conjugate(spectrum[channel * size + ((size - k) & (size - 1u))]);
  return select(vec4<f32>(a, b), vec4<f32>(a.x, 0.0, a.y, 0.0), k == 0u);
}

// Numbers q and q + 8 of v by the filters of both channels, parts exchanged for
// the inverse.
fn filter_number(v: ptr<function, Sixteen>, mirror: ptr<function, Sixteen>, q: u32, channel_a: u32, channel_b: u32, k: u32, scale: f32) {
  let a = filter_at(channel_a, k) * (0.5 * scale);
  let b = filter_at(channel_b, k) * (0.5 * scale);
  let sum = a + b;
  let apart = a - b;
  (*v)[q] = (multiply((*v)[q], sum.xy) + multiply(conjugate((*mirror)[q]), apart.xy)).yx;
  (*v)[q + 8u] = (multiply((*v)[q + 8u], sum.zw) + multiply(conjugate((*mirror)[q + 8u]), apart.zw)).yx;
}

fn output(row: Row, place: u32, value: f32) {
  if (place >= row.length) { return; }
  let i = row.first + place;
  if (shape.mode == 1u) {
    y[i] = value * gate[i];
  } else if (shape.mode == 2u) {
    y[i] += value;
  } else {
    y[i] = value;
  }
}

// A row of u or y; it has no elements behind the last channel.
struct Row { first: u32, length: u32 }

fn input(row: Row, i: u32) -> f32 {
  if (i < row.length) { return u[row.first + i]; }
  return 0.0;
}

fn row_at(channel: u32, text: u32) -> Row {
  let first = (shape.first_channel + channel) * shape.row + text * shape.length;
  return Row(first, select(0u, shape.length, channel < shape.rows / shape.texts));
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
  let scale = 1.0 / f32(1u << SIZE_LOG);
  var v: Sixteen;
  v[0] = vec2<f32>(input(row_a, j + 0u * threads), input(row_b, j + 0u * threads));
  v[1] = vec2<f32>(input(row_a, j + 1u * threads), input(row_b, j + 1u * threads));
  v[2] = vec2<f32>(input(row_a, j + 2u * threads), input(row_b, j + 2u * threads));
  v[3] = vec2<f32>(input(row_a, j + 3u * threads), input(row_b, j + 3u * threads));
  v[4] = vec2<f32>(input(row_a, j + 4u * threads), input(row_b, j + 4u * threads));
  v[5] = vec2<f32>(input(row_a, j + 5u * threads), input(row_b, j + 5u * threads));
  v[6] = vec2<f32>(input(row_a, j + 6u * threads), input(row_b, j + 6u * threads));
  v[7] = vec2<f32>(input(row_a, j + 7u * threads), input(row_b, j + 7u * threads));
  for (var direction = 0u; direction < 2u; direction++) {
    transform(&v, origin, j);
    if (direction == 0u) {
      // Number k's mirror N-k: invocation N/16-j holds it, or for j = 0 itself.
      var mirror = v;
      exchange(&mirror, origin, j, threads, 0u - j, 0u - threads);
      filter_number(&v, &mirror, 0u, filter_a, filter_b, j + 0u * threads, scale);
      filter_number(&v, &mirror, 1u, filter_a, filter_b, j + 1u * threads, scale);
      filter_number(&v, &mirror, 2u, filter_a, filter_b, j + 2u * threads, scale);
      filter_number(&v, &mirror, 3u, filter_a, filter_b, j + 3u * threads, scale);
      filter_number(&v, &mirror, 4u, filter_a, filter_b, j + 4u * threads, scale);
      filter_number(&v, &mirror, 5u, filter_a, filter_b, j + 5u * threads, scale);
      filter_number(&v, &mirror, 6u, filter_a, filter_b, j + 6u * threads, scale);
      filter_number(&v, &mirror, 7u, filter_a, filter_b, j + 7u * threads, scale);
    }
  }
  output(row_a, j + 0u * threads, v[0].y); output(row_b, j + 0u * threads, v[0].x);
  output(row_a, j + 1u * threads, v[1].y); output(row_b, j + 1u * threads, v[1].x);
  output(row_a, j + 2u * threads, v[2].y); output(row_b, j + 2u * threads, v[2].x);
  output(row_a, j + 3u * threads, v[3].y); output(row_b, j + 3u * threads, v[3].x);
  output(row_a, j + 4u * threads, v[4].y); output(row_b, j + 4u * threads, v[4].x);
  output(row_a, j + 5u * threads, v[5].y); output(row_b, j + 5u * threads, v[5].x);
  output(row_a, j + 6u * threads, v[6].y); output(row_b, j + 6u * threads, v[6].x);
  output(row_a, j + 7u * threads, v[7].y); output(row_b, j + 7u * threads, v[7].x);
}
