// Short filter and first gate of the mixer. Each third of the projection goes
// through a causal depthwise filter of three taps,
//
//     s[c, t] = bias[c] + taps[c, 0] p[c, t-2] + taps[c, 1] p[c, t-1] + taps[c, 2] p[c, t],
//
// with p = 0 in front of a text; then u = s_v · s_x1 is what the long
// convolution reads and gate = s_x2 multiplies its result. All arrays are
// (D, columns), texts of L columns one after the other.

struct Shape {
  tokens: u32,     // B · L
  length: u32,     // L
  channels: u32,   // D
  row: u32,        // elements from channel to channel
  x1_first: u32,   // first element of each third
  x2_first: u32,
  v_first: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> taps: array<f32>;   // (3D, 3): thirds x1, x2, v
@group(0) @binding(5) var<storage, read> bias: array<f32>;   // (3D)
@group(0) @binding(6) var<storage, read_write> u: array<f32>;
@group(0) @binding(7) var<storage, read_write> gate: array<f32>;

fn filtered(row: u32, before2: f32, before1: f32, now: f32) -> f32 {
  return fma(taps[3u * row + 2u], now, fma(taps[3u * row + 1u], before1, fma(taps[3u * row], before2, bias[row])));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let t = id.x;
  if (t >= shape.tokens) { return; }
  let c = id.y;
  let i = c * shape.row + t;
  let a = shape.x1_first + i;
  let b = shape.x2_first + i;
  let d = shape.v_first + i;
  let place = t % shape.length;
  var a1 = 0.0; var a2 = 0.0; var b1 = 0.0; var b2 = 0.0; var v1 = 0.0; var v2 = 0.0;
  if (place >= 1u) { a1 = x1[a - 1u]; b1 = x2[b - 1u]; v1 = v[d - 1u]; }
  if (place >= 2u) { a2 = x1[a - 2u]; b2 = x2[b - 2u]; v2 = v[d - 2u]; }
  let s1 = filtered(c, a2, a1, x1[a]);
  let s2 = filtered(shape.channels + c, b2, b1, x2[b]);
  let sv = filtered(2u * shape.channels + c, v2, v1, v[d]);
  u[i] = sv * s1;
  gate[i] = s2;
}
