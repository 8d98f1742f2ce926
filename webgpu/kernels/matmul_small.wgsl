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
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

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
  var w = load_weight(weight_from, s, inner);
  var v = load_x(x_from, s, inner);
  weight_tile[id] = w;
  x_tile[id] = v;
  workgroupBarrier();
  let rounds = (inner + slice - 1u) / slice;
  for (var round = 0u; round < rounds; round++) {
    let more = round + 1u < rounds;
    if (more) {
      w = load_weight(weight_from, s + (round + 1u) * slice, inner);
      v = load_x(x_from, s + (round + 1u) * slice, inner);
    }
    let slot = (round & 1u) * threads + part * square;
    for (var k = 0u; k < SIDE; k++) {
      let a = weight_tile[slot + k * SIDE + ty];
      let b = x_tile[slot + k * SIDE + tx];
      c[0] = fma(vec4<f32>(a.x), b, c[0]);
      c[1] = fma(vec4<f32>(a.y), b, c[1]);
      c[2] = fma(vec4<f32>(a.z), b, c[2]);
      c[3] = fma(vec4<f32>(a.w), b, c[3]);
    }
    if (more) {
      let to = ((round + 1u) & 1u) * threads + id;
      weight_tile[to] = w;
      x_tile[to] = v;
    }
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
      var sum = vec4<f32>(bias[channel]);
      for (var p = 0u; p < PARTS; p++) { sum += weight_tile[(i & 1u) * threads + p * square + own]; }
      y[shape.y_first + channel * shape.y_row + column] = sum;
    }
  }
}
