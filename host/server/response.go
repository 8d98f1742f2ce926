package server

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"m2embed/core"
)

// writeEmbeddings writes a response vector by vector. Errors are the client's
// and end the connection, since the status is out by then.
func writeEmbeddings(w http.ResponseWriter, model, space string, asBase64 bool, results []core.Embedding, tokens int) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(w, min(1<<16, responseBytes(results)))
	out.WriteString(`{"object":"list","data":[`)
	var line []byte
	for i, e := range results {
		line = line[:0]
		if i > 0 {
			line = append(line, ',')
		}
		line = fmt.Appendf(line, `{"object":"embedding","index":%d,"tokens":%d,"length":%d,"truncated":%t,"embedding":`, i, e.Tokens, e.Length, e.Truncated)
		if asBase64 {
			line = appendBase64(line, e.Vector)
		} else {
			line = appendNumbers(line, e.Vector)
		}
		line = append(line, '}')
		if _, err := out.Write(line); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	name, err := json.Marshal(model)
	if err != nil {
		panic(err) // a string
	}
	fmt.Fprintf(out, `],"model":%s,"space":%q,"usage":{"prompt_tokens":%d,"total_tokens":%d}}`+"\n", name, space, tokens, tokens)
	if err := out.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
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
