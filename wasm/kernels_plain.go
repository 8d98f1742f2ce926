//go:build wasip1 && !m2embed_kernels

package main

import "m2embed/core/kernel"

// kernelSet is the plain twins: the module was built without SIMD kernels.
func kernelSet(bool) *kernel.Set { return &kernel.Go }
