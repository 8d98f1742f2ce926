// Package parity proves the GPU kernels, the planner and the executors: every
// operation against an obvious Go twin, the whole model against golden
// vectors and against core, on the software adapter that a machine without a
// GPU has or on a real GPU.
//
// Plans run through a [Runner]: the native executor in the test's own process,
// or the TypeScript executor in Node or in a page of Chromium, which fetch
// plans and weights from the test over HTTP. The environment variable
// M2EMBED_WEBGPU names the runner: native, node or chromium; without it the
// tests that need a GPU are skipped. ../build.sh sets it.
package parity
