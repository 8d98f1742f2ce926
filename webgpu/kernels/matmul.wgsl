// Matrix product with bias, dense or block-diagonal: for each block z
//
//     y[z·q + r, t] = bias[z·q + r] + sum over s < p of weight[z][s, r] · x[z·p + s, t]
//
// Activations are channel-major, (channels, columns), so that both operands
// have the summed axis first and reach workgroup memory without a transpose.
// Weights are stored the same way, (p, q) for each block.
//
// One workgroup makes a tile of 8·ROWS × 8·COLUMNS sums, each invocation 8 × 8
// of them: rows r and r + 4·ROWS, four neighbours each, and columns likewise,
// so that a subgroup's vector loads never collide in a bank. The summed axis
// advances by 8; the next slice is fetched into registers while the current
// one is multiplied, and two slices alternate in workgroup memory (16 KiB for
// a 128 × 128 tile), which leaves one barrier a slice.

override ROWS: u32 = 16;       // invocations along the tile's rows, 8 or 16
override COLUMNS: u32 = 16;    // invocations along the tile's columns, 8 or 16
// include product.wgsl

const DEPTH = 8u;

var<workgroup> weight_tile: array<vec4<f32>, 4 * DEPTH * ROWS>;
var<workgroup> x_tile: array<vec4<f32>, 4 * DEPTH * COLUMNS>;

// Four rows of two groups each: all loads before the first store, as the
// compiler cannot tell that they differ.
fn store4(row: u32, column: u32, right: u32, rows: u32, first_row: u32, a0: vec4<f32>, b0: vec4<f32>, a1: vec4<f32>, b1: vec4<f32>,
          a2: vec4<f32>, b2: vec4<f32>, a3: vec4<f32>, b3: vec4<f32>) {
  let s0 = a0 + addend(row, column, rows, first_row); let t0 = b0 + addend(row, right, rows, first_row);
  let s1 = a1 + addend(row + 1u, column, rows, first_row); let t1 = b1 + addend(row + 1u, right, rows, first_row);
  let s2 = a2 + addend(row + 2u, column, rows, first_row); let t2 = b2 + addend(row + 2u, right, rows, first_row);
  let s3 = a3 + addend(row + 3u, column, rows, first_row); let t3 = b3 + addend(row + 3u, right, rows, first_row);
  store(row, column, rows, first_row, s0); store(row, right, rows, first_row, t0);
  store(row + 1u, column, rows, first_row, s1); store(row + 1u, right, rows, first_row, t1);
  store(row + 2u, column, rows, first_row, s2); store(row + 2u, right, rows, first_row, t2);
  store(row + 3u, column, rows, first_row, s3); store(row + 3u, right, rows, first_row, t3);
}

