//go:build arm64 && !noasm

package kernel

import "golang.org/x/sys/cpu"

// neon runs on every arm64 processor.
var neon = Set{
	Name:       "neon",
	PanelWidth: 16,
	GemmF32:    gemmF32Vector,
	I8: Integers{
		Stride: pairsStride, Quantize: quantizePairs(limit8),
		PanelBytes: panelI8BytesLong, Pack: packI8Long, Gemm: gemmI8Long,
	},
	I16: Integers{
		Stride: pairsStride, Quantize: quantizePairs(Limit16),
		PanelBytes: panelI16BytesLong, Pack: packI16Long, Gemm: gemmI16Long,
	},
	LayerNorm:       layerNormVector,
	GeluGate:        geluGateVector,
	ShortFilter:     shortFilterVector,
	Multiply:        multiplyVector,
	MultiplyAdd:     multiplyAddVector,
	Sine:            sineVector,
	Decay:           decayVector,
	Radix4Forward:   radix4ForwardVector,
	Radix4Inverse:   radix4InverseVector,
	Radix2:          radix2Vector,
	SpectrumProduct: spectrumProductVector,
	SpectrumSplit:   spectrumSplitVector,
}

// dotProd needs SDOT (from 2018 on, every Apple M, Graviton 2 and later).
var dotProd = dotProdSet()

func dotProdSet() Set {
	s := neon
	s.Name = "neon-dotprod"
	s.I8 = Integers{
		Stride: foursStride, Quantize: quantizeFours,
		PanelBytes: panelI8BytesDot, Pack: packI8Dot, Gemm: gemmI8Dot,
	}
	return s
}

var sets = supportedSets()

// Sets lists the back ends that this machine can run, slowest first.
func Sets() []*Set { return sets }

func supportedSets() []*Set {
	supported := []*Set{&Go, &neon}
	if cpu.ARM64.HasASIMDDP {
		supported = append(supported, &dotProd)
	}
	return supported
}
