package model

import (
	"m2embed/core/checkpoint"
	"m2embed/core/kernel"
)

// IntegerType is how a conversion to int8 holds a tensor of a model of so many
// layers: the type, and the integer that stands for the largest magnitude of a
// row. The limit is 0 for tensors that stay as they are.
//
// Eight bits are enough where the rounding averages away: a row of a table is
// one token's, and in_linear's output goes through a product with another
// projection and a sum over the tokens. What out_linear and the MLP write goes
// into the next layer's residual convolution, which sums an error that all
// tokens share, and every layer amplifies it, the more the longer the text. These
// matrices, and in_linear where half of the layers follow, have 12 bits, held
// in 16.
func IntegerType(name string, layers int) (dtype checkpoint.DType, limit int) {
	layer, part, ok := cutLayer(name)
	if !ok {
		part = name
	}
	switch part {
	case "attention.in_linear.weight":
		if 2*layer < layers {
			return checkpoint.I16, kernel.MaxWeight16
		}
		return checkpoint.I8, 127
	case "attention.out_linear.weight", "mlp.gated_layers.weight", "mlp.wo.weight":
		return checkpoint.I16, kernel.MaxWeight16
	case WordTable, "embeddings.position_embeddings.weight", "pooler.dense.weight":
		return checkpoint.I8, 127
	}
	return checkpoint.F32, 0
}
