package model

import (
	"fmt"
	"strings"

	"m2embed/core/short"
)

// fact is a switch of the configuration as the weights have it. The forward
// pass would run either way, so nothing but this comparison tells a model from
// half of it.
type fact struct {
	key     string
	config  *bool
	value   bool
	tensors []string // what proves it: tensors that are there, or one that is missing
}

// switchesIn reads every switch that the weights' names and shapes determine.
func switchesIn(c *Config, w Weights) []fact {
	var list []fact
	names := w.Names()
	// A switch is on where tensors exist that nothing else uses.
	exists := func(key string, config *bool, missing string, only func(name string) bool) {
		var found []string
		for _, name := range names {
			if only(name) {
				found = append(found, name)
			}
		}
		if found != nil {
			list = append(list, fact{key, config, true, found})
		} else {
			list = append(list, fact{key, config, false, []string{missing}})
		}
	}
	const mixer, mlp = "encoder.layer.0.attention.", "encoder.layer.0.mlp."
	exists("use_positional_encodings", &c.UsePositionalEncodings, "embeddings.position_embeddings.weight",
		func(name string) bool { return name == "embeddings.position_embeddings.weight" })
	exists("residual_long_conv", &c.ResidualLongConv, mixer+"filter_fn2.implicit_filter.0.weight",
		func(name string) bool {
			_, part, _ := cutLayer(name)
			// flashfft holds transform tables of a CUDA library, not weights.
			return strings.HasPrefix(part, "attention.filter_fn2.") && !strings.Contains(part, ".flashfft.")
		})
	exists("bidirectional", &c.Bidirectional, mixer+"filter_fn.implicit_filter_rev.0.weight",
		func(name string) bool {
			_, part, _ := cutLayer(name)
			// The frequencies are the forward network's under another name.
			return strings.Contains(part, ".implicit_filter_rev.") && !strings.HasSuffix(part, ".freq")
		})
	exists("hyena_training_additions", &c.HyenaTrainingAdditions, mixer+"layernorm.weight",
		func(name string) bool {
			_, part, _ := cutLayer(name)
			return strings.HasPrefix(part, "attention.layernorm.")
		})
	gated, ok := shapeOf(w, mlp+"gated_layers.weight")
	if !ok || len(gated) < 2 {
		return list
	}
	list = append(list, fact{"use_monarch_mlp", &c.UseMonarchMLP, len(gated) == 3, []string{mlp + "gated_layers.weight"}})
	if wo, ok := shapeOf(w, mlp+"wo.weight"); ok && len(wo) == len(gated) {
		// With GLU the first product is twice as wide as the second's input.
		first, second := gated[len(gated)-2], wo[len(wo)-1]
		list = append(list, fact{"use_glu_mlp", &c.UseGLUMLP, first > second+second/2, []string{mlp + "gated_layers.weight", mlp + "wo.weight"}})
	}
	return list
}

// checkSwitches compares the configuration's switches with the weights: tensors
// that would lie unused, and tensors that are missing, are another model's.
func checkSwitches(c Config, w Weights) error {
	for _, f := range switchesIn(&c, w) {
		if *f.config == f.value {
			continue
		}
		_, present := shapeOf(w, f.tensors[0])
		proof := "the weights have no tensor"
		switch {
		case present && f.value && strings.HasSuffix(f.key, "_mlp"):
			proof = "the weights are shaped for it:"
		case present && f.value:
			proof = "nothing else uses what the weights hold:"
		case present:
			proof = "the weights are not shaped for it:"
		}
		return fmt.Errorf("config.json: %s is %t, given or by default, but %s %s; one of the two belongs to another model, or take the switches from the weights (config-from-weights)",
			f.key, *f.config, proof, few(f.tensors, 3))
	}
	return nil
}

// few quotes some of the names, most of them, and counts the rest.
func few(names []string, most int) string {
	quoted := make([]string, 0, most)
	for _, name := range names[:min(most, len(names))] {
		quoted = append(quoted, short.Quote(name))
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
