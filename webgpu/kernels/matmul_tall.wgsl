// The product of matmul.wgsl for large results: the same sums, buffers and
// parameters. A workgroup of 128 makes a tile of 128 × 128 sums, each invocation
// 16 × 8 of them: four rows each from r, r + 32, r + 64, r + 96 on, and four
// columns each from c and c + 64 on. It reads 6 groups of 4 from workgroup memory
// for 32 multiplications of groups, where 8 × 8 sums take 4 for 16. It needs more
// registers, so that fewer invocations fit a GPU's core at a time: results that
// make few tiles are better left to the other.
//
// Steps of a slice are written out, and workgroup memory is indexed by buffer,
// step and place: checks of bounds then fall to one for each.

// include product.wgsl

const ROWS = 16u;              // an eighth of the tile's rows
const COLUMNS = 16u;           // an eighth of the tile's columns
const DEPTH = 8u;

// (buffer, step of the slice, group of 4 rows or columns)
alias Tile = array<array<array<vec4<f32>, 32>, DEPTH>, 2>;
var<workgroup> weight_tile: Tile;
var<workgroup> x_tile: Tile;

alias Sums = array<vec4<f32>, 32>;

// Sums from 8g on are four rows of two groups each: all loads before the first
// store, as the compiler cannot tell that they differ.
fn store4(c: ptr<function, Sums>, g: u32, row: u32, column: u32, right: u32, rows: u32, first_row: u32) {
  let s0 = (*c)[8u * g + 0u] + addend(row + 0u, column, rows, first_row); let t0 = (*c)[8u * g + 1u] + addend(row + 0u, right, rows, first_row);
  let s1 = (*c)[8u * g + 2u] + addend(row + 1u, column, rows, first_row); let t1 = (*c)[8u * g + 3u] + addend(row + 1u, right, rows, first_row);
  let s2 = (*c)[8u * g + 4u] + addend(row + 2u, column, rows, first_row); let t2 = (*c)[8u * g + 5u] + addend(row + 2u, right, rows, first_row);
  let s3 = (*c)[8u * g + 6u] + addend(row + 3u, column, rows, first_row); let t3 = (*c)[8u * g + 7u] + addend(row + 3u, right, rows, first_row);
  store(row + 0u, column, rows, first_row, s0); store(row + 0u, right, rows, first_row, t0);
  store(row + 1u, column, rows, first_row, s1); store(row + 1u, right, rows, first_row, t1);
  store(row + 2u, column, rows, first_row, s2); store(row + 2u, right, rows, first_row, t2);
  store(row + 3u, column, rows, first_row, s3); store(row + 3u, right, rows, first_row, t3);
}

// Adds the products of a slice's step s.
fn step(c: ptr<function, Sums>, buffer: u32, s: u32, tx: u32, ty: u32) {
  let u = x_tile[buffer][s][tx];
  let v = x_tile[buffer][s][tx + COLUMNS];
  let a0 = weight_tile[buffer][s][ty];
  let a1 = weight_tile[buffer][s][ty + 1u * (ROWS / 2u)];
  let a2 = weight_tile[buffer][s][ty + 2u * (ROWS / 2u)];
  let a3 = weight_tile[buffer][s][ty + 3u * (ROWS / 2u)];
  (*c)[0] = fma(vec4<f32>(a0.x), u, (*c)[0]); (*c)[1] = fma(vec4<f32>(a0.x), v, (*c)[1]);
  (*c)[2] = fma(vec4<f32>(a0.y), u, (*c)[2]); (*c)[3] = fma(vec4<f32>(a0.y), v, (*c)[3]);
  (*c)[4] = fma(vec4<f32>(a0.z), u, (*c)[4]); (*c)[5] = fma(vec4<f32>(a0.z), v, (*c)[5]);
  (*c)[6] = fma(vec4<f32>(a0.w), u, (*c)[6]); (*c)[7] = fma(vec4<f32>(a0.w), v, (*c)[7]);
  (*c)[8] = fma(vec4<f32>(a1.x), u, (*c)[8]); (*c)[9] = fma(vec4<f32>(a1.x), v, (*c)[9]);
  (*c)[10] = fma(vec4<f32>(a1.y), u, (*c)[10]); (*c)[11] = fma(vec4<f32>(a1.y), v, (*c)[11]);
  (*c)[12] = fma(vec4<f32>(a1.z), u, (*c)[12]); (*c)[13] = fma(vec4<f32>(a1.z), v, (*c)[13]);
  (*c)[14] = fma(vec4<f32>(a1.w), u, (*c)[14]); (*c)[15] = fma(vec4<f32>(a1.w), v, (*c)[15]);
  (*c)[16] = fma(vec4<f32>(a2.x), u, (*c)[16]); (*c)[17] = fma(vec4<f32>(a2.x), v, (*c)[17]);
  (*c)[18] = fma(vec4<f32>(a2.y), u, (*c)[18]); (*c)[19] = fma(vec4<f32>(a2.y), v, (*c)[19]);
  (*c)[20] = fma(vec4<f32>(a2.z), u, (*c)[20]); (*c)[21] = fma(vec4<f32>(a2.z), v, (*c)[21]);
  (*c)[22] = fma(vec4<f32>(a2.w), u, (*c)[22]); (*c)[23] = fma(vec4<f32>(a2.w), v, (*c)[23]);
  (*c)[24] = fma(vec4<f32>(a3.x), u, (*c)[24]); (*c)[25] = fma(vec4<f32>(a3.x), v, (*c)[25]);
  (*c)[26] = fma(vec4<f32>(a3.y), u, (*c)[26]); (*c)[27] = fma(vec4<f32>(a3.y), v, (*c)[27]);
  (*c)[28] = fma(vec4<f32>(a3.z), u, (*c)[28]); (*c)[29] = fma(vec4<f32>(a3.z), v, (*c)[29]);
  (*c)[30] = fma(vec4<f32>(a3.w), u, (*c)[30]); (*c)[31] = fma(vec4<f32>(a3.w), v, (*c)[31]);
}

