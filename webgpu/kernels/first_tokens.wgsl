// Gathers the first token of each text: y[c, b] = x[c, b·L]. With first-token
// pooling the last layer's projections are needed at these columns only.

struct Shape {
  texts: u32,      // B
  length: u32,     // L
  channels: u32,   // D
  x_row: u32,      // elements of x from channel to channel
  y_row: u32,      // elements of y from channel to channel
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < shape.channels) {
    y[id.x * shape.y_row + id.y] = x[id.x * shape.x_row + id.y * shape.length];
  }
}
