// The product of matmul.wgsl for small results: the same sums, buffers and
// parameters, cut into more pieces. A workgroup makes a tile of 4·SIDE × 4·SIDE
// sums, each invocation 4 × 4 of them, and PARTS groups of SIDE² invocations
// share the summed axis: group g takes the slices g, g + PARTS, … of SIDE
// summed elements each, and the sums meet in workgroup memory. Few columns
// would otherwise leave most of a GPU idle, each of its few workgroups waiting
// for one slice after the other.

override SIDE: u32 = 8;        // invocations along each side of the tile, 8 or 16
override PARTS: u32 = 4;       // groups that share the summed axis; SIDE² · PARTS ≤ 256
override HALF: bool = false;   // weights are 16-bit floats, two to a word; sums stay 32-bit
override AFTER: u32 = 0;       // what follows the sum: 0 nothing, 1 sine, 2 addition

struct Shape {
  inner: u32,          // p, summed elements of a block
  inner_total: u32,    // rows of x that exist; a ragged last block is cut here
  x_block: u32,        // rows of x from one block to the next: p, or 0 if blocks share x
  rows: u32,           // q, outputs of a block
  rows_total: u32,     // rows of y that exist
  columns: u32,        // columns to make, in groups of 4
  weight_first: u32,   // first weight, in groups of 4
  weight_row: u32,     // weights from one summed element to the next, in groups of 4
  weight_block: u32,   // weights from one block to the next, in groups of 4
  x_first: u32,        // first element of x, in groups of 4
  x_row: u32,          // elements of x from row to row, in groups of 4
  y_first: u32,        // first element of y, in groups of 4
  y_row: u32,          // elements of y from row to row, in groups of 4
  modulation: f32,     // w of the sine
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> other: array<vec4<f32>>;   // frequencies (rows of y), or what is added, laid out like y

// Two slices of each group alternate, which leaves one barrier a slice.
var<workgroup> weight_tile: array<vec4<f32>, 2 * SIDE * SIDE * PARTS>;
var<workgroup> x_tile: array<vec4<f32>, 2 * SIDE * SIDE * PARTS>;

fn load_weight(first: u32, s: u32, inner: u32) -> vec4<f32> {
  if (s >= inner) { return vec4<f32>(); }
  let i = first + s * shape.weight_row;
  if (HALF) {
    let pair = weight[i >> 1u];
    let w = select(pair.xy, pair.zw, (i & 1u) == 1u);
    return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y));
  }
  return bitcast<vec4<f32>>(weight[i]);
}

fn load_x(first: u32, s: u32, inner: u32) -> vec4<f32> {
  if (s >= inner) { return vec4<f32>(); }
  return x[first + s * shape.x_row];
}

// WGSL promises its own sin only to an absolute 2⁻¹¹, so the argument is
// reduced here to [-π/4, π/4] with π/2 in three parts, the first two short
// enough that their products with the quadrant number are exact, and a
// polynomial follows. Error about 1e-7 for |argument| up to some thousands.
fn accurate_sin(x: vec4<f32>) -> vec4<f32> {
  let n = round(x * 0.636619772);
  var r = fma(n, vec4<f32>(-1.5703125), x);
  r = fma(n, vec4<f32>(-4.83751297e-4), r);
  r = fma(n, vec4<f32>(-7.54978995e-8), r);
  let s = r * r;
  // Taylor's terms suffice on so short an interval.
  var sine = fma(s, vec4<f32>(2.75573192e-6), vec4<f32>(-1.98412698e-4));
  sine = fma(s, fma(s, sine, vec4<f32>(8.33333333e-3)), vec4<f32>(-0.166666667));
  sine = fma(r * s, sine, r);
  var cosine = fma(s, vec4<f32>(2.48015873e-5), vec4<f32>(-1.38888889e-3));
  cosine = fma(s, fma(s, cosine, vec4<f32>(4.16666667e-2)), vec4<f32>(-0.5));
  cosine = fma(s, cosine, vec4<f32>(1.0));
  let quadrant = vec4<u32>(vec4<i32>(n)) & vec4<u32>(3u);
  let value = select(sine, cosine, (quadrant & vec4<u32>(1u)) == vec4<u32>(1u));
  return select(value, -value, quadrant >= vec4<u32>(2u));
}

// Adds the bias to a channel's sums for output group i, and what follows.
fn finished(sum: vec4<f32>, channel: u32, i: u32) -> vec4<f32> {
  let v = sum + bias[channel];
  if (AFTER == 1u) { return accurate_sin(shape.modulation * other[channel / 4u][channel % 4u] * v); }
  if (AFTER == 2u) { return v + other[i]; }
  return v;
}

@compute @workgroup_size(SIDE * SIDE * PARTS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let square = SIDE * SIDE;
  let threads = square * PARTS;
  let first_inner = group.z * shape.x_block;
  let inner = min(shape.inner, max(shape.inner_total, first_inner) - first_inner);
  let first_row = group.z * shape.rows;
  let rows = min(shape.rows, max(shape.rows_total, first_row) - first_row);
  let part = id / square;
  let own = id % square;
  let tx = own % SIDE;
  let ty = own / SIDE;
  let weight_from = shape.weight_first + group.z * shape.weight_block + group.x * SIDE + tx;
  let x_from = shape.x_first + first_inner * shape.x_row + group.y * SIDE + tx;
  let slice = SIDE * PARTS;   // summed elements of a round
  let s = part * SIDE + ty;   // what this invocation fetches of it

  var c = array<vec4<f32>, 4>();
  weight_tile[id] = load_weight(weight_from, s, inner);
  x_tile[id] = load_x(x_from, s, inner);
  // The next round's slice, fetched two rounds ahead: a round is shorter than
  // the memory's delay.
  var w = load_weight(weight_from, s + slice, inner);
  var v = load_x(x_from, s + slice, inner);
  workgroupBarrier();
  let rounds = (inner + slice - 1u) / slice;
  for (var round = 0u; round < rounds; round++) {
    let w_after = load_weight(weight_from, s + (round + 2u) * slice, inner);
    let v_after = load_x(x_from, s + (round + 2u) * slice, inner);
    let slot = (round & 1u) * threads + part * square;
    for (var k = 0u; k < SIDE; k++) {
      let a = weight_tile[slot + k * SIDE + ty];
      let b = x_tile[slot + k * SIDE + tx];
      c[0] = fma(vec4<f32>(a.x), b, c[0]);
      c[1] = fma(vec4<f32>(a.y), b, c[1]);
      c[2] = fma(vec4<f32>(a.z), b, c[2]);
      c[3] = fma(vec4<f32>(a.w), b, c[3]);
    }
    let to = ((round + 1u) & 1u) * threads + id;
    weight_tile[to] = w;
    x_tile[to] = v;
    w = w_after;
    v = v_after;
    workgroupBarrier();
  }

  // Row i of every invocation's four is summed by group i modulo PARTS.
  let row = (group.x * SIDE + ty) * 4u;
  let column = group.y * SIDE + tx;
  for (var i = 0u; i < 4u; i++) {
    weight_tile[(i & 1u) * threads + id] = c[i];
    workgroupBarrier();
    if (part == i % PARTS && row + i < rows && column < shape.columns) {
      let channel = first_row + row + i;
      var sum = vec4<f32>();
      for (var p = 0u; p < PARTS; p++) { sum += weight_tile[(i & 1u) * threads + p * square + own]; }
      let at = shape.y_first + channel * shape.y_row + column;
      y[at] = finished(sum, channel, at);
    }
  }
}
