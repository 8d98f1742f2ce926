package main

import (
	"math"

	"m2embed/core/kernel"
	"m2embed/core/model"
)

// cost is what one text of L tokens takes.
type cost struct {
	Length      int     `json:"length"`
	Dense       float64 `json:"dense_flop"`
	Filters     float64 `json:"filters_flop"`
	Transforms  float64 `json:"transforms_flop"`
	Activations int     `json:"activation_bytes"`
	Kept        int     `json:"filter_bytes"`
}

// costOf counts multiplications and additions of the forward pass, without
// what the last layer saves under first-token pooling. Memory is what a run
// holds.
func costOf(m *model.Model, l int) cost {
	c := m.Config()
	d, i, o, e := float64(c.HiddenSize), float64(c.IntermediateSize), float64(c.HyenaFilterOrder), float64(c.HyenaEmbDim)
	layers, n, taps := float64(c.NumHiddenLayers), m.Rows(l), min(l, c.LongConvLMax)
	blocks, gates, convolutions, directions := 1.0, 1.0, 1, 1
	if c.UseMonarchMLP {
		blocks = float64(c.MonarchMLPNBlocks)
	}
	if c.UseGLUMLP {
		gates = 2
	}
	if c.ResidualLongConv {
		convolutions = 2
	}
	if c.Bidirectional {
		directions = 2
	}
	networks := convolutions * directions
	run := m.NewRun()
	run.Start([]model.Sequence{{IDs: []int32{0}, Length: l}}, model.PoolMeanHidden, false)
	groups := (c.HiddenSize + kernel.GroupWidth - 1) / kernel.GroupWidth
	return cost{
		Length: l,
		// in_linear, out_linear, gated_layers, wo
		Dense: 2 * float64(l) * layers * (3*d*d + d*d + gates*d*i/blocks + i*d/blocks),
		// the sine network, and its output for all channels
		Filters: 2 * float64(taps) * layers * float64(networks) * (e*o + 2*o*o + o*d),
		// there and back for each convolution and channel, real transforms
		Transforms:  2 * float64(convolutions) * layers * d * 2.5 * float64(n) * math.Log2(float64(max(n, 2))),
		Activations: run.Bytes() + 4*networks*taps*c.HyenaFilterOrder,
		Kept:        4 * c.NumHiddenLayers * convolutions * groups * kernel.GroupWidth * n,
	}
}
