// What the kernels of matrix products share: parameters, buffers, and how
// operands are read and results stored. Each of them includes this file.

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

fn load_weight(i: u32) -> vec4<f32> {
  if (HALF) {
    let pair = weight[i >> 1u];
    let w = select(pair.xy, pair.zw, (i & 1u) == 1u);
    return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y));
  }
  return bitcast<vec4<f32>>(weight[i]);
}

fn load_x(first: u32, s: u32, column: u32, inner: u32) -> vec4<f32> {
  if (s < inner) {
    return x[first + s * shape.x_row + column];
  }
  return vec4<f32>();
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

// What a group of sums is added to: the bias and, if asked for, other.
fn addend(row: u32, column: u32, rows: u32, first_row: u32) -> vec4<f32> {
  if (row < rows && column < shape.columns) {
    let channel = first_row + row;
    if (AFTER == 2u) { return bias[channel] + other[shape.y_first + channel * shape.y_row + column]; }
    return vec4<f32>(bias[channel]);
  }
  return vec4<f32>();
}

fn store(row: u32, column: u32, rows: u32, first_row: u32, sum: vec4<f32>) {
  if (row < rows && column < shape.columns) {
    let channel = first_row + row;
    let i = shape.y_first + channel * shape.y_row + column;
    if (AFTER == 1u) {
      y[i] = accurate_sin(shape.modulation * other[channel / 4u][channel % 4u] * sum);
    } else {
      y[i] = sum;
    }
  }
}
