// Pooling: the last hidden states of each text become one row, pooled (B, D).
// `first` takes the first token; `mean` averages the tokens whose mask is 1.
// A workgroup serves one channel of one text.

struct Shape {
  length: u32,     // L
  channels: u32,   // D
  row: u32,        // elements from channel to channel
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> hidden: array<f32>;   // (D, columns)
@group(0) @binding(2) var<storage, read> mask: array<u32>;     // (B, L), 0 or 1
@group(0) @binding(3) var<storage, read_write> pooled: array<f32>;

const SIDE = 64u;
var<workgroup> partial: array<vec2<f32>, SIDE>;

@compute @workgroup_size(SIDE)
fn first(@builtin(global_invocation_id) id: vec3<u32>) {
  let channel = id.x;
  let text = id.y;
  if (channel < shape.channels) {
    pooled[text * shape.channels + channel] = hidden[channel * shape.row + text * shape.length];
  }
}

@compute @workgroup_size(SIDE)
fn mean(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let channel = group.x;
  let text = group.y;
  var sum = vec2<f32>();
  for (var t = id; t < shape.length; t += SIDE) {
    let place = text * shape.length + t;
    if (mask[place] != 0u) {
      sum += vec2<f32>(hidden[channel * shape.row + place], 1.0);
    }
  }
  partial[id] = sum;
  for (var half = SIDE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (id < half) {
      partial[id] += partial[id + half];
    }
  }
  if (id == 0u) {
    pooled[text * shape.channels + channel] = partial[0].x / partial[0].y;
  }
}
