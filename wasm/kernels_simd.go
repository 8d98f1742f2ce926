//go:build wasip1 && m2embed_kernels

package main

import "m2embed/core/kernel"

// kernelSet is the merged SIMD kernels in one of their two forms.
func kernelSet(unrolled bool) *kernel.Set {
	if unrolled {
		return &kernel.WasmSIMDUnrolled
	}
	return &kernel.WasmSIMD
}
