// Dense layer of the pooler: y[b, r] = tanh(bias[r] + sum over s of weight[s, r] · x[b, s]).
//
// tanh(a) = sign(a) · (1 - 2 / (exp(2|a|) + 1)); below 0.3 its series, where
// that difference would cancel.

struct Shape {
  channels: u32,     // D
  weight_row: u32,   // weights from one summed element to the next
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> weight: array<f32>;   // (D, D), summed axis first
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;        // (B, D)
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // (B, D)

fn accurate_tanh(a: f32) -> f32 {
  let m = min(abs(a), 10.0);
  let s = m * m;
  let series = fma(m * s, fma(s, fma(s, fma(s, fma(s, -8.86323553e-3, 2.18694885e-2), -5.39682540e-2), 0.133333333), -0.333333333), m);
  let far = 1.0 - 2.0 / (exp(2.0 * m) + 1.0);
  return sign(a) * select(far, series, m < 0.3);
}

// Neighbouring outputs share the weights' lines; PARTS invocations share a sum.
const OUTPUTS = 16u;
const PARTS = 16u;
var<workgroup> partial: array<f32, OUTPUTS * PARTS>;

@compute @workgroup_size(OUTPUTS * PARTS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
  let r = group.x * OUTPUTS + id % OUTPUTS;
  let text = group.y * shape.channels;
  var sum = 0.0;
  if (r < shape.channels) {
    for (var s = id / OUTPUTS; s < shape.channels; s += PARTS) {
      sum = fma(weight[s * shape.weight_row + r], x[text + s], sum);
    }
  }
  partial[id] = sum;
  workgroupBarrier();
  if (id >= OUTPUTS || r >= shape.channels) { return; }
  for (var part = 1u; part < PARTS; part++) { sum += partial[part * OUTPUTS + id]; }
  y[text + r] = accurate_tanh(sum + bias[r]);
}
