package model

import (
	"strings"
	"testing"
)

// TestSharedNames: of the six names of a filter's sine frequencies those that are
// missing stand for the first, where the network has the layer before the sine.
func TestSharedNames(t *testing.T) {
	whole := file(t, "tiny/model.safetensors").Names()
	if got := SharedNames(whole); len(got) != 0 {
		t.Errorf("names that are there: %v", got)
	}
	var kept []string
	dropped := 0
	for _, name := range whole {
		if strings.HasSuffix(name, ".freq") && !strings.HasSuffix(name, ".implicit_filter.1.freq") {
			dropped++
			continue
		}
		kept = append(kept, name)
	}
	shared := SharedNames(kept)
	if len(shared) != dropped || dropped != 2*2*5 {
		t.Errorf("%d names are shared, want the %d that were dropped: five of each of two filters in two layers", len(shared), dropped)
	}
	for name, stored := range shared {
		filter, _, _ := strings.Cut(name, ".implicit_filter")
		if stored != filter+".implicit_filter.1.freq" || !contains(whole, name) {
			t.Errorf("%s stands for %s", name, stored)
		}
	}
	causal := SharedNames([]string{"a.implicit_filter.0.weight", "a.implicit_filter.1.freq", "a.implicit_filter.2.weight", "b.implicit_filter.3.freq"})
	if len(causal) != 1 || causal["a.implicit_filter.3.freq"] != "a.implicit_filter.1.freq" {
		t.Errorf("without a reverse network and a third layer: %v", causal)
	}
}

func TestTensorRoles(t *testing.T) {
	for _, c := range []struct {
		name            string
		encoder, filter bool
	}{
		{WordTable, true, false},
		{"embeddings.position_ids", false, false},
		{"encoder.layer.0.attention.in_linear.weight", true, false},
		{"encoder.layer.11.attention.filter_fn2.implicit_filter_rev.6.weight", true, true},
		{"encoder.layer.0.attention.filter_fn.implicit_filter.6.weight", true, true},
		{"encoder.layer.0.attention.filter_fn.implicit_filter.0.weight", true, false},
		{"encoder.layer.0.attention.filter_fn.flashfft.twiddle", false, false},
		{"pooler.dense.weight", true, false},
		{"cls.predictions.decoder.weight", false, false},
		{"", false, false},
	} {
		if got := [2]bool{InEncoder(c.name), FilterMatrix(c.name)}; got != [2]bool{c.encoder, c.filter} {
			t.Errorf("%q: in the encoder, a filter's matrix: %v", c.name, got)
		}
	}
}
