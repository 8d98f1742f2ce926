package engine

import (
	"context"
	"testing"

	"m2embed/core"
)

// FuzzRecords hands arbitrary inputs and options records to the module: it
// embeds them or refuses them, and never traps.
func FuzzRecords(f *testing.F) {
	options, err := packOptions(core.Options{MaxLength: 8})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packInputs(core.Texts("a", "bc")), options)
	f.Add(packInputs([]core.Input{{IDs: []int32{101, 5, 102}}}), options)
	f.Add(packInputs([]core.Input{{Text: "a b c", Spans: []core.Span{{Start: 1, End: 3}, {Start: 0, End: 9}}}}), options)
	f.Add(packInputs(nil), []byte{})
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0}, options)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}, options[:23])
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127}, options)
	e := open(f, tiny(f, "model.safetensors"), Options{})
	f.Fuzz(func(t *testing.T, inputs, options []byte) {
		ctx := context.Background()
		err := use(ctx, e, func(i *instance) error {
			return i.with(ctx, inputs, func(at uint64) error {
				return i.with(ctx, options, func(o uint64) error {
					_, err := i.status(ctx, "embed", i.model, at, uint64(len(inputs)), o)
					return err
				})
			})
		})
		if code := codeOf(err); err != nil && (code == 0 || code == Internal || code == InstanceLost) {
			t.Fatalf("code %d: %v", code, err)
		}
	})
}
