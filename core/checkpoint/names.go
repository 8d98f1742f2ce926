package checkpoint

import "strings"

// wrappers are the components that training code puts between those of a
// tensor's name: DistributedDataParallel, torch.compile, FSDP and its
// activation checkpointing, and Lightning's Fabric. They may stand anywhere,
// and in any nesting.
var wrappers = map[string]bool{
	"module": true, "_orig_mod": true, "_fsdp_wrapped_module": true, "_fpw_module": true,
	"_checkpoint_wrapped_module": true, "_forward_module": true,
}

// CanonicalName strips what training code puts around a tensor's name: every
// component of a wrapper ("module", "_orig_mod", "_fsdp_wrapped_module" and
// their like), then what stands in front: "model." and the "0.auto_model." of
// Sentence Transformers, as often as they come, and one "bert.". The last
// component, the tensor's own, always stays. The work is linear in the name.
func CanonicalName(name string) string {
	return trimContainers(dropWrappers(name))
}

// dropWrappers takes the wrappers' components out of a name. A name without
// any is returned as it is.
func dropWrappers(name string) string {
	var kept strings.Builder
	copied := 0 // bytes of name that are in kept or dropped
	for at := 0; ; {
		length := strings.IndexByte(name[at:], '.')
		if length < 0 {
			break
		}
		next := at + length + 1
		if wrappers[name[at:next-1]] {
			kept.WriteString(name[copied:at])
			copied = next
		}
		at = next
	}
	if kept.Len() == 0 { // what was dropped stood in front, if anything was
		return name[copied:]
	}
	kept.WriteString(name[copied:])
	return kept.String()
}

// trimContainers drops the modules that hold the encoder.
func trimContainers(name string) string {
	for {
		rest, ok := strings.CutPrefix(name, "model.")
		if !ok {
			rest, ok = strings.CutPrefix(name, "0.auto_model.")
		}
		if !ok {
			return strings.TrimPrefix(name, "bert.")
		}
		name = rest
	}
}
