package kernel

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// assemblyBits are fingerprints of what the sets in assembly make of equal
// arguments: one for each operation, the same on amd64 and arm64.
var assemblyBits = map[string]uint64{
	"decay":               0x66e07283d3b480a3,
	"forward last":        0x8a174f51ac0688fd,
	"forward":             0x3067fbd98a48ae1e,
	"gelu and gate":       0x808d20fdf6e9fa7d,
	"gelu":                0x378355a8a6286e99,
	"inverse last":        0xdb17dd85c505a431,
	"inverse":             0xdb92615b67ffc95e,
	"layer norm of a sum": 0xe3a9dfb4923d6ada,
	"layer norm":          0xe100e1f4ba74150,
	"multiply and add":    0xbd8a451ebf5f71b0,
	"multiply":            0x2e215497c5293570,
	"product":             0x36e9dd328bd852ee,
	"radix 2":             0x54fc3e6a2f8088b,
	"short filter":        0xacec3b8bbe062236,
	"sine":                0xbc60bad40a8b6faa,
	"spectrum product":    0xb55b2cfc2461e6a7,
	"spectrum split":      0x211f23ee9419983a,
}

// TestAssemblyBits demands that every set in assembly, on either processor,
// gives the same bits.
func TestAssemblyBits(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("the wasm kernels do not fuse")
	}
	for _, set := range Sets()[1:] {
		t.Run(set.Name, func(t *testing.T) {
			for name, values := range assemblyResults(set) {
				h := fnv.New64a()
				var b [4]byte
				for _, v := range values {
					binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
					h.Write(b[:])
				}
				if got := h.Sum64(); got != assemblyBits[name] {
					t.Errorf("%q: %#x, want %#x", name, got, assemblyBits[name])
				}
			}
		})
	}
}

// assemblyResults runs each operation once, over lengths with a rest.
func assemblyResults(set *Set) map[string][]float32 {
	r := rand.New(rand.NewPCG(30, 1))
	results := map[string][]float32{}

	const rows, outputs, inputs = 13, 71, 301
	a := random(r, rows*inputs, 1)
	m := NewMatrix(set, random(r, outputs*inputs, 1), outputs, inputs, random(r, outputs, 1))
	product := make([]float32, rows*outputs)
	m.Multiply(product, outputs, Input{Values: a, Stride: inputs}, rows, 0, outputs)
	results["product"] = product

	const n = 1021
	x, y, z, w := random(r, n, 6), random(r, n, 3), random(r, n, 2), random(r, n, 1)
	run := func(name string, op func(dst []float32)) {
		dst := make([]float32, n)
		op(dst)
		results[name] = dst
	}
	run("layer norm", func(dst []float32) { set.LayerNorm(dst, x, nil, y, z, 1e-12) })
	run("layer norm of a sum", func(dst []float32) { set.LayerNorm(dst, x, w, y, z, 1e-12) })
	run("gelu", func(dst []float32) { set.GeluGate(dst, x, nil) })
	run("gelu and gate", func(dst []float32) { set.GeluGate(dst, x, y) })
	run("multiply", func(dst []float32) { set.Multiply(dst, x, y) })
	run("multiply and add", func(dst []float32) { set.MultiplyAdd(dst, x, y, z) })
	run("sine", func(dst []float32) { copy(dst, y); set.Sine(dst, random(r, n, 300)) })

	const length = 64
	group := func(name string, op func(dst []float32)) {
		dst := random(r, length*GroupWidth, 1)
		op(dst)
		results[name] = dst
	}
	times, deltas, taps := make([]float32, length), random(r, GroupWidth, 30), random(r, 4*GroupWidth, 1)
	for i := range times {
		times[i] = float32(i) / (length - 1)
	}
	table := make([]float32, 6*length/4)
	for i := range table {
		table[i] = 2*r.Float32() - 1
	}
	group("short filter", func(dst []float32) { set.ShortFilter(dst, length, taps) })
	group("decay", func(dst []float32) { set.Decay(dst, times, deltas) })
	group("forward", func(dst []float32) { set.Radix4Forward(dst, length, 1, table) })
	group("forward last", func(dst []float32) { set.Radix4Forward(dst, 4, length/4, table) })
	group("inverse", func(dst []float32) { set.Radix4Inverse(dst, length, 1, table) })
	group("inverse last", func(dst []float32) { set.Radix4Inverse(dst, 4, length/4, table) })
	group("radix 2", func(dst []float32) { set.Radix2(dst, length/2) })
	const half = length / 2 * GroupWidth
	kx, ky := random(r, half, 1), random(r, half, 1)
	group("spectrum split", func(dst []float32) { set.SpectrumSplit(dst[:half], dst[half:], length/2, 0.3) })
	group("spectrum product", func(dst []float32) { set.SpectrumProduct(dst[:half], dst[half:], kx, ky, length/2) })
	return results
}
