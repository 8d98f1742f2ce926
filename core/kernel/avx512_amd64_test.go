//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// These tests run the AVX-512 kernels in the emulator and demand the bits of
// the AVX2 kernels: both do the same operations in each lane. That the
// emulator is right, the AVX2 kernels show: it must run those that it can to
// the bits that the processor gives.

func emulated(t *testing.T) *emulator {
	if !slices.Contains(Sets(), &avx2) {
		t.Skip("needs AVX2 to compare with")
	}
	return newEmulator(t)
}

// twice runs an operation in the processor (AVX2) and in the emulator (AVX2
// and AVX-512) over copies of x and compares the results.
func twice(t *testing.T, what string, x []float32, native func(x []float32), emulate func(x []float32, suffix string)) {
	t.Helper()
	want := slices.Clone(x)
	native(want)
	for _, suffix := range []string{"AVX2", "AVX512"} {
		g := newGuard(len(x))
		copy(g.body, x)
		emulate(g.body, suffix)
		g.check(t)
		for i, v := range g.body {
			if math.Float32bits(v) != math.Float32bits(want[i]) && (v == v || want[i] == want[i]) {
				t.Fatalf("%s: value %d of %d is %v in the emulated %s, %v in the processor's AVX2", what, i, len(x), v, suffix, want[i])
			}
		}
	}
}

// first is the address of a slice's first value, also of an empty one's.
func first(x []float32) *float32 {
	if len(x) == 0 {
		return new(float32)
	}
	return &x[0]
}

func TestAVX512Elementwise(t *testing.T) {
	e := emulated(t)
	r := rand.New(rand.NewPCG(20, 1))
	for _, n := range []int{0, 1, 7, 15, 16, 17, 31, 33, 64, 100, 200} {
		a, b, c := random(r, n, 3), random(r, n, 3), random(r, n, 3)
		if n > 20 {
			copy(a, []float32{0, -40, 40, 13, -13, 1e-30, float32(math.NaN()), 5.5, -5.5})
		}
		dst := make([]float32, n)
		twice(t, "multiply", dst, func(x []float32) { multiplyVectorAVX2(x, a, b) },
			func(x []float32, s string) { e.call("multiply"+s, first(x), first(a), first(b), n) })
		twice(t, "multiplyAdd", dst, func(x []float32) { multiplyAddVectorAVX2(x, a, b, c) },
			func(x []float32, s string) { e.call("multiplyAdd"+s, first(x), first(a), first(b), first(c), n) })
		twice(t, "gelu", dst, func(x []float32) { geluGateVectorAVX2(x, a, nil) },
			func(x []float32, s string) { e.call("gelu"+s, first(x), first(a), n) })
		twice(t, "geluGate", dst, func(x []float32) { geluGateVectorAVX2(x, a, b) },
			func(x []float32, s string) { e.call("geluGate"+s, first(x), first(a), first(b), n) })
		if n == 0 {
			continue
		}
		frequency := random(r, n, 300)
		copy(a, random(r, n, 3))
		// The AVX2 kernel compares with another instruction, which the
		// emulator does not know.
		want := slices.Clone(a)
		if !sineAVX2(first(want), first(frequency), n) {
			t.Fatal("arguments out of range")
		}
		got := newGuard(n)
		copy(got.body, a)
		if e.call("sineAVX512", first(got.body), first(frequency), n) != 1 || !slices.Equal(got.body, want) {
			t.Fatalf("sine of %d values: %v, want %v", n, got.body, want)
		}
		got.check(t)
		for _, beyond := range []float32{1e5, float32(math.Inf(-1))} {
			for _, place := range []int{0, n / 2, n - 1} {
				copy(got.body, a)
				frequency[place], got.body[place] = 1, beyond
				before := slices.Clone(got.body)
				if e.call("sineAVX512", first(got.body), first(frequency), n) != 0 || !slices.Equal(got.body, before) {
					t.Fatalf("sine of %v at %d of %d was not refused", beyond, place, n)
				}
			}
		}
	}
}

