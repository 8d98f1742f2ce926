// The SIMD kernels of the wasm module: plain functions on addresses, no
// allocation, no state. merge.mjs puts them into the Go module, whose memory
// they share. core/kernel/set_wasm.go declares each of them; the plain
// Go twin beside it says what it computes.
//
// Only fixed-width SIMD is used, no relaxed instruction: results are the same
// bits in every runtime. Counts are in elements, addresses in bytes.

export { gemm_f32, gemm_f32_blocks, gemm_f32_blocks_unrolled, interleave } from "./gemm_f32";
export { gemm_i8, gemm_i8_blocks, pack_i8, gemm_i16, gemm_i16_blocks, pack_i16, quantize_rows } from "./gemm_integers";
export { layer_norm, gelu_gate, multiply, multiply_add } from "./elementwise";
export { short_filter, sine, decay } from "./filter";
export { radix4_forward, radix4_inverse, radix2, spectrum_product, spectrum_split } from "./butterfly";
