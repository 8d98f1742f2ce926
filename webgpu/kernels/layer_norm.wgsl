// Layer norm over the channels of each token, in place:
//
//     x[:, t] = (x[:, t] - mean) / sqrt(variance + epsilon) · weight + bias
//
// The variance is the population's, taken about the mean in a second pass:
// embedding sums have variances near 1e-3, where the one-pass formula cancels.
// `add_normalize` first adds a residual to x. x is channel-major, (D, columns);
// a workgroup takes 16 neighbouring tokens, 16 invocations share a token.

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
@group(0) @binding(4) var<storage, read> residual: array<f32>;

const SIDE = 16u;
var<workgroup> partial: array<f32, SIDE * SIDE>;

// Sums over the 16 invocations that share a token; every one gets the sum.
fn total(local: vec3<u32>, value: f32) -> f32 {
  partial[local.y * SIDE + local.x] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < SIDE; i++) {
    sum += partial[i * SIDE + local.x];
  }
  workgroupBarrier();
  return sum;
}

fn finish(local: vec3<u32>, token: u32, sum: f32) {
  let live = token < shape.tokens;
  let mean = total(local, sum) / f32(shape.channels);
  var squares = 0.0;
  if (live) {
    for (var c = local.y; c < shape.channels; c += SIDE) {
      let d = x[c * shape.row + token] - mean;
      squares = fma(d, d, squares);
    }
  }
  let scale = 1.0 / sqrt(total(local, squares) / f32(shape.channels) + shape.epsilon);
  if (live) {
    for (var c = local.y; c < shape.channels; c += SIDE) {
      let i = c * shape.row + token;
      x[i] = fma((x[i] - mean) * scale, weight[c], bias[c]);
    }
  }
}

@compute @workgroup_size(SIDE, SIDE)
fn normalize(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let token = group.x * SIDE + local.x;
  var sum = 0.0;
  if (token < shape.tokens) {
    for (var c = local.y; c < shape.channels; c += SIDE) {
      sum += x[c * shape.row + token];
    }
  }
  finish(local, token, sum);
}

@compute @workgroup_size(SIDE, SIDE)
fn add_normalize(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let token = group.x * SIDE + local.x;
  var sum = 0.0;
  if (token < shape.tokens) {
    for (var c = local.y; c < shape.channels; c += SIDE) {
      let i = c * shape.row + token;
      let s = x[i] + residual[i];
      x[i] = s;
      sum += s;
    }
  }
  finish(local, token, sum);
}