func TestAVX512Groups(t *testing.T) {
	e := emulated(t)
	r := rand.New(rand.NewPCG(21, 1))
	for _, rows := range []int{0, 1, 2, 3, 7} {
		x, taps := random(r, rows*GroupWidth, 2), random(r, 4*GroupWidth, 1)
		times, deltas := random(r, rows, 1), random(r, GroupWidth, 16)
		for i := range times {
			times[i] = float32(math.Abs(float64(times[i])))
		}
		if rows > 2 {
			deltas[3], deltas[20] = 100, -300
		}
		twice(t, "shortFilter", x, func(x []float32) { shortFilterVectorAVX2(x, rows, taps) },
			func(x []float32, s string) { e.call("shortFilter"+s, first(x), rows, first(taps)) })
		twice(t, "decay", x, func(x []float32) { decayVectorAVX2(x, times, deltas) },
			func(x []float32, s string) { e.call("decay"+s, first(x), first(times), rows, first(deltas)) })
	}
	for _, n := range []int{8, 16, 20} {
		for _, blocks := range []int{1, 3} {
			x, w := random(r, n*blocks*GroupWidth, 1), twiddleTable(n)
			twice(t, "radix4Forward", x, func(x []float32) { radix4ForwardVectorAVX2(x, n, blocks, w) },
				func(x []float32, s string) { e.call("radix4Forward"+s, first(x), n/4, blocks, first(w)) })
			twice(t, "radix4Inverse", x, func(x []float32) { radix4InverseVectorAVX2(x, n, blocks, w) },
				func(x []float32, s string) { e.call("radix4Inverse"+s, first(x), n/4, blocks, first(w)) })
		}
	}
	for _, blocks := range []int{0, 1, 3} {
		x := random(r, 4*blocks*GroupWidth, 1)
		twice(t, "radix4ForwardLast", x, func(x []float32) { radix4ForwardVectorAVX2(x, 4, blocks, nil) },
			func(x []float32, s string) { e.call("radix4ForwardLast"+s, first(x), blocks) })
		twice(t, "radix4InverseLast", x, func(x []float32) { radix4InverseVectorAVX2(x, 4, blocks, nil) },
			func(x []float32, s string) { e.call("radix4InverseLast"+s, first(x), blocks) })
		twice(t, "radix2", x, func(x []float32) { radix2VectorAVX2(x, blocks) },
			func(x []float32, s string) { e.call("radix2"+s, first(x), blocks) })
	}
	for _, pairs := range []int{1, 2, 5} {
		h := pairs * GroupWidth
		x, k := random(r, 2*h, 1), random(r, 2*h, 1)
		last := (pairs - 1) * GroupWidth
		twice(t, "spectrumProduct", x, func(x []float32) { spectrumProductVectorAVX2(x[:h], x[h:], k[:h], k[h:], pairs) },
			func(x []float32, s string) {
				e.call("spectrumProduct"+s, &x[0], &x[h+last], &k[0], &k[h+last], pairs)
			})
		twice(t, "spectrumSplit", x, func(x []float32) { spectrumSplitVectorAVX2(x[:h], x[h:], pairs, 0.375) },
			func(x []float32, s string) { e.call("spectrumSplit"+s, &x[0], &x[h+last], pairs, float32(0.375)) })
	}
}

func TestAVX512GemmF32(t *testing.T) {
	e := emulated(t)
	r := rand.New(rand.NewPCG(22, 1))
	for rows := 1; rows <= 12; rows++ {
		for _, k := range []int{0, 1, 3, 4, 9, 21} {
			lda, ldc := k+2, 32+rows%3
			a, panel, bias := random(r, rows*lda+1, 1), random(r, k*32+1, 1), random(r, 32, 1)
			c := make([]float32, (rows-1)*ldc+32)
			for _, continued := range []bool{false, true} {
				start, stride := bias, 0
				if continued { // the sums of an earlier block of inputs
					c = random(r, len(c), 1)
					start, stride = c, ldc
				}
				want := slices.Clone(c)
				for i := range rows {
					for j := range 32 {
						sum := start[i*stride+j]
						for p := range k {
							sum = fused(a[i*lda+p], panel[p*32+j], sum)
						}
						want[i*ldc+j] = sum
					}
				}
				g := newGuard(len(c))
				copy(g.body, c)
				from := first(start)
				if continued {
					from = first(g.body)
				}
				e.call(fmt.Sprintf("gemmF32Rows%dAVX512", rows), first(g.body), ldc, first(a), lda, k, first(panel), from, stride, 0)
				g.check(t)
				if !slices.Equal(g.body, want) {
					t.Fatalf("%d rows, %d inputs: %v, want %v", rows, k, g.body, want)
				}
			}
		}
	}
	// The processor does the same chain.
	const k = 37
	a, panel, got, want := random(r, k, 1), random(r, k*16, 1), make([]float32, 16), make([]float32, 16)
	gemmF32AVX2(got, 16, a, k, 1, 16, k, panel, nil)
	for j := range want {
		for p := range k {
			want[j] = fused(a[p], panel[p*16+j], want[j])
		}
	}
	if !slices.Equal(got, want) {
		t.Fatal("the reference's fused operation is not the processor's")
	}
}

func TestAVX512IntegerGemm(t *testing.T) {
	e := emulated(t)
	r := rand.New(rand.NewPCG(23, 1))
	for _, width := range widths {
		integers := width.of(&avx512)
		for rows := 1; rows <= 12; rows++ {
			for _, k := range []int{1, 3, 4, 5, 16, 23, 66} {
				a, w := random(r, rows*k, 3), width.random(r, 32*k)
				columnScales, bias := random(r, 32, 0.1), random(r, 32, 1)
				// The packed forms are plain Go and run here as they are.
				stride := integers.Stride(k)
				q, scales, sums := make([]byte, rows*stride), make([]float32, rows), make([]int32, rows)
				integers.Quantize(q, scales, sums, a, k, rows, k)
				panel := make([]byte, integers.PanelBytes(32, k))
				integers.Pack(panel, w, 32, k)
				ldc := 32 + rows%3
				g := newGuard((rows-1)*ldc + 32)
				arguments := []any{first(g.body), ldc, &q[0], stride, stride / 4, &panel[0], first(scales), first(columnScales), first(bias)}
				if width.size == 1 {
					arguments = append(arguments, &sums[0])
				}
				e.call(fmt.Sprintf("gemmI%dRows%dVNNI", 8*width.size, rows), arguments...)
				g.check(t)
				for i := range rows {
					row, scale, _ := quantizeReference(a[i*k:i*k+k], width.limit(k))
					for j := range 32 {
						var sum int32
						for p, v := range row {
							sum += v * width.at(w, j*k+p)
						}
						if want := float32(float32(sum)*(scale*columnScales[j])) + bias[j]; g.body[i*ldc+j] != want {
							t.Fatalf("%s: %d rows, %d inputs, [%d %d]: %v, want %v", width.name, rows, k, i, j, g.body[i*ldc+j], want)
						}
					}
				}
			}
		}
	}
}
