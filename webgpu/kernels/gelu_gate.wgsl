// Gated linear unit of the MLP: y = gelu(g[gate half]) · g[value half], or
// y = gelu(g) for a model without gates.
//
// gelu(x) = x/2 · erfc(-x/√2), the exact form. For z ≥ 0
//
//     erfc(z) = exp(-z²) · t · P(t),   t = 1 / (1 + z/2),
//
// with P of degree 8 fitted on 0 ≤ z ≤ 10 for least relative error: 5e-8 of
// the value, 3e-7 with 32-bit rounding. Erfc rather than erf keeps the left
// tail's relative accuracy.

override GATED: bool = true;

struct Shape {
  count: u32,    // elements of y, in groups of 4
  value: u32,    // where the value half begins, in groups of 4
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn gelu(x: vec4<f32>) -> vec4<f32> {
  let z = min(abs(x) * 0.70710678, vec4<f32>(10.0));
  let t = 1.0 / (1.0 + 0.5 * z);
  var p = vec4<f32>(-0.0601101549);
  p = fma(p, t, vec4<f32>(0.289452923));
  p = fma(p, t, vec4<f32>(-0.496843134));
  p = fma(p, t, vec4<f32>(0.288529905));
  p = fma(p, t, vec4<f32>(-0.0334085898));
  p = fma(p, t, vec4<f32>(0.205364187));
  p = fma(p, t, vec4<f32>(0.242478513));
  p = fma(p, t, vec4<f32>(0.282453948));
  p = fma(p, t, vec4<f32>(0.282082352));
  let tail = exp(-z * z) * t * p;
  return 0.5 * x * select(tail, 2.0 - tail, x >= vec4<f32>());
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < shape.count; i += groups.x * 256u) {
    let gate = gelu(g[i]);
    if (GATED) {
      y[i] = gate * g[i + shape.value];
    } else {
      y[i] = gate;
    }
  }
}
