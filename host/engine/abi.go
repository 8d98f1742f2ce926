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
const Version = 2

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
		if in.IDs == nil {
			b = binary.LittleEndian.AppendUint32(b, 0)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(in.Text)))
			b = append(b, in.Text...)
			b = append(b, make([]byte, -len(in.Text)&3)...)
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, uint32(4*len(in.IDs)))
		for _, id := range in.IDs {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return b
}

// packOptions writes the options record.
func packOptions(o core.Options) ([]byte, error) {
	fields := [5]int32{-1, -1, int32(o.MaxLength), int32(o.Truncation), int32(o.Pooling) - 1}
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
var _ = [1]struct{}{}[model.PoolMeanHidden-4]

// readResults reads the results record.
func readResults(b []byte) ([]core.Embedding, error) {
	word := func(i int) int { return int(binary.LittleEndian.Uint32(b[4*i:])) }
	if len(b) < 8 {
		return nil, fmt.Errorf("results of %d bytes", len(b))
	}
	count, d := word(0), word(1)
	if len(b) != 8+count*(12+4*d) {
		return nil, fmt.Errorf("results of %d bytes for %d vectors of %d values", len(b), count, d)
	}
	found := make([]core.Embedding, count)
	at := 2 + 3*count
	for i := range found {
		found[i] = core.Embedding{Tokens: word(2 + 3*i), Length: word(3 + 3*i), Truncated: word(4+3*i) != 0, Vector: make([]float32, d)}
		for c := range d {
			found[i].Vector[c] = math.Float32frombits(uint32(word(at + i*d + c)))
		}
	}
	return found, nil
}
