//go:build wasip1

// Command product is a module that multiplies matrices of the model's shapes
// through core/kernel, to time the products as the model calls them against the
// bare kernels, and that tells the long convolution's share of a pass.
package main

import (
	"fmt"
	"unsafe"

	"m2embed/core/kernel"
	"m2embed/host/bench/share"
)

var (
	matrix *kernel.Matrix
	values []float32
	out    []float32
	rows   kernel.Quantized
	blocks kernel.Blocks
	m, n   int
	k      int
)

func main() {}

// prepare makes the matrix; bits is 32 for float32, 8 or 16 for integers.
//
//go:wasmexport prepare
func prepare(rowCount, outputs, inputs, bits int32) {
	m, n, k = int(rowCount), int(outputs), int(inputs)
	set := kernel.Active()
	values, out = make([]float32, m*k), make([]float32, m*n)
	for i := range values {
		values[i] = float32(i%17)*0.1 - 0.8
	}
	if bits < 32 {
		w, scales := make([]byte, n*k*int(bits)/8), make([]float32, n)
		for i := range w {
			w[i] = byte(i % 251)
			if bits == 16 && i%2 == 1 {
				w[i] %= 8 // at most 12 bits
			}
		}
		wrap := kernel.NewI8Matrix
		if bits == 16 {
			wrap = kernel.NewI16Matrix
		}
		matrix = wrap(set, w, scales, n, k, nil)
		return
	}
	w := make([]float32, n*k)
	for i := range w {
		w[i] = float32(i%13)*0.1 - 0.6
	}
	matrix = kernel.NewMatrix(set, w, n, k, nil)
}

//go:wasmexport multiply
func multiply() {
	in := kernel.Input{Values: values, Stride: k, Blocks: &blocks}
	if matrix.Quantized() {
		rows.Reset(matrix, m)
		rows.Store(0, values, k, m)
		in.Quantized = &rows
	}
	matrix.Multiply(out, n, in, m, 0, n)
}

var shares []byte

// measureShares measures up to the given length and returns the length of the
// table that it made, shareTable where it stands.
//
//go:wasmexport measureShares
func measureShares(longest int32) int32 {
	var lengths []int
	for _, length := range []int{128, 512, 2048, 8192, 32768} {
		if length <= int(longest) {
			lengths = append(lengths, length)
		}
	}
	kept, anew, err := share.Measure(lengths)
	if err != nil {
		panic(fmt.Sprintf("measure shares: %v", err))
	}
	shares = []byte(share.Markdown(kept, anew))
	return int32(len(shares))
}

//go:wasmexport shareTable
func shareTable() int32 { return int32(uintptr(unsafe.Pointer(&shares[0]))) }
