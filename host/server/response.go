package server

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"m2embed/core"
)

// piece is about how many bytes of a response are written at a time.
const piece = 1 << 16

// writeEmbeddings writes a response vector by vector, and a small one at once with
// its length. Errors are the client's and end the connection, since the status is
// out by then.
func writeEmbeddings(w http.ResponseWriter, model, space string, asBase64 bool, results []core.Embedding, tokens int) error {
	name, err := json.Marshal(model)
	if err != nil {
		panic(err) // a string
	}
	w.Header().Set("Content-Type", "application/json")
	b := make([]byte, 0, min(piece, responseBytes(results)))
	write := func() {
		if _, err := w.Write(b); err != nil {
			panic(http.ErrAbortHandler)
		}
		b = b[:0]
	}
	written := false
	b = append(b, `{"object":"list","data":[`...)
	for i, e := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"object":"embedding","index":%d,"tokens":%d,"length":%d,"truncated":%t,"embedding":`, i, e.Tokens, e.Length, e.Truncated)
		if asBase64 {
			b = appendBase64(b, e.Vector)
		} else {
			b = appendNumbers(b, e.Vector)
		}
		if b = append(b, '}'); len(b) > piece {
			write()
			written = true
		}
	}
	b = fmt.Appendf(b, `],"model":%s,"space":%q,"usage":{"prompt_tokens":%d,"total_tokens":%d}}`+"\n", name, space, tokens, tokens)
	if !written {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	write()
	return nil
}

// responseBytes is how many bytes a response has, roughly.
func responseBytes(results []core.Embedding) int {
	bytes := 512
	for _, e := range results {
		bytes += 128 + 13*len(e.Vector)
	}
	return bytes
}

// appendNumbers writes a list of the shortest numbers that read back as the
// same float32.
func appendNumbers(b []byte, v []float32) []byte {
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	return append(b, ']')
}

// appendBase64 writes little-endian float32 in base64, as OpenAI's API does.
func appendBase64(b []byte, v []float32) []byte {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, raw)
	return append(b, '"')
}
