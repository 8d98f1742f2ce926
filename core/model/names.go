package model

import (
	"slices"
	"strconv"
	"strings"
)

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
