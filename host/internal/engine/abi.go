package engine

import (
	"encoding/binary"
	"fmt"
	"math"

	"m2embed/core"
	"m2embed/core/model"
	"m2embed/core/tokenizer"
)

// This file is the twin of wasm/abi.go, which describes the protocol.

// Version is the version of the protocol that this package speaks.
const Version = 3

// Code is the kind of an [Error].
type Code int32

// The codes of wasm/abi.go, and one of the host.
const (
	BadArgument  Code = -1
	BadConfig    Code = -2
	BadTokenizer Code = -3
	BadWeights   Code = -4
	TooLong      Code = -5
	OutOfMemory  Code = -6
	BadHandle    Code = -7
	NotReady     Code = -8
	Internal     Code = -9
	TooLarge     Code = -10
	// InstanceLost says that the module trapped, out of memory most likely.
	// The engine drops the instance and makes a new one for the next call.
	InstanceLost Code = -100
)

// Error is a failure that the module reported.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// packInputs writes the inputs record.
func packInputs(inputs []core.Input) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(inputs)))
	for _, in := range inputs {
		kind, size := uint32(0), len(in.Text)
		if in.IDs != nil {
			kind, size = 1, 4*len(in.IDs)
		}
		b = binary.LittleEndian.AppendUint32(b, kind)
		b = binary.LittleEndian.AppendUint32(b, uint32(size))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(in.Spans)))
		if in.IDs == nil {
			b = append(b, in.Text...)
			b = append(b, make([]byte, -len(in.Text)&3)...)
		}
		for _, id := range in.IDs {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
		for _, s := range in.Spans {
			b = binary.LittleEndian.AppendUint32(b, offset(s.Start))
			b = binary.LittleEndian.AppendUint32(b, offset(s.End))
		}
	}
	return b
}

// offset is a place in a text for the module, which refuses one that no text has.
func offset(at int) uint32 {
	if at < 0 || at > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(at)
}

// packOptions writes the options record.
func packOptions(o core.Options) ([]byte, error) {
	if o.Dimensions < 0 || o.Dimensions > math.MaxInt32 {
		return nil, &Error{Code: BadArgument, Message: fmt.Sprintf("%d dimensions, want 0 or more", o.Dimensions)}
	}
	fields := [6]int32{-1, -1, int32(o.MaxLength), int32(o.Truncation), int32(o.Pooling) - 1, int32(o.Dimensions)}
	if o.MaxLength < 0 || o.MaxLength > math.MaxInt32 {
		return nil, &Error{Code: BadArgument, Message: fmt.Sprintf("maximum length %d, want 0 or more", o.MaxLength)}
	}
	switch o.Normalize {
	case core.Yes:
		fields[0] = 1
	case core.No:
		fields[0] = 0
	}
	switch o.Padding.Mode {
	case model.PadNone:
		fields[1] = 0
	case model.PadLongest:
		fields[1] = -2
	case model.PadMax:
		fields[1] = -3
	case model.PadToLength:
		if o.Padding.Length < 1 || o.Padding.Length > math.MaxInt32 {
			return nil, &Error{Code: BadArgument, Message: fmt.Sprintf("padding to %d tokens, want 1 or more", o.Padding.Length)}
		}
		fields[1] = int32(o.Padding.Length)
	}
	var b []byte
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint32(b, uint32(f))
	}
	return b, nil
}

// The numbers that packOptions takes for granted.
var _ = [1]struct{}{}[tokenizer.KeepSeparator] // 0
var _ = [1]struct{}{}[tokenizer.Refuse-2]
var _ = [1]struct{}{}[model.PoolClass-1]
var _ = [1]struct{}{}[model.PoolNone-5]

// readResults reads the results record.
func readResults(b []byte) ([]core.Embedding, error) {
	word := func(i int) int { return int(binary.LittleEndian.Uint32(b[4*i:])) }
	if len(b) < 8 {
		return nil, fmt.Errorf("results of %d bytes", len(b))
	}
	count, n, words := word(0), word(1), len(b)/4
	const each = 5
	if count > words/each {
		return nil, fmt.Errorf("results of %d bytes for %d texts", len(b), count)
	}
	found := make([]core.Embedding, count)
	spans := 0 // of all texts
	values := 0
	for i := range found {
		at := 2 + each*i
		found[i] = core.Embedding{Tokens: word(at), Length: word(at + 1), Truncated: word(at+2) != 0}
		spans += word(at + 4)
		values += (word(at+3) + word(at+4)) * n
	}
	tokens := 2 + each*count
	at := tokens + spans
	if values < 0 || at+values != words {
		return nil, fmt.Errorf("results of %d bytes for %d texts with %d spans and %d values", len(b), count, spans, values)
	}
	take := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(uint32(word(at + i)))
		}
		at += n
		return v
	}
	for i := range found {
		found[i].Vector = take(word(2+each*i+3) * n)
		for range word(2 + each*i + 4) {
			s := core.SpanEmbedding{Tokens: word(tokens)}
			if s.Tokens > 0 {
				s.Vector = take(n)
			} else {
				at += n
			}
			found[i].Spans = append(found[i].Spans, s)
			tokens++
		}
	}
	return found, nil
}
