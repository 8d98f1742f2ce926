// Long convolution by fast Fourier transform. For each channel's real input u
// of length L, zero outside, and P the power of two ≥ max(L, 64):
//
//     y[t] = D u[t] + sum of k_fwd[j] u[t-j] + sum of k_rev[i] u[t+1+i]
//
// as a circular convolution of length 2P. A real sequence g of length 2P is
// packed into P complex numbers g[2i] + i g[2i+1]; with E and O the spectra of
// its even and odd places, which the packed spectrum Z gives as
//
//     E[q] = (Z[q] + conj Z[P-q]) / 2,   O[q] = (Z[q] - conj Z[P-q]) / 2i,
//
// the spectrum of the convolution with a filter of parts F and G is
//
//     E' = F E + w G O,   O' = F O + G E,   w = exp(-2πi q / P),
//
// packed again as E' + i O'. Filters are stored packed in the same way, so
// the product is the only place that knows of the packing. D is added to the
// filter's place 0, the reverse taps stand at the end of its 2P places.
//
// Transforms are Stockham's, radix 8, with a last pass of radix 4 or 2 where
// the length asks for it; unscaled forwards. The inverse is the forward one
// with real and imaginary part exchanged before and after, scaled by 1/P.
// 256 invocations hold 2,048 complex numbers, 8 each, and exchange them
// through 16 KiB of workgroup memory, WebGPU's default limit; a short
// transform shares its workgroup with others.
//
// Unified (P ≤ 2,048): `unified` does the whole of a row in workgroup memory.
// Streamed (larger P = N1 · N2): `columns` transforms over n1 and multiplies by
// twiddles, `rows` transforms over n2, multiplies by the filter and goes back
// over k2, `columns_inverse` finishes; scratch holds (rows, N1, N2) complex
// numbers. Rows k1 and N1-k1 mirror each other and share a workgroup.
//
// Twiddles are host-made from 64-bit floats: WGSL's own sin and cos are only
// good to 2⁻¹¹.

override SIZE_LOG: u32 = 11;    // log2 of this dispatch's transforms, 3 to 11
override OTHER_LOG: u32 = 0;    // streamed: log2 of the other factor of P

const HELD = 2048u;             // complex numbers of a workgroup

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
@group(0) @binding(5) var<storage, read> spectrum: array<vec2<f32>>;  // (channels, P)
@group(0) @binding(6) var<storage, read_write> scratch: array<vec2<f32>>;  // (rows, P); for filters: the spectrum
@group(0) @binding(7) var<storage, read> skip: array<f32>;            // D term, (D)
@group(0) @binding(8) var<storage, read> deltas: array<f32>;          // decay rates, (D)
@group(0) @binding(9) var<storage, read> time: array<f32>;            // decay's time t, (Lmax)

var<workgroup> held: array<vec2<f32>, HELD>;

// Neighbouring invocations write 8 places apart in the first pass and in runs
// of 8 that are 64 apart in the second; the exclusive ors spread both over the
// banks.
fn place(i: u32) -> u32 { return i ^ ((i >> 4u) & 15u) ^ ((i >> 3u) & 8u); }

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(fma(a.x, b.x, -(a.y * b.y)), fma(a.x, b.y, a.y * b.x));
}

fn conjugate(a: vec2<f32>) -> vec2<f32> { return vec2<f32>(a.x, -a.y); }
fn times_i(a: vec2<f32>) -> vec2<f32> { return vec2<f32>(-a.y, a.x); }
fn over_i(a: vec2<f32>) -> vec2<f32> { return vec2<f32>(a.y, -a.x); }

// exp(-2πi k / 2^log) for 0 ≤ k < 2^log
fn root(log: u32, k: u32) -> vec2<f32> {
  let half = 1u << (log - 1u);
  let w = twiddle[half + (k & (half - 1u))];
  return select(w, -w, k >= half);
}

alias Eight = array<vec2<f32>, 8>;

