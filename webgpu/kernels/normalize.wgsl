// Normalisation, in place: each row of x (B, D) is divided by its Euclidean
// norm, or by 1e-12 where that is larger. One workgroup a row.

struct Shape {
  channels: u32,   // D
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

const SIDE = 64u;
var<workgroup> partial: array<f32, SIDE>;

@compute @workgroup_size(SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let first = group.x * shape.channels;
  var squares = 0.0;
  for (var c = id; c < shape.channels; c += SIDE) {
    squares = fma(x[first + c], x[first + c], squares);
  }
  partial[id] = squares;
  for (var half = SIDE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (id < half) {
      partial[id] += partial[id + half];
    }
  }
  workgroupBarrier();
  let norm = max(sqrt(partial[0]), 1e-12);
  for (var c = id; c < shape.channels; c += SIDE) {
    x[first + c] /= norm;
  }
}
