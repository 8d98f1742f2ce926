package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Prefix is what published checkpoints put before every name of this package.
const Prefix = "bert."

// WordTable is the tensor (V, D) of token vectors, which no checkpoint of M2-BERT
// is without.
const WordTable = "embeddings.word_embeddings.weight"

// cutLayer splits a tensor's name into the layer's number and the name within
// the layer: "encoder.layer.3.mlp.wo.bias" is 3, "mlp.wo.bias".
func cutLayer(name string) (layer int, part string, ok bool) {
	rest, ok := strings.CutPrefix(name, "encoder.layer.")
	if !ok {
		return 0, "", false
	}
	number, part, ok := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	if !ok || err != nil || layer < 0 {
		return 0, "", false
	}
	return layer, part, true
}

// InEncoder reports whether inference may read a tensor, named without a prefix.
// Heads, transform tables of a CUDA library and the counted positions are not
// read.
func InEncoder(name string) bool {
	if strings.Contains(name, "flashfft") || strings.HasSuffix(name, "position_ids") {
		return false
	}
	return strings.HasPrefix(name, "embeddings.") || strings.HasPrefix(name, "encoder.") || strings.HasPrefix(name, "pooler.")
}

// Widened reports whether a forward pass on processors takes a tensor of 16-bit
// floats as float32: all but the tables of the embedding, of which it reads rows.
func Widened(name string) bool {
	return InEncoder(name) && !strings.HasPrefix(name, "embeddings.")
}

// FilterMatrix reports whether a tensor is the matrix that makes the taps of a long
// convolution. An error there reaches every token, and a forward pass multiplies
// in float32 with it in any case, so integers would cost precision and save no
// memory.
func FilterMatrix(name string) bool {
	return strings.HasSuffix(name, ".implicit_filter.6.weight") || strings.HasSuffix(name, ".implicit_filter_rev.6.weight")
}

// SharedNames gives the names that sorted names lack because their tensor is stored
// under another: the sine frequencies, of which one vector serves six places of
// a filter. The result is the stored name by the missing one.
func SharedNames(names []string) map[string]string {
	const first = ".implicit_filter.1.freq"
	shared := map[string]string{}
	for _, stored := range names {
		filter, ok := strings.CutSuffix(stored, first)
		if !ok {
			continue
		}
		for _, network := range []string{".implicit_filter.", ".implicit_filter_rev."} {
			for i := range 3 {
				// A sine follows each linear layer but the last.
				name := fmt.Sprint(filter, network, 2*i+1, ".freq")
				if contains(names, fmt.Sprint(filter, network, 2*i, ".weight")) && !contains(names, name) {
					shared[name] = stored
				}
			}
		}
	}
	return shared
}

// LayersIn counts the layers that have tensors: one more than the highest
// number.
func LayersIn(names []string) int {
	layers := 0
	for _, name := range names {
		if layer, _, ok := cutLayer(name); ok {
			layers = max(layers, layer+1)
		}
	}
	return layers
}

// contains says whether sorted names have one.
func contains(names []string, name string) bool {
	_, found := slices.BinarySearch(names, name)
	return found
}
