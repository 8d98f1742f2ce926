// Package model is M2-BERT: token ids in, hidden states and one vector out.
//
// How it differs from BERT (Fu et al., "Monarch Mixer: A Simple Sub-Quadratic
// GEMM-Based Architecture", 2023; reference code HazyResearch/m2, folder bert):
//
//   - no attention: each layer mixes tokens by two gated long convolutions
//     whose filters are the outputs of a small sine network over the position;
//   - no skip connection around the mixer, and one LayerNorm a layer, behind
//     the MLP, whose residual is the mixer's output;
//   - the MLP is gated (GLU) and its matrices are block-diagonal;
//   - no mask: pads are ordinary input and change every row.
//
// [Run] runs the forward pass, which stands on one page in encoder.go.
// Names of fields follow the checkpoint's tensors.
//
// Axis letters: T tokens of all texts that run together, L tokens of one text,
// D hidden size, I inner size, N rows of a Fourier transform, O filter order.
// All matrices are row-major.
package model
