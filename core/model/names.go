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

// layersIn counts the layers that have tensors: one more than the highest
// number.
func layersIn(names []string) int {
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
