// The product of matmul.wgsl for small results: the same sums, buffers and
// parameters, cut into more pieces. A workgroup makes a tile of 4·SIDE × 4·SIDE
// sums, each invocation 4 × 4 of them, and PARTS groups of SIDE² invocations
// share the summed axis: group g takes the slices g, g + PARTS, … of SIDE
// summed elements each, and the sums meet in workgroup memory. Few columns
// would otherwise leave most of a GPU idle, each of its few workgroups waiting
// for one slice after the other.

override SIDE: u32 = 8;        // invocations along each side of the tile, 8 or 16
override PARTS: u32 = 4;       // groups that share the summed axis; SIDE² · PARTS ≤ 256
// include product.wgsl

// Two slices of each group alternate, which leaves one barrier a slice.
var<workgroup> weight_tile: array<vec4<f32>, 2 * SIDE * SIDE * PARTS>;
var<workgroup> x_tile: array<vec4<f32>, 2 * SIDE * SIDE * PARTS>;

fn weight_or_zero(first: u32, s: u32, inner: u32) -> vec4<f32> {
  if (s < inner) { return load_weight(first + s * shape.weight_row); }
  return vec4<f32>();
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
  let x_from = shape.x_first + first_inner * shape.x_row;
  let column = group.y * SIDE + tx;
  let slice = SIDE * PARTS;   // summed elements of a round
  let s = part * SIDE + ty;   // what this invocation fetches of it

  var c = array<vec4<f32>, 4>();
  weight_tile[id] = weight_or_zero(weight_from, s, inner);
  x_tile[id] = load_x(x_from, s, column, inner);
  // The next round's slice, fetched two rounds ahead: a round is shorter than
  // the memory's delay.
  var w = weight_or_zero(weight_from, s + slice, inner);
  var v = load_x(x_from, s + slice, column, inner);
  workgroupBarrier();
  let rounds = (inner + slice - 1u) / slice;
  for (var round = 0u; round < rounds; round++) {
    let w_after = weight_or_zero(weight_from, s + (round + 2u) * slice, inner);
    let v_after = load_x(x_from, s + (round + 2u) * slice, column, inner);
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
  for (var i = 0u; i < 4u; i++) {
    weight_tile[(i & 1u) * threads + id] = c[i];
    workgroupBarrier();
    if (part == i % PARTS && row + i < rows && column < shape.columns) {
      var sum = vec4<f32>();
      for (var p = 0u; p < PARTS; p++) { sum += weight_tile[(i & 1u) * threads + p * square + own]; }
      let channel = first_row + row + i;
      sum += bias[channel];
      if (AFTER == 2u) { sum += other[shape.y_first + channel * shape.y_row + column]; }
      store(row + i, column, rows, first_row, sum);
    }
  }
}
