// Package goldenweights makes the weights that golden values were computed
// with, for any configuration, from nothing but the tensors' names.
//
// Every number is base + scale * r(name, i), where r is the i-th output of
// splitmix64, seeded with the FNV-1a hash of the name and scaled to [-1, 1).
// The scales keep the activations of a random model near those of a trained
// one. The weights mean nothing: they are for tests and benchmarks.
package goldenweights
