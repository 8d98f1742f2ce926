// Copies x to y, 16 bytes an invocation and turn: the measure of a GPU's memory.

struct Shape {
  count: u32,   // elements, in groups of 4
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < shape.count; i += groups.x * 256u) {
    y[i] = x[i];
  }
}