fn radix8(v: ptr<function, Eight>) {
  const c = 0.70710678118654752;
  let a0 = (*v)[0] + (*v)[4]; let b0 = (*v)[0] - (*v)[4];
  let a1 = (*v)[1] + (*v)[5]; let d1 = (*v)[1] - (*v)[5];
  let a2 = (*v)[2] + (*v)[6]; let b2 = over_i((*v)[2] - (*v)[6]);
  let a3 = (*v)[3] + (*v)[7]; let d3 = (*v)[3] - (*v)[7];
  let b1 = vec2<f32>(d1.x + d1.y, d1.y - d1.x) * c;
  let b3 = vec2<f32>(d3.y - d3.x, -d3.x - d3.y) * c;
  let a02 = a0 + a2; let s02 = a0 - a2; let a13 = a1 + a3; let s13 = over_i(a1 - a3);
  let b02 = b0 + b2; let r02 = b0 - b2; let b13 = b1 + b3; let r13 = over_i(b1 - b3);
  (*v)[0] = a02 + a13; (*v)[4] = a02 - a13; (*v)[2] = s02 + s13; (*v)[6] = s02 - s13;
  (*v)[1] = b02 + b13; (*v)[5] = b02 - b13; (*v)[3] = r02 + r13; (*v)[7] = r02 - r13;
}

// Radix 4 and 2 over numbers s, s + 8/R, …, number r times w1^r.
fn last4(v: ptr<function, Eight>, s: u32, w1: vec2<f32>) {
  let w2 = multiply(w1, w1);
  let a = (*v)[s];
  let b = multiply((*v)[s + 2u], w1);
  let c = multiply((*v)[s + 4u], w2);
  let d = multiply((*v)[s + 6u], multiply(w1, w2));
  let even = a + c; let odd = b + d; let apart = a - c; let turned = over_i(b - d);
  (*v)[s] = even + odd; (*v)[s + 2u] = apart + turned; (*v)[s + 4u] = even - odd; (*v)[s + 6u] = apart - turned;
}

fn last2(v: ptr<function, Eight>, s: u32, w1: vec2<f32>) {
  let a = (*v)[s];
  let b = multiply((*v)[s + 4u], w1);
  (*v)[s] = a + b; (*v)[s + 4u] = a - b;
}

// Number q of v to or from place `at + q · step`: in workgroup memory …
fn hold(v: ptr<function, Eight>, at: u32, step: u32) {
  held[place(at + 0u * step)] = (*v)[0];
  held[place(at + 1u * step)] = (*v)[1];
  held[place(at + 2u * step)] = (*v)[2];
  held[place(at + 3u * step)] = (*v)[3];
  held[place(at + 4u * step)] = (*v)[4];
  held[place(at + 5u * step)] = (*v)[5];
  held[place(at + 6u * step)] = (*v)[6];
  held[place(at + 7u * step)] = (*v)[7];
}

fn fetch(v: ptr<function, Eight>, at: u32, step: u32) {
  (*v)[0] = held[place(at + 0u * step)];
  (*v)[1] = held[place(at + 1u * step)];
  (*v)[2] = held[place(at + 2u * step)];
  (*v)[3] = held[place(at + 3u * step)];
  (*v)[4] = held[place(at + 4u * step)];
  (*v)[5] = held[place(at + 5u * step)];
  (*v)[6] = held[place(at + 6u * step)];
  (*v)[7] = held[place(at + 7u * step)];
}

// … and in scratch.
fn store(v: ptr<function, Eight>, at: u32, step: u32) {
  scratch[at + 0u * step] = (*v)[0];
  scratch[at + 1u * step] = (*v)[1];
  scratch[at + 2u * step] = (*v)[2];
  scratch[at + 3u * step] = (*v)[3];
  scratch[at + 4u * step] = (*v)[4];
  scratch[at + 5u * step] = (*v)[5];
  scratch[at + 6u * step] = (*v)[6];
  scratch[at + 7u * step] = (*v)[7];
}

fn load(v: ptr<function, Eight>, at: u32, step: u32) {
  (*v)[0] = scratch[at + 0u * step];
  (*v)[1] = scratch[at + 1u * step];
  (*v)[2] = scratch[at + 2u * step];
  (*v)[3] = scratch[at + 3u * step];
  (*v)[4] = scratch[at + 4u * step];
  (*v)[5] = scratch[at + 5u * step];
  (*v)[6] = scratch[at + 6u * step];
  (*v)[7] = scratch[at + 7u * step];
}

