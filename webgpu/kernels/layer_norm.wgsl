// Layer norm over the channels of each token, in place:
//
//     x[:, t] = (x[:, t] - mean) / sqrt(variance + epsilon) · weight + bias
//
// The variance is the population's, taken about means: embedding sums have
// variances near 1e-3, where the difference of two sums of squares cancels. Each
// invocation takes four channels at a time, their mean and the squares about
// it, and joins them to those it has:
//
//     mean = mean_a + d n_b / n,   squares = squares_a + squares_b + d² n_a n_b / n
//
// for d = mean_b - mean_a, n = n_a + n_b. x is channel-major, (D, columns); a workgroup takes TOKENS neighbouring
// tokens, 256 / TOKENS invocations share a token.

override TOKENS: u32 = 16;

struct Shape {
  tokens: u32,      // columns that hold tokens
  channels: u32,    // D
  row: u32,         // elements from channel to channel
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

const THREADS = 256u;
var<workgroup> partial: array<vec3<f32>, THREADS>;

// Of some channels of a token: how many, their mean, the sum of squares about it.
struct Moments { count: f32, mean: f32, squares: f32 }

fn join(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  if (count == 0.0) { return a; }
  let d = b.mean - a.mean;
  let part = b.count / count;
  return Moments(count, fma(d, part, a.mean), a.squares + b.squares + d * d * a.count * part);
}

// Moments of four numbers, or of as many of them as exist.
fn four(v: vec4<f32>, count: u32) -> Moments {
  if (count >= 4u) {
    let mean = dot(v, vec4<f32>(0.25));
    let d = v - mean;
    return Moments(4.0, mean, dot(d, d));
  }
  var m = Moments(1.0, v.x, 0.0);
  if (count > 1u) { m = join(m, Moments(1.0, v.y, 0.0)); }
  if (count > 2u) { m = join(m, Moments(1.0, v.z, 0.0)); }
  return m;
}

fn finish(column: u32, part: u32, token: u32, own: Moments) {
  let parts = THREADS / TOKENS;
  partial[part * TOKENS + column] = vec3<f32>(own.count, own.mean, own.squares);
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < parts; i++) {
    let m = partial[i * TOKENS + column];
    sum = fma(m.x, m.y, sum);
  }
  let mean = sum / f32(shape.channels);
  var squares = 0.0;
  for (var i = 0u; i < parts; i++) {
    let m = partial[i * TOKENS + column];
    let d = m.y - mean;
    squares += fma(m.x * d, d, m.z);
  }
  if (token >= shape.tokens) { return; }
  let scale = 1.0 / sqrt(squares / f32(shape.channels) + shape.epsilon);
  // Four loads before the first store: the compiler cannot tell that they differ.
  let step = parts * shape.row;
  for (var c = part; c < shape.channels; c += 4u * parts) {
    let i = c * shape.row + token;
    let n = existing(c, parts);
    let v = (gather(i, step, n) - mean) * scale;
    x[i] = fma(v.x, weight[c], bias[c]);
    if (n > 1u) { x[i + step] = fma(v.y, weight[c + parts], bias[c + parts]); }
    if (n > 2u) { x[i + 2u * step] = fma(v.z, weight[c + 2u * parts], bias[c + 2u * parts]); }
    if (n > 3u) { x[i + 3u * step] = fma(v.w, weight[c + 3u * parts], bias[c + 3u * parts]); }
  }
}

// How many of channels c, c + parts, c + 2 parts, c + 3 parts exist.
fn existing(c: u32, parts: u32) -> u32 { return (shape.channels - c + parts - 1u) / parts; }

// The first n of elements i, i + step, i + 2 step, i + 3 step of x.
fn gather(i: u32, step: u32, n: u32) -> vec4<f32> {
  var v = vec4<f32>(x[i], 0.0, 0.0, 0.0);
  if (n > 1u) { v.y = x[i + step]; }
  if (n > 2u) { v.z = x[i + 2u * step]; }
  if (n > 3u) { v.w = x[i + 3u * step]; }
  return v;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let parts = THREADS / TOKENS;
  let part = id / TOKENS;
  let token = group.x * TOKENS + id % TOKENS;
  let step = parts * shape.row;
  var own = Moments(0.0, 0.0, 0.0);
  if (token < shape.tokens) {
    for (var c = part; c < shape.channels; c += 4u * parts) {
      let i = c * shape.row + token;
      let n = existing(c, parts);
      own = join(own, four(gather(i, step, n), n));
    }
  }
  finish(id % TOKENS, part, token, own);
}
