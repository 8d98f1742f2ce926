// Sine layer of the filter networks, in place: x[r, t] = sin(w · frequency[r] · x[r, t]).
//
// WGSL promises its own sin only to an absolute 2⁻¹¹, so the argument is
// reduced here to [-π/4, π/4] with π/2 in three parts, the first two short
// enough that their products with the quadrant number are exact, and a
// polynomial follows. Error about 1e-7 for |argument| up to some thousands.

struct Shape {
  row: u32,      // elements from row to row
  columns: u32,  // elements of a row
  modulation: f32,   // w, the configuration's hyena_w_mod
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> frequency: array<f32>;

fn accurate_sin(x: f32) -> f32 {
  let n = round(x * 0.636619772);
  var r = fma(n, -1.5703125, x);
  r = fma(n, -4.83751297e-4, r);
  r = fma(n, -7.54978995e-8, r);
  let s = r * r;
  // Taylor's terms suffice on so short an interval.
  let sine = fma(r * s, fma(s, fma(s, fma(s, 2.75573192e-6, -1.98412698e-4), 8.33333333e-3), -0.166666667), r);
  let cosine = fma(s, fma(s, fma(s, fma(s, 2.48015873e-5, -1.38888889e-3), 4.16666667e-2), -0.5), 1.0);
  let quadrant = u32(i32(n)) & 3u;
  let value = select(sine, cosine, (quadrant & 1u) == 1u);
  return select(value, -value, quadrant >= 2u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < shape.columns) {
    let i = id.y * shape.row + id.x;
    x[i] = accurate_sin(shape.modulation * frequency[id.y] * x[i]);
  }
}
