// Package kernels holds the WGSL source of every GPU operation of m2embed, one
// operation a file. Sizes that have to be known at compile time are override
// constants. What several kernels share stands in a file that they include by
// the line "// include NAME.wgsl".
package kernels

import (
	_ "embed"
	"strings"
)

// Sources of the kernels, named like their files. [Source] gives them whole.
var (
	//go:embed copy.wgsl
	Copy string
	//go:embed embedding.wgsl
	Embedding string
	//go:embed first_tokens.wgsl
	FirstTokens string
	//go:embed gelu_gate.wgsl
	GELUGate string
	//go:embed layer_norm.wgsl
	LayerNorm string
	//go:embed long_convolution.wgsl
	LongConvolution string
	//go:embed matmul.wgsl
	Matmul string
	//go:embed matmul_small.wgsl
	MatmulSmall string
	//go:embed matmul_tall.wgsl
	MatmulTall string
	//go:embed normalize.wgsl
	Normalize string
	//go:embed pool.wgsl
	Pool string
	//go:embed pooler.wgsl
	Pooler string
	//go:embed product.wgsl
	product string
	//go:embed short_filter.wgsl
	ShortFilter string
	//go:embed transpose.wgsl
	Transpose string
)

// Source returns the WGSL text of a kernel by the name of its file, without
// the ending; it is empty for an unknown name.
func Source(name string) string {
	switch name {
	case "copy":
		return Copy
	case "embedding":
		return Embedding
	case "first_tokens":
		return FirstTokens
	case "gelu_gate":
		return GELUGate
	case "layer_norm":
		return LayerNorm
	case "long_convolution":
		return LongConvolution
	case "matmul":
		return included(Matmul)
	case "matmul_small":
		return included(MatmulSmall)
	case "matmul_tall":
		return included(MatmulTall)
	case "normalize":
		return Normalize
	case "pool":
		return Pool
	case "pooler":
		return Pooler
	case "short_filter":
		return ShortFilter
	case "transpose":
		return Transpose
	}
	return ""
}

// included puts the products' common part into a kernel.
func included(kernel string) string {
	return strings.Replace(kernel, "// include product.wgsl\n", product, 1)
}
