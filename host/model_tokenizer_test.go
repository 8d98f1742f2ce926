package host

import (
	"errors"
	"testing"

	"m2embed/core"
)

// TestRustSpans: the Rust tokenizer refuses the spans of a text instead of leaving
// them out.
func TestRustSpans(t *testing.T) {
	m, err := Open(tiny, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	inputs := []core.Input{{IDs: []int32{2, 7, 3}, Spans: []core.Span{{Start: 0, End: 2}}}, {Text: "a text", Spans: []core.Span{{Start: 0, End: 1}}}}
	engine := foreign{engine: m.engine, config: m.config}
	var fault *core.InputError
	if _, err := engine.embed(t.Context(), inputs, core.Options{}); !errors.As(err, &fault) || fault.Index != 1 || !errors.Is(err, errRustSpans) {
		t.Errorf("error %v, want one of input 1", err)
	}
	found, err := engine.embed(t.Context(), inputs[:1], core.Options{})
	if err != nil || len(found[0].Spans) != 1 || found[0].Spans[0].Vector == nil {
		t.Errorf("spans of token ids: %+v, %v", found, err)
	}
}