// Transforms 2^SIZE_LOG numbers, forwards. Invocation j of the 2^SIZE_LOG / 8
// that share them holds numbers j + q·2^SIZE_LOG/8 in v[q], before and after.
// Number i lies at place(origin + i·step).
fn transform(v: ptr<function, Eight>, origin: u32, step: u32, j: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  for (var log = 0u; log < SIZE_LOG; log += 3u) {
    if (log > 0u) {
      workgroupBarrier();
      fetch(v, origin + j * step, eighth * step);
      workgroupBarrier();
    }
    if (log + 3u <= SIZE_LOG) {
      let k = j & ((1u << log) - 1u);
      if (log > 0u) {
        let w1 = root(log + 3u, k);
        let w2 = multiply(w1, w1);
        let w3 = multiply(w1, w2);
        let w4 = multiply(w2, w2);
        (*v)[1] = multiply((*v)[1], w1);
        (*v)[2] = multiply((*v)[2], w2);
        (*v)[3] = multiply((*v)[3], w3);
        (*v)[4] = multiply((*v)[4], w4);
        (*v)[5] = multiply((*v)[5], multiply(w4, w1));
        (*v)[6] = multiply((*v)[6], multiply(w3, w3));
        (*v)[7] = multiply((*v)[7], multiply(w4, w3));
      }
      radix8(v);
      if (log + 3u < SIZE_LOG) {
        let first = ((j - k) << 3u) + k;
        hold(v, origin + first * step, step << log);
      }
    } else if (SIZE_LOG % 3u == 2u) {
      last4(v, 0u, root(SIZE_LOG, j));
      last4(v, 1u, root(SIZE_LOG, j + eighth));
    } else {
      last2(v, 0u, root(SIZE_LOG, j));
      last2(v, 1u, root(SIZE_LOG, j + eighth));
      last2(v, 2u, root(SIZE_LOG, j + 2u * eighth));
      last2(v, 3u, root(SIZE_LOG, j + 3u * eighth));
    }
  }
}

// Multiplies the mirror pair of frequencies k and P-k, held at places a and b,
// by the filter, whose values there are fa and fb. The result is left with its
// parts exchanged, for the inverse transform.
fn filter_pair(a: u32, b: u32, fa: vec2<f32>, fb: vec2<f32>, w: vec2<f32>, scale: f32) {
  let za = held[a];
  let zb = conjugate(held[b]);
  let e = (za + zb) * 0.5;
  let o = over_i(za - zb) * 0.5;
  let f = (fa + conjugate(fb)) * 0.5;
  let g = over_i(fa - conjugate(fb)) * 0.5;
  let even = (multiply(f, e) + multiply(w, multiply(g, o))) * scale;
  let odd = (multiply(f, o) + multiply(g, e)) * scale;
  held[a] = (even + times_i(odd)).yx;
  held[b] = (conjugate(even) + times_i(conjugate(odd))).yx;
}

// Numbers 2i and 2i+1 of a row of u, as one complex number.
fn input_pair(first: u32, i: u32) -> vec2<f32> {
  var z = vec2<f32>();
  if (2u * i < shape.length) { z.x = u[first + 2u * i]; }
  if (2u * i + 1u < shape.length) { z.y = u[first + 2u * i + 1u]; }
  return z;
}

fn output(i: u32, value: f32) {
  if (shape.mode == 1u) {
    y[i] = value * gate[i];
  } else if (shape.mode == 2u) {
    y[i] += value;
  } else {
    y[i] = value;
  }
}

fn output_pair(first: u32, i: u32, z: vec2<f32>) {
  if (2u * i < shape.length) { output(first + 2u * i, z.x); }
  if (2u * i + 1u < shape.length) { output(first + 2u * i + 1u, z.y); }
}

// Place n of a filter's 2P places: forward taps from the front, reverse taps
// from the back, both under the decay exp(-t |delta|), and D at place 0.
fn filter_place(row: u32, n: u32, places: u32) -> f32 {
  let channel = shape.first_channel + row;
  let rate = abs(deltas[channel]);
  if (n < shape.length) {
    let tap = u[row * shape.row + n] * exp(-time[n] * rate);
    return tap + select(0.0, skip[channel], n == 0u);
  }
  let back = places - 1u - n;
  if (shape.tap_rows > 0u && back < shape.length) {
    return u[(shape.tap_rows + row) * shape.row + back] * exp(-time[back] * rate);
  }
  return 0.0;
}

