// Transpose of the hidden states for read-back: y[t, c] = x[c, t], x (D, columns),
// y (B·L, D), which begins at an element of the buffer. Tiles of 16 × 16 are turned in workgroup memory.

struct Shape {
  tokens: u32,     // B · L
  channels: u32,   // D
  row: u32,        // elements of x from channel to channel
  first: u32,      // element of the buffer at which y begins
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const SIDE = 16u;
var<workgroup> tile: array<f32, SIDE * (SIDE + 1)>;

@compute @workgroup_size(SIDE, SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let token = group.x * SIDE + local.x;
  let channel = group.y * SIDE + local.y;
  if (token < shape.tokens && channel < shape.channels) {
    tile[local.y * (SIDE + 1u) + local.x] = x[channel * shape.row + token];
  }
  workgroupBarrier();
  let turned_token = group.x * SIDE + local.y;
  let turned_channel = group.y * SIDE + local.x;
  if (turned_token < shape.tokens && turned_channel < shape.channels) {
    y[shape.first + turned_token * shape.channels + turned_channel] = tile[local.x * (SIDE + 1u) + local.y];
  }
}
