/**
 * Cosines of a query with many vectors of 8 bits, in WebAssembly's SIMD. Memory
 * from 0 on: the query (D int16), then at the given places the vectors (n, D
 * int8), what a step of each is worth (n float32), and the cosines (n float32).
 * D is a multiple of 16.
 */

/** Writes the cosines of rows `from` to `to`; a step of the query is worth `step`. */
export function cosines(d: usize, vectors: usize, steps: usize, out: usize, from: usize, to: usize, step: f32): void {
  for (let row = from; row < to; row++) {
    let sum = i32x4.splat(0);
    const at = vectors + row * d;
    for (let j: usize = 0; j < d; j += 16) {
      const eight = v128.load(at + j);
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(eight), v128.load(2 * j)));
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(eight), v128.load(2 * j + 16)));
    }
    const whole = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
    store<f32>(out + 4 * row, <f32>whole * step * load<f32>(steps + 4 * row));
  }
}