// Places 2i and 2i+1 of a filter as one complex number, for i and its 7
// successors by `step`.
fn load_filter(v: ptr<function, Eight>, row: u32, i: u32, step: u32, places: u32) {
  (*v)[0] = vec2<f32>(filter_place(row, 2u * (i + 0u * step), places), filter_place(row, 2u * (i + 0u * step) + 1u, places));
  (*v)[1] = vec2<f32>(filter_place(row, 2u * (i + 1u * step), places), filter_place(row, 2u * (i + 1u * step) + 1u, places));
  (*v)[2] = vec2<f32>(filter_place(row, 2u * (i + 2u * step), places), filter_place(row, 2u * (i + 2u * step) + 1u, places));
  (*v)[3] = vec2<f32>(filter_place(row, 2u * (i + 3u * step), places), filter_place(row, 2u * (i + 3u * step) + 1u, places));
  (*v)[4] = vec2<f32>(filter_place(row, 2u * (i + 4u * step), places), filter_place(row, 2u * (i + 4u * step) + 1u, places));
  (*v)[5] = vec2<f32>(filter_place(row, 2u * (i + 5u * step), places), filter_place(row, 2u * (i + 5u * step) + 1u, places));
  (*v)[6] = vec2<f32>(filter_place(row, 2u * (i + 6u * step), places), filter_place(row, 2u * (i + 6u * step) + 1u, places));
  (*v)[7] = vec2<f32>(filter_place(row, 2u * (i + 7u * step), places), filter_place(row, 2u * (i + 7u * step) + 1u, places));
}

fn row_start(row: u32) -> u32 {
  return (shape.first_channel + row / shape.texts) * shape.row + (row % shape.texts) * shape.length;
}

@compute @workgroup_size(256)
fn unified_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let size = 8u * eighth;
  let j = id % eighth;
  let slot = id / eighth;
  let row = group.x * (HELD >> SIZE_LOG) + slot;
  var v: Eight;
  if (row < shape.rows) {
    load_filter(&v, row, j, eighth, 2u * size);
  }
  transform(&v, slot * size, 1u, j);
  workgroupBarrier();
  hold(&v, slot * size + j, eighth);
  workgroupBarrier();
  if (row < shape.rows) {
    for (var k = j; k < size; k += eighth) {
      let a = held[place(slot * size + k)];
      let b = conjugate(held[place(slot * size + ((size - k) & (size - 1u)))]);
      let even = (a + b) * 0.5;
      let odd = over_i(a - b) * 0.5;
      // The spectrum of the whole sequence; number P, which is real, goes with number 0.
      let h = select(even + multiply(root(SIZE_LOG + 1u, k), odd), vec2<f32>(even.x + odd.x, even.x - odd.x), k == 0u);
      scratch[(shape.filter_channel + row) * size + k] = h;
    }
  }
}

// In the column phases SIZE_LOG is log2 N1 and OTHER_LOG log2 N2; a workgroup
// takes 2,048 / N1 neighbouring columns n2. Twiddle k1·n2 of P is folded in.
fn twist(v: ptr<function, Eight>, n2: u32, j: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  (*v)[0] = multiply((*v)[0], root(SIZE_LOG + OTHER_LOG, (j + 0u * eighth) * n2));
  (*v)[1] = multiply((*v)[1], root(SIZE_LOG + OTHER_LOG, (j + 1u * eighth) * n2));
  (*v)[2] = multiply((*v)[2], root(SIZE_LOG + OTHER_LOG, (j + 2u * eighth) * n2));
  (*v)[3] = multiply((*v)[3], root(SIZE_LOG + OTHER_LOG, (j + 3u * eighth) * n2));
  (*v)[4] = multiply((*v)[4], root(SIZE_LOG + OTHER_LOG, (j + 4u * eighth) * n2));
  (*v)[5] = multiply((*v)[5], root(SIZE_LOG + OTHER_LOG, (j + 5u * eighth) * n2));
  (*v)[6] = multiply((*v)[6], root(SIZE_LOG + OTHER_LOG, (j + 6u * eighth) * n2));
  (*v)[7] = multiply((*v)[7], root(SIZE_LOG + OTHER_LOG, (j + 7u * eighth) * n2));
}

@compute @workgroup_size(256)
fn columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let wide = HELD >> SIZE_LOG;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let first = row_start(group.y);
  var v: Eight;
  v[0] = input_pair(first, ((j + 0u * eighth) << OTHER_LOG) + n2);
  v[1] = input_pair(first, ((j + 1u * eighth) << OTHER_LOG) + n2);
  v[2] = input_pair(first, ((j + 2u * eighth) << OTHER_LOG) + n2);
  v[3] = input_pair(first, ((j + 3u * eighth) << OTHER_LOG) + n2);
  transform(&v, column, wide, j);
  twist(&v, n2, j);
  store(&v, (group.y << (SIZE_LOG + OTHER_LOG)) + (j << OTHER_LOG) + n2, eighth << OTHER_LOG);
}