// What an invocation fetches of a slice: two groups of weights, two of x.
alias Fetched = array<vec4<f32>, 4>;

// Where they come from and go to.
struct Own { weight_from: u32, weight_s: u32, weight_i: u32, x_from: u32, x_column: u32, x_s: u32, x_i: u32, inner: u32 }

fn fetch(f: ptr<function, Fetched>, own: Own, first: u32) {
  let w = own.weight_from + (first + own.weight_s) * shape.weight_row;
  let step = COLUMNS / 4u * shape.weight_row;
  (*f)[0] = load_weight(w);
  (*f)[1] = load_weight(w + step);
  let s = first + own.x_s;
  (*f)[2] = load_x(own.x_from, s, own.x_column, own.inner);
  (*f)[3] = load_x(own.x_from, s + ROWS / 4u, own.x_column, own.inner);
}

fn put(f: ptr<function, Fetched>, own: Own, buffer: u32) {
  weight_tile[buffer][own.weight_s][own.weight_i] = (*f)[0];
  weight_tile[buffer][own.weight_s + COLUMNS / 4u][own.weight_i] = (*f)[1];
  x_tile[buffer][own.x_s][own.x_i] = (*f)[2];
  x_tile[buffer][own.x_s + ROWS / 4u][own.x_i] = (*f)[3];
}

@compute @workgroup_size(ROWS * COLUMNS / 2)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first_inner = group.z * shape.x_block;
  let inner = min(shape.inner, max(shape.inner_total, first_inner) - first_inner);
  let first_row = group.z * shape.rows;
  let rows = min(shape.rows, max(shape.rows_total, first_row) - first_row);
  let tile_row = group.x * 8u * ROWS;
  let tile_column = group.y * 2u * COLUMNS;     // in groups of 4

  // A subgroup of 32 covers 4 × 8 invocations of the tile.
  let tx = (id % 8u) + 8u * ((id / 32u) % (COLUMNS / 8u));
  let ty = ((id / 8u) % 4u) + 4u * (id / 32u / (COLUMNS / 8u));
  let weight_i = id % (2u * ROWS);
  let x_i = id % (2u * COLUMNS);
  let own = Own(shape.weight_first + group.z * shape.weight_block + tile_row / 4u + weight_i, id / (2u * ROWS), weight_i,
                shape.x_first + first_inner * shape.x_row, tile_column + x_i, id / (2u * COLUMNS), x_i, inner);

  var c: Sums;
  var f: Fetched;
  fetch(&f, own, 0u);
  put(&f, own, 0u);
  workgroupBarrier();
  let slices = (inner + DEPTH - 1u) / DEPTH;
  for (var slice = 0u; slice < slices; slice++) {
    if (slice + 1u < slices) { fetch(&f, own, (slice + 1u) * DEPTH); }
    let buffer = slice & 1u;
    step(&c, buffer, 0u, tx, ty); step(&c, buffer, 1u, tx, ty); step(&c, buffer, 2u, tx, ty); step(&c, buffer, 3u, tx, ty);
    step(&c, buffer, 4u, tx, ty); step(&c, buffer, 5u, tx, ty); step(&c, buffer, 6u, tx, ty); step(&c, buffer, 7u, tx, ty);
    if (slice + 1u < slices) { put(&f, own, 1u - buffer); }
    workgroupBarrier();
  }

  let row = tile_row + 4u * ty;
  let column = tile_column + tx;
  let right = column + COLUMNS;
  store4(&c, 0u, row, column, right, rows, first_row);
  store4(&c, 1u, row + 2u * ROWS, column, right, rows, first_row);
  store4(&c, 2u, row + 4u * ROWS, column, right, rows, first_row);
  store4(&c, 3u, row + 6u * ROWS, column, right, rows, first_row);
}
