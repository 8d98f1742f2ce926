//go:build amd64 && !noasm

package kernel

// avx2 needs AVX2 and FMA.
var avx2 = Set{
	Name:       "avx2",
	PanelWidth: 16,
	GemmF32:    gemmF32AVX2,
	I8: Integers{
		Stride: pairsStride, Quantize: quantizePairs(limit8),
		PanelBytes: panelI8BytesAVX2, Pack: packI8AVX2, Gemm: gemmI8AVX2,
	},
	I16: Integers{
		Stride: pairsStride, Quantize: quantizePairs(Limit16),
		PanelBytes: panelI16BytesAVX2, Pack: packI16AVX2, Gemm: gemmI16AVX2,
	},
	LayerNorm:       layerNormVector,
	GeluGate:        geluGateVectorAVX2,
	ShortFilter:     shortFilterVectorAVX2,
	Multiply:        multiplyVectorAVX2,
	MultiplyAdd:     multiplyAddVectorAVX2,
	Sine:            sineVectorAVX2,
	Decay:           decayVectorAVX2,
	Radix4Forward:   radix4ForwardVectorAVX2,
	Radix4Inverse:   radix4InverseVectorAVX2,
	Radix2:          radix2VectorAVX2,
	SpectrumProduct: spectrumProductVectorAVX2,
	SpectrumSplit:   spectrumSplitVectorAVX2,
	transpose:       transposeVector,
}

// avx512 needs AVX-512 F, BW, DQ, VL and VNNI (2019 and later).
var avx512 = Set{
	Name:       "avx512",
	PanelWidth: 32,
	GemmF32:    gemmF32AVX512,
	I8: Integers{
		Stride: foursStride, Quantize: quantizeFours,
		PanelBytes: panelI8BytesVNNI, Pack: packI8VNNI, Gemm: gemmI8VNNI,
	},
	I16: Integers{
		Stride: pairsStride, Quantize: quantizePairs(Limit16),
		PanelBytes: panelI16BytesVNNI, Pack: packI16VNNI, Gemm: gemmI16VNNI,
	},
	LayerNorm:       layerNormVector,
	GeluGate:        geluGateVectorAVX512,
	ShortFilter:     shortFilterVectorAVX512,
	Multiply:        multiplyVectorAVX512,
	MultiplyAdd:     multiplyAddVectorAVX512,
	Sine:            sineVectorAVX512,
	Decay:           decayVectorAVX512,
	Radix4Forward:   radix4ForwardVectorAVX512,
	Radix4Inverse:   radix4InverseVectorAVX512,
	Radix2:          radix2VectorAVX512,
	SpectrumProduct: spectrumProductVectorAVX512,
	SpectrumSplit:   spectrumSplitVectorAVX512,
	transpose:       transposeVector,
}

var sets = supportedSets()

// Sets lists the back ends that this machine can run, slowest first.
func Sets() []*Set { return sets }

func supportedSets() []*Set {
	supported := []*Set{&Go}
	const (
		fma, osxsave, avx              = 1 << 12, 1 << 27, 1 << 28                  // leaf 1, ECX
		avx2Bit, f, dq, bw, vl         = 1 << 5, 1 << 16, 1 << 17, 1 << 30, 1 << 31 // leaf 7, EBX
		vnni                           = 1 << 11                                    // leaf 7, ECX
		vectorRegisters, wideRegisters = 0x06, 0xe6                                 // XCR0
	)
	leaves, _, _, _ := cpuid(0, 0)
	_, _, ecx1, _ := cpuid(1, 0)
	if leaves < 7 || ecx1&(fma|osxsave|avx) != fma|osxsave|avx {
		return supported
	}
	kept := xgetbv()
	_, ebx7, ecx7, _ := cpuid(7, 0)
	if kept&vectorRegisters != vectorRegisters || ebx7&avx2Bit == 0 {
		return supported
	}
	supported = append(supported, &avx2)
	if kept&wideRegisters == wideRegisters && ebx7&(f|dq|bw|vl) == f|dq|bw|vl && ecx7&vnni != 0 {
		supported = append(supported, &avx512)
	}
	return supported
}