@compute @workgroup_size(256)
fn columns_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let wide = HELD >> SIZE_LOG;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let places = 2u << (SIZE_LOG + OTHER_LOG);
  var v: Eight;
  load_filter(&v, group.y, (j << OTHER_LOG) + n2, eighth << OTHER_LOG, places);
  transform(&v, column, wide, j);
  twist(&v, n2, j);
  store(&v, ((shape.filter_channel + group.y) << (SIZE_LOG + OTHER_LOG)) + (j << OTHER_LOG) + n2, eighth << OTHER_LOG);
}

@compute @workgroup_size(256)
fn columns_inverse(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let wide = HELD >> SIZE_LOG;
  let column = id % wide;
  let j = id / wide;
  let n2 = group.x * wide + column;
  let first = row_start(group.y);
  let start = group.y << (SIZE_LOG + OTHER_LOG);
  var v: Eight;
  load(&v, start + (j << OTHER_LOG) + n2, eighth << OTHER_LOG);
  twist(&v, n2, j);
  transform(&v, column, wide, j);
  output_pair(first, ((j + 0u * eighth) << OTHER_LOG) + n2, v[0].yx);
  output_pair(first, ((j + 1u * eighth) << OTHER_LOG) + n2, v[1].yx);
  output_pair(first, ((j + 2u * eighth) << OTHER_LOG) + n2, v[2].yx);
  output_pair(first, ((j + 3u * eighth) << OTHER_LOG) + n2, v[3].yx);
}

// In the row phases SIZE_LOG is log2 N2 and OTHER_LOG log2 N1. Pair 0 is rows 0
// and N1/2, which mirror themselves; pair p is rows p and N1-p.
fn pair_row(pair: u32, member: u32) -> u32 {
  let n1 = 1u << OTHER_LOG;
  if (member == 0u) { return pair; }
  return select(n1 - pair, n1 / 2u, pair == 0u);
}

@compute @workgroup_size(256)
fn rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let size = 8u * eighth;
  let j = id % eighth;
  let slot = id / eighth;
  let pair = group.x * (HELD >> SIZE_LOG) / 2u + slot / 2u;
  let member = slot & 1u;
  let live = 2u * pair < (1u << OTHER_LOG);
  let start = group.y << (SIZE_LOG + OTHER_LOG);
  let own = start + (pair_row(pair, member) << SIZE_LOG);
  let origin = slot * size;
  let filter_start = (shape.filter_channel + group.y / shape.texts) << (SIZE_LOG + OTHER_LOG);
  let scale = 1.0 / f32(1u << (SIZE_LOG + OTHER_LOG));
  var v: Eight;
  if (live) {
    load(&v, own + j, eighth);
  }
  for (var direction = 0u; direction < 2u; direction++) {
    transform(&v, origin, 1u, j);
    if (direction == 0u) {
      workgroupBarrier();
      hold(&v, origin + j, eighth);
      workgroupBarrier();
      if (live) {
        let both = (slot - member) * size;
        let last = select(size - 1u, size, pair == 0u);
        for (var x = member * eighth + j; x <= last; x += 2u * eighth) {
          // The pair's frequencies: member and place in the row of each.
          var row_a = 0u; var a = x;
          var row_b = 1u; var b = size - 1u - x;
          if (pair == 0u) {
            if (x <= size / 2u) {
              row_b = 0u; b = (size - x) & (size - 1u);
            } else {
              row_a = 1u; a = x - size / 2u - 1u;
              b = size - 1u - a;
            }
          }
          let k1a = pair_row(pair, row_a);
          let k1b = pair_row(pair, row_b);
          filter_pair(place(both + row_a * size + a), place(both + row_b * size + b),
                      spectrum[filter_start + (k1a << SIZE_LOG) + a], spectrum[filter_start + (k1b << SIZE_LOG) + b],
                      root(SIZE_LOG + OTHER_LOG, k1a + (a << OTHER_LOG)), scale);
        }
      }
      workgroupBarrier();
      fetch(&v, origin + j, eighth);
      workgroupBarrier();
    }
  }
  if (live) {
    store(&v, own + j, eighth);
  }
}

@compute @workgroup_size(256)
fn rows_filter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let eighth = 1u << (SIZE_LOG - 3u);
  let j = id % eighth;
  let slot = id / eighth;
  let k1 = group.x * (HELD >> SIZE_LOG) + slot;
  let live = k1 < (1u << OTHER_LOG);
  let own = (((shape.filter_channel + group.y) << OTHER_LOG) + k1) << SIZE_LOG;
  var v: Eight;
  if (live) {
    load(&v, own + j, eighth);
  }
  transform(&v, slot * 8u * eighth, 1u, j);
  if (live) {
    store(&v, own + j, eighth);
  }
}