@compute @workgroup_size(ROWS * COLUMNS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let threads = ROWS * COLUMNS;
  let first_inner = group.z * shape.x_block;
  let inner = min(shape.inner, max(shape.inner_total, first_inner) - first_inner);
  let first_row = group.z * shape.rows;
  let rows = min(shape.rows, max(shape.rows_total, first_row) - first_row);
  let tile_row = group.x * 8u * ROWS;
  let tile_column = group.y * 2u * COLUMNS;     // in groups of 4

  // A subgroup of 32 covers 4 × 8 invocations of the tile.
  let tx = (id % 8u) + 8u * ((id / 32u) % (COLUMNS / 8u));
  let ty = ((id / 8u) % 4u) + 4u * (id / 32u / (COLUMNS / 8u));

  // What each invocation fetches of a slice: groups w and w + threads of the
  // weights, groups c and c + threads of x; the second only where the tile is
  // narrow.
  let weight_s = id / (2u * ROWS);
  let weight_from = shape.weight_first + group.z * shape.weight_block + tile_row / 4u + id % (2u * ROWS);
  let weight_step = threads / (2u * ROWS);
  let x_s = id / (2u * COLUMNS);
  let x_from = shape.x_first + first_inner * shape.x_row;
  let x_column = tile_column + id % (2u * COLUMNS);
  let x_step = threads / (2u * COLUMNS);

  var c00 = vec4<f32>(); var c01 = vec4<f32>();
  var c10 = vec4<f32>(); var c11 = vec4<f32>();
  var c20 = vec4<f32>(); var c21 = vec4<f32>();
  var c30 = vec4<f32>(); var c31 = vec4<f32>();
  var c40 = vec4<f32>(); var c41 = vec4<f32>();
  var c50 = vec4<f32>(); var c51 = vec4<f32>();
  var c60 = vec4<f32>(); var c61 = vec4<f32>();
  var c70 = vec4<f32>(); var c71 = vec4<f32>();

  var w0 = load_weight(weight_from + weight_s * shape.weight_row);
  var w1 = vec4<f32>();
  var x0 = load_x(x_from, x_s, x_column, inner);
  var x1 = vec4<f32>();
  if (COLUMNS == 8u) { w1 = load_weight(weight_from + (weight_s + weight_step) * shape.weight_row); }
  if (ROWS == 8u) { x1 = load_x(x_from, x_s + x_step, x_column, inner); }
  weight_tile[id] = w0;
  x_tile[id] = x0;
  if (COLUMNS == 8u) { weight_tile[id + threads] = w1; }
  if (ROWS == 8u) { x_tile[id + threads] = x1; }
  workgroupBarrier();

  let slices = (inner + DEPTH - 1u) / DEPTH;
  for (var slice = 0u; slice < slices; slice++) {
    let next = (slice + 1u) * DEPTH;
    if (slice + 1u < slices) {
      w0 = load_weight(weight_from + (next + weight_s) * shape.weight_row);
      x0 = load_x(x_from, next + x_s, x_column, inner);
      if (COLUMNS == 8u) { w1 = load_weight(weight_from + (next + weight_s + weight_step) * shape.weight_row); }
      if (ROWS == 8u) { x1 = load_x(x_from, next + x_s + x_step, x_column, inner); }
    }
    let buffer = slice & 1u;
    var wi = buffer * 2u * DEPTH * ROWS + ty;
    var xi = buffer * 2u * DEPTH * COLUMNS + tx;
    for (var s = 0u; s < DEPTH; s++) {
      let a = weight_tile[wi];
      let b = weight_tile[wi + ROWS];
      let u = x_tile[xi];
      let v = x_tile[xi + COLUMNS];
      c00 = fma(vec4<f32>(a.x), u, c00); c01 = fma(vec4<f32>(a.x), v, c01);
      c10 = fma(vec4<f32>(a.y), u, c10); c11 = fma(vec4<f32>(a.y), v, c11);
      c20 = fma(vec4<f32>(a.z), u, c20); c21 = fma(vec4<f32>(a.z), v, c21);
      c30 = fma(vec4<f32>(a.w), u, c30); c31 = fma(vec4<f32>(a.w), v, c31);
      c40 = fma(vec4<f32>(b.x), u, c40); c41 = fma(vec4<f32>(b.x), v, c41);
      c50 = fma(vec4<f32>(b.y), u, c50); c51 = fma(vec4<f32>(b.y), v, c51);
      c60 = fma(vec4<f32>(b.z), u, c60); c61 = fma(vec4<f32>(b.z), v, c61);
      c70 = fma(vec4<f32>(b.w), u, c70); c71 = fma(vec4<f32>(b.w), v, c71);
      wi += 2u * ROWS;
      xi += 2u * COLUMNS;
    }
    if (slice + 1u < slices) {
      let other = 1u - buffer;
      let wo = other * 2u * DEPTH * ROWS + id;
      let xo = other * 2u * DEPTH * COLUMNS + id;
      weight_tile[wo] = w0;
      x_tile[xo] = x0;
      if (COLUMNS == 8u) { weight_tile[wo + threads] = w1; }
      if (ROWS == 8u) { x_tile[xo + threads] = x1; }
    }
    workgroupBarrier();
  }

  let row = tile_row + 4u * ty;
  let column = tile_column + tx;
  let right = column + COLUMNS;
  store4(row, column, right, rows, first_row, c00, c01, c10, c11, c20, c21, c30, c31);
  store4(row + 4u * ROWS, column, right, rows, first_row, c40, c41, c50, c51, c60, c61, c70, c71);
}
