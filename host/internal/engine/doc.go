// Package engine runs m2embed.wasm under wazero: the same file as in browsers
// and at the edge, the same bits, in any Go program without cgo.
//
//	module → compiled once, kept on disk → a pool of instances → vectors
//
// Programs open models with host.Open, whose engine "wasm" this is.
//
// An instance is not safe for parallel calls and holds the weights once, so an
// [Engine] keeps several only when it is asked to. Native core is faster; this
// package is for hosts that want the portable artefact, a memory limit, or a
// sandbox.
package engine
